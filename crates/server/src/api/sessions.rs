//! Sessions: which there are, what they wait for, how they ended, what they did.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use data::commit::Outage;
use data::rows::Head;
use data::store::HeadFilter;
use data::trace::{CacheTrace, Trace, render_cache, render_transcript, render_tree};
use domain::clock::Timestamp;
use domain::decision::{Wait, WaitFor};
use domain::id::{Name, SessionId};
use domain::session::{Phase, Session};
use execution::machine;
use serde::{Deserialize, Serialize};

use super::{Id, Params};
use crate::app::{App, commits};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How long one wait may hang, in milliseconds.
const LONGEST_WAIT_MS: u64 = 25_000;
/// How often a session that waits for another agent is looked at.
const DELEGATED_LOOK: Duration = Duration::from_millis(200);
/// How many sessions one list has at most.
const LONGEST_LIST: usize = 1000;

/// Which sessions to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    agent: Option<Name>,
    #[serde(default)]
    phase: Option<Phase>,
    #[serde(default)]
    limit: Option<usize>,
}

/// A session in a list.
#[derive(Serialize)]
pub(crate) struct Row {
    session: SessionId,
    /// The session that delegated to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<SessionId>,
    agent: Name,
    revision: String,
    key: String,
    phase: Phase,
    since: Timestamp,
    waits_on: String,
    scripted: bool,
    mode: domain::principal::Mode,
    awake: bool,
}

/// A session as it is listed: one that waits for the store says so, its head cannot.
fn row(session: SessionId, head: Head, awake: &[SessionId], outage: Option<&Outage>) -> Row {
    let outage = outage.filter(|outage| outage.sessions.contains(&session));
    // Its key is the call that began it: no caller's key makes this id.
    let by = head.key.parse().ok().filter(|call| SessionId::delegated_by(*call) == session);
    Row {
        session,
        parent: by.map(|call| call.session),
        agent: head.agent,
        revision: head.revision.short(),
        key: head.key,
        phase: head.phase,
        since: head.since,
        waits_on: outage.map_or(head.waits_on, |outage| format!("the store: {}", outage.why)),
        scripted: head.scripted,
        mode: head.mode,
        awake: awake.contains(&session),
    }
}

/// Sessions, latest change first.
pub(crate) async fn list(State(app): State<App>, _: Who, Params(which): Params<Which>) -> ApiResult<Json<Vec<Row>>> {
    let limit = which.limit.unwrap_or(LONGEST_LIST).min(LONGEST_LIST);
    let phases = which.phase.into_iter().collect();
    let filter = HeadFilter { agent: which.agent, phases, limit: Some(limit), ..HeadFilter::default() };
    let (awake, outage) = (app.runtime.awake(), app.log.outage());
    let heads = app.log.heads(filter).await?;
    Ok(Json(heads.into_iter().map(|(session, head, _)| row(session, head, &awake, outage.as_ref())).collect()))
}

/// One session.
pub(crate) async fn show(State(app): State<App>, _: Who, Id(id): Id<SessionId>) -> ApiResult<Json<Row>> {
    let (head, _) = app.log.head(id).await?.ok_or_else(|| ApiError::not_found(format!("session {id}")))?;
    Ok(Json(row(id, head, &app.runtime.awake(), app.log.outage().as_ref())))
}

/// From which record on to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    #[serde(default)]
    mail: Option<domain::id::MailId>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// How a session stands.
#[derive(Serialize)]
pub(crate) struct Standing {
    session: SessionId,
    phase: Phase,
    /// Whether it has come to rest, with everybody that it waits for.
    rests: bool,
    /// Whether it waits for another agent.
    delegated: bool,
    /// Its last words, once it finished.
    answer: Option<String>,
    /// Why it failed, where it did.
    failure: Option<String>,
    /// Whether a budget was the reason.
    budget: bool,
    /// What it waits for.
    waits: Vec<Wait>,
    /// Why the store does not take what it did, where it does not.
    outage: Option<String>,
    scripted: bool,
    mode: domain::principal::Mode,
}

/// How the session stands, once it has taken the mail given and rests, or when time is up.
pub(crate) async fn wait(
    State(app): State<App>,
    _: Who,
    Id(id): Id<SessionId>,
    Params(after): Params<After>,
) -> ApiResult<Json<Standing>> {
    let within = Duration::from_millis(after.timeout_ms.unwrap_or(LONGEST_WAIT_MS).min(LONGEST_WAIT_MS));
    let mut progress = app.runtime.watch();
    let mut stands = standing(&app, id, after.mail.as_ref()).await?;
    let watch = async {
        while stands.as_ref().is_none_or(|standing| !standing.rests) {
            // What it waits for may be another session, which commits by itself.
            let delegated = stands.as_ref().is_some_and(|standing| standing.delegated);
            let waited = stands.take().map(|standing| standing.waits).unwrap_or_default();
            let before = outage(&app, id);
            commits(&mut progress, id, if delegated { DELEGATED_LOOK } else { within }).await;
            stands = standing(&app, id, after.mail.as_ref()).await?;
            // Whoever waits is told at once, and asks again.
            let waits = stands.as_ref().is_some_and(|now| !now.waits.is_empty() && now.waits != waited);
            if waits || (before.is_none() && outage(&app, id).is_some()) {
                break;
            }
        }
        Ok::<_, ApiError>(())
    };
    tokio::select! {
        looked = watch => looked?,
        () = tokio::time::sleep(within) => {}
        () = app.closed() => {}
    }
    let why = || match app.runtime.queued(id) {
        _ if outage(&app, id).is_some() => format!("session {id} yet: {}", outage(&app, id).unwrap_or_default()),
        None => format!("session {id} yet"),
        Some(queued) => format!("session {id} yet: it waits for its turn, messages that wait for its agent: {queued}"),
    };
    stands.map(Json).ok_or_else(|| ApiError::not_found(why()))
}

