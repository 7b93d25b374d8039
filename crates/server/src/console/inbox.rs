//! What waits for people, with the evidence they need: what will happen, why the agent wants it, what it is worth,
//! the exact arguments, the rule, the expiry. Deciding is `decide`'s; a GET never does.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use domain::capability::Effect;
use domain::clock::Timestamp;
use domain::principal::Mode;
use maud::{Markup, html};

use super::arguments::{arguments, pretty, sourced};
use super::page::{Reader, page, token_field};
use super::session::Csrf;
use super::words::{ago, mark, money, notes};
use crate::api::Id;
use crate::api::changes;
use crate::api::inbox::past::{Decided, Outcome};
use crate::api::inbox::stats;
use crate::api::inbox::{self, Waiting, past};
use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// `/inbox`.
pub(crate) async fn list(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let all = inbox::waiting(&app).await?;
    let (mine, others): (Vec<_>, Vec<_>) = all.iter().partition(|waiting| waiting.is_for(&reader.who));
    let now = app.clock.now();
    let stats = stats::of(&past::of(&app, None).await?);
    let asked = changes::waiting(&app);
    let body = html! {
        @for shown in &asked { (super::changes::one(shown, &reader, now)) }
        (together(&mine))
        @if all.is_empty() && asked.is_empty() { p { "Nothing waits for anybody. What needs consent, a second person, or a word on a write in doubt, comes here." } }
        @for waiting in &mine { (one(waiting, &reader, now)) }
        @if !mine.is_empty() && !others.is_empty() { h2 { "For others to decide" } }
        @for waiting in &others { (one(waiting, &reader, now)) }
        (answering(&stats))
    };
    Ok(page(&reader, "Inbox", &body))
}

/// `/inbox/{id}`.
pub(crate) async fn show(State(app): State<App>, reader: Reader, Id(id): Id<String>) -> ApiResult<Response> {
    let change = changes::waiting(&app).into_iter().find(|shown| shown.id.as_str() == id);
    if let Some(shown) = change {
        let one = super::changes::one(&shown, &reader, app.clock.now());
        return Ok(page(&reader, "Inbox", &html! { p { a href="/inbox" { "All that waits" } } (one) }));
    }
    let found = inbox::waiting(&app).await?.into_iter().find(|waiting| waiting.id == id);
    let gone = || ApiError::not_found(format!("{id} in the inbox any more: somebody may have answered it"));
    let waiting = found.ok_or_else(gone)?;
    let body = html! { p { a href="/inbox" { "All that waits" } } (one(&waiting, &reader, app.clock.now())) };
    Ok(page(&reader, "Inbox", &body))
}

/// Requests of one shape are offered to be answered together.
fn together(mine: &[&Waiting]) -> Markup {
    let mut shapes: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
    for waiting in mine.iter().filter(|waiting| !waiting.batch.is_empty()) {
        shapes.entry(&waiting.batch).or_default().push(waiting);
    }
    html! {
        @for (shape, all) in shapes.iter().filter(|(_, all)| all.len() > 1) {
            p { a href={ "/inbox/together/" (shape) } { (all[0].agent) " asks for " (all[0].what) " " (all.len()) " times: answer them together" } }
        }
    }
}

/// What people said to the like of it before.
fn similar(all: &[Decided], now: Timestamp) -> Markup {
    let word = |outcome: Outcome| match outcome {
        Outcome::Approved => "approved",
        Outcome::Edited => "approved, edited",
        Outcome::Denied => "denied",
        Outcome::Lapsed => "lapsed",
        Outcome::Waits => "waits",
    };
    html! {
        @if !all.is_empty() {
            details {
                summary { "What people said to the like of it before" }
                table {
                    @for one in all {
                        tr {
                            td { a href={ "/sessions/" (one.session) "#call-" (one.approval.call.ordinal) } { (word(one.outcome)) } }
                            td { @if let Some(value) = one.value_usd_micros { (money(value)) } }
                            td { @for said in &one.answers { (said.person) @if !said.reason.is_empty() { ": “" (said.reason) "” " } } }
                            td { (ago(now, one.asked_at)) }
                        }
                    }
                }
            }
        }
    }
}

/// What answering costs, and how it is done.
fn answering(stats: &stats::Stats) -> Markup {
    html! {
        @if !stats.weeks.is_empty() {
            h2 { "What answering takes" }
            table {
                tr { th { "agent" } th { "week of" } th { "asked" } th { "yes" } th { "edited" } th { "no" } th { "lapsed" } th { "minutes" } }
                @for week in stats.weeks.iter().take(20) {
                    tr { td { (week.agent) } td { (week.week) } td { (week.asked) } td { (week.approved) } td { (week.edited) } td { (week.denied) } td { (week.lapsed) } td { (week.minutes) } }
                }
            }
            table {
                tr { th { "who" } th { "answers" } th { "yes" } th { "yes within 2 s of seeing it" } }
                @for person in &stats.people {
                    tr { td { (person.person) } td { (person.answers) } td { (person.yes) } td { (person.hardly_read) " of " (person.measured) } }
                }
            }
        }
    }
}

fn one(waiting: &Waiting, reader: &Reader, now: Timestamp) -> Markup {
    evidence(waiting, now, &forms(waiting, reader, now))
}

