//! A record: what one session committed at once. The envelope stays readable; the events are sealed beside it.

use std::sync::Arc;

use domain::clock::Timestamp;
use domain::event::{Event, Header};
use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::principal::{Mode, Principal};
use serde::{Deserialize, Serialize};

/// What the caller of a commit says about it; the log fills in the rest.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Who acts, with the whole chain of delegation.
    pub principal: Arc<Principal>,
    /// The trace.
    pub trace: TraceId,
    /// The span that this session is a child of.
    pub parent: Option<SpanId>,
    /// What caused it: the id of the mail consumed, or of the call that ended; for people to read.
    pub cause: String,
    /// The control shard's position that its decisions were made at.
    pub control_pos: Pos,
    /// Live, or shadow.
    pub mode: Mode,
    /// Whether anything in it was made up: a scripted answer, a recorded write's stand-in.
    pub synthetic: bool,
}

/// What stays readable of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The shard.
    pub shard: Shard,
    /// Its position there.
    pub pos: Pos,
    /// The session.
    pub session: SessionId,
    /// Its number within the session.
    pub seq: Seq,
    /// The position of the session's record before it; 0: none.
    pub prev: Pos,
    /// The epoch under which it was committed.
    pub epoch: Epoch,
    /// The shard's monotone time.
    pub at: Timestamp,
    /// The hash of the principal, a shared text of canonical JSON.
    pub principal: Digest,
    /// The trace.
    pub trace: TraceId,
    /// The session's span.
    pub span: SpanId,
    /// The span it is a child of.
    pub parent: Option<SpanId>,
    /// What caused it.
    pub cause: String,
    /// The control shard's position that its decisions were made at.
    pub control_pos: Pos,
    /// Live, or shadow.
    pub mode: Mode,
    /// Whether anything in it was made up.
    pub synthetic: bool,
    /// Which key sealed the body: 0 the store's, 1 and up the session's.
    pub key: u32,
    /// How the body is written.
    pub codec: u8,
    /// What stays readable of each event.
    pub headers: Vec<Header>,
}

/// A record, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What stays readable.
    pub envelope: Envelope,
    /// The events; `None` once the session's content was erased.
    pub events: Option<Vec<Event>>,
}

/// The body is the JSON of a list of events.
pub const CODEC_EVENTS: u8 = 1;

/// The body is the JSON of a list of control events.
pub const CODEC_CONTROL: u8 = 2;

/// The body is the JSON of a list of events, packed by zstd with the third dictionary.
pub const CODEC_PACKED_EVENTS: u8 = 3;

impl Envelope {
    /// Its canonical JSON (RFC 8785): what the seal binds the body to, and what the audit leaf covers.
    pub fn canonical(&self) -> String {
        let value = serde_json::to_value(self).expect("an envelope has only text keys and finite numbers");
        domain::canonical::to_string(&value)
    }
}

/// A leaf of the audit tree (RFC 9162 §2.1.1 for the leading zero): of the envelope and the sealed body's hash, so
/// that the tree still verifies once the body can no longer be opened.
pub fn leaf(envelope: &Envelope, body_hash: Digest) -> Digest {
    let mut bytes = vec![0];
    bytes.extend_from_slice(envelope.canonical().as_bytes());
    bytes.extend_from_slice(body_hash.as_bytes());
    Digest::of(&bytes)
}
