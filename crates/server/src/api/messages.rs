//! Work arrives.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control::start::{self, For, NoStart};
use domain::clock::{Timestamp, length_ms};
use domain::id::{MailId, Name};
use domain::mail::{Mail, MailBody, Start};
use domain::message::{Message, Origin, Role};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Id};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// The longest message, in bytes.
const LONGEST_MESSAGE: usize = 1 << 20;
/// The longest key that a caller may name a session with, in bytes.
const LONGEST_KEY: usize = 200;

/// The furthest ahead that a message may be due, in milliseconds: 366 days.
const FURTHEST_MS: i64 = 366 * 86_400_000;

/// What a caller sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    case: Option<String>,
    #[serde(default)]
    mail: Option<MailId>,
    #[serde(default)]
    at: Option<String>,
    #[serde(default, rename = "in")]
    after: Option<String>,
}

/// Accepts a message for an agent: durable when this answers. 202 with the session that has it, or will have it.
pub(crate) async fn send(
    State(app): State<App>,
    who: Who,
    Id(name): Id<Name>,
    Body(sent): Body<Sent>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let words = words(&sent)?;
    let now = app.clock.now();
    let due = due(&sent, now)?;
    let random = app.clock.random_u128();
    let key = sent.key.unwrap_or_else(|| format!("{random:032x}"));
    let what = For { key, case: sent.case, input: sent.input.as_ref(), on_behalf_of: who.person().cloned() };
    let start = start_of(&app, &name, what)?;
    let session = start.principal.link.session;
    if let Some((head, _)) = app.log.head(session).await?
        && head.phase == domain::session::Phase::Killed
    {
        return Err(ApiError::conflict(format!("session {session} was killed"), "use another --session key"));
    }
    let message = Message::text(Role::Person, Origin::Person, words);
    let body = MailBody::Message { start: Box::new(start), from: who.person().cloned(), message };
    let id = match sent.mail {
        Some(id) => id,
        None => {
            format!("msg:{random:032x}").parse().map_err(|_| ApiError::unavailable("a mail id could not be made"))?
        }
    };
    app.runtime.accept(Mail { id: id.clone(), session, due: due.unwrap_or(now), body }).await?;
    let mut answer = json!({ "session": session, "mail": id });
    if let Some(due) = due {
        answer["due"] = due.to_string().into();
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// What the agent is told: the message, or the input as JSON.
fn words(sent: &Sent) -> ApiResult<String> {
    if sent.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(ApiError::bad(format!("a session key has 1 to {LONGEST_KEY} bytes"), "shorten it"));
    }
    let words = match (&sent.message, &sent.input) {
        (Some(message), None) => message.clone(),
        (None, Some(input @ Value::Object(_))) => input.to_string(),
        (None, Some(_)) => {
            return Err(ApiError::bad("the input is not a JSON object", "such as {\"company\": \"acme\"}"));
        }
        (None, None) => return Err(ApiError::bad("there is neither a message nor an input", "send one of them")),
        (Some(_), Some(_)) => {
            return Err(ApiError::bad("there is both a message and an input", "send one of them"));
        }
    };
    if words.trim().is_empty() {
        return Err(ApiError::bad("the message is empty", "say what the agent is to do"));
    }
    if words.len() > LONGEST_MESSAGE {
        let reason = format!("the message has {} bytes; {LONGEST_MESSAGE} are the most", words.len());
        return Err(ApiError::bad(reason, "put long texts where a capability of the agent can read them"));
    }
    Ok(words)
}

/// When it is due, where that is not now.
fn due(sent: &Sent, now: Timestamp) -> ApiResult<Option<Timestamp>> {
    let due = match (&sent.at, &sent.after) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(ApiError::bad("there is both `at` and `in`", "say one of them")),
        (Some(at), None) => {
            let due = at.parse().map_err(|why| ApiError::bad(format!("at: {why}"), "write it with its offset"))?;
            if due <= now {
                return Err(ApiError::bad(
                    format!("at: {due} lies in the past: it is {now}"),
                    "leave it out to send at once",
                ));
            }
            due
        }
        (None, Some(after)) => {
            let wrong =
                || ApiError::bad(format!("in: {after:?} is not a length of time"), "such as 30s, 15m, 4h or 2d");
            now.plus_ms(length_ms(after).ok_or_else(wrong)?)
        }
    };
    if due.since_ms(now) > FURTHEST_MS {
        return Err(ApiError::bad(format!("{due} is more than a year ahead"), "at most 366 days are kept"));
    }
    Ok(Some(due))
}

/// How a session of this agent starts from now on, or why it cannot.
pub(crate) fn start_of(app: &App, name: &Name, what: For<'_>) -> ApiResult<Start> {
    let started = start::start(&app.gate.registry(), name, what).map_err(|why| match why {
        NoStart::NoAgent(_) => ApiError::not_found(format!("agent {name}")),
        NoStart::NoPartition { .. } => {
            ApiError::bad(why.to_string(), "send an `input` that holds it: --input '{\"…\": \"…\"}'")
        }
    })?;
    let conditions = app.gate.ready(name);
    if conditions.iter().any(|condition| !condition.ok) {
        return Err(ApiError::not_ready(name, json!({ "conditions": conditions })));
    }
    Ok(started)
}
