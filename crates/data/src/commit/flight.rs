//! Sessions with a commit on its way. A commit may outlive the future that asked for it; whoever loads its session
//! waits until it landed, or the chain would fork.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use domain::id::SessionId;
use tokio::sync::Notify;

use crate::commit::concurrent::{Mutex, MutexGuard};

/// Sessions with a commit on its way.
#[derive(Default)]
pub(super) struct Flights {
    sessions: Mutex<BTreeSet<SessionId>>,
    landed: Notify,
}

/// One commit on its way; it has landed once this is dropped.
pub(super) struct Flight {
    flights: Arc<Flights>,
    session: SessionId,
}

impl Flights {
    pub(super) fn start(self: &Arc<Self>, session: SessionId) -> Flight {
        self.lock().insert(session);
        Flight { flights: self.clone(), session }
    }

    /// Waits until nothing of this session is on its way.
    pub(super) async fn landed(&self, session: SessionId) {
        loop {
            // Made before the look, so that a landing in between is not missed.
            let landed = self.landed.notified();
            if !self.lock().contains(&session) {
                return;
            }
            landed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<SessionId>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.session);
        self.flights.landed.notify_waiters();
    }
}
