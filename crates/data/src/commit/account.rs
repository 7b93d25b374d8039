//! What this node's shards hold of budgets. What a shard holds is read while it is claimed, before anything can be
//! committed to it: whoever keeps count of it in memory begins there. It must not know what is paid with it.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use domain::budget::{BudgetKey, Window};
use domain::clock::Timestamp;
use domain::id::{Epoch, Shard};

use crate::commit::concurrent::Mutex;
use crate::commit::{Log, Shared};
use crate::error::DataError;
use crate::store::{Draw, Drawn, HoldingRow, Lease, Standing, StoreError};

/// Windows that began longer ago than this are of no use to a new owner, but for what calls in flight hold.
const OLDEST_WINDOW_MS: i64 = 2 * Window::Day.length_ms();

/// What shards held when this node claimed them, until somebody keeps count of it.
#[derive(Default)]
pub(super) struct Taken(Mutex<BTreeMap<Shard, (Epoch, Vec<HoldingRow>)>>);

/// A wish to draw from an account, for a shard that this node owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// For which shard.
    pub shard: Shard,
    /// From which budget.
    pub budget: BudgetKey,
    /// From which window.
    pub window_start: Timestamp,
    /// The budget's cap.
    pub cap: i64,
    /// How much is needed.
    pub need: i64,
    /// How much more may be moved, for the calls to come.
    pub ahead: i64,
    /// Of what is left beyond the need, at most one part in so many is moved ahead.
    pub share: i64,
    /// What other shards of this node give back first.
    pub back: Vec<(Shard, i64)>,
}

impl Shared {
    /// Reads what claimed shards hold; only then may they be owned.
    pub(super) async fn take_holdings(&self, leases: &[Lease]) -> Result<(), StoreError> {
        if leases.is_empty() {
            return Ok(());
        }
        let of: Vec<_> = leases.iter().map(|lease| (lease.shard, lease.epoch)).collect();
        let since = self.clock.now().plus_ms(-OLDEST_WINDOW_MS);
        let rows = self.store.take_holdings(&of, since).await?;
        let mut taken = self.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (shard, epoch) in of {
            let held = rows.iter().filter(|row| row.shard == shard).cloned().collect();
            let newer = taken.get(&shard).is_none_or(|(known, _)| *known <= epoch);
            if newer {
                taken.insert(shard, (epoch, held));
            }
        }
        Ok(())
    }
}

impl Log {
    /// The epoch since which nobody else wrote to a shard that this node owns.
    pub fn owned_since(&self, shard: Shard) -> Option<Epoch> {
        self.shared().leases.get(shard).map(|held| held.since)
    }

    /// What a shard held when this node claimed it at this epoch: handed over once, to whoever keeps count from there.
    pub fn taken_holdings(&self, shard: Shard, since: Epoch) -> Option<Vec<HoldingRow>> {
        let mut taken = self.shared().taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (epoch, _) = taken.get(&shard)?;
        if *epoch != since {
            return None;
        }
        taken.remove(&shard).map(|(_, rows)| rows)
    }

    /// What a shard holds of budgets, as it is stored now.
    pub async fn holdings(&self, shard: Shard) -> Result<Vec<HoldingRow>, DataError> {
        Ok(self.store().holdings(shard).await?)
    }

    /// Draws from a budget's account, after what other shards of this node give back.
    pub async fn draw(&self, wish: Wish) -> Result<Drawn, DataError> {
        let Wish { shard, budget, window_start, cap, need, ahead, share, back } = wish;
        let epoch = |shard| self.shared().leases.get(shard).map(|held| held.lease.epoch);
        let Some(at) = epoch(shard) else { return Ok(Drawn { fenced: true, ..Drawn::default() }) };
        let back = back.into_iter().filter_map(|(from, amount)| Some((from, epoch(from)?, amount))).collect();
        let draw = Draw { shard, epoch: at, budget, window_start, cap, need, ahead, share, back };
        Ok(self.store().draw(draw).await?)
    }

    /// What is known of these windows of budgets, over all shards and nodes.
    pub async fn standing(&self, of: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, DataError> {
        Ok(self.store().standing(of).await?)
    }
}
