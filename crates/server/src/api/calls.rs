//! One call: why it was made, and what came of it where nobody knows.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use control::budget::amount_text;
use control::policy::show::Told;
use control::registry::Registry;
use data::explain::{DecidingRule, Explanation, Topup, render};
use data::trace::Trace;
use domain::event::Resolution;
use domain::id::CallId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Id, Params, inbox};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};
use crate::replay;

/// How an explanation is shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct As {
    #[serde(default, rename = "as")]
    form: Option<String>,
}

/// From a call back to who wanted it: JSON, or `as=text` in words.
pub(crate) async fn explain(
    State(app): State<App>,
    _: Who,
    Id(call): Id<CallId>,
    Params(form): Params<As>,
) -> ApiResult<Response> {
    let explanation = explanation(&app, call).await?;
    Ok(match form.form.as_deref() {
        None | Some("json") => Json(explanation).into_response(),
        Some("text") => render(&explanation).into_response(),
        Some(other) => {
            return Err(ApiError::bad(
                format!("an explanation is shown as json or text, not {other}"),
                "leave `as` out",
            ));
        }
    })
}

/// Why a call was made.
pub(crate) async fn explanation(app: &App, call: CallId) -> ApiResult<Explanation> {
    let records = app.records(call.session).await?;
    let trace = Trace::of(&records).ok_or_else(|| ApiError::erased(call.session))?;
    let registry = app.gate.registry();
    let entry = registry.revision(&trace.agent, trace.revision);
    let instructions = entry.map(|entry| entry.descriptor.spec.instructions.text().clone());
    let explanation = Explanation::of(call, &records, instructions.as_deref().unwrap_or_default());
    let mut explanation = explanation.ok_or_else(|| ApiError::not_found(format!("call {call}")))?;
    let mut above = Vec::new();
    for by in trace.parents.iter().filter_map(|link| link.call) {
        // What cannot be read is a gap, and said as one.
        let records = app.records(by.session).await.unwrap_or_default();
        above.push((by, Explanation::of(by, &records, "")));
    }
    explanation.add_above(above);
    explanation.topups = topups(&registry, &explanation);
    if let Some(answer) = replay::explained(app, call, &records).await? {
        explanation.would = answer.would;
        let against = answer.rules.into_iter().filter(|rule| rule.does != "permit");
        explanation.rules = against
            .map(|Told { id, from, text, does }| DecidingRule { id, from, text, does: does.to_owned() })
            .collect();
    }
    Ok(explanation)
}

/// What was added to the budgets that a call held, and to the one that refused it, in the same windows.
fn topups(registry: &Registry, explanation: &Explanation) -> Vec<Topup> {
    let holds = explanation.spending.iter().flat_map(|attempt| &attempt.holds);
    let windows: BTreeSet<_> = holds.map(|hold| (hold.budget.clone(), hold.window_start)).collect();
    let each =
        windows.iter().flat_map(|(budget, start)| registry.raises(budget, *start).iter().map(move |r| (budget, r)));
    let mut topups: Vec<_> = each
        .map(|(budget, raised)| Topup {
            budget: budget.clone(),
            amount: raised.amount,
            words: amount_text(budget.meter, raised.amount),
            reason: raised.reason.clone(),
            by: raised.by.clone(),
            at: raised.at,
        })
        .collect();
    topups.sort_by_key(|topup| topup.at);
    topups
}

/// What a person says of a write in doubt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    say: String,
    #[serde(default)]
    result: Option<String>,
}

/// Says what came of a write in doubt.
pub(crate) async fn resolve(
    State(app): State<App>,
    who: Who,
    Id(call): Id<CallId>,
    Body(said): Body<Said>,
) -> ApiResult<Json<Value>> {
    inbox::resolve(&app, &who, call, resolution(&said)?).await?;
    Ok(Json(json!({ "call": call, "say": said.say })))
}

fn resolution(said: &Said) -> ApiResult<Resolution> {
    match said.say.as_str() {
        "happened" => {
            Ok(Resolution::Happened { result: said.result.clone().unwrap_or_else(|| "It happened.".to_owned()) })
        }
        "did_not" => Ok(Resolution::DidNot),
        "abandon" => Ok(Resolution::Abandon),
        other => Err(ApiError::bad(
            format!("say happened, did_not or abandon, not {other:?}"),
            "look where the call went, then say",
        )),
    }
}
