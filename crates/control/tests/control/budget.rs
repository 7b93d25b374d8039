//! Budgets: reserved before a call, settled after it, never overspent.

use std::sync::Mutex;

use control::budget::{Balance, Exhausted, Holdings, Limit, Short, asks_again_at, compute_usd_micros};
use data::store::HoldingRow;
use domain::budget::{Amounts, BudgetKey, Meter, Window};
use domain::clock::Timestamp;
use domain::id::{Epoch, Name, Shard};

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(20_000 * DAY + 7_000_000);
const DAY_START: Timestamp = Timestamp(20_000 * DAY);

fn agent() -> Name {
    "finance".parse().unwrap()
}

fn key(meter: Meter, window: Window) -> BudgetKey {
    BudgetKey::of_agent(agent(), meter, window)
}

const HERE: Shard = Shard(0);

fn limits(of: &[(Meter, Window, i64)]) -> Vec<Limit> {
    limits_at(of, NOW)
}

fn limits_at(of: &[(Meter, Window, i64)], now: Timestamp) -> Vec<Limit> {
    let each = of.iter().map(|&(meter, window, cap)| {
        let start = window.start(now);
        Limit { budget: key(meter, window), start, ends: start.plus_ms(window.length_ms()), cap, aside: 0 }
    });
    each.collect()
}

fn draw(holdings: &mut Holdings, limits: &[Limit]) {
    for limit in limits {
        let more = limit.cap - holdings.balance(&limit.budget, limit.start).drawn;
        holdings.drew(HERE, limit, more, Balance { drawn: limit.cap, ..Balance::default() });
    }
}

fn drawn(limits: &[Limit]) -> Holdings {
    let mut holdings = Holdings::default();
    draw(&mut holdings, limits);
    holdings
}

fn usd(usd_micros: i64) -> Amounts {
    Amounts { usd_micros, ..Amounts::default() }
}

#[test]
fn a_thousand_calls_at_once_never_overspend() {
    let (cap, worst) = (100_000, 700);
    let limits = limits(&[(Meter::UsdMicros, Window::Day, cap)]);
    let holdings = Mutex::new(drawn(&limits));
    let one_call = |i: i64| loop {
        let held = holdings.lock().unwrap().reserve(HERE, &limits, &usd(worst));
        let balance = holdings.lock().unwrap().balance(&key(Meter::UsdMicros, Window::Day), DAY_START);
        assert!(balance.reserved + balance.spent <= cap, "{balance:?}");
        match held {
            Ok((holds, _)) => {
                let actual = i * 37 % (worst + 1);
                holdings.lock().unwrap().settle(HERE, &holds, &usd(actual));
                return (actual, 0);
            }
            Err(Short::TiedUp { .. }) => std::thread::yield_now(),
            Err(Short::Exhausted(_)) => return (0, 1),
        }
    };
    let (spent, refused) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..1000).map(|i| scope.spawn(move || one_call(i))).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap());
        ends.fold((0, 0), |(spent, refused), (s, r)| (spent + s, refused + r))
    });
    let balance = holdings.into_inner().unwrap().balance(&key(Meter::UsdMicros, Window::Day), DAY_START);
    assert_eq!(balance, Balance { drawn: cap, reserved: 0, spent });
    assert!(spent <= cap && spent > cap - worst, "{spent} of {cap}");
    assert!(refused > 0);
}

#[test]
fn a_spent_budget_is_exhausted_and_a_held_one_is_tied_up() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = drawn(&limits);
    let (holds, _) = holdings.reserve(HERE, &limits, &usd(900)).unwrap();
    let budget = key(Meter::UsdMicros, Window::Day);
    let ends = Timestamp(20_001 * DAY);
    assert_eq!(holdings.check(HERE, &limits, &usd(200)), Err(Short::TiedUp { budget: budget.clone(), ends }));
    holdings.settle(HERE, &holds, &usd(900));
    let exhausted = Exhausted { budget, start: DAY_START, cap: 1000, spent: 900, wanted: 200, ends };
    assert_eq!(holdings.check(HERE, &limits, &usd(200)), Err(Short::Exhausted(exhausted)));
    assert_eq!(holdings.check(HERE, &limits, &usd(100)), Ok(()));
}

