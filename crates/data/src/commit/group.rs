//! What a lane groups: commits on their way into the store, and how they become the rows of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::event::Header;
use domain::id::{CallId, Digest, Epoch, MailId, Name, Pos, Seq, SessionId, Shard, SpanId};
use tokio::sync::oneshot;

use crate::codec;
use crate::commit::flight::Flight;
use crate::commit::writer::intents_of;
use crate::commit::{RECORD_BYTES, Shared, mail};
use crate::error::{CommitError, Refused};
use crate::record::{CODEC_EVENTS, CODEC_PACKED_EVENTS, Envelope, Stamp, Unread, headers_text};
use crate::rows::{Head, HoldingDelta, InboxChange, InboxKey, MemoryChange, Rows};
use crate::seal::{Sealer, SessionKey};
use crate::store::{BatchPart, DueRow, HeadRow, KeyRow, Lease, MailRow, MemoryRow, RecordRow, SnapshotRow};

/// One commit on its way.
pub(super) struct Queued {
    pub(super) session: SessionId,
    pub(super) shard: Shard,
    /// The epoch under which its session was loaded.
    pub(super) epoch: Epoch,
    pub(super) prev: Pos,
    pub(super) seq: Seq,
    pub(super) key: Arc<SessionKey>,
    pub(super) key_row: Option<KeyRow>,
    pub(super) snapshot: Option<SnapshotRow>,
    pub(super) principal: Digest,
    pub(super) stamp: Stamp,
    pub(super) head: Head,
    pub(super) sealed: Sealed,
    pub(super) reply: Reply,
}

/// Where the answer to one commit goes. It has landed before its caller can go on.
pub(super) struct Reply {
    flight: Flight,
    to: oneshot::Sender<Result<Done, CommitError>>,
}

impl Reply {
    pub(super) fn new(flight: Flight) -> (Self, oneshot::Receiver<Result<Done, CommitError>>) {
        let (to, answer) = oneshot::channel();
        (Reply { flight, to }, answer)
    }

    /// Who no longer waits finds it in the record.
    pub(super) fn send(self, answer: Result<Done, CommitError>) {
        drop(self.flight);
        self.to.send(answer).ok();
    }
}

/// What a writer learns of a commit that happened.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) pos: Pos,
    pub(super) seq: Seq,
    pub(super) control_pos: Pos,
    pub(super) intents: Vec<(CallId, u16)>,
    pub(super) dispatch_before_ms: i64,
}

/// A commit's rows, with everything sealed that needs no position. Only the body waits: it is bound to its envelope.
pub(super) struct Sealed {
    pub(super) body: Vec<u8>,
    codec: u8,
    headers: Unread,
    intents: Vec<(CallId, u16)>,
    mail: Vec<MailRow>,
    consumed: Vec<MailId>,
    holdings: Vec<HoldingDelta>,
    inbox: Vec<InboxChange>,
    pub(super) texts: Vec<(Digest, String)>,
    memory: Vec<Remember>,
}

type Remember = (Name, CallId, Option<MemoryRow>);

impl Sealed {
    pub(super) fn of(
        shared: &Shared,
        key: &SessionKey,
        by: (SessionId, &Head),
        rows: &Rows,
    ) -> Result<Self, CommitError> {
        let body = serde_json::to_vec(&rows.events).expect("events have only text keys and finite numbers");
        if body.len() > RECORD_BYTES {
            return Err(Refused::TooLarge { bytes: body.len(), limit: RECORD_BYTES }.into());
        }
        let (body, codec) = codec::pack(&body).map_or((body, CODEC_EVENTS), |packed| (packed, CODEC_PACKED_EVENTS));
        let headers = as_stored(&rows.events.iter().map(domain::event::Event::header).collect::<Vec<_>>());
        Ok(Sealed {
            body,
            codec,
            headers,
            intents: intents_of(&rows.events),
            mail: rows.mail.iter().map(|mail| mail::seal(shared, mail, Some(by))).collect(),
            consumed: rows.consumed.clone(),
            holdings: rows.holdings.clone(),
            inbox: rows.inbox.clone(),
            texts: rows.texts.iter().map(|text| (Digest::of(text.as_bytes()), text.clone())).collect(),
            memory: rows.memory.iter().map(|change| remember(&shared.sealer, key, change.clone())).collect(),
        })
    }
}

/// Headers as they will be read back. A seal is bound to them, so that what serde reads differently from how it was
/// built (`Some(null)`, say) must not be built.
fn as_stored(headers: &[Header]) -> Unread {
    let text = headers_text(headers);
    // Nothing else reads differently and is written differently then.
    if !text.contains(":null") {
        return Unread(text);
    }
    let read: Vec<Header> = serde_json::from_str(&text).expect("what was written as headers reads as headers");
    Unread(headers_text(&read))
}

fn remember(sealer: &Sealer, key: &SessionKey, change: MemoryChange) -> Remember {
    match change {
        MemoryChange::Forget { agent, id } => (agent, id, None),
        MemoryChange::Remember(item) => {
            let text = sealer.seal_for(key, memory_aad(&item.agent, item.id).as_bytes(), item.text.as_bytes());
            let generation = key.generation();
            let (agent, id) = (item.agent.clone(), item.id);
            let row = MemoryRow { agent: item.agent, id, generation, text, at: item.at, expires: item.expires };
            (agent, id, Some(row))
        }
    }
}

