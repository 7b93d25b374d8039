//! Simulated time: tokio's own paused time, which jumps to the next timer as soon as nothing else can be done, carried
//! over from one life of the node to the next. Randomness comes from the seed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::clock::{Clock, Timestamp};
use tokio::time::Instant;

use crate::chance::Chance;

/// When every simulation begins: 2026-11-22T07:50:00Z, ten minutes before an hour's end.
const BEGINNING: i64 = 1_795_333_800_000;

/// The clock of a simulated world.
#[derive(Debug)]
pub struct SimClock {
    lived_ms: AtomicI64,
    /// By how much the time of day was set ahead.
    off_ms: AtomicI64,
    life: Mutex<Option<Instant>>,
    chance: Chance,
}

impl SimClock {
    /// A clock at the beginning.
    pub fn new(seed: u64) -> Self {
        SimClock {
            lived_ms: AtomicI64::new(0),
            off_ms: AtomicI64::new(0),
            life: Mutex::default(),
            chance: Chance::new(seed, "clock"),
        }
    }

    /// A runtime whose time is paused begins to count.
    pub(crate) fn begin_life(&self) {
        // The deadline of no time at all is now.
        let now = tokio::time::sleep(Duration::ZERO).deadline();
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// That runtime ends; its time is kept.
    pub(crate) fn end_life(&self) {
        let lived = self.this_life_ms();
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.lived_ms.fetch_add(lived, Ordering::SeqCst);
    }

    /// The time of day jumps ahead, as when a machine slept; nothing else notices.
    pub fn skip(&self, time: Duration) {
        self.off_ms.fetch_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// The time of day is set back.
    pub fn set_back(&self, time: Duration) {
        self.off_ms.fetch_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    fn this_life_ms(&self) -> i64 {
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.map_or(0, |began| i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(BEGINNING).plus_ms(self.off_ms.load(Ordering::SeqCst)).plus_ms(self.monotonic_ms())
    }

    fn monotonic_ms(&self) -> i64 {
        self.lived_ms.load(Ordering::SeqCst).saturating_add(self.this_life_ms())
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.chance.bits().to_be_bytes()[..chunk.len()]);
        }
    }
}
