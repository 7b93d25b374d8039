//! One session's right to commit, and the receipt that proves that it did.

use std::sync::Arc;

use domain::event::Event;
use domain::id::{CallId, Digest, Epoch, Pos, Seq, SessionId, Shard};
use domain::principal::Principal;
use tokio::sync::{mpsc, oneshot};

use crate::commit::Shared;
use crate::commit::group::{Done, Queued, Reply, Sealed};
use crate::commit::snapshot::{self, Of};
use crate::error::CommitError;
use crate::record::{Record, Stamp, Unread};
use crate::rows::{Head, Rows};
use crate::seal::{Sealer, SessionKey, message_id};
use crate::store::{KeyRow, SnapshotRow};

/// How many records a session has before its first snapshot: fewer are folded as quickly.
pub(super) const SNAPSHOT_AT: u64 = 64;

/// A session that was loaded, to go on.
#[derive(Debug)]
pub struct Loaded {
    /// What commits for it.
    pub writer: SessionWriter,
    /// Its head.
    pub head: Head,
    /// The state that its first records folded into, where a snapshot of it was asked for and can be read.
    pub snapshot: Option<Vec<u8>>,
    /// Its records, oldest first: all, or those behind the snapshot.
    pub records: Vec<Record<Unread>>,
}

/// One session's right to commit: there is one at a time, and it knows where the session's chain ends.
#[derive(Debug)]
pub struct SessionWriter {
    session: SessionId,
    shard: Shard,
    /// The epoch under which its knowledge of the session is right.
    epoch: Epoch,
    pos: Pos,
    seq: Seq,
    key: Arc<SessionKey>,
    key_stored: bool,
    principal: Option<(Arc<Principal>, Digest)>,
    /// The last record that the session's snapshot holds, or would hold if the state were worth one; 0 without one.
    snapshot_seq: Seq,
    /// From how many records on it has one.
    snapshot_at: u64,
    /// A new snapshot, for the next commit to take along.
    snapshot: Option<SnapshotRow>,
    state: State,
}

/// A commit that waits for its place in the queue.
pub(super) struct Prepared {
    principal: Digest,
    stamp: Stamp,
    head: Head,
    sealed: Sealed,
    key_row: Option<KeyRow>,
    snapshot: Option<SnapshotRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// A commit was queued and its answer has not come: for good, if its future was dropped.
    InFlight,
    Fenced,
    Lost,
}

impl SessionWriter {
    pub(super) fn new(session: SessionId, shard: Shard, epoch: Epoch, key: Arc<SessionKey>) -> Self {
        SessionWriter {
            session,
            shard,
            epoch,
            pos: Pos(0),
            seq: Seq(0),
            key,
            key_stored: false,
            principal: None,
            snapshot_seq: Seq(0),
            snapshot_at: SNAPSHOT_AT,
            snapshot: None,
            state: State::Ready,
        }
    }

    pub(super) fn resume(self, pos: Pos, seq: Seq, snapshot_seq: Seq) -> Self {
        SessionWriter { pos, seq, snapshot_seq, key_stored: true, ..self }
    }

    pub(super) fn with_snapshots_from(self, snapshot_at: u64) -> Self {
        SessionWriter { snapshot_at, ..self }
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Its shard.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The number of its last record; 0 before the first.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Whether it refuses to commit until the session is loaded again.
    pub fn poisoned(&self) -> bool {
        self.state != State::Ready
    }

    /// Whether the session has grown so much since its snapshot that a new one is worth its bytes: by a quarter, so
    /// that all that are ever written add up to a few times what the last one holds.
    pub fn snapshot_due(&self) -> bool {
        let due =
            if self.snapshot_seq == Seq(0) { self.snapshot_at } else { self.snapshot_seq.0 + self.snapshot_seq.0 / 4 };
        self.seq.0 >= due
    }

    /// Keeps a snapshot of the state that the session's records fold into, up to the last, by a version of the fold:
    /// the next commit takes it along. A state that hardly compresses is not kept: it would take as much room again
    /// as what was said.
    pub fn keep_snapshot(&mut self, sealer: &Sealer, fold: u32, state: &[u8]) {
        self.snapshot = snapshot::seal(sealer, &self.key, Of { fold, seq: self.seq, pos: self.pos }, state);
        self.snapshot_seq = self.seq;
    }

    /// The id of a message in this session.
    pub fn message_id(&self, message: &domain::message::Message) -> Digest {
        message_id(&self.key, message)
    }

    /// Everything of a commit that needs neither a position nor a wait.
    pub(super) fn prepare(
        &mut self,
        shared: &Shared,
        stamp: Stamp,
        head: Head,
        rows: &Rows,
    ) -> Result<Prepared, CommitError> {
        match self.state {
            State::Ready => {}
            State::Fenced => return Err(CommitError::Fenced),
            State::InFlight | State::Lost => return Err(CommitError::Poisoned),
        }
        let (principal, text) = self.principal_of(&stamp.principal);
        let mut sealed = Sealed::of(shared, &self.key, (self.session, &head), rows)?;
        sealed.texts.extend(text.map(|text| (principal, text)));
        let key_row = (!self.key_stored).then(|| shared.sealer.wrap(&self.key));
        Ok(Prepared { principal, stamp, head, sealed, key_row, snapshot: self.snapshot.take() })
    }

    /// Hands it to the lane. From here on it happens or not, whoever still waits.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        place: mpsc::Permit<'_, Queued>,
        prepared: Prepared,
    ) -> oneshot::Receiver<Result<Done, CommitError>> {
        let Prepared { principal, stamp, head, sealed, key_row, snapshot } = prepared;
        self.state = State::InFlight;
        self.principal = Some((stamp.principal.clone(), principal));
        let (reply, answer) = Reply::new(shared.flights.start(self.session));
        place.send(Queued {
            session: self.session,
            shard: self.shard,
            epoch: self.epoch,
            prev: self.pos,
            seq: Seq(self.seq.0 + 1),
            key: self.key.clone(),
            key_row,
            snapshot,
            principal,
            stamp,
            head,
            sealed,
            reply,
        });
        answer
    }

