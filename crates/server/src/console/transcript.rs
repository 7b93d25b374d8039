//! One session's transcript: what was asked, why the agent did what it did, what was decided, what it cost. What a
//! model thought stands directly above the action it led to.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use data::trace::{CapabilityCall, ModelCall, Said, Step, Trace, What};
use domain::clock::Timestamp;
use domain::id::{CallId, SessionId};
use domain::principal::Mode;
use domain::session::Phase;
use maud::{Markup, html};

use super::page::{Reader, looking_again, page};
use super::step;
use super::words::{ago, autonomy, called, count, instant, lasting, mark, money, notes, phase, state, wait};
use crate::api::Id;
use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// `/sessions/{id}`.
pub(crate) async fn show(State(app): State<App>, reader: Reader, Id(id): Id<SessionId>) -> ApiResult<Response> {
    let trace = Trace::of(&app.records(id).await?).ok_or_else(|| ApiError::erased(id))?;
    let under_models = used(&trace);
    let body = html! {
        (summary(&trace, app.clock.now()))
        (super::stop::buttons(&reader, &trace))
        @for step in &trace.steps { (one(&trace, step, &under_models)) }
    };
    let moves = matches!(trace.phase, Phase::Ready | Phase::Running);
    Ok(looking_again(page(&reader, &format!("{} · {}", trace.agent, called(&trace.key)), &body), moves))
}

fn summary(trace: &Trace, now: Timestamp) -> Markup {
    let amounts = &trace.totals.amounts;
    html! {
        p { (phase(trace.phase)) (autonomy(trace.autonomy)) (notes(trace.scripted, false)) (ago(now, trace.since)) }
        @if trace.scripted { p.meta { "A script stood in for the model: nobody was billed for what it says." } }
        @if trace.mode == Mode::Shadow { p.meta { "In shadow, what would change anything is written down and never sent." } }
        dl.facts {
            dt { "session" } dd.id { (trace.session) }
            dt { "revision" } dd.id { (trace.revision.short()) }
            dt { "owner" } dd { (trace.owner) }
            @if trace.attached { dt { "loop" } dd { "kept by a client (attached)" } }
            @if let Some(person) = &trace.on_behalf_of { dt { "on behalf of" } dd { (person) } }
            @if let Some(case) = &trace.case { dt { "case" } dd { (case) } }
            dt { "started" } dd { (instant(trace.started)) }
            dt { "cost" } dd {
                (money(amounts.usd_micros)) " · " (count(amounts.tokens, "token")) " · "
                (count(amounts.external_actions, "external action")) " · " (lasting(amounts.compute_ms)) " of compute"
                @if trace.totals.possibly_billed_usd_micros > 0 {
                    " · of which " (money(trace.totals.possibly_billed_usd_micros)) " possibly billed"
                }
            }
        }
    }
}

/// The calls that stand under the words of the model that wanted them.
fn used(trace: &Trace) -> BTreeSet<CallId> {
    let models =
        trace.steps.iter().filter_map(|step| if let What::Model(call) = &step.what { Some(call) } else { None });
    let uses = models.flat_map(|call| &call.says);
    uses.filter_map(|said| if let Said::Use { call, .. } = said { Some(*call) } else { None }).collect()
}

fn one(trace: &Trace, step: &Step, under_models: &BTreeSet<CallId>) -> Markup {
    match &step.what {
        What::Message { from, text, origin, .. } => html! {
            div.step.person {
                div.meta {
                    (data::trace::asker(from.as_ref(), *origin)) " · " (instant(step.at))
                }
                div.said { (text) }
            }
        },
        What::Client(told) => html! {
            div.step.person {
                div.meta {
                    "client · " (instant(step.at)) " · tells " (count(told.tells.into(), "message"))
                    @if told.rewrote { (mark("waiting", "history rewritten")) }
                }
                @if let Some(own) = &told.instructions { div.reasoning { (own) } }
                @for message in &told.said {
                    div.meta { (data::trace::speaker(message)) }
                    div.said { (message.text) }
                }
            }
        },
        What::Model(call) => model(trace, call, step.at),
        What::Capability(call) if under_models.contains(&call.call) => html! {},
        What::Capability(call) => step::capability(call),
        What::Suspended { waits, slept_ms, .. } => html! {
            div.step.rest {
                @if let Some(ms) = slept_ms { "slept for " (lasting(*ms)) } @else { "sleeps since " (instant(step.at)) }
                ", at no cost"
                @for (at, one) in waits.iter().enumerate() { (if at == 0 { ", for " } else { " and " }) (wait(one)) }
            }
        },
        What::Resumed { cause, .. } => {
            html! { div.step.rest { "woke · " (instant(step.at)) " · " span.id { (cause) } } }
        }
        What::Finished { .. } => html! { div.step.rest { "finished · " (instant(step.at)) } },
        What::Failed { reason, refusal, .. } => html! {
            div.step.refused {
                strong { "failed" } " · " (instant(step.at))
                div.said { (reason) }
                @if let Some(refusal) = refusal { p { (refusal.next) } }
            }
        },
        What::Killed { by, reason } => html! {
            div.step.refused { strong { "killed by " (by) } " · " (instant(step.at)) div.said { (reason) } }
        },
        What::Paused { by, reason } => html! {
            div.step.refused { strong { "suspended by " (by) } " · " (instant(step.at)) div.said { (reason) } }
        },
        What::Continued { by } => html! { div.step.rest { "let go on by " (by) " · " (instant(step.at)) } },
    }
}

fn model(trace: &Trace, call: &ModelCall, at: Timestamp) -> Markup {
    html! {
        div.step.model {
            div.meta {
                strong { (call.model) } " " (state(call.state)) (notes(call.scripted, false))
                @if call.pinned == Some(false) { (mark("bad", "not the model that was asked for")) }
                (instant(at)) " · " (money(call.cost.amounts.usd_micros)) " · " (count(call.cost.amounts.tokens, "token"))
                " · " (lasting(call.waited_ms)) " · " a href={ "/calls/" (call.call) } { "explain" }
            }
            @for said in &call.says {
                @match said {
                    Said::Reasoning { redacted: true, .. } => div.reasoning { "(reasoning that the provider keeps to itself)" },
                    Said::Reasoning { text, .. } => div.reasoning { (text) },
                    Said::Text { text } => div.said { (text) },
                    Said::Use { call, capability } => (use_of(trace.capability(*call), capability)),
                    Said::Other => div.meta { "(a block of the provider's own)" },
                }
            }
            @if let Some(refusal) = &call.refusal { (step::refusal(refusal)) }
            @if let Some(error) = &call.error { p.refused { (error) } }
        }
    }
}

fn use_of(call: Option<&CapabilityCall>, name: &str) -> Markup {
    match call {
        Some(call) => step::action(call),
        None => html! { div.meta { "wants " code { (name) } } },
    }
}
