//! Several requests of one shape, answered together: the same agent, capability and arguments by name, and the same
//! rule. Each answer is to its own call all the same, and to exactly what was seen of it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use control::approval::Answer;
use domain::clock::Timestamp;
use domain::id::{ApprovalId, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Waiting, answer};
use crate::api::Body;
use crate::app::App;
use crate::auth::Who;
use crate::error::ApiResult;

/// How many are answered at once at most.
const AT_ONCE: usize = 100;

/// Several answers of one person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    /// Which, each with the hash of the arguments that were seen, where that is known.
    ids: BTreeMap<ApprovalId, Option<Digest>>,
    approved: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    shown_at: Option<Timestamp>,
}

/// What came of one of them.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub id: ApprovalId,
    pub done: bool,
    /// What is wrong, and what to do next, where it was not.
    pub error: Option<String>,
}

/// `/api/inbox/answers`: each stands for itself; one that fails keeps none of the others from being answered.
pub(crate) async fn decide(State(app): State<App>, who: Who, Body(answers): Body<Answers>) -> ApiResult<Json<Value>> {
    let outcomes = all(&app, &who, answers).await;
    Ok(Json(json!({ "answers": outcomes })))
}

/// Answers all of them.
pub(crate) async fn all(app: &App, who: &Who, answers: Answers) -> Vec<Outcome> {
    let Answers { ids, approved, reason, shown_at } = answers;
    let mut outcomes = Vec::new();
    for (id, seen) in ids.into_iter().take(AT_ONCE) {
        let seen = seen.filter(|_| approved);
        let said = Answer { approved, reason: reason.clone(), edited: None, seen, shown_at, by_link: None };
        let error = answer(app, who, id, said).await.err();
        let error = error.map(|error| format!("{}; {}", error.reason(), error.next()));
        outcomes.push(Outcome { id, done: error.is_none(), error });
    }
    outcomes
}

impl Answers {
    /// The answers to these, as a form says them.
    pub(crate) fn of(
        ids: BTreeMap<ApprovalId, Option<Digest>>,
        approved: bool,
        (reason, shown_at): (String, Option<Timestamp>),
    ) -> Self {
        Answers { ids, approved, reason, shown_at }
    }
}

/// What requests of one shape share; those that share it may be answered together. Empty for what asks no consent.
pub(crate) fn shape(waiting: &Waiting) -> String {
    if waiting.item != "approval" {
        return String::new();
    }
    let names: Vec<&String> = waiting.arguments.as_object().map(|map| map.keys().collect()).unwrap_or_default();
    let groups: Vec<String> = waiting.groups.iter().map(ToString::to_string).collect();
    let shape = json!([waiting.agent, waiting.what, names, groups, waiting.progress.as_ref().map(|p| p.needed)]);
    Digest::of_json(&shape).short()
}

/// The names of the arguments in which some of these differ from the first.
pub(crate) fn differing<'a>(all: &[&'a Waiting]) -> Vec<&'a String> {
    let Some(first) = all.first().and_then(|first| first.arguments.as_object()) else { return Vec::new() };
    let differs =
        |name: &&String| all.iter().any(|other| other.arguments.get(name.as_str()) != first.get(name.as_str()));
    first.keys().filter(differs).collect()
}
