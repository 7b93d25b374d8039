//! The kill switch that reaches beyond one session.

use axum::Json;
use axum::extract::State;
use control::people;
use domain::control::Scope;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Body;
use crate::app::App;
use crate::auth::Who;
use crate::error::ApiResult;

/// What to stop, or to let go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct What {
    what: Scope,
    #[serde(default)]
    reason: String,
}

/// Stops something: no call whose intent is committed after this answers is sent.
pub(crate) async fn freeze(State(app): State<App>, who: Who, Body(what): Body<What>) -> ApiResult<Json<Value>> {
    people::freeze(&app.gate, &who.0, &what.what, &what.reason).await?;
    Ok(Json(json!({ "frozen": what.what, "control_pos": app.gate.registry().pos() })))
}

/// Lets something go on.
pub(crate) async fn unfreeze(State(app): State<App>, who: Who, Body(what): Body<What>) -> ApiResult<Json<Value>> {
    people::unfreeze(&app.gate, &who.0, &what.what).await?;
    Ok(Json(json!({ "unfrozen": what.what, "control_pos": app.gate.registry().pos() })))
}