/// What somebody needs to answer, and the form to do it.
pub(crate) fn evidence(waiting: &Waiting, now: Timestamp, form: &Markup) -> Markup {
    let in_doubt = waiting.item == "in_doubt";
    html! {
        article.item {
            h2 {
                (chain(waiting)) @if in_doubt { " lost sight of " } @else { " wants to use " } (waiting.what) " "
                @if let Some(value) = waiting.value_usd_micros { (mark("worth", &format!("worth {}", money(value)))) }
                @else if !in_doubt { (mark("worth", "of unknown worth")) }
                (notes(waiting.scripted, waiting.mode == Mode::Shadow))
            }
            p { strong { (waiting.reason) } }
            @if let Some(progress) = waiting.progress.as_ref().filter(|progress| !progress.text.is_empty()) { p.progress { (progress.text) } }
            @if let Some(task) = &waiting.task {
                h3 { "It was asked" @if let Some(person) = &task.from { " by " (person) } }
                div.said { (task.text) }
            }
            @if !waiting.reasoning.is_empty() { h3 { "Why it wants this, in its own words" } }
            @for reasoning in &waiting.reasoning { div.reasoning { (reasoning) } }
            h3 { @if in_doubt { "What was sent" } @else { "What will happen" } }
            p { (what_happens(waiting)) " " strong { (waiting.undone) } }
            @match &waiting.provenance {
                Some(from) => (sourced(&waiting.arguments, from)),
                None => (arguments(&waiting.arguments)),
            }
            (similar(&waiting.similar, now))
            div.meta {
                "asked " (ago(now, waiting.since)) " · decided by " (waiting.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))
                @if let Some(expires) = waiting.expires { " · becomes no by itself " (ago(now, expires)) }
                " · " a href={ "/sessions/" (waiting.session) "#call-" (waiting.call.ordinal) } { "the whole session" }
                " · " a href={ "/calls/" (waiting.call) } { "explain" } " · " span.id { (waiting.id) }
            }
            (form)
        }
    }
}

fn what_happens(waiting: &Waiting) -> Markup {
    let effect = match waiting.effect {
        Some(Effect::Read) => "It changes nothing.",
        Some(Effect::Idempotent) => "It changes something; sent twice it changes no more.",
        Some(Effect::Write) => "It changes something outside.",
        Some(Effect::Irreversible) => "It changes something outside, for good.",
        None => "What it changes is not known.",
    };
    let tense = if waiting.item == "in_doubt" { "was" } else { "is" };
    html! {
        @if let (Some(tool), Some(server)) = (&waiting.tool, &waiting.server) {
            code { (tool) } " of the server " code { (server) } " " (tense) " called with exactly this. "
        }
        (effect)
    }
}

/// The answer's form, for whoever may give it.
fn forms(waiting: &Waiting, reader: &Reader, now: Timestamp) -> Markup {
    let Some(token) = reader.csrf.as_ref().filter(|_| waiting.is_for(&reader.who)) else {
        return html! { p.meta { (only(waiting)) "; you are " (reader.who.name()) "." } };
    };
    if waiting.item == "in_doubt" { resolve(&waiting.id, token) } else { decide(waiting, token, now) }
}

/// Who may answer, in words.
fn only(waiting: &Waiting) -> String {
    let groups: Vec<_> = waiting.groups.iter().map(ToString::to_string).collect();
    let not = waiting.progress.iter().flat_map(|progress| &progress.not);
    let but: String = not.map(|person| format!(", not {person}, on whose behalf it is")).collect();
    format!("Only a person of {} may answer{but}", groups.join(" or "))
}

fn decide(waiting: &Waiting, token: &Csrf, now: Timestamp) -> Markup {
    let path = |verb: &str| format!("/inbox/{}/{verb}", waiting.id);
    html! {
        form.decide method="post" action=(path("approve")) {
            (token_field(token))
            input type="hidden" name="shown" value=(now.0);
            @if let Some(progress) = &waiting.progress { input type="hidden" name="seen" value=(progress.arguments_sha256); }
            label { "Why: kept with your decision, and told to the agent" input type="text" name="reason"; }
            button.yes { "Approve" }
            button.no formaction=(path("deny")) { "Deny" }
        }
        details {
            summary { "Edit, then approve" }
            form.decide method="post" action=(path("approve")) {
                (token_field(token))
                input type="hidden" name="shown" value=(now.0);
                label { "All arguments, as JSON: exactly these are sent" textarea name="edited" rows="9" { (pretty(&waiting.arguments)) } }
                label { "Why" input type="text" name="reason"; }
                button.yes { "Approve as edited" }
            }
        }
    }
}

fn resolve(id: &str, token: &Csrf) -> Markup {
    html! {
        form.decide method="post" action={ "/inbox/" (id) "/resolve" } {
            (token_field(token))
            label { "What it returned, if it happened: told to the agent" input type="text" name="reason"; }
            button.yes name="say" value="happened" { "It happened" }
            button name="say" value="did_not" { "It did not: send it again" }
            button.no name="say" value="abandon" { "Let it be" }
        }
    }
}

/// Who wants it: the agent, behind those that delegated.
fn chain(waiting: &Waiting) -> String {
    waiting.chain.iter().map(|agent| agent.as_str()).collect::<Vec<_>>().join(" > ")
}
