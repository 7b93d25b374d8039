//! What people decide on the console's forms. Each form carries the token of the console session it came with; the
//! rules are the control plane's.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use control::approval::Answer;
use domain::clock::Timestamp;
use domain::event::Resolution;
use domain::id::{ApprovalId, CallId, Digest, SessionId};
use serde::Deserialize;
use serde_json::Value;

use super::page::Reader;
use super::session::own_form;
use crate::api::{Fields, Id, inbox};
use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// What a form says.
#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    edited: Option<String>,
    /// The hash of the arguments that the form was shown with.
    #[serde(default)]
    seen: Option<Digest>,
    /// When the form was shown.
    #[serde(default)]
    shown: Option<Timestamp>,
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
    answer(
        &app,
        &reader,
        id,
        &said.csrf,
        Answer { approved: true, reason: said.reason, edited, seen: said.seen, shown_at: said.shown, by_link: None },
    )
    .await
}

/// No.
pub(crate) async fn deny(
    State(app): State<App>,
    reader: Reader,
    Id(id): Id<ApprovalId>,
    Fields(said): Fields<Said>,
) -> ApiResult<Response> {
    answer(
        &app,
        &reader,
        id,
        &said.csrf,
        Answer { approved: false, reason: said.reason, shown_at: said.shown, ..Answer::default() },
    )
    .await
}

async fn answer(app: &App, reader: &Reader, id: ApprovalId, csrf: &str, said: Answer) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), csrf)?;
    inbox::answer(app, &reader.who, id, said).await?;
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
    inbox::resolve(&app, &reader.who, call, resolution).await?;
    Ok(to_session(call.session))
}

fn to_session(session: SessionId) -> Response {
    Redirect::to(&format!("/sessions/{session}")).into_response()
}
