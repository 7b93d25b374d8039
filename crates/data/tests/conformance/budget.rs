//! Accounts and holdings: never more than the cap, however many draw, and nothing is lost between owners.

use data::commit::{Log, Wish};
use data::rows::{HoldingDelta, Rows};
use data::store::{Drawn, Standing};
use domain::budget::{BudgetKey, Meter, Subject, Window};
use domain::clock::Timestamp;
use domain::id::{Epoch, Shard};

use crate::world::{Fixture, commit, name, said, session};

const START: Timestamp = Timestamp(3_600_000);

fn budget() -> BudgetKey {
    BudgetKey::of_agent(name("finance"), Meter::UsdMicros, Window::Day)
}

fn held(reserved: i64, spent: i64) -> Rows {
    let (shard, since) = (Shard(0), Epoch(0));
    let delta = HoldingDelta { shard, since, budget: budget(), window_start: START, reserved, spent };
    Rows { holdings: vec![delta], ..Rows::of(said("money")) }
}

/// A wish for so much of so much, and nothing ahead.
fn wish(shard: u16, need: i64, cap: i64) -> Wish {
    let (shard, budget, window_start) = (Shard(shard), budget(), START);
    Wish { shard, budget, window_start, cap, need, ahead: 0, share: 1, back: Vec::new() }
}

async fn drawn(log: &Log, wish: Wish) -> i64 {
    log.draw(wish).await.unwrap().drawn
}

pub(crate) async fn drawing_never_exceeds_the_cap(fixture: Fixture) {
    let log = fixture.log().await;
    let tasks = (0..16).map(|n: u16| {
        let log = log.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                let back = vec![(Shard((n + 1) % 4), 10), (Shard((n + 2) % 4), 10)];
                log.draw(Wish { ahead: 10, share: 2, back, ..wish(n % 4, 30, 1_000) }).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut drawn = 0;
    for shard in 0..4 {
        drawn += log.holdings(Shard(shard)).await.unwrap().iter().map(|holding| holding.drawn).sum::<i64>();
    }
    assert_eq!(drawn, 1_000);
    let standing = log.standing(&[(budget(), START)]).await.unwrap();
    assert_eq!(standing, [Standing { cap: 1_000, drawn, reserved: 0, spent: 0 }]);
}

pub(crate) async fn a_draw_gets_what_is_needed_and_a_part_of_what_is_left(fixture: Fixture) {
    let log = fixture.log().await;
    assert_eq!(drawn(&log, Wish { ahead: 50, share: 4, ..wish(0, 20, 100) }).await, 40, "a fourth of 80, ahead");
    assert_eq!(drawn(&log, Wish { ahead: 5, share: 4, ..wish(0, 20, 100) }).await, 65);
    assert_eq!(drawn(&log, wish(1, 50, 100)).await, 35, "there are only 35");
    let ahead = Wish { ahead: i64::MAX, share: 1, ..wish(2, 5, 120) };
    assert_eq!(drawn(&log, ahead).await, 20, "and all of it goes where that is wanted");
}

pub(crate) async fn a_lower_cap_grants_nothing_and_takes_nothing_back(fixture: Fixture) {
    let log = fixture.log().await;
    assert_eq!(drawn(&log, wish(0, 80, 100)).await, 80);
    assert_eq!(drawn(&log, wish(0, 80, 50)).await, 80);
    assert_eq!(drawn(&log, wish(1, 120, 200)).await, 120);
    assert_eq!(drawn(&log, Wish { window_start: Timestamp(0), ..wish(0, 10, 200) }).await, 10);
}

pub(crate) async fn what_one_shard_gives_back_another_gets(fixture: Fixture) {
    let log = fixture.log().await;
    let mut writer = log.begin(session(1));
    drawn(&log, wish(0, 100, 100)).await;
    commit(&log, &mut writer, held(40, 0)).await;
    let asked = |amount| Wish { back: vec![(Shard(0), amount)], ..wish(1, 60, 100) };
    assert_eq!(log.draw(asked(61)).await.unwrap(), Drawn::default(), "what is held is not given back");
    let got = log.draw(asked(60)).await.unwrap();
    assert_eq!((got.granted, got.drawn, got.gave), (60, 60, vec![Shard(0)]));
    assert_eq!(log.holdings(Shard(0)).await.unwrap()[0].drawn, 40);
}

pub(crate) async fn a_new_owner_is_left_what_is_held_and_spent_and_the_rest_goes_back(fixture: Fixture) {
    let log = fixture.log().await;
    let mut writer = log.begin(session(1));
    drawn(&log, wish(0, 90, 100)).await;
    commit(&log, &mut writer, held(40, 5)).await;
    let before = log.owned_since(Shard(0)).unwrap();
    let other = fixture.log_on(fixture.store.clone(), "node-a").await;
    let since = other.owned_since(Shard(0)).unwrap();
    assert!(since > before);
    let rows = other.taken_holdings(Shard(0), since).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.drawn, row.reserved, row.spent)).collect();
    assert_eq!(found, [(45, 40, 5)]);
    assert_eq!(other.taken_holdings(Shard(0), since), None, "it is handed over once");
    let late = log.draw(wish(0, 10, 100)).await.unwrap();
    assert!(late.fenced && late.granted == 0, "who owned it before draws nothing: {late:?}");
    assert_eq!(drawn(&other, wish(0, 55, 100)).await, 100, "and all that was not used is there for the next");
}

pub(crate) async fn holdings_are_the_sum_of_their_changes(fixture: Fixture) {
    let log = fixture.log().await;
    drawn(&log, wish(0, 100, 100)).await;
    let (mut first, mut second) = (log.begin(session(1)), log.begin(session(2)));
    let (_, _) = tokio::join!(commit(&log, &mut first, held(40, 0)), commit(&log, &mut second, held(30, 0)));
    commit(&log, &mut first, held(-40, 25)).await;
    let rows = log.holdings(Shard(0)).await.unwrap();
    let kept: Vec<_> = rows.iter().map(|row| (&row.budget, row.drawn, row.reserved, row.spent)).collect();
    assert_eq!(kept, [(&budget(), 100, 30, 25)]);
}

pub(crate) async fn every_subject_has_accounts_of_its_own(fixture: Fixture) {
    let log = fixture.log().await;
    let subjects = [Subject::Agent(name("finance")), Subject::Owner(name("finance")), Subject::Session(session(1))];
    for (n, subject) in (1..).zip(&subjects) {
        let budget = BudgetKey { subject: subject.clone(), meter: Meter::Calls, window: Window::Session };
        assert_eq!(drawn(&log, Wish { budget, ..wish(0, n, 100) }).await, n);
    }
    let rows = log.holdings(Shard(0)).await.unwrap();
    let mut kept: Vec<_> = rows.into_iter().map(|row| (row.drawn, row.budget.subject)).collect();
    kept.sort();
    assert_eq!(kept, (1..).zip(subjects).collect::<Vec<_>>());
    fixture.store.forget(data::store::Forget::Expired { now: Timestamp(i64::MAX) }).await.unwrap();
    assert_eq!(log.holdings(Shard(0)).await.unwrap().len(), 3, "what a session spent is never forgotten");
}
