//! Whether the store takes what is to be written, and which sessions wait until it does. It must not know what they
//! write.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::clock::{Clock, Timestamp};
use domain::id::{Epoch, SessionId, Shard};

use crate::commit::concurrent::{Mutex, MutexGuard};
use crate::commit::{Log, Shared};
use crate::store::StoreError;

/// After how long without a refusal the store is asked again where nobody waits to write, in milliseconds.
const ASK_AGAIN_MS: i64 = 1_000;

/// That the store refuses what is to be written: there is no room for it, or it does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Since when.
    pub since: Timestamp,
    /// What the store said last.
    pub why: String,
    /// The sessions that hold what they did in memory, and wait.
    pub sessions: BTreeSet<SessionId>,
}

#[derive(Debug)]
struct Refused {
    since: Timestamp,
    last_ms: i64,
    why: String,
}

#[derive(Debug, Default)]
struct State {
    refused: Option<Refused>,
    waiting: BTreeSet<SessionId>,
}

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Outages {
    state: Mutex<State>,
    refusals: AtomicU64,
}

impl Outages {
    /// What a write came to: nobody who waits has been served by another's success.
    pub(super) fn saw<T>(&self, clock: &dyn Clock, written: &Result<T, StoreError>) {
        match written {
            Ok(_) => {
                let mut state = self.lock();
                if state.waiting.is_empty() {
                    state.refused = None;
                }
            }
            // Whether it happened is found out otherwise.
            Err(StoreError::Unknown(_)) => {}
            Err(error) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
                let (why, last_ms) = (error.to_string(), clock.monotonic_ms());
                let mut state = self.lock();
                let since = state.refused.as_ref().map_or_else(|| clock.now(), |refused| refused.since);
                state.refused = Some(Refused { since, last_ms, why });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that waits for the store; it waits no more once this is dropped.
pub struct Waits {
    log: Log,
    session: SessionId,
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut state = self.log.shared().outages.lock();
        state.waiting.remove(&self.session);
        if state.waiting.is_empty() {
            state.refused = None;
        }
    }
}

impl Log {
    /// Whether the store refuses what is to be written now.
    pub fn outage(&self) -> Option<Outage> {
        let state = self.shared().outages.lock();
        let of = |refused: &Refused| Outage {
            since: refused.since,
            why: refused.why.clone(),
            sessions: state.waiting.clone(),
        };
        state.refused.as_ref().map(of)
    }

    /// The same, after another try where nobody else makes one.
    pub async fn outage_still(&self) -> Option<Outage> {
        let shared = self.shared();
        let asks = {
            let state = shared.outages.lock();
            let quiet = |refused: &Refused| shared.clock.monotonic_ms() - refused.last_ms >= ASK_AGAIN_MS;
            state.waiting.is_empty() && state.refused.as_ref().is_some_and(quiet)
        };
        if asks {
            let held = shared.leases.held();
            let held: Vec<(Shard, Epoch)> = held.iter().map(|lease| (lease.shard, lease.epoch)).collect();
            // To renew what is held anyway is the smallest write there is.
            shared.saw(&shared.store.renew(held).await);
        }
        self.outage()
    }

    /// How often the store has refused a write since this node started.
    pub fn refusals(&self) -> u64 {
        self.shared().outages.refusals.load(Ordering::Relaxed)
    }

    /// That a session holds what it did, and waits until the store takes it.
    pub fn waits(&self, session: SessionId) -> Waits {
        self.shared().outages.lock().waiting.insert(session);
        Waits { log: self.clone(), session }
    }
}

impl Shared {
    /// What a write came to.
    pub(super) fn saw<T>(&self, written: &Result<T, StoreError>) {
        self.outages.saw(&*self.clock, written);
    }
}
