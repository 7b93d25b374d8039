//! A store that is a few maps: it fences as a store must, and its answers are late, lost or no. It looks at nothing but
//! the fence; that a chain is whole is for the test to see.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use data::rows::InboxItem;
use data::store::{
    About, Answer, Batch, BatchPart, Claim, Claimed, ControlAnswer, ControlRow, Draw, Drawn, Due, DueBy, DueCursor,
    Forget, HeadFilter, HeadRow, History, HistoryFrom, HoldingRow, KeyRow, LeafRow, Lease, MailRow, MemoryRow,
    PhaseCount, RecordRow, ResultFilter, ResultRow, SpendFilter, SpendRow, Standing, Store, StoreError, View,
    ViewBatch, Views,
};
use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::id::{Digest, Epoch, Name, Pos, SessionId, Shard};
use shuttle::future::{spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

/// How many shards there are.
pub(crate) const SHARDS: u16 = 2;

/// One of so many writes meets a fate.
const TROUBLE: u32 = 3;

/// The store.
pub(crate) struct Shelf {
    about: About,
    rows: Arc<Mutex<Rows>>,
}

/// What is in it.
#[derive(Default)]
pub(crate) struct Rows {
    shards: BTreeMap<Shard, (Epoch, String)>,
    pub(crate) records: BTreeMap<Shard, Vec<RecordRow>>,
    heads: BTreeMap<SessionId, HeadRow>,
    keys: BTreeMap<SessionId, KeyRow>,
    pub(crate) mail: Vec<MailRow>,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        let about = About { store: 1, format: 1, shards: SHARDS, lanes: 2, lease_ms: None, fresh: false };
        Shelf { about, rows: Arc::default() }
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("nobody panics with it")
    }
}

impl Rows {
    fn pos(&self, shard: Shard) -> Pos {
        self.records.get(&shard).and_then(|rows| rows.last()).map_or(Pos(0), |row| row.envelope.pos)
    }

    /// Takes a part if its fence lets it.
    fn write(&mut self, part: BatchPart) -> bool {
        let epoch = self.shards.get(&part.shard).map(|(epoch, _)| *epoch);
        if (epoch, self.pos(part.shard)) != (Some(part.epoch), part.pos) {
            return false;
        }
        self.records.entry(part.shard).or_default().extend(part.records);
        self.heads.extend(part.heads.into_iter().map(|head| (head.session, head)));
        for key in part.keys {
            assert!(self.keys.insert(key.session, key).is_none(), "a session's key is made once");
        }
        true
    }

    fn write_all(&mut self, batch: Batch) -> Answer {
        let mut fenced = Vec::new();
        for part in batch.parts {
            let shard = part.shard;
            if !self.write(part) {
                fenced.push(shard);
            }
        }
        Answer { fenced, control_pos: Pos(0) }
    }
}

fn lost() -> StoreError {
    StoreError::Unknown("the line went dead".to_owned())
}

fn busy() -> StoreError {
    StoreError::Unavailable("it is busy".to_owned())
}

fn trouble() -> bool {
    thread_rng().gen_ratio(1, TROUBLE)
}

#[async_trait]
impl Store for Shelf {
    fn about(&self) -> &About {
        &self.about
    }

