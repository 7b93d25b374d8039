//! A commit lane: groups whatever waits, one group in flight. The next group gathers while the store writes this one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{Pos, Shard};
use tokio::sync::{mpsc, watch};

use crate::commit::concurrent::sleep;
use crate::commit::group::{Done, Group, Pending, Queued};
use crate::commit::{Committed, Shared};
use crate::error::{CommitError, Refused};
use crate::store::{Answer, Batch, Claim, Lease, StoreError};

/// How many commits go into the store at once.
const GROUP_COMMITS: usize = 512;

/// How many bytes of bodies go into the store at once, one commit more or less.
const GROUP_BYTES: usize = 16 << 20;

/// How long to wait before each time that a lost answer is asked after, in milliseconds; then the shard is given up.
/// A store that is away for a moment is what loses answers: it gets that long to come back, while callers wait.
const CLAIM_PAUSES_MS: [u64; 4] = [0, 100, 300, 900];

/// Of a lease, the part that is left unused, so that two clocks may differ a little: one in so many.
const LEASE_MARGIN: i64 = 4;

pub(super) struct Lane {
    shared: Arc<Shared>,
    waiting: mpsc::Receiver<Queued>,
    stop: watch::Receiver<bool>,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, waiting: mpsc::Receiver<Queued>, stop: watch::Receiver<bool>) -> Self {
        Lane { shared, waiting, stop }
    }

    /// Runs until it is stopped, or the log is gone, and everything queued is answered.
    pub(super) async fn run(mut self) {
        loop {
            let first = tokio::select! {
                biased;
                first = self.waiting.recv() => first,
                () = stopped(&mut self.stop), if !self.waiting.is_closed() => {
                    self.waiting.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let groups = self.gather(first);
            self.write(groups).await;
        }
    }

    /// Everything that waits, up to the bounds, by shard.
    fn gather(&mut self, first: Queued) -> BTreeMap<Shard, Group> {
        let mut groups = BTreeMap::new();
        let (mut commits, mut bytes, mut next) = (0, 0, Some(first));
        while let Some(queued) = next {
            commits += 1;
            bytes += queued.sealed.body.len();
            self.place(&mut groups, queued);
            let room = commits < GROUP_COMMITS && bytes < GROUP_BYTES;
            next = if room { self.waiting.try_recv().ok() } else { None };
        }
        groups
    }

    /// A session that was loaded before the shard was last in other hands is out of date: it never gets to the store.
    fn place(&self, groups: &mut BTreeMap<Shard, Group>, queued: Queued) {
        match self.shared.leases.get(queued.shard) {
            Some(held) if queued.epoch >= held.since => {
                let group = groups.entry(queued.shard).or_insert_with(|| Group::new(held.lease));
                group.add(&self.shared.sealer, self.shared.clock.now(), queued);
            }
            Some(_) | None => queued.reply.send(Err(CommitError::Fenced)),
        }
    }

    async fn write(&self, mut groups: BTreeMap<Shard, Group>) {
        if groups.is_empty() {
            return;
        }
        let before = self.dispatch_before();
        let batch = Batch { parts: groups.values_mut().map(Group::take_part).collect() };
        let written = self.shared.store.commit(batch).await;
        self.shared.saw(&written);
        match written {
            Ok(answer) => self.answered(groups, &answer, before),
            Err(StoreError::Unknown(why)) => {
                tracing::warn!(%why, "the store's answer to a commit was lost");
                self.resolve(groups, before).await;
            }
            Err(error) => {
                let refused = Refused::from(error);
                refuse_all(groups, &CommitError::Refused(refused));
            }
        }
    }

    /// Until when what is intended now may be sent: the lease runs from before the store was asked.
    fn dispatch_before(&self) -> i64 {
        match self.shared.store.about().lease_ms {
            None => i64::MAX,
            Some(lease) => self.shared.clock.monotonic_ms().saturating_add(lease - lease / LEASE_MARGIN),
        }
    }

    fn answered(&self, groups: BTreeMap<Shard, Group>, answer: &Answer, before: i64) {
        for (shard, group) in groups {
            if answer.fenced.contains(&shard) {
                tracing::warn!(shard = shard.0, "another node owns the shard: a commit was fenced");
                self.shared.leases.drop(shard);
                refuse(group.pending, &CommitError::Fenced);
            } else {
                self.shared.leases.advance(shard, group.end(), group.at);
                self.succeeded(shard, group.pending, answer.control_pos, before);
            }
        }
    }

    fn succeeded(&self, shard: Shard, pending: Vec<Pending>, control_pos: Pos, before: i64) {
        self.shared.saw_control(control_pos);
        for Pending { session, seq, pos, intents, posted, reply } in pending {
            // Before its session goes on: it must not come to rest without hearing of its own mail.
            self.shared.posts.tell(posted);
            reply.send(Ok(Done { pos, seq, control_pos, intents, dispatch_before_ms: before }));
            self.shared.tell(Committed { session, seq, shard, pos });
        }
    }

    /// Owns a shard that others may have written to; if what it holds cannot be read now, it is claimed again later.
    async fn take_over(&self, lease: Lease) {
        match self.shared.take_holdings(&[lease]).await {
            Ok(()) => self.shared.leases.take(lease),
            Err(error) => {
                tracing::warn!(shard = lease.shard.0, %error, "what the shard holds of budgets cannot be read");
                self.shared.leases.drop(lease.shard);
            }
        }
    }

    /// Takes epoch + 1, so that a lost commit can no longer land, and reads what came of it off the position.
    async fn resolve(&self, groups: BTreeMap<Shard, Group>, before: i64) {
        let claim = Claim { node: self.shared.node.clone(), shards: Some(groups.keys().copied().collect()) };
        let mut claimed = None;
        for pause_ms in CLAIM_PAUSES_MS {
            sleep(Duration::from_millis(pause_ms)).await;
            match self.shared.store.claim(claim.clone()).await {
                Ok(found) => {
                    claimed = Some(found);
                    break;
                }
                Err(error) => tracing::warn!(%error, "a claim after a lost answer failed"),
            }
        }
        for (shard, group) in groups {
            let lease = claimed.as_ref().and_then(|c| c.leases.iter().find(|lease| lease.shard == shard));
            match (lease, &claimed) {
                // Had another node held the shard in between, as many records could be its own.
                (Some(lease), Some(claimed))
                    if lease.pos == group.end() && lease.epoch.0 == group.lease.epoch.0 + 1 =>
                {
                    self.shared.leases.renew(*lease);
                    self.succeeded(shard, group.pending, claimed.control_pos, before);
                }
                // Had another node held it, what this one knows of its holdings would be out of date.
                (Some(lease), _) if lease.pos == group.lease.pos && lease.epoch.0 == group.lease.epoch.0 + 1 => {
                    self.shared.leases.renew(*lease);
                    let why = "the store lost the commit before it was written; try again".to_owned();
                    refuse(group.pending, &CommitError::Refused(Refused::Unavailable(why)));
                }
                (Some(lease), _) => {
                    self.take_over(*lease).await;
                    self.shared.posts.miss();
                    refuse(group.pending, &CommitError::Unknown);
                }
                (None, _) => {
                    self.shared.leases.drop(shard);
                    self.shared.posts.miss();
                    refuse(group.pending, &CommitError::Unknown);
                }
            }
        }
    }
}

/// Waits until the log is stopped; for ever, if it is gone without having been: then its queues end by themselves.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn refuse_all(groups: BTreeMap<Shard, Group>, error: &CommitError) {
    for group in groups.into_values() {
        refuse(group.pending, error);
    }
}

fn refuse(pending: Vec<Pending>, error: &CommitError) {
    for one in pending {
        one.reply.send(Err(error.clone()));
    }
}
