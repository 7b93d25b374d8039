//! What people decide on the console's forms. Each form carries the token of the console session it came with; the
//! rules are the control plane's.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use control::approval::{self, Answer};
use domain::event::Resolution;
use domain::id::{ApprovalId, CallId, SessionId};
use serde::Deserialize;
use serde_json::Value;

use super::page::Reader;
use super::session::own_form;
use crate::api::{Fields, Id};
use crate::app::{App, commits};
use crate::error::{ApiError, ApiResult};

/// How long the session is given to take the answer before its page is shown.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// What a form says.
#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    edited: Option<String>,
    #[serde(default)]
    say: Option<String>,
}

/// Yes.
pub(crate) async fn approve(
    State(app): State<App>,
    reader: Reader,
    Id(id): Id<ApprovalId>,
    Fields(said): Fields<Said>,
) -> ApiResult<Response> {
    let edited: Option<Value> = said.edited.as_deref().map(serde_json::from_str).transpose().map_err(|error| {
        ApiError::bad(format!("the edited arguments are not JSON: {error}"), "go back and mend them")
    })?;
    answer(&app, &reader, id, &said.csrf, Answer { approved: true, reason: said.reason, edited }).await
}

/// No.
pub(crate) async fn deny(
    State(app): State<App>,
    reader: Reader,
    Id(id): Id<ApprovalId>,
    Fields(said): Fields<Said>,
) -> ApiResult<Response> {
    answer(&app, &reader, id, &said.csrf, Answer { approved: false, reason: said.reason, edited: None }).await
}

async fn answer(app: &App, reader: &Reader, id: ApprovalId, csrf: &str, said: Answer) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), csrf)?;
    let mut progress = app.runtime.watch();
    approval::answer(&app.gate, &reader.who.0, id, said).await?;
    commits(&mut progress, id.call.session, TAKEN_WITHIN).await;
    Ok(to_session(id.call.session))
}

/// What came of a write in doubt.
pub(crate) async fn resolve(
    State(app): State<App>,
    reader: Reader,
    Id(call): Id<CallId>,
    Fields(said): Fields<Said>,
) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), &said.csrf)?;
    let result = if said.reason.trim().is_empty() { "It happened.".to_owned() } else { said.reason };
    let resolution = match said.say.as_deref() {
        Some("happened") => Resolution::Happened { result },
        Some("did_not") => Resolution::DidNot,
        Some("abandon") => Resolution::Abandon,
        _ => return Err(ApiError::bad("no answer was given", "go back and choose one")),
    };
    let mut progress = app.runtime.watch();
    approval::resolve(&app.gate, &reader.who.0, call, resolution).await?;
    commits(&mut progress, call.session, TAKEN_WITHIN).await;
    Ok(to_session(call.session))
}

fn to_session(session: SessionId) -> Response {
    Redirect::to(&format!("/sessions/{session}")).into_response()
}
