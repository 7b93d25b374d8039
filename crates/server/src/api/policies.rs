//! Policies: what is in force for an agent, as Cedar; what a rule can read; and what the rules would say to calls that
//! nobody makes, with files applied first where some are given.

use axum::Json;
use axum::extract::State;
use control::policy::{check, show, suppose};
use domain::id::Name;
use serde::Deserialize;
use serde_json::{Value, json};

use super::resources::{File, fit, parse_all};
use super::{Body, Segments};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// The most calls that are asked about at once.
const MAX_CASES: usize = 2000;

/// Everything in force for one agent.
pub(crate) async fn in_force(
    State(app): State<App>,
    _: Who,
    Segments(agent): Segments<Name>,
) -> ApiResult<Json<show::Shown>> {
    let registry = app.gate.registry();
    app.gate.defined(app.gateway.definitions(&registry).await);
    let shown = show::in_force(&registry, &app.gate.definitions(), &agent);
    shown.map(Json).ok_or_else(|| ApiError::not_found(format!("agent {agent}")))
}

/// What a rule can read: the typed schema, as Cedar writes it.
pub(crate) async fn schema(State(app): State<App>, _: Who) -> Json<Value> {
    let registry = app.gate.registry();
    app.gate.defined(app.gateway.definitions(&registry).await);
    Json(json!({ "cedar": check::vocabulary(&registry, &app.gate.definitions()) }))
}

/// Calls that nobody makes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    cases: Vec<suppose::Case>,
    /// Descriptors that are taken as applied; nothing is recorded.
    #[serde(default)]
    files: Vec<File>,
}

/// What the rules would say to them. Nothing is recorded.
pub(crate) async fn ask(State(app): State<App>, _: Who, Body(asked): Body<Cases>) -> ApiResult<Json<Value>> {
    let Cases { cases, files } = asked;
    if cases.len() > MAX_CASES {
        let next = "ask in parts";
        return Err(ApiError::bad(format!("{} calls; at most {MAX_CASES} at once", cases.len()), next));
    }
    let descriptors = parse_all(&files)?;
    let (registry, definitions) = fit(&app, &files, &descriptors).await?;
    let now = app.clock.now();
    let each = cases.iter().map(|case| suppose::ask(&registry, &definitions, case, now));
    Ok(Json(json!({ "answers": each.collect::<Result<Vec<_>, _>>()? })))
}
