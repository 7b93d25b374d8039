//! Reading through the log: records are unsealed here, and an event that is not known is an error that names it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Digest, Epoch, Name, Pos, Seq, SessionId, Shard, TraceId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec;
use crate::commit::group::memory_aad;
use crate::commit::{Loaded, Log, RECORD_BYTES, SessionWriter, snapshot};
use crate::error::DataError;
use crate::record::{CODEC_EVENTS, CODEC_PACKED_EVENTS, Envelope, Record, Unread, leaf_of};
use crate::rows::{Head, InboxItem, MemoryItem};
use crate::seal::{Sealer, SessionKey};
use crate::store::{
    Claim, Forget, HeadFilter, HeadRow, History, HistoryFrom, KeyRow, MemoryRow, PhaseCount, RecordRow, SnapshotRow,
};

/// The newest version of any event that this build knows.
const EVENT_VERSION: u16 = 1;

/// A session's past, to look at.
#[derive(Debug)]
pub struct Past {
    /// Its head.
    pub head: Head,
    /// Its shard.
    pub shard: Shard,
    /// Its last record's position.
    pub pos: Pos,
    /// That record's number.
    pub seq: Seq,
    /// Its trace.
    pub trace: TraceId,
    /// Its records, oldest first.
    pub records: Vec<Record>,
}

/// A record as views follow it: closed, with the hash of its sealed body.
#[derive(Debug, Clone, PartialEq)]
pub struct Tailed {
    /// What stays readable.
    pub envelope: Envelope,
    /// Of the sealed body.
    pub body_hash: Digest,
    /// Its leaf of the audit tree.
    pub leaf: Digest,
}

/// A node's right to a shard at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right(Epoch);

type Keys = BTreeMap<(SessionId, u32), Arc<SessionKey>>;

/// A record's envelope, with its events as values, where they can be had.
pub(crate) type Valued = (Envelope, Result<Option<Vec<Value>>, DataError>);

impl Log {
    /// Loads a session to go on with it; `None` if it has no records, [`DataError::Erased`] if they were erased. There
    /// is one writer of a session at a time: whoever loads it anew lets go of the one before.
    pub async fn load(&self, session: SessionId) -> Result<Option<Loaded>, DataError> {
        self.load_from(session, HistoryFrom::Start).await
    }

    /// The same, with the session's snapshot by this version of the fold and the records behind it. Without one that
    /// can be read, with all records.
    pub async fn load_behind_snapshot(&self, session: SessionId, fold: u32) -> Result<Option<Loaded>, DataError> {
        self.load_from(session, HistoryFrom::Snapshot { fold }).await
    }

    async fn load_from(&self, session: SessionId, from: HistoryFrom) -> Result<Option<Loaded>, DataError> {
        if session == SessionId::CONTROL {
            return Ok(None);
        }
        self.shared().flights.landed(session).await;
        let shard = self.shard_of(session);
        let epoch = self.own(shard).await?;
        let Some(found) = self.store().history(session, shard, from).await? else { return Ok(None) };
        let mut keys = unwrap_all(self.sealer(), &found.keys)?;
        let snapshot = found.snapshot.as_ref().and_then(|row| usable(&keys, row, &found));
        if found.snapshot.is_some() && snapshot.is_none() {
            return Box::pin(self.load_from(session, HistoryFrom::Start)).await;
        }
        let (begins, snapshot_seq) =
            found.snapshot.as_ref().map_or_else(Default::default, |row| ((row.seq, row.pos), row.seq));
        check_chain(session, &found.head, begins, &found.records)?;
        let records = found.records.into_iter().map(|row| open(&keys, row)).collect::<Result<_, _>>()?;
        let Some((_, key)) = keys.pop_last() else { return Err(DataError::Erased { session }) };
        let HeadRow { head, pos, seq, .. } = found.head;
        let writer = SessionWriter::new(session, shard, epoch, key).resume(pos, seq, snapshot_seq);
        let writer = writer.with_snapshots_from(self.snapshots_from());
        Ok(Some(Loaded { writer, head, snapshot, records }))
    }

    /// This node's right to a session's shard as it is now.
    pub fn right(&self, session: SessionId) -> Right {
        let held = self.shared().leases.get(self.shard_of(session));
        Right(held.map_or(Epoch(0), |held| held.lease.epoch))
    }

    /// A writer for a session that has no records yet, as [`Log::load`] has said since the right was asked for: had the
    /// shard been in other hands meanwhile, a later right would let two chains begin.
    pub fn begin_under(&self, right: Right, session: SessionId) -> SessionWriter {
        let shard = self.shard_of(session);
        let key = Arc::new(self.sealer().new_key(session, 1));
        SessionWriter::new(session, shard, right.0, key).with_snapshots_from(self.snapshots_from())
    }

