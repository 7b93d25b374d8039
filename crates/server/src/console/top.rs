//! What runs, as a page that looks again by itself.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::page::{Reader, looking_again, page};
use super::words::money;
use crate::api::top::{Bound, Line, Node, top};
use crate::app::App;
use crate::error::ApiResult;

/// `/top`.
pub(crate) async fn show(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let top = top(&app).await?;
    let body = html! {
        (node(&top.node))
        table {
            tr {
                th { "agent" } th.number { "at work" } th.number { "asleep" } th.number { "failed" }
                th { "bounds" } th.number { "calls, today" } th.number { "cost, hour" }
                th.number { "cost, today" } th { "last error" }
            }
            @for line in &top.agents { (agent(line)) }
        }
    };
    Ok(looking_again(page(&reader, "What runs", &body), true))
}

fn node(node: &Node) -> Markup {
    let mb = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6));
    html! {
        p {
            (node.awake) " sessions awake, " (node.commits_per_s) " commits/s; log "
            (mb(node.log_bytes)) " in " (node.commits) " records, memory " (mb(node.rss_bytes)) ", up "
            (node.up_ms / 60_000) " min"
        }
        @if let Some(outage) = &node.outage {
            p { strong { "The log takes nothing: " (outage.why) "; sessions that wait: " (outage.sessions) } }
        }
        @if !node.bounds.is_empty() { p { (bounds(&node.bounds)) } }
    }
}

fn bounds(all: &[Bound]) -> String {
    let one = |bound: &Bound| format!("{} {}/{}", bound.bound, bound.now, bound.limit);
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn agent(line: &Line) -> Markup {
    let of = |phases: &[&str]| -> u64 { phases.iter().filter_map(|phase| line.sessions.get(*phase)).sum() };
    html! {
        tr {
            td { a href={ "/sessions?agent=" (line.agent) } { (line.agent) } }
            td.number { (of(&["ready", "running"])) }
            td.number { (of(&["suspended", "finished"])) }
            td.number { (of(&["failed"])) }
            td { (bounds(&line.bounds)) }
            td.number { (line.today.calls) }
            td.number { (money(line.hour.usd_micros)) }
            td.number { (money(line.today.usd_micros)) }
            td { @if let Some(error) = &line.last_error { a href={ "/sessions/" (error.session) } { (error.why) } } }
        }
    }
}
