//! The buttons that hold a session, let it go on, and end it, and what is frozen. Each form carries the token of the
//! console session it came with; who may do what is the API's to say.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use data::trace::{Trace, What};
use domain::id::SessionId;
use domain::principal::Caller;
use domain::session::Phase;
use maud::{Markup, html};

use super::page::{Reader, Reasoned, token_field};
use super::session::own_form;
use super::words::{instant, mark};
use crate::api::freeze::Frozen;
use crate::api::stop::{Wish, ask};
use crate::api::{Fields, Id};
use crate::app::App;
use crate::error::ApiResult;

/// Holds it.
pub(crate) async fn suspend(
    State(app): State<App>,
    reader: Reader,
    Id(id): Id<SessionId>,
    Fields(said): Fields<Reasoned>,
) -> ApiResult<Response> {
    done(&app, &reader, id, (&said.csrf, Wish::Suspend { reason: said.reason })).await
}

/// Lets it go on.
pub(crate) async fn resume(
    State(app): State<App>,
    reader: Reader,
    Id(id): Id<SessionId>,
    Fields(said): Fields<Reasoned>,
) -> ApiResult<Response> {
    done(&app, &reader, id, (&said.csrf, Wish::Resume)).await
}

/// Ends it.
pub(crate) async fn kill(
    State(app): State<App>,
    reader: Reader,
    Id(id): Id<SessionId>,
    Fields(said): Fields<Reasoned>,
) -> ApiResult<Response> {
    done(&app, &reader, id, (&said.csrf, Wish::Kill { reason: said.reason })).await
}

async fn done(app: &App, reader: &Reader, id: SessionId, (csrf, wish): (&str, Wish)) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), csrf)?;
    ask(app, &reader.who, id, wish).await?;
    Ok(Redirect::to(&format!("/sessions/{id}")).into_response())
}

/// The buttons of a session, for whoever may press them.
pub(super) fn buttons(reader: &Reader, trace: &Trace) -> Markup {
    let may = matches!(&reader.who.0, Caller::Person { groups, .. } if groups.contains(&trace.owner));
    let Some(token) = reader.csrf.as_ref().filter(|_| may && trace.phase != Phase::Killed) else {
        return html! {};
    };
    let held = trace.steps.iter().rev().find_map(|step| match &step.what {
        What::Paused { .. } => Some(true),
        What::Continued { .. } => Some(false),
        _ => None,
    });
    let (hold, word) = if held == Some(true) { ("resume", "Resume") } else { ("suspend", "Suspend") };
    html! {
        div.decide {
            form method="post" action={ "/sessions/" (trace.session) "/" (hold) } { (token_field(token)) button { (word) } }
            form method="post" action={ "/sessions/" (trace.session) "/kill" } { (token_field(token)) button.no { "Kill" } }
        }
    }
}

/// What is frozen, by whom and why, and what lets it go on: an administrator's key does, and no console session has one.
pub(super) fn frozen(all: &[Frozen]) -> Markup {
    html! {
        @if !all.is_empty() {
            h2 { "Frozen" }
            table {
                tr { th { "what" } th { "why" } th { "by" } th { "since" } th { "an administrator lets it go on" } }
                @for one in all {
                    tr {
                        td { (mark("bad", &one.scope)) }
                        td { (one.reason) }
                        td { (one.by) }
                        td { (instant(one.at)) }
                        td { code { (one.next) } }
                    }
                }
            }
        }
    }
}
