//! A change of authority that waits for a second person: what it changes, in words, why, and what it would have made of
//! what happened lately. Deciding takes a form; a GET never does.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use control::change::Answer;
use domain::change::{Change, Direction, Rehearsal};
use domain::clock::Timestamp;
use domain::control::Kind;
use domain::id::Name;
use maud::{Markup, html};

use super::page::{Reader, Reasoned, token_field};
use super::session::{Csrf, own_form};
use super::words::{ago, mark, money};
use crate::api::changes::{self, Shown};
use crate::api::{Fields, Id};
use crate::app::App;
use crate::error::ApiResult;

/// One of them, as it stands in the inbox.
pub(super) fn one(shown: &Shown, reader: &Reader, now: Timestamp) -> Markup {
    html! {
        article.item {
            h2 { "A change of " (whose(shown)) " " (mark("worth", "waits for a second person")) }
            p { strong { (shown.by) " proposes it" @if !shown.reason.is_empty() { ": " (shown.reason) } } }
            h3 { "What it changes" }
            table.changes {
                @for change in &shown.changes { (line(change)) }
            }
            p.meta { "Until somebody says yes, what was in force before is in force." }
            @if let Some(rehearsal) = &shown.rehearsal { (rehearsed(rehearsal)) }
            @for vote in &shown.yes { p.progress { (vote.person) " said yes " (ago(now, vote.at)) @if !vote.reason.is_empty() { ": " (vote.reason) } } }
            div.meta {
                "proposed " (ago(now, shown.since)) " · decided by " (shown.decided_by())
                " · becomes no by itself " (ago(now, shown.expires)) " · " span.id { (shown.id) }
            }
            (form(shown, reader))
        }
    }
}

/// The agents that it bears on, else the descriptors that it is of.
fn whose(shown: &Shown) -> String {
    let mut names: Vec<String> =
        shown.changes.iter().flat_map(|change| &change.agents).map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

fn line(change: &Change) -> Markup {
    let (class, word) = match change.direction {
        Direction::Widens => ("bad", "widens"),
        Direction::Narrows => ("good", "narrows"),
        Direction::Neither => ("neither", "neither"),
    };
    html! {
        tr {
            td { (mark(class, word)) }
            td { (change.of) " " (change.name) }
            td {
                (change.text)
                @if change.of != Kind::Agent && !change.agents.is_empty() {
                    div.meta { "bears on " (change.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) }
                }
            }
        }
    }
}

fn rehearsed(rehearsal: &Rehearsal) -> Markup {
    html! {
        h3 { "What it would have made of what happened lately" }
        p {
            (rehearsal.changed) " of " (rehearsal.calls) " calls in the last " (rehearsal.sessions)
            " sessions would have been decided otherwise."
        }
        @if !rehearsal.differ.is_empty() {
            table {
                tr { th { "call" } th { "of" } th { "worth" } th { "as things are" } th { "with this change" } }
                @for one in &rehearsal.differ {
                    tr {
                        td { a href={ "/calls/" (one.call) } { (one.capability) } }
                        td { (one.agent) }
                        td { @if let Some(value) = one.value_usd_micros { (money(value)) } @else { "unknown" } }
                        td { (one.before) }
                        td { (one.after) }
                    }
                }
            }
        }
    }
}

fn form(shown: &Shown, reader: &Reader) -> Markup {
    match reader.csrf.as_ref().filter(|_| shown.is_for(&reader.who)) {
        Some(token) => decide(shown, token),
        None => {
            html! { p.meta { "Decided by " (shown.decided_by()) ", and never by whoever proposed it; you are " (reader.who.name()) "." } }
        }
    }
}

fn decide(shown: &Shown, token: &Csrf) -> Markup {
    let path = |verb: &str| format!("/changes/{}/{verb}", shown.id);
    html! {
        form.decide method="post" action=(path("approve")) {
            (token_field(token))
            label { "Why: kept with your decision; a no needs it" input type="text" name="reason"; }
            button.yes { "Approve the change" }
            button.no formaction=(path("deny")) { "Reject it" }
        }
    }
}

/// Yes.
pub(crate) async fn approve(
    State(app): State<App>,
    reader: Reader,
    Id(name): Id<Name>,
    Fields(said): Fields<Reasoned>,
) -> ApiResult<Response> {
    answer(&app, &reader, (&name, true), said).await
}

/// No.
pub(crate) async fn deny(
    State(app): State<App>,
    reader: Reader,
    Id(name): Id<Name>,
    Fields(said): Fields<Reasoned>,
) -> ApiResult<Response> {
    answer(&app, &reader, (&name, false), said).await
}

async fn answer(app: &App, reader: &Reader, (name, approved): (&Name, bool), said: Reasoned) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), &said.csrf)?;
    changes::decide(app, &reader.who, name, Answer { approved, reason: said.reason }).await?;
    Ok(Redirect::to("/inbox").into_response())
}
