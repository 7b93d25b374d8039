//! Work arrives.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::id::{MailId, Name, SessionId, TraceId};
use domain::mail::{Mail, MailBody, Start};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Link, Principal};
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

/// What a caller sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    message: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    case: Option<String>,
    #[serde(default)]
    mail: Option<MailId>,
}

/// Accepts a message for an agent: durable when this answers. 202 with the session that has it.
pub(crate) async fn send(
    State(app): State<App>,
    who: Who,
    Id(name): Id<Name>,
    Body(sent): Body<Sent>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    check(&sent)?;
    let random = app.clock.random_u128();
    let key = sent.key.unwrap_or_else(|| format!("{random:032x}"));
    let session = SessionId::for_key(&name, &key);
    if let Some((head, _)) = app.log.head(session).await?
        && head.phase == domain::session::Phase::Killed
    {
        return Err(ApiError::conflict(format!("session {session} was killed"), "use another --session key"));
    }
    let principal = principal(&app, &name, session, &who)?;
    let start = Start { principal, key, trace: TraceId(session.as_u128()), case: sent.case, partition: None };
    let message = Message::text(Role::Person, Origin::Person, sent.message);
    let body = MailBody::Message { start: Box::new(start), from: who.person().cloned(), message };
    let id = match sent.mail {
        Some(id) => id,
        None => {
            format!("msg:{random:032x}").parse().map_err(|_| ApiError::unavailable("a mail id could not be made"))?
        }
    };
    app.runtime.accept(Mail { id: id.clone(), session, due: app.clock.now(), body }).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "session": session, "mail": id }))))
}

fn check(sent: &Sent) -> ApiResult<()> {
    if sent.message.trim().is_empty() {
        return Err(ApiError::bad("the message is empty", "say what the agent is to do"));
    }
    if sent.message.len() > LONGEST_MESSAGE {
        let reason = format!("the message has {} bytes; {LONGEST_MESSAGE} are the most", sent.message.len());
        return Err(ApiError::bad(reason, "put long texts where a capability of the agent can read them"));
    }
    if sent.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(ApiError::bad(format!("a session key has 1 to {LONGEST_KEY} bytes"), "shorten it"));
    }
    Ok(())
}

/// The principal that a session of this agent has from now on, or why it cannot run.
fn principal(app: &App, name: &Name, session: SessionId, who: &Who) -> ApiResult<Principal> {
    let registry = app.gate.registry();
    let agent = registry.agent(name).ok_or_else(|| ApiError::not_found(format!("agent {name}")))?;
    let conditions = app.gate.ready(name);
    if conditions.iter().any(|condition| !condition.ok) {
        return Err(ApiError::not_ready(name, json!({ "conditions": conditions })));
    }
    Ok(Principal {
        link: Link { agent: name.clone(), revision: agent.revision, session },
        owner: agent.descriptor.metadata.owner.clone(),
        on_behalf_of: who.person().cloned(),
        parents: Vec::new(),
        autonomy: registry.autonomy(name, agent.revision).unwrap_or(Autonomy::Shadow),
    })
}
