//! What agents produced. The view knows which record says that a session answered or failed; the words themselves are
//! sealed there, and read from the session's record when somebody asks.

use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Name, Seq, SessionId};
use serde::{Deserialize, Serialize};

use crate::record::{Envelope, Record};
use crate::store::ResultRow;
use crate::trace::Trace;

/// What a session came to, at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentResult {
    /// The session.
    pub session: SessionId,
    /// The record that says so.
    pub seq: Seq,
    /// Its agent.
    pub agent: Name,
    /// The caller's own name for the session.
    pub key: String,
    /// When.
    pub at: Timestamp,
    /// Whether anything in it was made up: a scripted answer, a recorded write's stand-in.
    pub synthetic: bool,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The agent answered.
    Answered {
        /// What.
        answer: String,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
    },
    /// The content was erased.
    Erased,
}

/// The rows that one record adds to the view; its body stays closed.
pub fn rows_of(envelope: &Envelope, agent: &Name) -> Vec<ResultRow> {
    let ended = envelope.headers.iter().any(|header| header.k == "finished" || header.k == "failed");
    let (session, seq, pos, at) = (envelope.session, envelope.seq, envelope.pos, envelope.at);
    ended.then(|| ResultRow { session, seq, pos, agent: agent.clone(), at }).into_iter().collect()
}

/// What a row is about, read from its session's records, oldest first. `None` if they do not hold it.
pub fn read(row: &ResultRow, records: &[Record]) -> Option<AgentResult> {
    let end = records.iter().position(|record| record.envelope.seq == row.seq)?;
    let until = &records[..=end];
    let trace = Trace::of(until);
    let outcome = match (&trace, until[end].events.as_deref()) {
        (Some(trace), Some(events)) => events.iter().rev().find_map(|event| match event {
            Event::Finished { .. } => Some(Outcome::Answered { answer: trace.answer.clone().unwrap_or_default() }),
            Event::Failed { reason, .. } => Some(Outcome::Failed { reason: reason.clone() }),
            _ => None,
        })?,
        _ => Outcome::Erased,
    };
    Some(AgentResult {
        session: row.session,
        seq: row.seq,
        agent: row.agent.clone(),
        key: trace.map(|trace| trace.key).unwrap_or_default(),
        at: row.at,
        synthetic: until.iter().any(|record| record.envelope.synthetic),
        outcome,
    })
}
