//! Undo: a plan of what a session did and how each of it is undone; and, once a person confirmed exactly that plan, the
//! calls of it, newest effect first, each through the one call path in a session of its own whose name says of what.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use control::approval::{self, Answer};
use control::start::{self, For};
use control::undo::{self, Plan, Stands, Step};
use data::rows::InboxKey;
use data::trace::Trace;
use domain::capability::Effect;
use domain::id::{ApprovalId, CallId, Digest, Name, SessionId};
use domain::mail::Start;
use execution::{CallReply, Use};
use serde::{Deserialize, Serialize};

use super::{Body, Id};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How long one call of it is waited for, once nobody needs to be asked any more.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// What a session did, and how each of it is undone. Nothing happens.
pub(crate) async fn plan(State(app): State<App>, _: Who, Id(session): Id<SessionId>) -> ApiResult<Json<Plan>> {
    Ok(Json(planned(&app, session).await?))
}

async fn planned(app: &App, session: SessionId) -> ApiResult<Plan> {
    let records = app.records(session).await?;
    let trace = Trace::of(&records).ok_or_else(|| ApiError::erased(session))?;
    let registry = app.gate.registry();
    let already = match app.log.past(SessionId::for_key(&trace.agent, &key(session))).await? {
        Some(past) => Trace::of(&past.records),
        None => None,
    };
    Ok(undo::plan(&registry, &trace, already.as_ref()))
}

/// What the session is called that undoes another.
fn key(session: SessionId) -> String {
    format!("undo {session}")
}

/// A person's confirmation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmed {
    /// The plan that they saw.
    plan_sha256: Digest,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Came {
    /// The session that undid it.
    session: SessionId,
    /// What was done, in order.
    done: Vec<Done>,
    /// What is left to undo, and what cannot be undone.
    left: Vec<Step>,
}

/// One effect that was to be undone.
#[derive(Serialize)]
struct Done {
    call: CallId,
    /// `undone`, `waits`, or `failed`.
    came: &'static str,
    /// What the call that undoes it said.
    text: String,
}

/// Undoes what is left of a session, newest effect first, and stops where one cannot be undone at once.
pub(crate) async fn undo(
    State(app): State<App>,
    who: Who,
    Id(session): Id<SessionId>,
    Body(confirmed): Body<Confirmed>,
) -> ApiResult<Json<Came>> {
    let _one_at_a_time = app.undoing.lock().await;
    let plan = planned(&app, session).await?;
    let registry = app.gate.registry();
    let person = undo::may_confirm(&registry, &who.0, &plan.agent)?.clone();
    if plan.plan_sha256 != confirmed.plan_sha256 {
        let next = format!("look at it again: `ostler undo {session}`");
        return Err(ApiError::conflict("what would be undone is not what was shown", next));
    }
    let what = For { key: key(session), on_behalf_of: Some(person), ..For::default() };
    let start = start::start(&registry, &plan.agent, what)
        .map_err(|why| ApiError::conflict(why.to_string(), "undo it where it was done"))?;
    let mut done = Vec::new();
    for step in plan.steps.iter().filter(|step| matches!(step.state, Stands::ToDo | Stands::Waits)) {
        let one = one(&app, &who, (step, &start), &confirmed.reason).await;
        let stop = one.came != "undone";
        done.push(one);
        if stop {
            break;
        }
    }
    let after = planned(&app, session).await?;
    let left = after.steps.into_iter().filter(|step| step.state != Stands::Undone).collect();
    Ok(Json(Came { session: start.principal.link.session, done, left }))
}

/// Makes the call that undoes one effect. What asks for consent has the person's: they confirmed it.
async fn one(app: &App, who: &Who, (step, start): (&Step, &Start), reason: &str) -> Done {
    let came = |came, text: String| Done { call: step.call, came, text };
    let Some(by) = &step.by else { return came("failed", step.why.clone()) };
    let wanted = Use { name: by.capability.to_string(), arguments: by.arguments.clone() };
    let mut reply = app.runtime.attach_as(start.clone(), wanted, Duration::ZERO).await;
    if let Ok(CallReply::Waits { call, .. }) = reply {
        let consented = consented(app, who, call, &format!("undoes {}: {reason}", step.call)).await;
        reply = match app.runtime.attach_look(&start.principal.link.agent, call, ENDS_WITHIN).await {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => return came("failed", format!("nobody knows what came of {call}")),
            Err(error) => Err(error),
        };
        if let (Ok(CallReply::Waits { .. }), Err(why)) = (&reply, consented) {
            return came("waits", why);
        }
    }
    match reply {
        Ok(CallReply::Result { text, error: false, .. }) => came("undone", text),
        Ok(CallReply::Result { text, .. } | CallReply::Refused { text, .. }) => came("failed", text),
        Ok(CallReply::Waits { call, .. }) => came("waits", format!("{call} waits: `ostler inbox`")),
        Err(error) => came("failed", error.to_string()),
    }
}

/// Says yes to what a call of the plan asks, where the person may; else why they may not.
async fn consented(app: &App, who: &Who, call: CallId, reason: &str) -> Result<(), String> {
    let asked: Option<ApprovalId> = {
        let inbox = app.log.inbox().await.map_err(|error| error.to_string())?;
        inbox.into_iter().find_map(|item| match item.key {
            InboxKey::Approval { approval } if approval.call == call => Some(approval),
            InboxKey::Approval { .. } | InboxKey::InDoubt { .. } => None,
        })
    };
    let Some(asked) = asked else { return Ok(()) };
    let yes = Answer { approved: true, reason: reason.to_owned(), ..Answer::default() };
    approval::answer(&app.gate, &who.0, asked, yes).await.map(|_| ()).map_err(|error| format!("{asked}: {error}"))
}

/// Whether a call can be undone, in words, before it is made.
pub(crate) fn foretold(app: &App, agent: &Name, capability: &Name, effect: Option<Effect>) -> String {
    undo::foretold(&app.gate.registry(), agent, (capability, effect))
}