/// What a remembered text is bound to.
pub(super) fn memory_aad(agent: &Name, id: CallId) -> String {
    format!("ostler/memory/{agent}/{id}")
}

/// What becomes of a commit once the store answers.
pub(super) struct Pending {
    pub(super) session: SessionId,
    pub(super) seq: Seq,
    pub(super) pos: Pos,
    pub(super) intents: Vec<(CallId, u16)>,
    pub(super) posted: Vec<DueRow>,
    pub(super) reply: Reply,
}

/// The commits of one shard in one group.
pub(super) struct Group {
    pub(super) lease: Lease,
    /// The time of its last record.
    pub(super) at: Timestamp,
    pub(super) pending: Vec<Pending>,
    part: BatchPart,
    holdings: BTreeMap<(BudgetKey, Timestamp), HoldingDelta>,
    inbox: BTreeMap<InboxKey, InboxChange>,
    texts: BTreeMap<Digest, String>,
    memory: BTreeMap<(Name, CallId), Option<MemoryRow>>,
}

impl Group {
    pub(super) fn new(lease: Lease) -> Self {
        let part = BatchPart {
            shard: lease.shard,
            epoch: lease.epoch,
            pos: lease.pos,
            records: Vec::new(),
            heads: Vec::new(),
            keys: Vec::new(),
            snapshots: Vec::new(),
            mail: Vec::new(),
            consumed: Vec::new(),
            holdings: Vec::new(),
            inbox: Vec::new(),
            texts: Vec::new(),
            remembered: Vec::new(),
            forgotten: Vec::new(),
        };
        let (holdings, inbox) = (BTreeMap::new(), BTreeMap::new());
        let (texts, memory) = (BTreeMap::new(), BTreeMap::new());
        Group { lease, at: lease.at, pending: Vec::new(), part, holdings, inbox, texts, memory }
    }

    /// How far the shard will be.
    pub(super) fn end(&self) -> Pos {
        Pos(self.lease.pos.0 + self.pending.len() as u64)
    }

    /// Gives a commit its place: position, time, envelope, seal.
    pub(super) fn add(&mut self, sealer: &Sealer, now: Timestamp, queued: Queued) {
        let pos = Pos(self.end().0 + 1);
        self.at = self.at.max(now);
        let Queued { session, seq, key, stamp, head, sealed, reply, .. } = queued;
        let envelope = Envelope {
            shard: self.lease.shard,
            pos,
            session,
            seq,
            prev: queued.prev,
            epoch: self.lease.epoch,
            at: self.at,
            principal: queued.principal,
            trace: stamp.trace,
            span: SpanId::of_session(session),
            parent: stamp.parent,
            cause: stamp.cause,
            control_pos: stamp.control_pos,
            mode: stamp.mode,
            synthetic: stamp.synthetic,
            key: key.generation(),
            codec: sealed.codec,
            headers: sealed.headers,
        };
        let canonical = envelope.canonical_with(&envelope.headers.0);
        let body = sealer.seal_for(&key, canonical.as_bytes(), &sealed.body);
        let shard = self.lease.shard;
        self.part.heads.push(HeadRow { session, shard, pos, seq, trace: stamp.trace, head });
        self.part.records.push(RecordRow { envelope, body });
        self.part.keys.extend(queued.key_row);
        self.part.snapshots.extend(queued.snapshot);
        self.part.consumed.extend(sealed.consumed.into_iter().map(|id| (session, id)));
        let posted = sealed.mail.iter().map(MailRow::due_row).collect();
        self.part.mail.extend(sealed.mail);
        self.texts.extend(sealed.texts);
        self.inbox.extend(sealed.inbox.into_iter().map(|change| (key_of(&change), change)));
        self.memory.extend(sealed.memory.into_iter().map(|(agent, id, row)| ((agent, id), row)));
        for delta in sealed.holdings {
            self.hold(delta);
        }
        self.pending.push(Pending { session, seq, pos, intents: sealed.intents, posted, reply });
    }

    fn hold(&mut self, delta: HoldingDelta) {
        let key = (delta.budget.clone(), delta.window_start);
        match self.holdings.get_mut(&key) {
            Some(sum) => {
                sum.reserved = sum.reserved.saturating_add(delta.reserved);
                sum.spent = sum.spent.saturating_add(delta.spent);
            }
            None => {
                self.holdings.insert(key, delta);
            }
        }
    }

    /// The rows; what is left tells the callers.
    pub(super) fn take_part(&mut self) -> BatchPart {
        let mut part = std::mem::replace(&mut self.part, Group::new(self.lease).part);
        part.holdings = std::mem::take(&mut self.holdings).into_values().collect();
        part.inbox = std::mem::take(&mut self.inbox).into_values().collect();
        part.texts = std::mem::take(&mut self.texts).into_iter().collect();
        for ((agent, id), row) in std::mem::take(&mut self.memory) {
            match row {
                Some(row) => part.remembered.push(row),
                None => part.forgotten.push((agent, id)),
            }
        }
        part
    }
}

fn key_of(change: &InboxChange) -> InboxKey {
    match change {
        InboxChange::Open(item) => item.key,
        InboxChange::Close(key) => *key,
    }
}