#[test]
fn a_call_that_waits_long_looks_seldom_and_when_the_window_ends() {
    let mut looks = Vec::new();
    let (mut now, ends) = (NOW, NOW.plus_ms(3_600_000));
    while now < ends {
        let next = asks_again_at(now, (now > NOW).then_some(NOW), ends);
        looks.push(next.since_ms(now) / 1000);
        now = next;
    }
    assert_eq!(looks[..9], [2, 2, 4, 8, 16, 32, 64, 128, 256]);
    assert!(looks[9..looks.len() - 1].iter().all(|seconds| *seconds == 300), "{looks:?}");
    assert_eq!(now, ends);
    assert_eq!(looks.len(), 20, "an hour's wait is no more records than this");
}

#[test]
fn a_wait_for_calls_in_flight_ends_with_the_window() {
    let late = Timestamp(Window::Hour.start(NOW).0 + Window::Hour.length_ms() - 5);
    let limits = limits_at(&[(Meter::Calls, Window::Hour, 1)], late);
    let mut holdings = drawn(&limits);
    let one = Amounts { calls: 1, ..Amounts::default() };
    holdings.reserve(HERE, &limits, &one).unwrap();
    let ends = late.plus_ms(5);
    let budget = key(Meter::Calls, Window::Hour);
    assert_eq!(holdings.reserve(HERE, &limits, &one), Err(Short::TiedUp { budget, ends }));
    assert_eq!(asks_again_at(late, None, ends), ends);
}

#[test]
fn a_window_that_was_not_drawn_lets_nothing_through() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = Holdings::default();
    assert!(matches!(holdings.reserve(HERE, &limits, &usd(1)), Err(Short::TiedUp { .. })));
}

#[test]
fn what_came_out_dearer_than_its_worst_case_is_recorded_as_it_is() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = drawn(&limits);
    let (holds, _) = holdings.reserve(HERE, &limits, &usd(900)).unwrap();
    let deltas = holdings.settle(HERE, &holds, &usd(1300));
    assert_eq!((deltas[0].reserved, deltas[0].spent), (-900, 1300));
    let start = DAY_START;
    let balance = holdings.balance(&key(Meter::UsdMicros, Window::Day), start);
    assert_eq!(balance, Balance { drawn: 1000, reserved: 0, spent: 1300 });
    assert!(matches!(holdings.reserve(HERE, &limits, &usd(1)), Err(Short::Exhausted(_))));
}

#[test]
fn a_call_settles_in_the_window_that_it_was_held_in() {
    let limits = limits(&[(Meter::Calls, Window::Hour, 5)]);
    let mut holdings = drawn(&limits);
    let one = Amounts { calls: 1, ..Amounts::default() };
    let (holds, _) = holdings.reserve(HERE, &limits, &one).unwrap();
    let next_hour = NOW.plus_ms(Window::Hour.length_ms());
    draw(&mut holdings, &limits_at(&[(Meter::Calls, Window::Hour, 5)], next_hour));
    holdings.settle(HERE, &holds, &one);
    let budget = key(Meter::Calls, Window::Hour);
    assert_eq!(holdings.balance(&budget, Window::Hour.start(NOW)).spent, 1);
    assert_eq!(holdings.balance(&budget, Window::Hour.start(next_hour)).spent, 0);
}

#[test]
fn a_raised_cap_is_drawn_and_a_lowered_one_refuses_at_once() {
    let low = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let high = limits(&[(Meter::UsdMicros, Window::Day, 5000)]);
    let mut holdings = drawn(&low);
    let (holds, _) = holdings.reserve(HERE, &low, &usd(900)).unwrap();
    holdings.settle(HERE, &holds, &usd(900));
    draw(&mut holdings, &high);
    assert_eq!(holdings.check(HERE, &high, &usd(4000)), Ok(()));
    assert!(matches!(holdings.check(HERE, &low, &usd(4000)), Err(Short::Exhausted(_))));
}

#[test]
fn compute_time_is_charged_without_a_hold_and_refuses_once_spent() {
    let limits = limits(&[(Meter::ComputeMs, Window::Day, 60_000)]);
    let mut holdings = drawn(&limits);
    assert_eq!(holdings.check(HERE, &limits, &Amounts::default()), Ok(()));
    let worked = Amounts { compute_ms: 60_000, ..Amounts::default() };
    let deltas = holdings.charge(HERE, &limits, &worked);
    assert_eq!((deltas[0].reserved, deltas[0].spent), (0, 60_000));
    assert!(matches!(holdings.check(HERE, &limits, &Amounts::default()), Err(Short::Exhausted(_))));
}