    /// A shard changes hands whenever somebody wants it: its lease is always taken to have run out. Now and then it
    /// is said to be another's.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        yield_now().await;
        if trouble() && claim.shards.is_some() {
            return Err(busy());
        }
        let mut rows = self.rows();
        let wanted = claim.shards.unwrap_or_else(|| (0..SHARDS).map(Shard).collect());
        let mut leases = Vec::new();
        for shard in wanted {
            let (epoch, holder) = rows.shards.entry(shard).or_insert((Epoch(0), claim.node.clone()));
            if *holder != claim.node && trouble() {
                continue;
            }
            *epoch = Epoch(epoch.0 + 1);
            holder.clone_from(&claim.node);
            let epoch = *epoch;
            leases.push(Lease { shard, epoch, pos: rows.pos(shard), at: Timestamp(0) });
        }
        Ok(Claimed { leases, control_pos: Pos(0) })
    }

    async fn renew(&self, _: Vec<(Shard, Epoch)>) -> Result<Vec<Shard>, StoreError> {
        Ok(Vec::new())
    }

    async fn release(&self, _: Vec<(Shard, Epoch)>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, batch: Batch) -> Result<Answer, StoreError> {
        yield_now().await;
        let fate = if trouble() { thread_rng().gen_range(1..5) } else { 0 };
        match fate {
            0 => {
                let answer = self.rows().write_all(batch);
                yield_now().await;
                Ok(answer)
            }
            1 => {
                self.rows().write_all(batch);
                Err(lost())
            }
            2 => Err(lost()),
            3 => {
                let rows = self.rows.clone();
                spawn(async move {
                    for _ in 0..thread_rng().gen_range(0..8) {
                        yield_now().await;
                    }
                    rows.lock().expect("nobody panics with it").write_all(batch);
                });
                Err(lost())
            }
            _ => Err(busy()),
        }
    }

    async fn post(&self, mail: Vec<MailRow>) -> Result<(), StoreError> {
        yield_now().await;
        if trouble() {
            return Err(busy());
        }
        self.rows().mail.extend(mail);
        yield_now().await;
        Ok(())
    }

    async fn history(&self, session: SessionId, shard: Shard, _: HistoryFrom) -> Result<Option<History>, StoreError> {
        yield_now().await;
        let rows = self.rows();
        let Some(head) = rows.heads.get(&session).cloned() else { return Ok(None) };
        let records = rows.records.get(&shard).into_iter().flatten();
        let records = records.filter(|row| row.envelope.session == session).cloned().collect();
        let keys = rows.keys.get(&session).cloned().into_iter().collect();
        Ok(Some(History { head, keys, snapshot: None, records }))
    }

    async fn counts(&self) -> Result<Vec<PhaseCount>, StoreError> {
        Err(busy())
    }

    async fn backup_to(&self, _: &Path) -> Result<u64, StoreError> {
        Err(busy())
    }

    async fn keys(&self, sessions: &[SessionId]) -> Result<Vec<KeyRow>, StoreError> {
        yield_now().await;
        let rows = self.rows();
        Ok(sessions.iter().filter_map(|session| rows.keys.get(session).cloned()).collect())
    }

    async fn commit_control(&self, _: ControlRow) -> Result<ControlAnswer, StoreError> {
        Err(busy())
    }

    async fn due(&self, _: &[Shard], _: DueBy, _: Option<DueCursor>, _: usize) -> Result<Due, StoreError> {
        Err(busy())
    }

    async fn mail(&self, _: SessionId, _: Shard, _: Timestamp, _: usize) -> Result<Vec<MailRow>, StoreError> {
        Err(busy())
    }

    async fn tail(&self, _: Shard, _: Pos, _: usize) -> Result<Vec<RecordRow>, StoreError> {
        Err(busy())
    }

    async fn heads(&self, _: &HeadFilter) -> Result<Vec<HeadRow>, StoreError> {
        Err(busy())
    }

    async fn text(&self, _: Digest) -> Result<Option<String>, StoreError> {
        Err(busy())
    }

    async fn holdings(&self, _: Shard) -> Result<Vec<HoldingRow>, StoreError> {
        Err(busy())
    }

    async fn take_holdings(&self, _: &[(Shard, Epoch)], _: Timestamp) -> Result<Vec<HoldingRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn draw(&self, _: Draw) -> Result<Drawn, StoreError> {
        Err(busy())
    }

    async fn standing(&self, _: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, StoreError> {
        Err(busy())
    }

    async fn inbox(&self) -> Result<Vec<InboxItem>, StoreError> {
        Err(busy())
    }

    async fn recall(&self, _: &Name, _: Timestamp, _: usize) -> Result<Vec<MemoryRow>, StoreError> {
        Err(busy())
    }

    async fn forget(&self, _: Forget) -> Result<u64, StoreError> {
        Err(busy())
    }
}

#[async_trait]
impl Views for Shelf {
    async fn cursor(&self, _: View, _: Shard) -> Result<Pos, StoreError> {
        Err(busy())
    }

    async fn apply_view(&self, _: ViewBatch) -> Result<bool, StoreError> {
        Err(busy())
    }

    async fn reset_view(&self, _: View) -> Result<(), StoreError> {
        Err(busy())
    }

    async fn spend(&self, _: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        Err(busy())
    }

    async fn results(&self, _: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        Err(busy())
    }

    async fn leaves(&self, _: Shard, _: Pos, _: usize) -> Result<Vec<LeafRow>, StoreError> {
        Err(busy())
    }

    async fn followed(&self, _: &str) -> Result<Vec<(Shard, Pos)>, StoreError> {
        Err(busy())
    }

    async fn follow(&self, _: &str, _: &[(Shard, Pos)]) -> Result<(), StoreError> {
        Err(busy())
    }

    async fn unfollow(&self, _: &str) -> Result<(), StoreError> {
        Err(busy())
    }
}