/// How it stands; `None`: it does not exist yet.
async fn standing(app: &App, id: SessionId, mail: Option<&domain::id::MailId>) -> ApiResult<Option<Standing>> {
    let Some(past) = app.log.past(id).await? else { return Ok(None) };
    let session = app.folded(id, past.records)?;
    let taken = mail.is_none_or(|mail| session.consumed.contains(mail));
    let waits = machine::waits(&session);
    // One whose model is asked again by itself is not done, and waits for nobody.
    let retries = !waits.is_empty() && waits.iter().all(|wait| matches!(wait.why, WaitFor::Model { .. }));
    let resting = match session.phase {
        Phase::Suspended => !retries,
        Phase::Finished | Phase::Failed | Phase::Killed => true,
        Phase::Ready | Phase::Running => false,
    };
    let below = below(app, &session).await?;
    let still = |session: &Session| matches!(session.phase, Phase::Ready | Phase::Running);
    let failure = match session.phase {
        Phase::Failed => session.failure.clone(),
        Phase::Killed => Some("the session was killed".to_owned()),
        Phase::Ready | Phase::Running | Phase::Suspended | Phase::Finished => None,
    };
    Ok(Some(Standing {
        session: id,
        phase: session.phase,
        rests: taken && resting && below.iter().all(|below| below.as_ref().is_some_and(|session| !still(session))),
        delegated: !below.is_empty(),
        answer: (session.phase == Phase::Finished).then(|| answer(&session)).flatten(),
        budget: failure.as_ref().is_some_and(|why| why.starts_with("Refused (budget)")),
        failure,
        waits: waits.into_iter().chain(below.iter().flatten().flat_map(machine::waits)).collect(),
        outage: outage(app, id),
        scripted: session.scripted,
        mode: session.principal.mode(),
    }))
}

/// The sessions that it waits for, and those that they wait for; `None`: one that has not begun, or has ended while its
/// last word is on its way.
async fn below(app: &App, session: &Session) -> ApiResult<Vec<Option<Session>>> {
    let mut left: Vec<SessionId> = session.delegated().map(|(_, child)| child).collect();
    let mut all = Vec::new();
    while let Some(child) = left.pop() {
        let found = match app.log.past(child).await? {
            Some(past) => Some(app.folded(child, past.records)?),
            None => None,
        };
        let found = found.filter(|child| !matches!(child.phase, Phase::Finished | Phase::Failed | Phase::Killed));
        left.extend(found.iter().flat_map(|child| child.delegated().map(|(_, below)| below)));
        all.push(found);
    }
    Ok(all)
}

/// Why the store does not take what a session did, where it does not.
fn outage(app: &App, id: SessionId) -> Option<String> {
    app.log.outage().filter(|outage| outage.sessions.contains(&id)).map(|outage| outage.why)
}

fn answer(session: &Session) -> Option<String> {
    session.answer().map(|message| message.words())
}

/// How a trace is shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct As {
    #[serde(default, rename = "as")]
    form: Option<String>,
}

/// What it did, as a trace: JSON, or `as=tree` or `as=transcript` in words.
pub(crate) async fn trace(
    State(app): State<App>,
    _: Who,
    Id(id): Id<SessionId>,
    Params(form): Params<As>,
) -> ApiResult<Response> {
    let trace = Trace::of(&app.records(id).await?).ok_or_else(|| ApiError::erased(id))?;
    Ok(match form.form.as_deref() {
        None | Some("json") => Json(trace).into_response(),
        Some("tree") => render_tree(&trace).into_response(),
        Some("transcript") => render_transcript(&trace).into_response(),
        Some(other) => {
            return Err(ApiError::bad(
                format!("a trace is shown as json, tree or transcript, not {other}"),
                "leave `as` out",
            ));
        }
    })
}

/// What its model calls read from the provider's prompt cache, and what broke a prefix: JSON, or `as=text`.
pub(crate) async fn cache(
    State(app): State<App>,
    _: Who,
    Id(id): Id<SessionId>,
    Params(form): Params<As>,
) -> ApiResult<Response> {
    let records = app.records(id).await?;
    let mut texts = BTreeMap::new();
    for offers in CacheTrace::offers(&records) {
        texts.extend(app.log.text(offers).await?.map(|text| (offers, text)));
    }
    let trace = CacheTrace::of(&records, &texts).ok_or_else(|| ApiError::erased(id))?;
    Ok(match form.form.as_deref() {
        None | Some("json") => Json(trace).into_response(),
        Some("text") => render_cache(&trace).into_response(),
        Some(other) => {
            return Err(ApiError::bad(format!("it is shown as json or text, not {other}"), "leave `as` out"));
        }
    })
}
