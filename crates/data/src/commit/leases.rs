//! The shards that this node owns, and where each is. It must not know what is written to them.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use domain::clock::Timestamp;
use domain::id::{Epoch, Pos, Shard};
use tokio::sync::watch;

use crate::commit::concurrent::{Mutex, MutexGuard};
use crate::store::Lease;

/// A shard that is owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// The epoch since which nobody else wrote to it: sessions loaded earlier are out of date.
    pub(super) since: Epoch,
}

/// The shards that this node owns.
pub(super) struct Leases {
    held: Mutex<BTreeMap<Shard, Held>>,
    changed: watch::Sender<()>,
}

impl Leases {
    pub(super) fn new() -> Self {
        Leases { held: Mutex::default(), changed: watch::Sender::new(()) }
    }

    pub(super) fn get(&self, shard: Shard) -> Option<Held> {
        self.lock().get(&shard).copied()
    }

    /// Which they are, each with the epoch since which nobody else wrote to it.
    pub(super) fn owned(&self) -> BTreeMap<Shard, Epoch> {
        self.lock().iter().map(|(shard, held)| (*shard, held.since)).collect()
    }

    pub(super) fn held(&self) -> Vec<Lease> {
        self.lock().values().map(|held| held.lease).collect()
    }

    /// After a renewal found another epoch than this one; `false` if this node has meanwhile a later one itself.
    pub(super) fn drop_at(&self, shard: Shard, epoch: Epoch) -> bool {
        let mut all = self.lock();
        let same = all.get(&shard).is_some_and(|held| held.lease.epoch == epoch);
        if same {
            all.remove(&shard);
            drop(all);
            self.changed.send_replace(());
        }
        same
    }

    /// Woken when that changes.
    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn positions(&self) -> Vec<(Shard, Pos)> {
        self.lock().values().map(|held| (held.lease.shard, held.lease.pos)).collect()
    }

    /// After a claim of a shard that others may have written to.
    pub(super) fn take(&self, lease: Lease) {
        self.lock().insert(lease.shard, Held { lease, since: lease.epoch });
        self.changed.send_replace(());
    }

    /// After a claim that may have raced with another of this node: the later epoch is the one that holds.
    pub(super) fn take_newest(&self, lease: Lease) -> Epoch {
        let mut all = self.lock();
        let held = all.entry(lease.shard).or_insert(Held { lease, since: lease.epoch });
        if lease.epoch > held.lease.epoch {
            *held = Held { lease, since: lease.epoch };
        }
        let epoch = held.lease.epoch;
        drop(all);
        self.changed.send_replace(());
        epoch
    }

    /// After a claim that showed that nobody else wrote.
    pub(super) fn renew(&self, lease: Lease) {
        if let Some(held) = self.lock().get_mut(&lease.shard) {
            held.lease = lease;
        }
    }

    /// After a commit.
    pub(super) fn advance(&self, shard: Shard, pos: Pos, at: Timestamp) {
        if let Some(held) = self.lock().get_mut(&shard) {
            held.lease.pos = pos;
            held.lease.at = at;
        }
    }

    /// After a fence refused.
    pub(super) fn drop(&self, shard: Shard) {
        self.lock().remove(&shard);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Shard, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
