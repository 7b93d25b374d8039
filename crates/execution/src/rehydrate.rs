//! From a chain of records to a session in memory, and back to nothing. It reads; it decides nothing.

use data::commit::{Loaded, Log, SessionWriter};
use data::error::DataError;
use data::record::Record;
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::SessionId;
use domain::mail::Start;
use domain::session::Session;

/// A session in memory, with the right to write it.
pub(crate) struct Awake {
    /// Its state.
    pub session: Session,
    /// Its pen.
    pub writer: SessionWriter,
}

impl Awake {
    /// Keeps a snapshot for the next commit, where it is time for one.
    fn keep_snapshot(&mut self, log: &Log) {
        if self.writer.snapshot_due() {
            let state = serde_json::to_vec(&self.session).expect("a session has only text keys and finite numbers");
            self.writer.keep_snapshot(log.sealer(), FOLD, &state);
        }
    }
}

/// The version of what events fold into: raised whenever the same records fold into another state, or the state is
/// written otherwise. Snapshots of another version are not read.
pub const FOLD: u32 = 6;

/// The state of a session that has records, from its snapshot and the records behind it. `None`: there is no such
/// session. A session that has grown since its snapshot has the next one with its next commit.
pub(crate) async fn rehydrate(log: &Log, id: SessionId) -> Result<Option<Awake>, DataError> {
    let Some(Loaded { mut writer, snapshot, mut records, .. }) = log.load_behind_snapshot(id, FOLD).await? else {
        return Ok(None);
    };
    let mut before = None;
    if let Some(snapshot) = snapshot {
        before = serde_json::from_slice(&snapshot).ok().filter(|session: &Session| session.id == id);
        if before.is_none() {
            tracing::warn!(session = %id, "a snapshot does not read as a session; all records are folded");
            let Some(whole) = log.load(id).await? else { return Ok(None) };
            (writer, records) = (whole.writer, whole.records);
        }
    }
    let Some(session) = fold_on(before, id, records) else { return Ok(None) };
    let mut awake = Awake { session, writer };
    awake.keep_snapshot(log);
    Ok(Some(awake))
}

/// The state that records fold into, oldest first; `None` if they do not begin a session, or were erased.
pub fn fold<H>(id: SessionId, records: Vec<Record<H>>) -> Option<Session> {
    fold_on(None, id, records)
}

fn fold_on<H>(mut session: Option<Session>, id: SessionId, records: Vec<Record<H>>) -> Option<Session> {
    for record in records {
        let at = record.envelope.at;
        for event in record.events.unwrap_or_default() {
            match &mut session {
                None => session = begin(id, &event, at),
                Some(session) => session.apply(&event, at),
            }
        }
    }
    session
}

pub(crate) fn begin(id: SessionId, event: &Event, at: Timestamp) -> Option<Session> {
    match event {
        Event::SessionStarted { principal, key, trace, case, partition, attached } => {
            let (principal, key, case, partition) = (principal.clone(), key.clone(), case.clone(), partition.clone());
            Some(Session::started(
                id,
                Start { principal, key, trace: *trace, case, partition, attached: *attached },
                at,
            ))
        }
        _ => None,
    }
}

/// The first event of a session that mail starts, and its state.
pub(crate) fn start(id: SessionId, start: &Start, at: Timestamp) -> (Event, Session) {
    let session = Session::started(id, start.clone(), at);
    let Start { principal, key, trace, case, partition, attached } = start.clone();
    (Event::SessionStarted { principal, key, trace, case, partition, attached }, session)
}
