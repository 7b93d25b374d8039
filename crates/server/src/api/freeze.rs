//! The kill switch that reaches beyond one session.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use control::people;
use domain::clock::Timestamp;
use domain::control::Scope;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Body;
use crate::app::App;
use crate::auth::Who;
use crate::error::ApiResult;

/// How long calls that are under way have to end before whoever froze them is told how many have not.
const QUIET_WITHIN: Duration = Duration::from_secs(2);

/// What to stop, or to let go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct What {
    what: Scope,
    #[serde(default)]
    reason: String,
}

/// Something that is frozen.
#[derive(Serialize)]
pub(crate) struct Frozen {
    what: Scope,
    /// As people say it.
    pub scope: String,
    pub reason: String,
    pub by: String,
    pub at: Timestamp,
    /// What lets it go on.
    pub next: String,
}

/// Everything that is frozen.
pub(crate) async fn list(State(app): State<App>, _: Who) -> Json<Vec<Frozen>> {
    Json(frozen(&app))
}

pub(crate) fn frozen(app: &App) -> Vec<Frozen> {
    let registry = app.gate.registry();
    let each = registry.freezes().map(|(what, freeze)| Frozen {
        what: what.clone(),
        scope: what.to_string(),
        reason: freeze.reason.clone(),
        by: freeze.by.clone(),
        at: freeze.at,
        next: format!("ostler unfreeze {}", flag(what)),
    });
    each.collect()
}

/// A scope, as the command line takes it.
fn flag(scope: &Scope) -> String {
    match scope {
        Scope::All => "--all".to_owned(),
        Scope::Session { session } => session.to_string(),
        Scope::Agent { agent } => format!("--agent {agent}"),
        Scope::Revision { revision } => format!("--revision {revision}"),
        Scope::Person { person } => format!("--person {person}"),
    }
}

/// Stops something: no call whose intent is committed after this answers is sent, and what this node had under way is
/// cut off. `stopping`: how many of those calls have not ended yet.
pub(crate) async fn freeze(State(app): State<App>, who: Who, Body(what): Body<What>) -> ApiResult<Json<Value>> {
    people::freeze(&app.gate, &who.0, &what.what, &what.reason).await?;
    let control_pos = app.gate.registry().pos();
    let stopping = app.gate.quiet(tokio::time::sleep(QUIET_WITHIN)).await;
    Ok(Json(json!({ "frozen": what.what, "control_pos": control_pos, "stopping": stopping })))
}

/// Lets something go on. Sessions that wait for it are woken by and by.
pub(crate) async fn unfreeze(State(app): State<App>, who: Who, Body(what): Body<What>) -> ApiResult<Json<Value>> {
    people::unfreeze(&app.gate, &who.0, &what.what).await?;
    Ok(Json(json!({ "unfrozen": what.what, "control_pos": app.gate.registry().pos() })))
}
