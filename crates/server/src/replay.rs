//! Replay: sessions are chosen and read, each is gone through again, and the rules are asked about what it did with one
//! thing changed. Nothing is sent but the question what tools take; nothing is written.

use control::policy::check::Definitions;
use control::policy::suppose::Answer;
use control::replay::{self, Changed, Recordings, Replayed};
use data::record::Record;
use data::store::{HeadFilter, SpendRow};
use domain::budget::Window;
use domain::clock::Timestamp;
use domain::control::Kind;
use domain::descriptor::Descriptor;
use domain::id::{CallId, Name, SessionId};

use crate::api::cost;
use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// The most sessions that are replayed at once: the latest.
pub(crate) const MOST: usize = 2000;

/// Which sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    /// These; none: whatever the others say.
    pub these: Vec<SessionId>,
    /// Of this agent.
    pub agent: Option<Name>,
    /// In which something happened since.
    pub since: Option<Timestamp>,
}

/// What the rules would say to what these sessions did, with these descriptors in place. For rehearsals of any change:
/// what is given may be policies, an agent, or capabilities.
///
/// # Errors
/// When a session is not there or was erased, or the change cannot be put in place.
pub(crate) async fn sessions(app: &App, which: &Sessions, changed: &[Descriptor]) -> ApiResult<Replayed> {
    let mut recordings = Recordings::default();
    for session in chosen(app, which).await? {
        let records = app.records(session).await?;
        let relived = execution::relive(session, &records, &mut |before| {
            if let Some(session) = before.session {
                recordings.note(session, before.event, before.at, before.heard.clone());
            }
        });
        // Of those that were listed, what was erased is left out; of one that was named, that is said.
        if relived.is_none() && which.these.contains(&session) {
            return Err(ApiError::erased(session));
        }
    }
    let registry = control::apply::preview(&app.gate, changed)?;
    let definitions: Definitions = app.gateway.definitions(&registry).await;
    let rows = match recordings.earliest() {
        Some(earliest) => cost::rows(app, earliest.plus_ms(-2 * Window::Day.length_ms())).await?,
        None => Vec::new(),
    };
    let spent = |agent: &Name, from: Timestamp, until: Timestamp| Some(spent(&rows, agent, from, until));
    let changed = Changed { descriptors: changed, definitions: &definitions, spent: &spent };
    Ok(replay::replay(&app.gate, recordings, &changed).await?)
}

/// What the rules said to one call of a session, by its records; `None` where no rule was asked.
///
/// # Errors
/// When the control plane's records cannot be read.
pub(crate) async fn explained(app: &App, call: CallId, records: &[Record]) -> ApiResult<Option<Answer>> {
    let mut recordings = Recordings::default();
    execution::relive(call.session, records, &mut |before| {
        if let Some(session) = before.session.filter(|_| before.event.call() == Some(call)) {
            recordings.note(session, before.event, before.at, before.heard.clone());
        }
    });
    let Some(at) = recordings.earliest() else { return Ok(None) };
    let rows = cost::rows(app, at.plus_ms(-2 * Window::Day.length_ms())).await?;
    let spent = |agent: &Name, from: Timestamp, until: Timestamp| Some(spent(&rows, agent, from, until));
    // What servers said so far is enough: none is started to explain what is over.
    let definitions = app.gate.definitions();
    let changed = Changed { descriptors: &[], definitions: &definitions, spent: &spent };
    Ok(replay::explained(&app.gate, &recordings, call, &changed).await?)
}

async fn chosen(app: &App, which: &Sessions) -> ApiResult<Vec<SessionId>> {
    if !which.these.is_empty() {
        return Ok(which.these.clone());
    }
    let filter = HeadFilter { agent: which.agent.clone(), limit: Some(MOST), ..HeadFilter::default() };
    let heads = app.log.heads(filter).await?.into_iter();
    let recent = heads.filter(|(_, head, _)| which.since.is_none_or(|since| head.since >= since));
    Ok(recent.map(|(session, ..)| session).collect())
}

/// What an agent spent from one instant to another, in micro-dollars, as far as whole hours are over.
fn spent(rows: &[SpendRow], agent: &Name, from: Timestamp, until: Timestamp) -> i64 {
    let over = |row: &&SpendRow| row.hour >= from && row.hour.plus_ms(Window::Hour.length_ms()) <= until;
    let of_it = rows.iter().filter(|row| row.agent == *agent).filter(over);
    of_it.fold(0, |sum, row| sum.saturating_add(row.amounts.usd_micros))
}

/// A revision that was applied once, by the beginning of its hash: the agent's descriptor as it was then.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn revision(app: &App, agent: Option<&Name>, hash: &str) -> ApiResult<Descriptor> {
    let registry = app.gate.registry();
    let of_it = |(name, revision): &(&Name, &control::registry::AgentEntry)| {
        agent.is_none_or(|agent| agent == *name) && revision.revision.to_string().starts_with(hash)
    };
    let mut found = registry.revisions().filter(of_it);
    match (found.next(), found.next()) {
        (Some((_, entry)), None) => Ok(Descriptor::Agent(Box::new((*entry.descriptor).clone()))),
        (None, _) => Err(ApiError::not_found(format!("revision {hash} of an agent"))),
        (Some(_), Some(_)) => Err(ApiError::bad(
            format!("several revisions begin with {hash}"),
            "give more of it; `ostler get agent NAME -o yaml` has it in full",
        )),
    }
}

/// The descriptors of a change, checked to be one thing.
///
/// # Errors
/// Where they are none, or of several kinds.
pub(crate) fn one_thing(descriptors: Vec<Descriptor>) -> ApiResult<Vec<Descriptor>> {
    let policies = descriptors.iter().filter(|one| one.kind() == Kind::Policy).count();
    match (policies, descriptors.len()) {
        (_, 0) => Err(ApiError::bad("nothing is changed", "give a file of a Policy, or of an Agent")),
        (policies, all) if policies == all || all == 1 => Ok(descriptors),
        _ => Err(ApiError::bad(
            "one thing is changed at a time: policies, or one other descriptor",
            "replay with each of them by itself",
        )),
    }
}
