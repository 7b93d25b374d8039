//! Every read of the port, asked of a store after the same story: what it says, row by row.

use std::fmt::Debug;
use std::sync::Arc;

use data::store::{DueBy, DueCursor, DueRow, HeadFilter, HistoryFrom, ResultFilter, SpendFilter, Store, View};
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::id::{Digest, Pos, Shard};
use domain::session::Phase;

use crate::SHARDS;
use crate::expect::{Model, SESSIONS};
use crate::rows::{FOLD, agent, session, shard_of, window};

/// The answer to one read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) name: String,
    pub(crate) rows: Vec<String>,
}

/// Who follows from outside.
pub(crate) const FOLLOWER: &str = "webhook:office@3";

struct Reads(Vec<Read>);

impl Reads {
    fn add<T: Debug>(&mut self, name: &str, rows: impl IntoIterator<Item = T>) {
        let rows = rows.into_iter().map(|row| format!("{row:?}")).collect();
        self.0.push(Read { name: name.to_owned(), rows });
    }
}

pub(crate) async fn all(store: &Arc<dyn Store>, model: &Model) -> Vec<Read> {
    let mut reads = Reads(Vec::new());
    records(store, &mut reads).await;
    heads(store, &mut reads).await;
    mail(store, &mut reads).await;
    for shard in (0..SHARDS).map(Shard) {
        reads.add("holdings", store.holdings(shard).await.unwrap());
        for view in [View::Spend, View::Results, View::Audit] {
            let at = store.cursor(view, shard).await.unwrap();
            assert_eq!(at.0, model.followed[usize::from(shard.0)]);
        }
        reads.add("leaves", store.leaves(shard, Pos(0), 100).await.unwrap());
        reads.add("some leaves", store.leaves(shard, Pos(1), 1).await.unwrap());
    }
    reads.add("standing", store.standing(&[window()]).await.unwrap());
    reads.add("followed", store.followed(FOLLOWER).await.unwrap());
    reads.add("inbox", store.inbox().await.unwrap());
    for (now, limit) in [(0, 100), (60, 100), (0, 2)] {
        reads.add("recall", store.recall(&agent(0), Timestamp(now), limit).await.unwrap());
    }
    for text in ["said \0 by 0", "said \0 by 1", "admin", "nothing"] {
        reads.add("text", store.text(Digest::of(text.as_bytes())).await.unwrap());
    }
    let one = SpendFilter { agent: Some(agent(1)), session: Some(session(0)), since: Some(Timestamp(0)) };
    for filter in [SpendFilter::default(), one, SpendFilter { since: Some(Timestamp(i64::MAX)), ..Default::default() }]
    {
        reads.add("spend", store.spend(&filter).await.unwrap());
    }
    let one = ResultFilter { agent: Some(agent(0)), session: Some(session(1)), limit: None };
    for filter in [ResultFilter::default(), one, ResultFilter { limit: Some(2), ..Default::default() }] {
        reads.add("results", store.results(&filter).await.unwrap());
    }
    reads.0
}

async fn records(store: &Arc<dyn Store>, reads: &mut Reads) {
    let mut tail = Vec::new();
    for shard in (0..SHARDS).map(Shard).chain([Shard::CONTROL]) {
        tail.extend(store.tail(shard, Pos(0), 1_000).await.unwrap());
        reads.add("some of a tail", store.tail(shard, Pos(1), 2).await.unwrap());
    }
    reads.add("tail", tail);
    let all: Vec<_> = (0..SESSIONS).map(session).collect();
    reads.add("keys", store.keys(&all).await.unwrap());
    for n in 0..SESSIONS {
        for from in [HistoryFrom::Start, HistoryFrom::Snapshot { fold: FOLD }, HistoryFrom::Snapshot { fold: FOLD + 1 }]
        {
            reads.add("history", store.history(session(n), Shard(shard_of(n)), from).await.unwrap());
        }
    }
}

async fn heads(store: &Arc<dyn Store>, reads: &mut Reads) {
    reads.add("heads", store.heads(&HeadFilter::default()).await.unwrap());
    let partitions = vec![u64::MAX, u64::MAX - 2];
    let filters = [
        HeadFilter { session: Some(session(2)), ..Default::default() },
        HeadFilter { agent: Some(agent(0)), ..Default::default() },
        HeadFilter { phases: vec![Phase::Ready, Phase::Running], ..Default::default() },
        HeadFilter { phases: vec![Phase::Finished], limit: Some(1), ..Default::default() },
        HeadFilter { partitions: partitions.clone(), ..Default::default() },
        HeadFilter { partitions, phases: vec![Phase::Ready, Phase::Suspended], ..Default::default() },
    ];
    for filter in filters {
        reads.add("some heads", store.heads(&filter).await.unwrap());
    }
    reads.add("counts", store.counts().await.unwrap());
    let (mut frozen, mut after) = (Vec::new(), None);
    loop {
        let filter = HeadFilter { frozen: Some(Scope::All), after, limit: Some(2), ..Default::default() };
        let page = store.heads(&filter).await.unwrap();
        after = page.last().map(|row| row.session);
        frozen.extend(page);
        if after.is_none() {
            break;
        }
    }
    reads.add("frozen", frozen);
    let other = HeadFilter { frozen: Some(Scope::Agent { agent: agent(0) }), ..Default::default() };
    reads.add("none", store.heads(&other).await.unwrap());
}

async fn mail(store: &Arc<dyn Store>, reads: &mut Reads) {
    let mut all = Vec::new();
    for n in 0..SESSIONS {
        all.extend(store.mail(session(n), Shard(shard_of(n)), Timestamp(100), 100).await.unwrap());
        reads.add("some mail", store.mail(session(n), Shard(shard_of(n)), Timestamp(5), 1).await.unwrap());
    }
    reads.add("mail", all);
    let shards: Vec<_> = (0..SHARDS).map(Shard).collect();
    for by in [Timestamp(5).into(), DueBy::all(Timestamp(5))] {
        let mut after = None;
        loop {
            let due = store.due(&shards, by, after.take(), 2).await.unwrap();
            let last = due.rows.last().cloned();
            reads.add("due", [due]);
            let Some(DueRow { due, posted, session, id, .. }) = last else { break };
            after = Some(DueCursor { due, posted, session, id });
        }
    }
    reads.add("due in one shard", [store.due(&shards[..1], Timestamp(100).into(), None, 0).await.unwrap()]);
}
