//! What is being sent right now: every call holds a guard from the moment that it is allowed until its sending has
//! ended, so that a freeze can cut it off and can say when nothing of its scope is under way any more. What must never
//! be known here: what a call is of, and what becomes of one that was cut off.
//!
//! ```text
//! door: decide ─▶ Dispatch ─▶ last check ─▶ place, retries, sending ─▶ dropped
//! freeze: registry in place ─▶ cut every guard of the scope ─▶ wait until they are dropped ─▶ acknowledged
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::id::SessionId;
use domain::principal::Principal;
use tokio::sync::{Notify, watch};

use crate::identity::{self, Frozen};
use crate::registry::Registry;

/// Why a call is cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Something that it is of was frozen.
    Frozen(Frozen),
    /// Its session was suspended.
    Suspended {
        /// Who suspended it.
        by: String,
    },
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Frozen(frozen) => write!(f, "{frozen}"),
            Cut::Suspended { by } => write!(f, "{by} suspended the session"),
        }
    }
}

/// All guards of one node.
#[derive(Default)]
pub(crate) struct Dispatches(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    ended: Notify,
}

#[derive(Default)]
struct Table {
    last: u64,
    under_way: BTreeMap<u64, Entry>,
}

struct Entry {
    principal: Arc<Principal>,
    cut: watch::Sender<Option<Cut>>,
}

/// One call that may be sent. It is over when this is dropped.
#[must_use = "what is not guarded is not cut off by a freeze"]
pub struct Dispatch {
    id: u64,
    of: Arc<Inner>,
    cut: watch::Receiver<Option<Cut>>,
}

impl Dispatch {
    /// Waits until the call is cut off; for ever, if it is not.
    pub async fn cut(&self) -> Cut {
        let mut cut = self.cut.clone();
        match cut.wait_for(Option::is_some).await.ok().and_then(|said| said.clone()) {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        self.of.table().under_way.remove(&self.id);
        self.of.ended.notify_waiters();
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Dispatches {
    pub(crate) fn begin(&self, principal: &Arc<Principal>) -> Dispatch {
        let (cut, told) = watch::channel(None);
        let mut table = self.0.table();
        table.last += 1;
        let id = table.last;
        table.under_way.insert(id, Entry { principal: Arc::clone(principal), cut });
        Dispatch { id, of: Arc::clone(&self.0), cut: told }
    }

    /// Cuts off what is frozen by a registry, which must be in place: what begins later sees it for itself.
    pub(crate) fn cut_frozen(&self, registry: &Registry) {
        if registry.freezes().next().is_none() {
            return;
        }
        for entry in self.0.table().under_way.values() {
            if let Some(frozen) = identity::frozen(registry, &entry.principal) {
                entry.cut.send_replace(Some(Cut::Frozen(frozen)));
            }
        }
    }

    pub(crate) fn cut_session(&self, session: SessionId, why: &Cut) {
        let table = self.0.table();
        let its = table.under_way.values().filter(|entry| entry.principal.link.session == session);
        its.for_each(|entry| drop(entry.cut.send_replace(Some(why.clone()))));
    }

    /// How many calls are cut off and not over, once there are none or `enough` has come.
    pub(crate) async fn quiet(&self, enough: impl Future<Output = ()>) -> usize {
        let left = || self.0.table().under_way.values().filter(|entry| entry.cut.borrow().is_some()).count();
        let none_left = async {
            loop {
                let ended = self.0.ended.notified();
                if left() == 0 {
                    return;
                }
                ended.await;
            }
        };
        tokio::select! {
            biased;
            () = none_left => 0,
            () = enough => left(),
        }
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
