//! Accounts and holdings: never more than the cap, however many draw.

use data::rows::{HoldingDelta, Rows};
use domain::budget::{BudgetKey, Meter, Window};
use domain::clock::Timestamp;
use domain::id::{Epoch, Shard};

use crate::world::{Fixture, commit, name, said, session};

const START: Timestamp = Timestamp(3_600_000);

fn budget() -> BudgetKey {
    BudgetKey::of_agent(name("finance"), Meter::UsdMicros, Window::Day)
}

fn held(reserved: i64, spent: i64) -> Rows {
    let delta =
        HoldingDelta { shard: Shard(0), since: Epoch(0), budget: budget(), window_start: START, reserved, spent };
    Rows { holdings: vec![delta], ..Rows::of(said("money")) }
}

pub(crate) async fn drawing_never_exceeds_the_cap(fixture: Fixture) {
    let log = fixture.log().await;
    let tasks = (0..16).map(|n: u16| {
        let log = log.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                log.draw(Shard(n % 4), &budget(), START, 30, 1_000).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut drawn = 0;
    for shard in 0..4 {
        drawn += log.holdings(Shard(shard)).await.unwrap().iter().map(|holding| holding.2).sum::<i64>();
    }
    assert_eq!(drawn, 1_000);
}

pub(crate) async fn a_lower_cap_grants_nothing_and_takes_nothing_back(fixture: Fixture) {
    let log = fixture.log().await;
    assert_eq!(log.draw(Shard(0), &budget(), START, 80, 100).await.unwrap(), 80);
    assert_eq!(log.draw(Shard(0), &budget(), START, 80, 50).await.unwrap(), 80);
    assert_eq!(log.draw(Shard(0), &budget(), START, -5, 200).await.unwrap(), 80);
    assert_eq!(log.draw(Shard(1), &budget(), START, 500, 200).await.unwrap(), 120);
    assert_eq!(log.draw(Shard(0), &budget(), Timestamp(0), 10, 200).await.unwrap(), 10);
}

pub(crate) async fn holdings_are_the_sum_of_their_changes(fixture: Fixture) {
    let log = fixture.log().await;
    log.draw(Shard(0), &budget(), START, 100, 100).await.unwrap();
    let (mut first, mut second) = (log.begin(session(1)), log.begin(session(2)));
    let (_, _) = tokio::join!(commit(&log, &mut first, held(40, 0)), commit(&log, &mut second, held(30, 0)));
    commit(&log, &mut first, held(-40, 25)).await;
    assert_eq!(log.holdings(Shard(0)).await.unwrap(), [(budget(), START, 100, 30, 25)]);
}
