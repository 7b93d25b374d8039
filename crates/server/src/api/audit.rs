//! Are the log's proofs whole?

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::app::{App, VIEWS_WITHIN};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// Checks every record, chain, tree and signature.
pub(crate) async fn verify(State(app): State<App>, _: Who) -> ApiResult<Json<Value>> {
    app.views.caught_up(VIEWS_WITHIN).await;
    let report = app.views.verify().await?.ok_or_else(|| ApiError::unavailable("this server has no auditor"))?;
    serde_json::to_value(report).map(Json).map_err(|error| ApiError::unavailable(error.to_string()))
}
