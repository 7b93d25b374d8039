//! A store around a store. Its answers are late, are lost on either side of what they answer, or are no; now and then
//! another node takes the shard. It changes nothing else: what it lets through is what the store below does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use data::rows::InboxItem;
use data::store::{
    About, Answer, Batch, Claim, Claimed, ControlAnswer, ControlRow, Draw, Drawn, Due, DueBy, DueCursor, Forget,
    HeadFilter, HeadRow, History, HistoryFrom, HoldingRow, KeyRow, LeafRow, MailRow, MemoryRow, PhaseCount, RecordRow,
    ResultFilter, ResultRow, SpendFilter, SpendRow, Standing, Store, StoreError, View, ViewBatch, Views,
};
use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::id::{Digest, Epoch, Name, Pos, SessionId, Shard};
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::chronicle::Chronicle;
use crate::life::{Boundary, Life, Side};
use crate::place::Place;
use crate::watch::Watch;
use crate::weather::Sky;

/// The longest that the store takes for an answer, in milliseconds.
const SLOWEST_MS: usize = 40;
/// How long a commit can be under way after its answer was given up, in milliseconds.
const LATEST_MS: usize = 200;

/// How long a commit is held on its way.
const HELD: Duration = Duration::from_millis(500);
/// How long one to hold is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing is written, and nobody knows.
    Lost,
    /// It is written, and nobody knows.
    Landed,
    /// Nobody knows, and then it arrives.
    Late,
    /// No: the store does not answer.
    Refused,
    /// No: the disk is full.
    Full,
    /// Another node has taken the shards.
    Fenced,
}

/// The store around a store.
pub struct Faulty {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) place: Place,
    pub(crate) life: Arc<Life>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) sky: Arc<Sky>,
    pub(crate) chance: Chance,
    pub(crate) hold: Hold,
    /// Who looks at what was committed; nobody where the store is only read.
    pub(crate) chronicle: Option<Arc<Chronicle>>,
}

/// Holds one commit on its way for a while, so that something else can happen meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    next: AtomicBool,
    held: Notify,
}

impl Hold {
    /// Holds the next commit; `false` if none comes in time.
    pub(crate) async fn next(&self) -> bool {
        self.next.store(true, Ordering::SeqCst);
        let held = tokio::time::timeout(PATIENCE, self.held.notified()).await.is_ok();
        self.next.store(false, Ordering::SeqCst);
        held
    }

    async fn pass(&self) {
        if self.next.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            tokio::time::sleep(HELD).await;
        }
    }
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Fate::Lost => "a write is lost with its answer",
            Fate::Landed => "a write's answer is lost",
            Fate::Late => "a commit's answer is lost while it is on its way",
            Fate::Refused => "a write is refused",
            Fate::Full => "the disk is full",
            Fate::Fenced => "another node takes the shard",
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unknown("the line went dead".to_owned())
}

fn no(fate: Fate) -> StoreError {
    match fate {
        Fate::Full => StoreError::Full { path: PathBuf::from("memory") },
        Fate::Lost | Fate::Landed | Fate::Late | Fate::Refused | Fate::Fenced => {
            StoreError::Unavailable("it is busy".to_owned())
        }
    }
}

impl Faulty {
    /// A calm one, through which nothing can be owned.
    pub(crate) fn reader(inner: Arc<dyn Store>, place: Place) -> Self {
        Faulty {
            inner,
            place,
            life: Arc::new(Life::new(0)),
            watch: Arc::default(),
            sky: Arc::default(),
            chance: Chance::new(0, "reader"),
            hold: Hold::default(),
            chronicle: None,
        }
    }

    async fn at<T>(&self, verb: impl Future<Output = T>) -> T {
        self.place.at(verb).await
    }

    fn fate(&self, fates: &[Fate]) -> Option<Fate> {
        let fate = self.chance.per_mille(self.sky.now().writes).then(|| *self.chance.pick(fates));
        if let Some(fate) = fate {
            self.watch.fault(fate.words());
        }
        fate
    }

