//! The shape of one event of the feed: a CloudEvent (CloudEvents 1.0, JSON format). What says what happened stands at
//! the top, as one word each; `data` is what stays readable of it, and its content where that was asked for.

use domain::budget::Hold;
use domain::call::Settlement;
use domain::decision::DecidedAt;
use domain::event::Header;
use domain::id::{ApprovalId, CallId, Digest, Name, Seq, SessionId, Shard, TraceId};
use domain::principal::Mode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Envelope;

/// One event, as it is told outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedEvent {
    /// `1.0`.
    pub specversion: String,
    /// Unique, and the same each time it is told.
    pub id: String,
    /// `/ostler/STORE`.
    pub source: String,
    /// `ostler.` and the kind.
    #[serde(rename = "type")]
    pub of_type: String,
    /// When, by the shard's monotone time (RFC 3339).
    pub time: String,
    /// What it is about: the session, or `control`.
    pub subject: String,
    /// The kind, as it is persisted.
    pub kind: String,
    /// The session; none for what happened to authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// The person behind it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Name>,
    /// The record's number in its session.
    pub seq: Seq,
    /// The trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// What caused it: the id of the mail or of the call that ended; of what happened to authority, who did it.
    pub cause: String,
    /// Live, or shadow.
    pub mode: Mode,
    /// Whether anything in it was made up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// Where to go on after it.
    pub cursor: String,
    /// What stays readable of it.
    pub data: FeedData,
}

/// What stays readable of an event: hashes, amounts and decisions, and its content where that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedData {
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The attempt, where it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u16>,
    /// The model or capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Whether it ended well: `ok`, `failed`, `unknown`, `refused:…`, `approved`, `denied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The consent it asks for, answers or uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// Hash of the effective arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments_hash: Option<Digest>,
    /// Hash of the definition it was checked against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<Digest>,
    /// Under what it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<DecidedAt>,
    /// What it holds of its budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<Settlement>,
    /// All of the event, where that was asked for and can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
    /// Why there is no content, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_content: Option<String>,
}

impl FeedData {
    /// What a header says.
    pub(super) fn of(header: &Header, session: SessionId) -> FeedData {
        FeedData {
            call: header.call.map(|ordinal| CallId { session, ordinal }),
            attempt: header.attempt,
            what: header.what.clone(),
            end: header.end.clone(),
            approval: header.approval,
            arguments_hash: header.args,
            schema_hash: header.schema,
            decided: header.decided.clone(),
            holds: header.holds.clone(),
            settlement: header.settled.clone(),
            content: None,
            without_content: None,
        }
    }
}

/// The id of a record's event: it has no dot, which signatures of webhooks use.
pub(super) fn id_of(envelope: &Envelope, index: usize) -> String {
    let session = envelope.session.to_string();
    let of = if envelope.shard == Shard::CONTROL { "control" } else { session.trim_start_matches("ses_") };
    format!("evt_{of}_{}_{index}", envelope.seq.0)
}
