//! Somebody who reads the log from outside after every commit, record by record, and keeps what it comes to: whatever
//! must hold at every moment is looked at at every moment. Reads only, from the store below the faulty one.

use std::collections::{BTreeMap, BTreeSet};

use data::commit::{Log, Past};
use data::explain::Explanation;
use data::record::Record;
use domain::clock::Timestamp;
use domain::control::{ControlEvent, Kind};
use domain::event::Event;
use domain::id::{CallId, Epoch, Pos, Seq, SessionId, Shard};
use domain::session::{Phase, Session};
use tokio::sync::Mutex;

use crate::books;
use crate::invariant::consent::{self, Revisions};
use crate::invariant::tale::{self, Tale};
use crate::invariant::{delegation, inbox};
use crate::watch::Watch;

/// The shard of all sessions: the simulated store has one.
const SHARD: Shard = Shard(0);
/// How many things are looked at after each commit, beside those of each session that it is of.
const OF_ALL: u64 = 5;
/// And of each session.
const OF_EACH: u64 = 9;

/// What the log came to so far.
pub struct Chronicle {
    log: Log,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    pos: Pos,
    at: Option<Timestamp>,
    epoch: Option<Epoch>,
    control: Pos,
    revisions: Revisions,
    tales: Vec<Tale>,
    explained: BTreeSet<CallId>,
    steps: u64,
    wrong: Vec<String>,
}

impl Chronicle {
    /// Of a log, from its start.
    pub(crate) fn new(log: Log) -> Self {
        Chronicle { log, told: Mutex::default() }
    }

    /// Reads on. What goes before its first answer comes is looked at before anything else can happen.
    pub(crate) async fn follow(&self, watch: &Watch) {
        let mut told = self.told.lock().await;
        let records = match self.log.tail_opened(SHARD, told.pos, usize::MAX >> 1).await {
            Ok(records) => records,
            Err(error) => return told.wrong.push(format!("the log cannot be read: {error}")),
        };
        if records.is_empty() {
            return;
        }
        told.steps += 1;
        told.revise(&self.log).await;
        let touched: BTreeSet<SessionId> = records.iter().map(|record| record.envelope.session).collect();
        records.into_iter().for_each(|record| told.take(record));
        for session in touched {
            told.look_at(session, &self.log, watch).await;
        }
        told.look_at_all(&self.log, watch).await;
    }

    /// What was wrong at any moment.
    pub(crate) async fn wrong(&self) -> Vec<String> {
        self.told.lock().await.wrong.clone()
    }

    /// How many commits it has followed.
    pub(crate) async fn steps(&self) -> u64 {
        self.told.lock().await.steps
    }

    /// Where what was followed differs from what is folded from the first record.
    pub(crate) async fn differs(&self, tales: &[Tale]) -> Vec<String> {
        let told = self.told.lock().await;
        let known: BTreeMap<SessionId, &Tale> = told.tales.iter().map(|tale| (tale.id, tale)).collect();
        let differs = |tale: &&Tale| known.get(&tale.id).is_none_or(|known| known.session != tale.session);
        tales
            .iter()
            .filter(differs)
            .map(|tale| format!("{} folds into something else from its start", tale.id))
            .collect()
    }

    /// Where a snapshot and the records behind it come to something else than all records; and how many there are.
    pub(crate) async fn snapshots(&self, tales: &[Tale]) -> (Vec<String>, u64) {
        let (mut wrong, mut found) = (Vec::new(), 0);
        for tale in tales {
            let Ok(Some(loaded)) = self.log.load_behind_snapshot(tale.id, execution::FOLD).await else { continue };
            let Some(snapshot) = loaded.snapshot else { continue };
            found += 1;
            let Ok(mut session) = serde_json::from_slice::<Session>(&snapshot) else {
                wrong.push(format!("{}: its snapshot does not read", tale.id));
                continue;
            };
            for record in loaded.records {
                record.events.iter().flatten().for_each(|event| session.apply(event, record.envelope.at));
            }
            if session != tale.session {
                wrong.push(format!("{}: its snapshot comes to something else than its records", tale.id));
            }
        }
        (wrong, found)
    }
}

impl Told {
    /// Notes which revisions are in force since when.
    async fn revise(&mut self, log: &Log) {
        for record in log.control_since(self.control).await.unwrap_or_default() {
            self.control = record.pos;
            if let ControlEvent::Applied { resources, .. } = record.event {
                for applied in resources.into_iter().filter(|applied| applied.kind == Kind::Agent) {
                    self.revisions.entry(applied.name).or_default().push((record.pos, applied.revision));
                }
            }
        }
    }

