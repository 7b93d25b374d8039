//! What agents produced.

use axum::Json;
use axum::extract::State;
use data::results::Outcome;
use domain::id::Name;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Params;
use crate::app::{App, VIEWS_WITHIN};
use crate::auth::Who;
use crate::error::ApiResult;

/// How many results one list has at most.
const LONGEST_LIST: usize = 200;

/// Which results to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    agent: Option<Name>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Results, the latest first.
pub(crate) async fn list(State(app): State<App>, _: Who, Params(which): Params<Which>) -> ApiResult<Json<Vec<Value>>> {
    app.views.caught_up(VIEWS_WITHIN).await;
    let limit = which.limit.unwrap_or(LONGEST_LIST).min(LONGEST_LIST);
    let mut all = Vec::new();
    for result in app.views.results(which.agent.as_ref(), None, limit).await? {
        let (end, text) = match &result.outcome {
            Outcome::Answered { answer } => ("answered", answer.clone()),
            Outcome::Failed { reason } => ("failed", reason.clone()),
            Outcome::Erased => ("erased", String::new()),
        };
        all.push(json!({
            "session": result.session, "seq": result.seq, "agent": result.agent, "key": result.key,
            "at": result.at.to_string(), "synthetic": result.synthetic, "end": end, "text": text,
        }));
    }
    Ok(Json(all))
}
