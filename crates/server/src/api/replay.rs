//! What the rules would have said to what sessions did, with one thing changed.

use axum::Json;
use axum::extract::State;
use domain::id::{Name, SessionId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Body;
use super::cost;
use super::resources::{File, fit, parse_all};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};
use crate::replay::{self, Sessions};

/// Which sessions, and what is changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default)]
    sessions: Vec<SessionId>,
    #[serde(default)]
    agent: Option<Name>,
    #[serde(default)]
    since: Option<String>,
    /// Descriptors that are taken as applied.
    #[serde(default)]
    files: Vec<File>,
    /// Instead of files: a revision of an agent that was applied once.
    #[serde(default)]
    revision: Option<String>,
}

/// Replays them. Nothing is recorded.
pub(crate) async fn replay(State(app): State<App>, _: Who, Body(asked): Body<Asked>) -> ApiResult<Json<Value>> {
    let Asked { sessions, agent, since, files, revision } = asked;
    if sessions.is_empty() && agent.is_none() && since.is_none() {
        return Err(ApiError::bad("no session is chosen", "name sessions, an agent, or since when"));
    }
    let changed = match &revision {
        Some(_) if !files.is_empty() => {
            return Err(ApiError::bad("both files and a revision are given", "change one thing at a time"));
        }
        Some(hash) => vec![replay::revision(&app, agent.as_ref(), hash)?],
        None => replay::one_thing(parse_all(&files)?)?,
    };
    fit(&app, &files, &changed).await?;
    let since = since.as_deref().map(|back| cost::instant(&app, back)).transpose()?;
    let replayed = replay::sessions(&app, &Sessions { these: sessions, agent, since }, &changed).await?;
    let mut whole = json!(replayed);
    whole["closing"] = replayed.closing().into();
    Ok(Json(whole))
}
