//! A record: what one session committed at once. The envelope stays readable; the events are sealed beside it.

use std::fmt::Write;
use std::sync::Arc;

use domain::clock::Timestamp;
use domain::event::{Event, Header};
use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::principal::{Mode, Principal};
use serde::{Deserialize, Serialize};

use crate::error::DataError;

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

/// What stays readable of a record: its headers read, or [`Unread`] as they are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<H = Vec<Header>> {
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
    pub headers: H,
}

/// Headers as they are stored: JSON, canonical where the codec is [`CODEC_PACKED_EVENTS`]. To read them takes as long
/// as to open and fold an event, and who folds does not look at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread(pub String);

/// A record, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<H = Vec<Header>> {
    /// What stays readable.
    pub envelope: Envelope<H>,
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
        self.canonical_with(&headers_text(&self.headers))
    }

    /// As it is stored.
    pub fn unread(self) -> Envelope<Unread> {
        let text = headers_text(&self.headers);
        self.with(Unread(text))
    }
}

impl Envelope<Unread> {
    /// The same, with its headers read. [`DataError::Damaged`] where they are none.
    pub fn read(self) -> Result<Envelope, DataError> {
        let headers = self.headers.read().map_err(|why| DataError::Damaged { session: self.session, why })?;
        Ok(self.with(headers))
    }

    /// Its canonical JSON.
    pub(crate) fn canonical_as_stored(&self) -> Result<String, DataError> {
        match self.codec {
            CODEC_PACKED_EVENTS => Ok(self.canonical_with(&self.headers.0)),
            _ => Ok(self.clone().read()?.canonical()),
        }
    }
}

impl Unread {
    /// What they say, or all of it that the reader asks for. `Err`: why not.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, String> {
        serde_json::from_str(&self.0).map_err(|error| format!("its headers do not read: {error}"))
    }
}

impl<H> Envelope<H> {
    /// The same, with other headers.
    fn with<T>(self, headers: T) -> Envelope<T> {
        Envelope {
            shard: self.shard,
            pos: self.pos,
            session: self.session,
            seq: self.seq,
            prev: self.prev,
            epoch: self.epoch,
            at: self.at,
            principal: self.principal,
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            cause: self.cause,
            control_pos: self.control_pos,
            mode: self.mode,
            synthetic: self.synthetic,
            key: self.key,
            codec: self.codec,
            headers,
        }
    }

    /// The canonical JSON, where the canonical JSON of the headers is known: field by field, in the order of their names.
    pub(crate) fn canonical_with(&self, headers: &str) -> String {
        let cause = serde_json::to_string(&self.cause).expect("a text is JSON");
        let parent = self.parent.map_or("null".to_owned(), |parent| format!("\"{parent}\""));
        let mode = match self.mode {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
        };
        let mut out = String::with_capacity(headers.len() + cause.len() + 420);
        write!(
            out,
            "{{\"at\":{},\"cause\":{cause},\"codec\":{},\"control_pos\":{},\"epoch\":{},\"headers\":{headers},\
             \"key\":{},\"mode\":\"{mode}\",\"parent\":{parent},\"pos\":{},\"prev\":{},\"principal\":\"{}\",\"seq\":{},\
             \"session\":\"{}\",\"shard\":{},\"span\":\"{}\",\"synthetic\":{},\"trace\":\"{}\"}}",
            self.at.0,
            self.codec,
            self.control_pos,
            self.epoch.0,
            self.key,
            self.pos,
            self.prev,
            self.principal,
            self.seq.0,
            self.session,
            self.shard.0,
            self.span,
            self.synthetic,
            self.trace,
        )
        .expect("writing to a string cannot fail");
        out
    }
}

/// The canonical JSON of headers: as they are stored, and as the seal and the audit leaf cover them.
pub fn headers_text(headers: &[Header]) -> String {
    let value = serde_json::to_value(headers).expect("headers have only text keys and finite numbers");
    domain::canonical::to_string(&value)
}

/// A leaf of the audit tree (RFC 9162 §2.1.1 for the leading zero): of the envelope and the sealed body's hash, so
/// that the tree still verifies once the body can no longer be opened.
pub fn leaf(envelope: &Envelope, body_hash: Digest) -> Digest {
    leaf_of(&envelope.canonical(), body_hash)
}

/// The same, of the envelope's canonical JSON.
pub(crate) fn leaf_of(canonical: &str, body_hash: Digest) -> Digest {
    let mut bytes = Vec::with_capacity(canonical.len() + 33);
    bytes.push(0);
    bytes.extend_from_slice(canonical.as_bytes());
    bytes.extend_from_slice(body_hash.as_bytes());
    Digest::of(&bytes)
}
