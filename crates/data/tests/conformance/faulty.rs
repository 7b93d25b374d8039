//! A store around a store, with the faults that a test asks for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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

/// What happens to a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It lands and the answer is lost.
    Landed,
    /// It is lost on the way, and so is the answer.
    Lost,
}

/// The store around a store.
pub(crate) struct Faulty {
    pub(crate) inner: Arc<dyn Store>,
    /// What becomes of the next commits.
    pub(crate) fates: Mutex<VecDeque<Fate>>,
    /// Whether claims fail.
    pub(crate) no_claims: AtomicBool,
    /// Whether posts fail.
    pub(crate) no_posts: AtomicBool,
    /// What happens to records on their way back.
    pub(crate) change: fn(&mut RecordRow),
}

impl Faulty {
    pub(crate) fn around(inner: Arc<dyn Store>) -> Self {
        let (no_claims, no_posts) = (AtomicBool::new(false), AtomicBool::new(false));
        Faulty { inner, fates: Mutex::default(), no_claims, no_posts, change: |_| () }
    }

    pub(crate) fn next(&self, fate: Fate) {
        self.fates.lock().unwrap().push_back(fate);
    }
}

#[async_trait]
impl Store for Faulty {
    fn about(&self) -> &About {
        self.inner.about()
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        if self.no_claims.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("no claims today".to_owned()));
        }
        self.inner.claim(claim).await
    }

    async fn renew(&self, held: Vec<(Shard, Epoch)>) -> Result<Vec<Shard>, StoreError> {
        self.inner.renew(held).await
    }

    async fn release(&self, held: Vec<(Shard, Epoch)>) -> Result<(), StoreError> {
        self.inner.release(held).await
    }

    async fn commit(&self, batch: Batch) -> Result<Answer, StoreError> {
        let fate = self.fates.lock().unwrap().pop_front();
        let lost = StoreError::Unknown("the line went dead".to_owned());
        match fate {
            None => self.inner.commit(batch).await,
            Some(Fate::Landed) => {
                self.inner.commit(batch).await?;
                Err(lost)
            }
            Some(Fate::Lost) => Err(lost),
        }
    }

    async fn commit_control(&self, row: ControlRow) -> Result<ControlAnswer, StoreError> {
        self.inner.commit_control(row).await
    }

    async fn post(&self, mail: Vec<MailRow>) -> Result<(), StoreError> {
        if self.no_posts.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("no posts today".to_owned()));
        }
        self.inner.post(mail).await
    }

    async fn due(
        &self,
        shards: &[Shard],
        by: DueBy,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.inner.due(shards, by, after, limit).await
    }

    async fn mail(
        &self,
        session: SessionId,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.inner.mail(session, shard, now, limit).await
    }

    async fn history(
        &self,
        session: SessionId,
        shard: Shard,
        from: HistoryFrom,
    ) -> Result<Option<History>, StoreError> {
        let mut history = self.inner.history(session, shard, from).await?;
        history.iter_mut().flat_map(|history| &mut history.records).for_each(self.change);
        Ok(history)
    }

    async fn tail(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.inner.tail(shard, after, limit).await
    }

    async fn keys(&self, sessions: &[SessionId]) -> Result<Vec<KeyRow>, StoreError> {
        self.inner.keys(sessions).await
    }

    async fn heads(&self, filter: &HeadFilter) -> Result<Vec<HeadRow>, StoreError> {
        self.inner.heads(filter).await
    }

    async fn counts(&self) -> Result<Vec<PhaseCount>, StoreError> {
        self.inner.counts().await
    }

    async fn backup_to(&self, to: &std::path::Path) -> Result<u64, StoreError> {
        self.inner.backup_to(to).await
    }

    async fn text(&self, hash: Digest) -> Result<Option<String>, StoreError> {
        self.inner.text(hash).await
    }

    async fn holdings(&self, shard: Shard) -> Result<Vec<HoldingRow>, StoreError> {
        self.inner.holdings(shard).await
    }

    async fn take_holdings(&self, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, StoreError> {
        self.inner.take_holdings(of, since).await
    }

    async fn draw(&self, draw: Draw) -> Result<Drawn, StoreError> {
        self.inner.draw(draw).await
    }

    async fn standing(&self, of: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, StoreError> {
        self.inner.standing(of).await
    }

    async fn inbox(&self) -> Result<Vec<InboxItem>, StoreError> {
        self.inner.inbox().await
    }

    async fn recall(&self, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        self.inner.recall(agent, now, limit).await
    }

    async fn forget(&self, what: Forget) -> Result<u64, StoreError> {
        self.inner.forget(what).await
    }
}

#[async_trait]
impl Views for Faulty {
    async fn cursor(&self, view: View, shard: Shard) -> Result<Pos, StoreError> {
        self.inner.cursor(view, shard).await
    }

    async fn apply_view(&self, batch: ViewBatch) -> Result<bool, StoreError> {
        self.inner.apply_view(batch).await
    }

    async fn reset_view(&self, view: View) -> Result<(), StoreError> {
        self.inner.reset_view(view).await
    }

    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        self.inner.spend(filter).await
    }

    async fn results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        self.inner.results(filter).await
    }

    async fn leaves(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, StoreError> {
        self.inner.leaves(shard, after, limit).await
    }

    async fn followed(&self, follower: &str) -> Result<Vec<(Shard, Pos)>, StoreError> {
        self.inner.followed(follower).await
    }

    async fn follow(&self, follower: &str, to: &[(Shard, Pos)]) -> Result<(), StoreError> {
        self.inner.follow(follower, to).await
    }

    async fn unfollow(&self, follower: &str) -> Result<(), StoreError> {
        self.inner.unfollow(follower).await
    }
}
