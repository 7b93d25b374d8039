//! The living inventory: every agent, whether it can run, what it may do alone, what it costs.

use axum::extract::State;
use axum::response::Response;
use data::spend::{By, Cost};
use domain::control::Kind;
use maud::{Markup, html};

use super::page::{Reader, page};
use super::words::{autonomy, count, mark, money};
use crate::api::resources::Resource;
use crate::api::{cost, freeze, resources, triggers};
use crate::app::App;
use crate::error::ApiResult;

const DAY_MS: i64 = 86_400_000;

/// `/`.
pub(crate) async fn show(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let spent = cost::spent(&app, By::Agent, app.clock.now().plus_ms(-DAY_MS)).await?;
    let (mut agents, others): (Vec<_>, Vec<_>) =
        resources::inventory(&app).into_iter().partition(|resource| resource.kind == Kind::Agent);
    for agent in &mut agents {
        triggers::with_last(&app, &agent.name, &mut agent.triggers).await?;
    }
    let body = html! {
        @if reader.waiting > 0 {
            p.notice {
                a href="/inbox" { (count(i64::try_from(reader.waiting).unwrap_or(i64::MAX), "call")) }
                @if reader.waiting == 1 { " waits for a person." } @else { " wait for a person." }
            }
        }
        @if agents.is_empty() {
            p { "There is no agent yet. Write one that runs, and apply it:" }
            pre { "ostler init my-agent\nostler apply -f my-agent.yaml" }
        } @else {
            table {
                tr { th { "agent" } th { "owner" } th { "model and tools" } th { "revision" } th { "starts by itself" } th { "ready" } th.number { "cost, 24 h" } }
                @for resource in &agents { (agent(resource, &spent)) }
            }
        }
        (super::stop::frozen(&freeze::frozen(&app)))
        @if !others.is_empty() {
            h2 { "Capabilities, servers and providers" }
            table {
                tr { th { "kind" } th { "name" } th { "owner" } th { "about" } th { "revision" } }
                @for resource in &others {
                    tr {
                        td { (resource.kind) }
                        td { (resource.name) " " @if resource.scripted { (mark("scripted", "scripted")) } }
                        td { (resource.owner) }
                        td { (resource.about) }
                        td.id { (resource.revision.short()) }
                    }
                }
            }
        }
    };
    Ok(page(&reader, "Agents", &body))
}

fn agent(agent: &Resource, spent: &Cost) -> Markup {
    let cost = spent.lines.iter().find(|line| line.name == agent.name.as_str());
    let missing: Vec<_> = agent.ready.iter().filter(|condition| !condition.ok).collect();
    html! {
        tr {
            td {
                a href={ "/sessions?agent=" (agent.name) } { (agent.name) }
                div {
                    @if agent.scripted { (mark("scripted", "scripted")) }
                    @if let Some(how_much) = agent.autonomy { (autonomy(how_much)) }
                    @if let Some(why) = &agent.frozen { (mark("bad", "frozen")) (why) }
                }
            }
            td { (agent.owner) }
            td { (agent.about) }
            td.id { (agent.revision.short()) }
            td {
                @for trigger in &agent.triggers {
                    div {
                        (trigger.name) ": " code { (trigger.on) }
                        @if let Some(next) = trigger.next.first() { " next " (next) }
                        @if let Some(last) = &trigger.last {
                            " last " a href={ "/sessions/" (last.session) } { (last.since) " " (last.phase) }
                        }
                    }
                }
            }
            td {
                @if missing.is_empty() { (mark("good", "True")) } @else { (mark("bad", "False")) }
                @for condition in missing { div.missing { (condition.reason) " " code { (condition.next) } } }
            }
            td.number { (money(cost.map_or(0, |line| line.tally.amounts.usd_micros))) }
        }
    }
}
