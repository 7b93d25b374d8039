//! Views: rows and cursor together or not at all.

use data::store::{LeafRow, ResultFilter, ResultRow, SpendFilter, SpendRow, View, ViewBatch};
use domain::budget::Amounts;
use domain::clock::Timestamp;
use domain::id::{Digest, Pos, Seq, Shard};

use crate::world::{Fixture, name, session};

fn batch(view: View, from: u64, to: u64) -> ViewBatch {
    let (spend, results, leaves) = (Vec::new(), Vec::new(), Vec::new());
    ViewBatch { view, shard: Shard(0), from: Pos(from), to: Pos(to), spend, results, leaves }
}

fn spent(tokens: i64) -> SpendRow {
    SpendRow {
        agent: name("finance"),
        session: session(1),
        hour: Timestamp(3_600_000),
        what: "small".to_owned(),
        amounts: Amounts { tokens, calls: 1, ..Amounts::default() },
    }
}

pub(crate) async fn a_view_moves_with_its_cursor_or_not_at_all(fixture: Fixture) {
    assert_eq!(fixture.cursor(View::Spend, Shard(0)).await.unwrap(), Pos(0));
    let first = ViewBatch { spend: vec![spent(10), spent(5)], ..batch(View::Spend, 0, 4) };
    assert!(fixture.apply_view(first.clone()).await.unwrap());
    // Somebody else who read the same stretch comes too late.
    assert!(!fixture.apply_view(first).await.unwrap());
    assert!(fixture.apply_view(ViewBatch { spend: vec![spent(1)], ..batch(View::Spend, 4, 6) }).await.unwrap());
    assert_eq!(fixture.cursor(View::Spend, Shard(0)).await.unwrap(), Pos(6));
    assert_eq!(fixture.cursor(View::Spend, Shard(1)).await.unwrap(), Pos(0));
    let all = fixture.spend(&SpendFilter::default()).await.unwrap();
    assert_eq!(all, [SpendRow { amounts: Amounts { tokens: 16, calls: 3, ..Amounts::default() }, ..spent(0) }]);
    let later = SpendFilter { since: Some(Timestamp(3_600_001)), ..SpendFilter::default() };
    assert_eq!(fixture.spend(&later).await.unwrap(), []);
    let mine = SpendFilter { agent: Some(name("finance")), session: Some(session(1)), since: None };
    assert_eq!(fixture.spend(&mine).await.unwrap().len(), 1);
}

pub(crate) async fn a_view_is_rebuilt_from_the_start(fixture: Fixture) {
    let result = |seq, at| ResultRow {
        session: session(1),
        seq: Seq(seq),
        pos: Pos(seq),
        agent: name("finance"),
        at: Timestamp(at),
    };
    let results = vec![result(1, 10), result(2, 20)];
    assert!(fixture.apply_view(ViewBatch { results, ..batch(View::Results, 0, 2) }).await.unwrap());
    let leaf = |pos, text: &str| LeafRow { shard: Shard(0), pos: Pos(pos), hash: Digest::of(text.as_bytes()) };
    let leaves = vec![leaf(1, "a"), leaf(2, "b"), leaf(3, "c")];
    assert!(fixture.apply_view(ViewBatch { leaves, ..batch(View::Audit, 0, 3) }).await.unwrap());

    let filter = ResultFilter { agent: Some(name("finance")), ..ResultFilter::default() };
    assert_eq!(fixture.results(&filter).await.unwrap(), [result(2, 20), result(1, 10)]);
    let one = ResultFilter { limit: Some(1), ..filter };
    assert_eq!(fixture.results(&one).await.unwrap(), [result(2, 20)]);
    assert_eq!(fixture.leaves(Shard(0), Pos(1), 1).await.unwrap(), [leaf(2, "b")]);

    fixture.reset_view(View::Results).await.unwrap();
    assert_eq!(fixture.results(&one).await.unwrap(), []);
    assert_eq!(fixture.cursor(View::Results, Shard(0)).await.unwrap(), Pos(0));
    assert_eq!(fixture.leaves(Shard(0), Pos(0), 10).await.unwrap().len(), 3);
}

pub(crate) async fn a_follower_from_outside_moves_forward_and_never_back(fixture: Fixture) {
    let (hook, other) = ("webhook:office@3", "webhook:shop@4");
    assert_eq!(fixture.followed(hook).await.unwrap(), []);
    fixture.follow(hook, &[(Shard(0), Pos(5)), (Shard::CONTROL, Pos(2))]).await.unwrap();
    fixture.follow(hook, &[(Shard(0), Pos(4))]).await.unwrap();
    fixture.follow(hook, &[(Shard::CONTROL, Pos(3))]).await.unwrap();
    fixture.follow(other, &[(Shard(0), Pos(1))]).await.unwrap();
    assert_eq!(fixture.followed(hook).await.unwrap(), [(Shard(0), Pos(5)), (Shard::CONTROL, Pos(3))]);
    fixture.unfollow(hook).await.unwrap();
    assert_eq!(fixture.followed(hook).await.unwrap(), []);
    assert_eq!(fixture.followed(other).await.unwrap(), [(Shard(0), Pos(1))]);
}
