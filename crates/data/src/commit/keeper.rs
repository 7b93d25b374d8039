//! Keeps what this node owns while nothing is committed to it, and takes what others let go of. Where no other node
//! can be, there is nothing to keep. It must not know what is written.

use std::sync::Arc;
use std::time::Duration;

use domain::id::{Epoch, Shard};
use tokio::sync::watch;

use crate::commit::Shared;
use crate::commit::concurrent::sleep;
use crate::commit::lane::stopped;
use crate::store::{Claim, StoreError};

/// How often a lease is renewed before it would run out.
const RENEWALS: i64 = 3;

/// How long handing over may take when the log is stopped: without it, others wait for the leases to run out.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Runs until it is stopped, where leases run out at all.
pub(super) async fn keep(shared: Arc<Shared>, lease_ms: i64, mut stop: watch::Receiver<bool>) {
    let pause = Duration::from_millis((lease_ms / RENEWALS).max(1).unsigned_abs());
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = sleep(pause) => {}
        }
        if let Err(error) = look_after(&shared).await {
            tracing::warn!(%error, "the leases of this node could not be renewed");
        }
    }
}

async fn look_after(shared: &Shared) -> Result<(), StoreError> {
    let held = shared.leases.held();
    if !held.is_empty() {
        let epochs: Vec<(Shard, Epoch)> = held.iter().map(|lease| (lease.shard, lease.epoch)).collect();
        for shard in shared.store.renew(epochs.clone()).await? {
            if epochs.iter().any(|(of, epoch)| *of == shard && shared.leases.drop_at(shard, *epoch)) {
                tracing::warn!(shard = shard.0, "another node owns the shard: its lease was not renewed");
                shared.posts.miss();
            }
        }
    }
    let missing = (0..shared.store.about().shards).map(Shard).filter(|shard| shared.leases.get(*shard).is_none());
    let claim = Claim { node: shared.node.clone(), shards: Some(missing.collect()) };
    // Asked also where nothing is missing: what other nodes changed of authority is heard of here.
    let claimed = shared.store.claim(claim).await?;
    shared.saw_control(claimed.control_pos);
    shared.take_holdings(&claimed.leases).await?;
    for lease in claimed.leases {
        tracing::info!(shard = lease.shard.0, epoch = lease.epoch.0, "took over a shard");
        shared.leases.take_newest(lease);
    }
    Ok(())
}

/// Gives everything up, once nothing more is committed.
pub(super) async fn hand_over(shared: &Shared) {
    if shared.store.about().lease_ms.is_none() {
        return;
    }
    let held = shared.leases.held();
    let epochs: Vec<_> = held.iter().map(|lease| (lease.shard, lease.epoch)).collect();
    for (shard, epoch) in &epochs {
        shared.leases.drop_at(*shard, *epoch);
    }
    match tokio::time::timeout(HAND_OVER, shared.store.release(epochs)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the leases were not handed over; others wait until they run out"),
        Err(_) => tracing::warn!("the leases were not handed over in time; others wait until they run out"),
    }
}
