//! How it goes with each webhook and channel, for the lists: in memory, since the log and the store keep what must not be lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data::feed::Cursor;
use domain::clock::Timestamp;
use domain::id::Pos;
use serde::Serialize;

/// How it goes with one webhook or channel, since this server started.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Status {
    /// Up to where everything was taken, or is not wanted.
    #[serde(serialize_with = "printed")]
    pub(crate) position: Option<Cursor>,
    /// How many events were taken.
    pub(crate) taken: u64,
    /// When the last was.
    pub(crate) last_taken: Option<Timestamp>,
    /// How many tries in a row were in vain.
    pub(crate) failed: u32,
    /// What went wrong last, and when.
    pub(crate) last_error: Option<Problem>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
}

fn printed<S: serde::Serializer>(cursor: &Option<Cursor>, out: S) -> Result<S::Ok, S::Error> {
    cursor.as_ref().map(ToString::to_string).serialize(out)
}

/// The statuses of all, by where each was recorded.
#[derive(Debug, Default)]
pub(crate) struct Statuses(Mutex<BTreeMap<Pos, Status>>);

impl Statuses {
    /// One of them, as it is now.
    pub(crate) fn of(&self, pos: Pos) -> Status {
        self.lock().get(&pos).cloned().unwrap_or_default()
    }

    /// How many cannot be told at the moment, of those that are recorded there.
    pub(crate) fn failing(&self, which: impl Iterator<Item = Pos>) -> usize {
        let statuses = self.lock();
        which.filter(|pos| statuses.get(pos).is_some_and(|status| status.failed > 0)).count()
    }

    pub(super) fn change(&self, pos: Pos, change: impl FnOnce(&mut Status)) {
        change(self.lock().entry(pos).or_default());
    }

    pub(super) fn keep(&self, wanted: impl Fn(Pos) -> bool) {
        self.lock().retain(|pos, _| wanted(*pos));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Pos, Status>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