    /// One more record: the next of its shard and of its session.
    fn take(&mut self, record: Record) {
        let envelope = &record.envelope;
        let (id, pos) = (envelope.session, envelope.pos);
        let found = self.tales.iter().position(|tale| tale.id == id);
        let (seq, prev) = found.map_or((Seq(0), Pos(0)), |at| (self.tales[at].past.seq, self.tales[at].past.pos));
        let next = [
            ("position", pos == Pos(self.pos.0 + 1)),
            ("time", self.at.is_none_or(|at| envelope.at >= at)),
            ("epoch", self.epoch.is_none_or(|epoch| envelope.epoch >= epoch)),
            ("number", envelope.seq == Seq(seq.0 + 1)),
            ("link", envelope.prev == prev),
        ];
        for (what, _) in next.iter().filter(|(_, fits)| !fits) {
            self.wrong.push(format!("{id}: the record at {pos} has a {what} that does not follow"));
        }
        (self.pos, self.at, self.epoch) = (pos, Some(envelope.at), Some(envelope.epoch));
        match found {
            None => self.begin(record),
            Some(at) => self.tales[at].go_on(record, &mut self.wrong),
        }
    }

    fn begin(&mut self, record: Record) {
        let id = record.envelope.session;
        let Some(session) = execution::fold(id, vec![record.clone()]) else {
            return self.wrong.push(format!("{id} does not begin"));
        };
        let envelope = &record.envelope;
        let head = data::rows::Head {
            agent: session.principal.link.agent.clone(),
            revision: session.principal.link.revision,
            key: session.key.clone(),
            phase: session.phase,
            since: session.since,
            waits_on: String::new(),
            scripted: session.scripted,
            mode: session.principal.mode(),
            partition: None,
        };
        let (shard, pos, seq, trace) = (envelope.shard, envelope.pos, envelope.seq, envelope.trace);
        self.tales.push(Tale { id, past: Past { head, shard, pos, seq, trace, records: vec![record] }, session });
    }

    /// What must hold of one session that has just committed.
    async fn look_at(&mut self, session: SessionId, log: &Log, watch: &Watch) {
        let Some(tale) = self.tales.iter_mut().find(|tale| tale.id == session) else { return };
        match log.head(session).await {
            Ok(Some((head, pos))) if pos == tale.past.pos => tale.past.head = head,
            other => self.wrong.push(format!("{session}: its head is {other:?}, and it is at {}", tale.past.pos)),
        }
        let mut wrong = tale::head(tale);
        wrong.extend(tale::mail(tale));
        wrong.extend(tale::outcomes(watch, tale));
        wrong.extend(tale::strangers(tale));
        wrong.extend(consent::of(tale, &self.revisions));
        self.wrong.extend(wrong.into_iter().map(|what| format!("{session}: {what}")));
        watch.checked(OF_EACH);
    }

    /// What must hold of all of them together.
    async fn look_at_all(&mut self, log: &Log, watch: &Watch) {
        self.wrong.extend(inbox(log, &self.tales).await);
        self.wrong.extend(books::compare(log, &self.tales).await);
        self.wrong.extend(side_by_side(&self.tales));
        for call in watch.all_done() {
            if self.explained.insert(call) {
                self.wrong.extend(unexplained(call, &self.tales));
            }
        }
        watch.checked(OF_ALL);
    }
}

/// Partitions of which two sessions are in progress at once.
fn side_by_side(tales: &[Tale]) -> Vec<String> {
    let mut busy: BTreeMap<&str, SessionId> = BTreeMap::new();
    let mut wrong = Vec::new();
    for tale in tales {
        let Some(partition) = &tale.session.partition else { continue };
        if matches!(tale.session.phase, Phase::Ready | Phase::Running | Phase::Suspended)
            && let Some(other) = busy.insert(partition, tale.id)
        {
            wrong.push(format!("{other} and {} of partition {partition} are in progress at once", tale.id));
        }
    }
    wrong
}

/// Why an effect does not lead back to what somebody asked, if it does not.
pub(crate) fn unexplained(call: CallId, tales: &[Tale]) -> Option<String> {
    let tale = tales.iter().find(|tale| tale.id == call.session);
    match tale.and_then(|tale| Explanation::of(call, &tale.past.records, "")) {
        None => Some(format!("{call} was done, and nothing explains it")),
        Some(told) if !told.resolved => Some(format!("{call} is not explained: {:?}", told.missing)),
        Some(_) => tale.and_then(|tale| delegation::rootless(tale, tales)),
    }
}

impl Tale {
    fn go_on(&mut self, record: Record, wrong: &mut Vec<String>) {
        for event in record.events.iter().flatten() {
            if self.events().any(|before| matches!(before, Event::Killed { .. })) {
                wrong.push(format!("{}: {} after it was killed", self.id, event.kind()));
            }
            self.session.apply(event, record.envelope.at);
        }
        (self.past.pos, self.past.seq) = (record.envelope.pos, record.envelope.seq);
        self.past.records.push(record);
    }
}
