//! What people answered before: read off the traces of the sessions that were asked about, and kept until a session
//! goes on. The views hold no content, and this is all content.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use data::store::HeadFilter;
use data::trace::{Consent, Trace, What};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::id::{ApprovalId, Name, Pos, SessionId};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::error::ApiResult;

/// How many sessions are looked through, the latest first.
const SESSIONS: usize = 1_000;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Yes, as asked.
    Approved,
    /// Yes, to edited arguments.
    Edited,
    /// No.
    Denied,
    /// Nobody answered, or what it was bound to changed.
    Lapsed,
    /// It waits.
    Waits,
}

/// One request that is over, or still waits.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Decided {
    pub approval: ApprovalId,
    pub session: SessionId,
    pub agent: Name,
    pub capability: CapabilityRef,
    pub arguments: Value,
    pub value_usd_micros: Option<i64>,
    pub asked_at: Timestamp,
    pub outcome: Outcome,
    /// Each answer: who, when, why, and when it was shown to them, where that is known.
    pub answers: Vec<Said>,
}

/// One person's answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Said {
    pub person: Name,
    pub approved: bool,
    pub reason: String,
    pub at: Timestamp,
    pub shown_at: Option<Timestamp>,
}

/// What was read of sessions.
#[derive(Default)]
pub(crate) struct Known(Mutex<BTreeMap<SessionId, Read>>);

/// What was read of one session, as of the record that it had reached.
#[derive(Clone)]
struct Read {
    at: Pos,
    decided: Arc<Vec<Decided>>,
}

/// Every request of an agent, or of all, of the sessions that are looked through.
pub(crate) async fn of(app: &App, agent: Option<&Name>) -> ApiResult<Vec<Decided>> {
    let filter = HeadFilter { agent: agent.cloned(), limit: Some(SESSIONS), ..HeadFilter::default() };
    let mut all = Vec::new();
    for (session, head, pos) in app.log.heads(filter).await? {
        let known = app.past.0.lock().unwrap_or_else(PoisonError::into_inner).get(&session).cloned();
        let decided = match known {
            Some(Read { at, decided }) if at == pos => decided,
            Some(_) | None => {
                // One that cannot be read does not hide the others.
                let Ok(records) = app.records(session).await else { continue };
                let decided =
                    Arc::new(Trace::of(&records).map(|trace| read(&trace, session, &head.agent)).unwrap_or_default());
                let mut kept = app.past.0.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() >= 2 * SESSIONS {
                    kept.clear();
                }
                kept.insert(session, Read { at: pos, decided: Arc::clone(&decided) });
                decided
            }
        };
        all.extend(decided.iter().cloned());
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.asked_at));
    Ok(all)
}

fn read(trace: &Trace, session: SessionId, agent: &Name) -> Vec<Decided> {
    let calls = trace.steps.iter().filter_map(|step| match &step.what {
        What::Capability(call) => Some(call),
        _ => None,
    });
    let consents = calls.flat_map(|call| &call.consents);
    // A request for more budget is another matter.
    let of_calls = consents.filter(|consent| consent.request.raise().is_none());
    of_calls.map(|consent| one(consent, session, agent)).collect()
}

fn one(consent: &Consent, session: SessionId, agent: &Name) -> Decided {
    let request = &consent.request;
    let outcome = match (&consent.verdict, &consent.withdrawn) {
        (Some(verdict), _) if !verdict.approved => Outcome::Denied,
        (Some(verdict), _) if verdict.edited.is_some() => Outcome::Edited,
        (Some(_), _) => Outcome::Approved,
        (None, Some(_)) => Outcome::Lapsed,
        (None, None) => Outcome::Waits,
    };
    let answers = consent.all_said().map(|verdict| Said {
        person: verdict.person.clone(),
        approved: verdict.approved,
        reason: verdict.reason.clone(),
        at: verdict.at,
        shown_at: verdict.shown_at,
    });
    Decided {
        approval: request.approval,
        session,
        agent: agent.clone(),
        capability: request.capability.clone(),
        arguments: request.arguments.clone(),
        value_usd_micros: request.value_usd_micros,
        asked_at: request.asked_at,
        outcome,
        answers: answers.collect(),
    }
}