    /// The same, under the right of now: for a session that nobody else can know of.
    pub fn begin(&self, session: SessionId) -> SessionWriter {
        self.begin_under(self.right(session), session)
    }

    /// A session's past, to look at; `None` if it has none.
    pub async fn past(&self, session: SessionId) -> Result<Option<Past>, DataError> {
        let shard = self.shard_of(session);
        let Some(found) = self.store().history(session, shard, HistoryFrom::Start).await? else { return Ok(None) };
        check_chain(session, &found.head, Default::default(), &found.records)?;
        let keys = unwrap_all(self.sealer(), &found.keys)?;
        let records = found.records.into_iter().map(|row| open_read(&keys, row)).collect::<Result<_, _>>()?;
        let HeadRow { head, pos, seq, trace, .. } = found.head;
        Ok(Some(Past { head, shard, pos, seq, trace, records }))
    }

    /// A shard's records after a position, closed, in order.
    pub async fn tail(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<Tailed>, DataError> {
        let rows = self.store().tail(shard, after, limit).await?;
        let tailed = |row: RecordRow| {
            let body_hash = Digest::of(&row.body);
            let leaf = leaf_of(&row.envelope.canonical_as_stored()?, body_hash);
            Ok(Tailed { body_hash, leaf, envelope: row.envelope.read()? })
        };
        rows.into_iter().map(tailed).collect()
    }

    /// A shard's records after a position, opened, in order. Not for the control shard.
    pub async fn tail_opened(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<Record>, DataError> {
        let rows = self.store().tail(shard, after, limit).await?;
        let mut sessions: Vec<_> = rows.iter().map(|row| row.envelope.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let keys = self.keys(&sessions).await?;
        rows.into_iter().map(|row| open_read(&keys, row)).collect()
    }

    /// A shard's records after a position, in order, each with its events as values: `None` where they were erased, an
    /// error where this build cannot read them.
    pub(crate) async fn tail_values(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<Valued>, DataError> {
        let rows = self.store().tail(shard, after, limit).await?;
        let mut sessions: Vec<_> = rows.iter().map(|row| row.envelope.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let keys = if shard == Shard::CONTROL { Ok(Keys::new()) } else { self.keys(&sessions).await };
        let values = |row: RecordRow| {
            let envelope = row.envelope.clone().read()?;
            let events = match &keys {
                Ok(_) if shard == Shard::CONTROL => self.open_control(&row).map(|events| Some(values_of(&events))),
                Ok(keys) => open(keys, row).map(|record| record.events.as_deref().map(values_of)),
                Err(error) => Err(error.clone()),
            };
            Ok((envelope, events))
        };
        rows.into_iter().map(values).collect()
    }

    /// Heads of sessions with their last positions, the latest change first.
    pub async fn heads(&self, filter: HeadFilter) -> Result<Vec<(SessionId, Head, Pos)>, DataError> {
        let rows = self.store().heads(&filter).await?;
        Ok(rows.into_iter().map(|row| (row.session, row.head, row.pos)).collect())
    }

    /// A session's head and last position.
    pub async fn head(&self, session: SessionId) -> Result<Option<(Head, Pos)>, DataError> {
        let filter = HeadFilter { session: Some(session), ..HeadFilter::default() };
        Ok(self.heads(filter).await?.pop().map(|(_, head, pos)| (head, pos)))
    }

    /// How many sessions of each agent are in each phase.
    pub async fn counts(&self) -> Result<Vec<PhaseCount>, DataError> {
        Ok(self.store().counts().await?)
    }

    /// Copies the store into a file that does not exist yet, while it goes on; answers its bytes. The file is one of
    /// the embedded engine's.
    pub async fn backup_to(&self, to: &Path) -> Result<u64, DataError> {
        Ok(self.store().backup_to(to).await?)
    }

    /// A shared text.
    pub async fn text(&self, hash: Digest) -> Result<Option<String>, DataError> {
        Ok(self.store().text(hash).await?)
    }

    /// All that waits for people, oldest first.
    pub async fn inbox(&self) -> Result<Vec<InboxItem>, DataError> {
        Ok(self.store().inbox().await?)
    }

    /// What an agent remembers and may still recall at `now`, the latest first.
    pub async fn recall(&self, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryItem>, DataError> {
        let rows = self.store().recall(agent, now, limit).await?;
        let mut sessions: Vec<_> = rows.iter().map(|row| row.id.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let keys = self.keys(&sessions).await?;
        let opened = rows.into_iter().filter_map(|row| open_memory(&keys, row).transpose());
        opened.collect()
    }

    /// Forgets, for good, what agents remember and whose retention has ended; answers how many items went.
    pub async fn forget_expired(&self, now: Timestamp) -> Result<u64, DataError> {
        Ok(self.store().forget(Forget::Expired { now }).await?)
    }

    /// Erases what was said in a session, for good: its keys, waiting mail and memory go; the envelopes stay and the
    /// audit tree still verifies. A session that still runs keeps its key in memory: end it first.
    pub async fn erase(&self, session: SessionId) -> Result<(), DataError> {
        self.shared().flights.landed(session).await;
        self.store().forget(Forget::Session { session, shard: self.shard_of(session) }).await?;
        Ok(())
    }

    /// The epoch under which this node owns a shard, taken now if it can be. Without it the session can be looked
    /// at, and its first commit is fenced.
    async fn own(&self, shard: Shard) -> Result<Epoch, DataError> {
        if let Some(held) = self.shared().leases.get(shard) {
            return Ok(held.lease.epoch);
        }
        let claim = Claim { node: self.shared().node.clone(), shards: Some(vec![shard]) };
        let claimed = self.store().claim(claim).await?;
        self.shared().take_holdings(&claimed.leases).await?;
        Ok(claimed.leases.first().map_or(Epoch(0), |lease| self.shared().leases.take_newest(*lease)))
    }

    /// The keys of these sessions that were not dropped.
    async fn keys(&self, sessions: &[SessionId]) -> Result<Keys, DataError> {
        unwrap_all(self.sealer(), &self.store().keys(sessions).await?)
    }
}

fn unwrap_all(sealer: &Sealer, rows: &[KeyRow]) -> Result<Keys, DataError> {
    let mut keys = Keys::new();
    for row in rows {
        if let Some(key) = sealer.unwrap(row)? {
            keys.insert((row.session, row.generation), Arc::new(key));
        }
    }
    Ok(keys)
}

/// The state that a snapshot holds, if it opens and the records go on from it.
fn usable(keys: &Keys, row: &SnapshotRow, found: &History) -> Option<Vec<u8>> {
    let goes_on = match found.records.first() {
        Some(next) => (next.envelope.seq.0, next.envelope.prev) == (row.seq.0 + 1, row.pos),
        None => (found.head.seq, found.head.pos) == (row.seq, row.pos),
    };
    keys.get(&(row.session, row.key)).filter(|_| goes_on).and_then(|key| snapshot::open(key, row))
}

/// Dense numbers, each pointing at the one before, from where they begin up to where the head points.
fn check_chain(session: SessionId, head: &HeadRow, begins: (Seq, Pos), records: &[RecordRow]) -> Result<(), DataError> {
    let (mut seq, mut prev) = begins;
    for RecordRow { envelope, .. } in records {
        if (envelope.session, envelope.seq, envelope.prev) != (session, Seq(seq.0 + 1), prev) {
            let why = format!("the record at position {} does not follow record {}", envelope.pos, seq.0);
            return Err(DataError::Damaged { session, why });
        }
        (seq, prev) = (envelope.seq, envelope.pos);
    }
    if (head.seq, head.pos) != (seq, prev) {
        let why = format!("its head is at record {} and its chain ends at record {}", head.seq.0, seq.0);
        return Err(DataError::Damaged { session, why });
    }
    Ok(())
}

/// A record, opened, its headers read.
fn open_read(keys: &Keys, row: RecordRow) -> Result<Record, DataError> {
    let Record { envelope, events } = open(keys, row)?;
    Ok(Record { envelope: envelope.read()?, events })
}

fn open(keys: &Keys, row: RecordRow) -> Result<Record<Unread>, DataError> {
    let canonical = row.envelope.canonical_as_stored()?;
    let RecordRow { envelope, body } = row;
    let codec = || format!("codec {}", envelope.codec);
    if ![CODEC_EVENTS, CODEC_PACKED_EVENTS].contains(&envelope.codec) {
        return Err(unreadable(&envelope, codec(), "unknown codec".to_owned()));
    }
    check_versions(&envelope)?;
    let events = match keys.get(&(envelope.session, envelope.key)) {
        None => None,
        Some(key) => {
            let plain = key.open_owned("record", canonical.as_bytes(), body)?;
            Some(parse::<Event, _>(&envelope, &unpacked(&envelope, plain)?)?)
        }
    };
    Ok(Record { envelope, events })
}

/// Refuses events of a version that this build does not know.
fn check_versions(envelope: &Envelope<Unread>) -> Result<(), DataError> {
    #[derive(Deserialize)]
    struct Version<'a> {
        #[serde(borrow)]
        k: Cow<'a, str>,
        v: u16,
    }
    let damaged = |why| DataError::Damaged { session: envelope.session, why };
    let headers: Vec<Version<'_>> = envelope.headers.read().map_err(damaged)?;
    match headers.into_iter().find(|header| header.v > EVENT_VERSION) {
        Some(newer) => Err(unreadable(envelope, newer.k.into_owned(), format!("version {}", newer.v))),
        None => Ok(()),
    }
}

/// The body as it was before it was packed, if it was.
pub(crate) fn unpacked<H>(envelope: &Envelope<H>, plain: Vec<u8>) -> Result<Vec<u8>, DataError> {
    if envelope.codec != CODEC_PACKED_EVENTS {
        return Ok(plain);
    }
    let broken = || unreadable(envelope, "a packed body".to_owned(), "it does not unpack".to_owned());
    codec::unpack(&plain, RECORD_BYTES).ok_or_else(broken)
}

/// Events from a body. The quick way first; where it fails, the event that this build does not know is named.
pub(super) fn parse<T: DeserializeOwned, H>(envelope: &Envelope<H>, plain: &[u8]) -> Result<Vec<T>, DataError> {
    let whole = match serde_json::from_slice(plain) {
        Ok(events) => return Ok(events),
        Err(error) => error,
    };
    for value in serde_json::from_slice::<Vec<Value>>(plain).unwrap_or_default() {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or("an event without a kind").to_owned();
        if let Err(error) = serde_json::from_value::<T>(value) {
            return Err(unreadable(envelope, kind, error.to_string()));
        }
    }
    Err(unreadable(envelope, "a body that is no list of events".to_owned(), whole.to_string()))
}

pub(super) fn unreadable<H>(envelope: &Envelope<H>, kind: String, why: String) -> DataError {
    DataError::UnknownEvent { kind, shard: envelope.shard, pos: envelope.pos, why }
}

fn values_of<T: serde::Serialize>(events: &[T]) -> Vec<Value> {
    let plain = |event| serde_json::to_value(event).expect("an event has only text keys and finite numbers");
    events.iter().map(plain).collect()
}

fn open_memory(keys: &Keys, row: MemoryRow) -> Result<Option<MemoryItem>, DataError> {
    let Some(key) = keys.get(&(row.id.session, row.generation)) else { return Ok(None) };
    let plain = key.open("memory", memory_aad(&row.agent, row.id).as_bytes(), &row.text)?;
    let damaged = |_| DataError::Damaged { session: row.id.session, why: "a memory is not text".to_owned() };
    let text = String::from_utf8(plain).map_err(damaged)?;
    Ok(Some(MemoryItem { agent: row.agent, id: row.id, text, at: row.at, expires: row.expires }))
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::event::Event;
    use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
    use domain::principal::Mode;

    use super::{DataError, Envelope, parse};

    fn envelope() -> Envelope {
        Envelope {
            shard: Shard(3),
            pos: Pos(8),
            session: SessionId::from_u128(1),
            seq: Seq(1),
            prev: Pos(0),
            epoch: Epoch(1),
            at: Timestamp(0),
            principal: Digest::of(b"p"),
            trace: TraceId(1),
            span: SpanId(1),
            parent: None,
            cause: String::new(),
            control_pos: Pos(0),
            mode: Mode::Live,
            synthetic: false,
            key: 1,
            codec: 1,
            headers: Vec::new(),
        }
    }

    fn unknown(body: &str) -> String {
        match parse::<Event, _>(&envelope(), body.as_bytes()).unwrap_err() {
            DataError::UnknownEvent { kind, shard: Shard(3), pos: Pos(8), .. } => kind,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_unknown_event_is_named_and_nothing_is_left_out() {
        let known = r#"{"kind":"finished","compute_ms":1}"#;
        assert_eq!(parse::<Event, _>(&envelope(), format!("[{known}]").as_bytes()).unwrap().len(), 1);
        assert_eq!(unknown(&format!(r#"[{known},{{"kind":"levitated","height":3}}]"#)), "levitated");
        assert_eq!(unknown(r#"[{"kind":"finished"}]"#), "finished");
        assert_eq!(unknown(r#"[{"height":3}]"#), "an event without a kind");
        assert_eq!(unknown("rubbish"), "a body that is no list of events");
    }
}
