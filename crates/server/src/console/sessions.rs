//! Sessions: running or suspended, since when and on what.

use axum::extract::State;
use axum::response::Response;
use data::rows::Head;
use data::store::HeadFilter;
use domain::clock::Timestamp;
use domain::id::{ApprovalId, CallId, Name, SessionId};
use domain::principal::Mode;
use domain::session::Phase;
use maud::{Markup, html};
use serde::Deserialize;

use super::page::{Reader, looking_again, page};
use super::words::{ago, called, mark, notes, phase};
use crate::api::Params;
use crate::app::App;
use crate::error::ApiResult;

const LONGEST_LIST: usize = 200;
/// What one may narrow the list to, with the word for it.
const PHASES: [(&str, Option<Phase>); 6] = [
    ("all", None),
    ("running", Some(Phase::Running)),
    ("suspended", Some(Phase::Suspended)),
    ("finished", Some(Phase::Finished)),
    ("failed", Some(Phase::Failed)),
    ("killed", Some(Phase::Killed)),
];

/// Which sessions.
#[derive(Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    agent: Option<Name>,
    #[serde(default)]
    phase: Option<Phase>,
}

/// `/sessions`.
pub(crate) async fn list(State(app): State<App>, reader: Reader, Params(which): Params<Which>) -> ApiResult<Response> {
    let phases = match which.phase {
        // What has work and no task yet runs as soon as there is room.
        Some(Phase::Running) => vec![Phase::Ready, Phase::Running],
        other => other.into_iter().collect(),
    };
    let filter = HeadFilter { agent: which.agent.clone(), phases, limit: Some(LONGEST_LIST), ..HeadFilter::default() };
    let heads = app.log.heads(filter).await?;
    let (awake, now) = (app.runtime.awake(), app.clock.now());
    let body = html! {
        (narrow(&which))
        @if heads.is_empty() {
            @if which.agent.is_none() && which.phase.is_none() {
                p { "No agent has been sent work yet:" }
                pre { "ostler run AGENT \"what to do\"" }
            } @else { p { "There is no such session." } }
        } @else {
            table {
                tr { th { "session" } th { "agent" } th { "phase" } th { "since" } th { "waits for" } }
                @for (session, head, _) in &heads { (row(*session, head, awake.contains(session), now)) }
            }
            @if heads.len() == LONGEST_LIST { p.meta { "Older ones are not shown: narrow the list, or use " code { "ostler ps" } "." } }
        }
    };
    let moves = heads.iter().any(|(_, head, _)| matches!(head.phase, Phase::Ready | Phase::Running));
    Ok(looking_again(page(&reader, "Sessions", &body), moves))
}

fn narrow(which: &Which) -> Markup {
    let agent = which.agent.as_ref().map(|agent| format!("&agent={agent}")).unwrap_or_default();
    html! {
        nav.narrow {
            @for (word, phase) in PHASES {
                @let query = phase.map(|phase| format!("phase={phase}")).unwrap_or_default();
                @if phase == which.phase { strong { (word) } } @else { a href={ "/sessions?" (query) (agent) } { (word) } }
            }
            @if let Some(agent) = &which.agent { span { "of " strong { (agent) } " · " a href="/sessions" { "all agents" } } }
        }
    }
}

fn row(session: SessionId, head: &Head, awake: bool, now: Timestamp) -> Markup {
    html! {
        tr {
            td {
                a href={ "/sessions/" (session) } { (called(&head.key)) }
                div.id { (session) }
            }
            td { (head.agent) div { (notes(head.scripted, head.mode == Mode::Shadow)) } }
            td { (phase(head.phase)) @if awake { (mark("busy", "awake")) } }
            td.short { (ago(now, head.since)) }
            td { (waits_on(&head.waits_on)) }
        }
    }
}

/// What a session waits for, with the way to whatever a person can answer.
fn waits_on(words: &str) -> Markup {
    html! {
        @for item in words.split(", ").filter(|item| !item.is_empty()) {
            @let (what, id) = item.split_once(' ').unwrap_or((item, ""));
            @if let Some(approval) = (what == "approval").then(|| id.parse::<ApprovalId>().ok()).flatten() {
                div { a href={ "/inbox/" (approval) } { "consent to call " (approval.call.ordinal) } }
            } @else if let Some(call) = (what == "resolve").then(|| id.parse::<CallId>().ok()).flatten() {
                div { a href={ "/inbox/" (call) } { "word on what came of call " (call.ordinal) } }
            } @else { div { (item) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::waits_on;

    #[test]
    fn what_a_person_can_answer_is_a_way_to_the_inbox() {
        let id = "ses_7118b9dzpa41qsdez6a7967f91";
        let shown = waits_on(&format!("approval {id}.5-1, resolve {id}.6, budget agent/x/calls_per_hour")).0;
        assert!(shown.contains(&format!("<a href=\"/inbox/{id}.5-1\">consent to call 5</a>")), "{shown}");
        assert!(shown.contains(&format!("<a href=\"/inbox/{id}.6\">word on what came of call 6</a>")), "{shown}");
        assert!(shown.contains("<div>budget agent/x/calls_per_hour</div>"), "{shown}");
        assert_eq!(waits_on("").0, "");
    }
}
