//! The walk over everything: each record is read again, its leaf computed again, each signed root made again.

use std::collections::{BTreeMap, BTreeSet};

use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard};

use super::findings::{Findings, compare_heads, good_checkpoints, heads, not_checked};
use super::meaning::Meaning;
use super::tree::Range;
use super::{AuditReport, Checkpoint, Kept, ShardAudit, Verifier};
use crate::commit::{Log, unpacked};
use crate::error::DataError;
use crate::record::{CODEC_EVENTS, CODEC_PACKED_EVENTS, Envelope, leaf};
use crate::seal::SessionKey;
use crate::store::{LeafRow, RecordRow, StoreError, View};

/// How many records are read at once.
const PAGE: usize = 256;

/// How many records that cannot be read a walk steps over before it gives up on a shard.
const UNREADABLE: u64 = 10_000;

/// How many sessions' keys are kept open at once.
const KEYS: usize = 4096;

/// Reads the whole log again and says everything that is wrong with it. `Err` only if the store does not answer.
pub async fn verify(log: &Log, kept: &Kept, verifier: &Verifier) -> Result<AuditReport, DataError> {
    let mut shards: Vec<Shard> = (0..log.shards()).map(Shard).chain([Shard::CONTROL]).collect();
    shards.extend(kept.shards().into_iter().filter(|shard| shard.0 >= log.shards() && *shard != Shard::CONTROL));
    let mut all = Findings::default();
    let mut audits = Vec::new();
    let before = heads(log).await?;
    for shard in shards {
        let checkpoints = good_checkpoints(&mut all, kept.of(shard), verifier);
        let mut walk = Walk::new(log, shard, checkpoints, &mut all);
        let followed = log.store().cursor(View::Audit, shard).await?;
        walk.read_records().await?;
        walk.compare_leaves(followed).await?;
        audits.push(walk.finish());
    }
    compare_heads(&mut all, &before, &heads(log).await?);
    let not_checked = not_checked(&all, &audits);
    Ok(AuditReport {
        ok: all.problems.is_empty(),
        shards: audits,
        problems: all.problems,
        more_problems: all.more,
        not_checked,
        verifier: verifier.to_string(),
    })
}

/// A record as it is stored, its headers read.
struct Read {
    envelope: Envelope,
    body: Vec<u8>,
}

struct Walk<'a> {
    log: &'a Log,
    shard: Shard,
    all: &'a mut Findings,
    checkpoints: Vec<Checkpoint>,
    /// How many of the checkpoints were reached.
    reached: usize,
    tree: Range,
    leaves: BTreeMap<Pos, Digest>,
    records: u64,
    last: Option<(Pos, Epoch, Timestamp)>,
    meaning: Meaning,
    keys: BTreeMap<(SessionId, u32), Option<SessionKey>>,
    broken_keys: Vec<SessionId>,
    /// Principals whose texts were looked at.
    principals: BTreeSet<Digest>,
}

impl<'a> Walk<'a> {
    fn new(log: &'a Log, shard: Shard, checkpoints: Vec<Checkpoint>, all: &'a mut Findings) -> Self {
        Walk {
            log,
            shard,
            all,
            checkpoints,
            reached: 0,
            tree: Range::default(),
            leaves: BTreeMap::new(),
            records: 0,
            last: None,
            meaning: Meaning::default(),
            keys: BTreeMap::new(),
            broken_keys: Vec::new(),
            principals: BTreeSet::new(),
        }
    }

    fn wrong(&mut self, pos: Pos, session: Option<SessionId>, what: impl Into<String>) {
        self.all.add(self.shard, pos, session, what);
    }