#[test]
fn what_compute_time_costs_finds_room_that_no_call_could_take() {
    let aside = compute_usd_micros(6_000, 60_000);
    assert_eq!((aside, compute_usd_micros(6_000, 1), compute_usd_micros(0, 60_000)), (100, 1, 0));
    let mut limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    limits[0].aside = aside;
    let mut holdings = drawn(&limits);
    assert!(matches!(holdings.check(HERE, &limits, &usd(901)), Err(Short::Exhausted(_))));
    let (holds, _) = holdings.reserve(HERE, &limits, &usd(900)).unwrap();
    assert_eq!(holds[0].amount, 900, "it is kept free, not held");
    holdings.settle(HERE, &holds, &usd(900));
    holdings.charge(HERE, &limits, &Amounts { compute_ms: 60_000, usd_micros: 100, ..Amounts::default() });
    let balance = holdings.balance(&limits[0].budget, limits[0].start);
    assert_eq!((balance.spent, balance.room()), (1000, 0));
    assert!(matches!(holdings.check(HERE, &limits, &Amounts::default()), Err(Short::Exhausted(_))), "a free call, too");
}

#[test]
fn what_was_never_committed_is_taken_back() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000), (Meter::Calls, Window::Hour, 10)]);
    let mut holdings = drawn(&limits);
    let worst = Amounts { usd_micros: 900, calls: 1, ..Amounts::default() };
    let (_, deltas) = holdings.reserve(HERE, &limits, &worst).unwrap();
    holdings.undo(&deltas);
    assert_eq!(holdings.check(HERE, &limits, &usd(1000)), Ok(()));
}

#[test]
fn what_the_store_kept_still_holds_after_a_restart() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let (shard, budget, window_start) = (HERE, key(Meter::UsdMicros, Window::Day), DAY_START);
    let row = HoldingRow { shard, budget, window_start, drawn: 1000, reserved: 400, spent: 300 };
    let mut holdings = Holdings::default();
    holdings.take(HERE, Epoch(2), vec![row]);
    assert_eq!(holdings.check(HERE, &limits, &usd(300)), Ok(()));
    assert!(matches!(holdings.reserve(HERE, &limits, &usd(301)), Err(Short::TiedUp { .. })));
}

#[test]
fn a_spent_budget_says_so_in_words_that_do_not_invite_another_try() {
    let budget = key(Meter::UsdMicros, Window::Day);
    let ends = Timestamp(20_001 * DAY);
    let spent = Exhausted { budget, start: DAY_START, cap: 40_000_000, spent: 39_990_000, wanted: 50_000, ends };
    let refusal = spent.refusal();
    assert_eq!(
        refusal.reason,
        "The budget agent/finance/usd_micros_per_day is used up: $39.99 of $40.00 are spent, and this call could come \
         to $0.05. Nothing of it comes back before the window ends at 2024-10-05T00:00:00.000Z."
    );
    assert!(refusal.next.starts_with("Do not try again"), "{}", refusal.next);
    assert!(refusal.next.contains("spec.budgets.usd_per_day"), "{}", refusal.next);
}

#[test]
fn what_was_known_under_an_older_claim_changes_nothing() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = Holdings::default();
    holdings.take(HERE, Epoch(1), Vec::new());
    draw(&mut holdings, &limits);
    let (holds, held) = holdings.reserve(HERE, &limits, &usd(900)).unwrap();
    let settled = holdings.settle(HERE, &holds, &usd(100));
    let (shard, budget, window_start) = (HERE, key(Meter::UsdMicros, Window::Day), DAY_START);
    let row = HoldingRow { shard, budget: budget.clone(), window_start, drawn: 1000, reserved: 900, spent: 0 };
    holdings.take(HERE, Epoch(3), vec![row]);
    holdings.undo(&settled);
    holdings.undo(&held);
    assert_eq!(holdings.balance(&budget, DAY_START), Balance { drawn: 1000, reserved: 900, spent: 0 });
}

#[test]
fn a_shard_uses_what_it_drew_and_no_other_shards_part() {
    let limits = limits(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = Holdings::default();
    let part = |drawn| Balance { drawn, ..Balance::default() };
    holdings.drew(HERE, &limits[0], 600, part(600));
    holdings.drew(Shard(1), &limits[0], 400, part(400));
    assert!(matches!(holdings.reserve(HERE, &limits, &usd(700)), Err(Short::TiedUp { .. })));
    let (holds, _) = holdings.reserve(HERE, &limits, &usd(600)).unwrap();
    holdings.settle(HERE, &holds, &usd(600));
    let spent = holdings.reserve(Shard(1), &limits, &usd(401));
    assert!(matches!(spent, Err(Short::Exhausted(Exhausted { spent: 600, .. }))), "all shards count: {spent:?}");
    assert!(holdings.reserve(Shard(1), &limits, &usd(400)).is_ok());
}