    /// Learns what came of it.
    pub(super) fn settle(&mut self, done: Result<Done, CommitError>) -> Result<Receipt, CommitError> {
        match done {
            Ok(done) => {
                self.state = State::Ready;
                (self.pos, self.seq, self.key_stored) = (done.pos, done.seq, true);
                Ok(Receipt {
                    session: self.session,
                    seq: done.seq,
                    pos: done.pos,
                    control_pos: done.control_pos,
                    intents: done.intents,
                    dispatch_before_ms: done.dispatch_before_ms,
                })
            }
            Err(error) => {
                self.state = match &error {
                    CommitError::Refused(_) => State::Ready,
                    CommitError::Fenced => State::Fenced,
                    CommitError::Unknown | CommitError::Poisoned => State::Lost,
                };
                // What was refused wrote no text either.
                self.principal = None;
                Err(error)
            }
        }
    }

    /// The reference to a principal, and its text where this writer has not written it yet.
    fn principal_of(&self, principal: &Arc<Principal>) -> (Digest, Option<String>) {
        if let Some((known, hash)) = &self.principal
            && (Arc::ptr_eq(known, principal) || known == principal)
        {
            return (*hash, None);
        }
        let value = serde_json::to_value(principal).expect("a principal has only text keys");
        let text = domain::canonical::to_string(&value);
        (Digest::of(text.as_bytes()), Some(text))
    }
}

/// Proof that a commit is durable. Made here and nowhere else; not to be copied.
#[derive(Debug)]
pub struct Receipt {
    session: SessionId,
    seq: Seq,
    pos: Pos,
    control_pos: Pos,
    intents: Vec<(CallId, u16)>,
    dispatch_before_ms: i64,
}

impl Receipt {
    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The record's number in it.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The record's position in its shard.
    pub fn pos(&self) -> Pos {
        self.pos
    }

    /// The control shard's position when it was committed: if it moved since a decision, the door decides again.
    pub fn control_pos(&self) -> Pos {
        self.control_pos
    }

    /// Whether the intent of this attempt at this call is in the record.
    pub fn holds(&self, call: CallId, attempt: u16) -> bool {
        self.intents.contains(&(call, attempt))
    }

    /// Until when this node may send what the record intends, in milliseconds of the clock's monotonic time: it
    /// surely owns the shard until then.
    pub fn dispatch_before_ms(&self) -> i64 {
        self.dispatch_before_ms
    }
}

/// The intents to send that a record holds.
pub(super) fn intents_of(events: &[Event]) -> Vec<(CallId, u16)> {
    let intents = events.iter().filter_map(|event| match event {
        Event::ModelRequested { intent, .. } | Event::CallRequested { intent, .. } => {
            Some((intent.call, intent.attempt))
        }
        Event::SessionStarted { .. }
        | Event::MessageReceived { .. }
        | Event::CapabilitiesOffered { .. }
        | Event::ModelAnswered { .. }
        | Event::CallAnswered { .. }
        | Event::CallRecorded { .. }
        | Event::CallRefused { .. }
        | Event::CallWaits { .. }
        | Event::ApprovalRequested { .. }
        | Event::ApprovalReminded { .. }
        | Event::ApprovalDecided { .. }
        | Event::ApprovalWithdrawn { .. }
        | Event::CallInDoubt { .. }
        | Event::CallResolved { .. }
        | Event::Suspended { .. }
        | Event::Finished { .. }
        | Event::Failed { .. }
        | Event::Killed { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::ClientSaid { .. }
        | Event::ClientCalled { .. }
        | Event::ClientTold { .. }
        | Event::Charged { .. } => None,
    });
    intents.collect()
}