    /// On the way to the store, or back.
    async fn way(&self) {
        self.life.goes_on().await;
        if self.chance.per_mille(self.sky.now().slow) {
            self.watch.fault("the store is slow");
            tokio::time::sleep(Duration::from_millis(self.chance.below(SLOWEST_MS) as u64)).await;
            self.life.goes_on().await;
        }
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.way().await;
        match self.chance.per_mille(self.sky.now().reads) {
            true => {
                self.watch.fault("a read fails");
                Err(no(Fate::Refused))
            }
            false => Ok(()),
        }
    }

    async fn written(&self, batch: Batch) -> Result<Answer, StoreError> {
        let answer = self.at(self.inner.commit(batch.clone())).await?;
        let parts = batch.parts.into_iter().filter(|part| !answer.fenced.contains(&part.shard)).collect();
        self.watch.committed(&Batch { parts });
        self.follow().await;
        Ok(answer)
    }

    async fn follow(&self) {
        if let Some(chronicle) = &self.chronicle {
            chronicle.follow(&self.watch).await;
        }
    }

    /// A batch that is still under way when its answer is given up.
    fn arrive_late(&self, batch: Batch) {
        let (inner, place) = (self.inner.clone(), self.place.clone());
        let (watch, chronicle) = (self.watch.clone(), self.chronicle.clone());
        let after = Duration::from_millis(self.chance.below(LATEST_MS) as u64);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let landed = place.at(inner.commit(batch.clone())).await.is_ok_and(|answer| answer.fenced.is_empty());
            if landed {
                watch.fault("a commit lands after its answer was lost");
                watch.committed(&batch);
                if let Some(chronicle) = chronicle {
                    chronicle.follow(&watch).await;
                }
            }
        });
    }

    /// A write of mail: a boundary like a commit.
    async fn mailed<T: Send>(
        &self,
        write: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Some(side) = self.life.reach(Boundary::Mail) else { return self.simple(write).await };
        if side == Side::After {
            write.await?;
        }
        self.life.die();
        std::future::pending().await
    }

    /// A write that is not fenced: it happens or not, and its answer comes or not.
    async fn simple<T: Send>(
        &self,
        write: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.way().await;
        match self.fate(&[Fate::Lost, Fate::Landed, Fate::Refused, Fate::Full]) {
            None => {
                let answer = write.await;
                self.way().await;
                answer
            }
            Some(Fate::Landed) => {
                write.await?;
                Err(lost())
            }
            Some(Fate::Lost) => Err(lost()),
            Some(fate) => Err(no(fate)),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    fn about(&self) -> &About {
        self.inner.about()
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.read().await?;
        if self.chronicle.is_none() {
            return Ok(Claimed { leases: Vec::new(), control_pos: Pos(0) });
        }
        self.at(self.inner.claim(claim)).await
    }

    async fn renew(&self, held: Vec<(Shard, Epoch)>) -> Result<Vec<Shard>, StoreError> {
        self.at(self.inner.renew(held)).await
    }

    async fn release(&self, held: Vec<(Shard, Epoch)>) -> Result<(), StoreError> {
        self.at(self.inner.release(held)).await
    }

    async fn commit(&self, batch: Batch) -> Result<Answer, StoreError> {
        self.hold.pass().await;
        self.way().await;
        if let Some(side) = self.life.reach(Boundary::Commit) {
            if side == Side::After {
                self.written(batch).await?;
            }
            self.life.die();
            return std::future::pending().await;
        }
        match self.fate(&[Fate::Lost, Fate::Landed, Fate::Late, Fate::Refused, Fate::Full, Fate::Fenced]) {
            None => {
                let answer = self.written(batch).await;
                self.way().await;
                answer
            }
            Some(Fate::Landed) => {
                self.written(batch).await?;
                Err(lost())
            }
            Some(Fate::Lost) => Err(lost()),
            Some(Fate::Late) => {
                self.arrive_late(batch);
                Err(lost())
            }
            Some(Fate::Fenced) => {
                self.at(self.inner.claim(Claim { node: "another".to_owned(), shards: None })).await?;
                self.written(batch).await
            }
            Some(fate) => Err(no(fate)),
        }
    }

    async fn commit_control(&self, row: ControlRow) -> Result<ControlAnswer, StoreError> {
        self.simple(self.at(self.inner.commit_control(row))).await
    }

    async fn post(&self, mail: Vec<MailRow>) -> Result<(), StoreError> {
        self.mailed(self.at(self.inner.post(mail))).await
    }

    async fn due(
        &self,
        shards: &[Shard],
        by: DueBy,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.read().await?;
        self.at(self.inner.due(shards, by, after, limit)).await
    }

    async fn mail(
        &self,
        session: SessionId,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.read().await?;
        self.at(self.inner.mail(session, shard, now, limit)).await
    }

    async fn history(
        &self,
        session: SessionId,
        shard: Shard,
        from: HistoryFrom,
    ) -> Result<Option<History>, StoreError> {
        self.read().await?;
        self.at(self.inner.history(session, shard, from)).await
    }

    async fn tail(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.read().await?;
        self.at(self.inner.tail(shard, after, limit)).await
    }

    async fn keys(&self, sessions: &[SessionId]) -> Result<Vec<KeyRow>, StoreError> {
        self.read().await?;
        self.at(self.inner.keys(sessions)).await
    }

    async fn heads(&self, filter: &HeadFilter) -> Result<Vec<HeadRow>, StoreError> {
        self.read().await?;
        self.at(self.inner.heads(filter)).await
    }

    async fn counts(&self) -> Result<Vec<PhaseCount>, StoreError> {
        self.read().await?;
        self.at(self.inner.counts()).await
    }

    async fn backup_to(&self, to: &std::path::Path) -> Result<u64, StoreError> {
        self.read().await?;
        self.at(self.inner.backup_to(to)).await
    }

    async fn text(&self, hash: Digest) -> Result<Option<String>, StoreError> {
        self.read().await?;
        self.at(self.inner.text(hash)).await
    }

    async fn holdings(&self, shard: Shard) -> Result<Vec<HoldingRow>, StoreError> {
        self.read().await?;
        self.at(self.inner.holdings(shard)).await
    }

    async fn take_holdings(&self, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, StoreError> {
        self.simple(self.at(self.inner.take_holdings(of, since))).await
    }

    async fn draw(&self, draw: Draw) -> Result<Drawn, StoreError> {
        self.simple(self.at(self.inner.draw(draw))).await
    }

    async fn standing(&self, of: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, StoreError> {
        self.read().await?;
        self.at(self.inner.standing(of)).await
    }

    async fn inbox(&self) -> Result<Vec<InboxItem>, StoreError> {
        self.read().await?;
        self.at(self.inner.inbox()).await
    }

    async fn recall(&self, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        self.read().await?;
        self.at(self.inner.recall(agent, now, limit)).await
    }

    async fn forget(&self, what: Forget) -> Result<u64, StoreError> {
        self.mailed(self.at(self.inner.forget(what))).await
    }
}

#[async_trait]
impl Views for Faulty {
    async fn cursor(&self, view: View, shard: Shard) -> Result<Pos, StoreError> {
        self.at(self.inner.cursor(view, shard)).await
    }

    async fn apply_view(&self, batch: ViewBatch) -> Result<bool, StoreError> {
        self.at(self.inner.apply_view(batch)).await
    }

    async fn reset_view(&self, view: View) -> Result<(), StoreError> {
        self.at(self.inner.reset_view(view)).await
    }

    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        self.at(self.inner.spend(filter)).await
    }

    async fn results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        self.at(self.inner.results(filter)).await
    }

    async fn leaves(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, StoreError> {
        self.at(self.inner.leaves(shard, after, limit)).await
    }

    async fn followed(&self, follower: &str) -> Result<Vec<(Shard, Pos)>, StoreError> {
        self.at(self.inner.followed(follower)).await
    }

    async fn follow(&self, follower: &str, to: &[(Shard, Pos)]) -> Result<(), StoreError> {
        self.at(self.inner.follow(follower, to)).await
    }

    async fn unfollow(&self, follower: &str) -> Result<(), StoreError> {
        self.at(self.inner.unfollow(follower)).await
    }
}
