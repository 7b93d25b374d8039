//! Shadow-run: an agent beside the people who do the work now. In shadow, nothing is sent.

use axum::Json;
use axum::extract::State;
use control::autonomy::{self, Report};
use control::compare::{RecordedCall, ShadowCase};
use data::store::HeadFilter;
use domain::capability::CapabilityRef;
use domain::control::HumanCase;
use domain::event::Event;
use domain::id::{Name, SessionId};
use domain::principal::{Autonomy, Mode};
use domain::session::Phase;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Id};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How many sessions of an agent a report looks at.
const SESSIONS_LOOKED_AT: usize = 10_000;

/// What people did.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    cases: Vec<HumanCase>,
}

/// Brings what people did, by case.
pub(crate) async fn import(
    State(app): State<App>,
    who: Who,
    Id(agent): Id<Name>,
    Body(cases): Body<Cases>,
) -> ApiResult<Json<Value>> {
    let count = autonomy::import_cases(&app.gate, &who.0, &agent, cases.cases).await?;
    Ok(Json(json!({ "agent": agent, "cases": count })))
}

/// Puts what the agent would have done beside what people did.
pub(crate) async fn report(State(app): State<App>, _: Who, Id(agent): Id<Name>) -> ApiResult<Json<Report>> {
    Ok(Json(compare(&app, &agent).await?))
}

/// How much autonomy to give.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct To {
    to: Autonomy,
}

/// A person gives the present revision more autonomy, on the strength of a report.
pub(crate) async fn promote(
    State(app): State<App>,
    who: Who,
    Id(agent): Id<Name>,
    Body(to): Body<To>,
) -> ApiResult<Json<Value>> {
    let report = compare(&app, &agent).await?;
    autonomy::promote(&app.gate, &who.0, &agent, to.to, Some(&report)).await?;
    Ok(Json(json!({ "agent": agent, "autonomy": to.to, "report": report.digest() })))
}

async fn compare(app: &App, agent: &Name) -> ApiResult<Report> {
    let mut filter = HeadFilter { agent: Some(agent.clone()), ..HeadFilter::default() };
    filter.limit = Some(SESSIONS_LOOKED_AT);
    let mut cases = Vec::new();
    // The latest change comes first; the latest run of a case counts, so it must come last.
    for (session, head, _) in app.log.heads(filter).await?.into_iter().rev() {
        if head.mode == Mode::Shadow {
            cases.extend(case(app, session).await?);
        }
    }
    autonomy::report(&app.gate.registry(), agent, &cases).ok_or_else(|| ApiError::not_found(format!("agent {agent}")))
}

/// A session as a case, if it works on one and still says what it did.
async fn case(app: &App, id: SessionId) -> ApiResult<Option<ShadowCase>> {
    let records = app.records(id).await?;
    let events = records.iter().flat_map(|record| record.events.iter().flatten());
    let calls = events.filter_map(|event| match event {
        // What an agent remembers is nothing that a person did or did not do.
        Event::CallRecorded { capability: CapabilityRef::External(name), arguments, .. } => {
            Some(RecordedCall { tool: name.clone(), arguments: arguments.clone() })
        }
        _ => None,
    });
    let calls: Vec<RecordedCall> = calls.collect();
    // What was erased cannot be compared any more, and hides nothing else.
    let Ok(session) = app.folded(id, records) else { return Ok(None) };
    let unfinished = (session.phase != Phase::Finished).then(|| format!("the session is {}", session.phase));
    Ok(session.case.clone().map(|case| ShadowCase {
        case,
        session: id,
        revision: session.principal.link.revision,
        calls,
        answer: session.answer().map(|answer| answer.words()),
        unfinished,
    }))
}