    async fn read_records(&mut self) -> Result<(), DataError> {
        let (mut after, mut page, mut unreadable) = (Pos(0), PAGE, 0);
        loop {
            let rows = match self.log.store().tail(self.shard, after, page).await {
                Ok(rows) => rows,
                // One by one, to find out which.
                Err(StoreError::Corrupt { .. }) if page > 1 => {
                    page = 1;
                    continue;
                }
                Err(StoreError::Corrupt { why, .. }) if unreadable < UNREADABLE => {
                    unreadable += 1;
                    after = Pos(after.0 + 1);
                    self.wrong(after, None, format!("a record here cannot be read: {why}"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.envelope.pos;
            page = PAGE;
            for row in rows {
                self.record(row).await?;
            }
        }
    }

    async fn record(&mut self, row: RecordRow) -> Result<(), DataError> {
        let RecordRow { envelope, body } = row;
        let (pos, session) = (envelope.pos, envelope.session);
        let row = match envelope.read() {
            Ok(envelope) => Read { envelope, body },
            Err(why) => {
                self.wrong(pos, Some(session), format!("a record here cannot be read: {why}"));
                return Ok(());
            }
        };
        self.order(&row);
        self.chain(&row);
        let leaf = leaf(&row.envelope, Digest::of(&row.body));
        self.tree.push(leaf);
        self.leaves.insert(pos, leaf);
        self.records += 1;
        self.compare_signed(pos);
        self.principal(&row).await?;
        if self.shard == Shard::CONTROL {
            let aad = row.envelope.canonical();
            if self.log.sealer().open_own("control", session, aad.as_bytes(), &row.body).is_err() {
                self.wrong(pos, None, "it does not open with the store's key: it, or its envelope, was changed");
            }
            return Ok(());
        }
        let events = self.open(&row).await?;
        for what in self.meaning.check(&row.envelope, events.as_deref()) {
            self.wrong(pos, Some(session), what);
        }
        if row.envelope.headers.iter().any(|header| header.k == "killed") {
            self.meaning.forget(session);
        }
        Ok(())
    }

    /// The text that a record's principal refers to, once per principal.
    async fn principal(&mut self, row: &Read) -> Result<(), DataError> {
        let hash = row.envelope.principal;
        if self.principals.insert(hash) {
            let text = self.log.text(hash).await?;
            if text.is_none_or(|text| Digest::of(text.as_bytes()) != hash) {
                self.wrong(
                    row.envelope.pos,
                    Some(row.envelope.session),
                    "the text of its principal was changed or is missing",
                );
            }
        }
        Ok(())
    }

    fn order(&mut self, row: &Read) {
        let envelope = &row.envelope;
        let expected = Pos(self.last.map_or(0, |(pos, _, _)| pos.0) + 1);
        let (pos, session) = (envelope.pos, Some(envelope.session));
        if pos != expected {
            let gap = format!("{} records before it are missing", pos.0.saturating_sub(expected.0));
            self.wrong(pos, session, gap);
        }
        if envelope.shard != self.shard {
            self.wrong(pos, session, "its envelope is of another shard");
        } else if self.shard != Shard::CONTROL && self.log.shard_of(envelope.session) != self.shard {
            self.wrong(pos, session, "its session does not belong to this shard");
        }
        if let Some((_, epoch, at)) = self.last
            && (envelope.epoch < epoch || envelope.at < at)
        {
            self.wrong(pos, session, "its epoch or its time goes back");
        }
        self.last = Some((pos, envelope.epoch, envelope.at));
    }

    fn chain(&mut self, row: &Read) {
        let envelope = &row.envelope;
        let (pos, session) = (envelope.pos, envelope.session);
        let (prev, seq) = match self.all.ends.get(&session) {
            Some((_, prev, seq)) => (*prev, *seq),
            None => (Pos(0), Seq(0)),
        };
        if (envelope.prev, envelope.seq) != (prev, Seq(seq.0 + 1)) {
            let what = format!(
                "it is number {} of its session and follows position {}; number {} following position {prev} is due",
                envelope.seq.0,
                envelope.prev,
                seq.0 + 1
            );
            self.wrong(pos, Some(session), what);
        }
        self.all.ends.insert(session, (self.shard, pos, envelope.seq));
    }

    fn compare_signed(&mut self, pos: Pos) {
        while let Some(checkpoint) = self.checkpoints.get(self.reached)
            && checkpoint.size == self.tree.size()
        {
            self.reached += 1;
            if checkpoint.root != self.tree.root() {
                let what = format!("the first {} records are not those that were signed at {}", pos, checkpoint.at);
                self.wrong(pos, None, what);
            }
        }
    }

    /// The events of a record, where its key was not dropped and it opens.
    async fn open(&mut self, row: &Read) -> Result<Option<Vec<Event>>, DataError> {
        let envelope = &row.envelope;
        let (pos, session, at) = (envelope.pos, envelope.session, (envelope.session, envelope.key));
        self.load_keys(session, pos).await?;
        let opened = match self.keys.get(&at) {
            Some(Some(key)) => key.open("record", envelope.canonical().as_bytes(), &row.body),
            // Dropped on purpose: the envelope and the tree are what is left.
            Some(None) => {
                self.all.erased += 1;
                return Ok(None);
            }
            None => {
                self.wrong(pos, Some(session), format!("key {} that sealed it was never there", envelope.key));
                return Ok(None);
            }
        };
        let Ok(plain) = opened else {
            self.wrong(
                pos,
                Some(session),
                "its body does not open with its session's key: it, or its envelope, was changed",
            );
            return Ok(None);
        };
        if ![CODEC_EVENTS, CODEC_PACKED_EVENTS].contains(&envelope.codec) {
            self.wrong(pos, Some(session), format!("its codec {} is unknown", envelope.codec));
            return Ok(None);
        }
        let Ok(plain) = unpacked(envelope, plain) else {
            self.wrong(pos, Some(session), "its packed body does not unpack");
            return Ok(None);
        };
        match serde_json::from_slice(&plain) {
            Ok(events) => Ok(Some(events)),
            Err(error) => {
                self.wrong(
                    pos,
                    Some(session),
                    format!("its body holds something that this Ostler cannot read: {error}"),
                );
                Ok(None)
            }
        }
    }

    async fn load_keys(&mut self, session: SessionId, pos: Pos) -> Result<(), DataError> {
        if self.keys.range((session, 0)..=(session, u32::MAX)).next().is_some() || self.broken_keys.contains(&session) {
            return Ok(());
        }
        if self.keys.len() >= KEYS {
            self.keys.clear();
        }
        for row in self.log.store().keys(&[session]).await? {
            match self.log.sealer().unwrap(&row) {
                Ok(key) => {
                    self.keys.insert((session, row.generation), key);
                }
                Err(error) => {
                    self.broken_keys.push(session);
                    self.wrong(pos, Some(session), error.to_string());
                }
            }
        }
        Ok(())
    }

    /// The leaves that the tail had written, up to a position, when the records were new.
    async fn compare_leaves(&mut self, followed: Pos) -> Result<(), DataError> {
        let mut after = Pos(0);
        loop {
            let page = self.log.store().leaves(self.shard, after, PAGE * 16).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.pos;
            for LeafRow { pos, hash, .. } in page.into_iter().filter(|leaf| leaf.pos <= followed) {
                match self.leaves.get(&pos) {
                    Some(leaf) if *leaf == hash => {}
                    Some(_) => self.wrong(pos, None, "the record is not the one that was there when it was new"),
                    None => self.wrong(pos, None, "the record that was there when it was new is missing"),
                }
            }
        }
    }

    fn finish(mut self) -> ShardAudit {
        for checkpoint in self.checkpoints.split_off(self.reached) {
            let what =
                format!("{} records were signed at {} and {} are there", checkpoint.size, checkpoint.at, self.records);
            self.wrong(Pos(checkpoint.size), None, what);
        }
        self.all.unread += self.meaning.unread;
        ShardAudit {
            shard: self.shard,
            records: self.records,
            root: self.tree.root(),
            checkpoints: self.checkpoints.len() as u64,
            signed_to: Pos(self.checkpoints.last().map_or(0, |checkpoint| checkpoint.size)),
        }
    }
}
