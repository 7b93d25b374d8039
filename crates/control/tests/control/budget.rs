//! Budgets: reserved before a call, settled after it, never overspent.

use std::sync::Mutex;

use control::budget::{Balance, Caps, Exhausted, Holdings, Short, asks_again_at};
use domain::budget::{Amounts, BudgetKey, Meter, Window};
use domain::clock::Timestamp;
use domain::id::Name;

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(20_000 * DAY + 7_000_000);

fn agent() -> Name {
    "finance".parse().unwrap()
}

fn key(meter: Meter, window: Window) -> BudgetKey {
    BudgetKey::of_agent(agent(), meter, window)
}

fn caps(of: &[(Meter, Window, i64)]) -> Caps {
    of.iter().map(|&(meter, window, cap)| ((meter, window), cap)).collect()
}

fn drawn(caps: &Caps, now: Timestamp) -> Holdings {
    let mut holdings = Holdings::default();
    for (budget, start, cap) in holdings.undrawn(&agent(), caps, now) {
        holdings.drawn(&budget, start, cap);
    }
    holdings
}

fn usd(usd_micros: i64) -> Amounts {
    Amounts { usd_micros, ..Amounts::default() }
}

#[test]
fn a_thousand_calls_at_once_never_overspend() {
    let (cap, worst) = (100_000, 700);
    let caps = caps(&[(Meter::UsdMicros, Window::Day, cap)]);
    let holdings = Mutex::new(drawn(&caps, NOW));
    let one_call = |i: i64| loop {
        let held = holdings.lock().unwrap().reserve(&agent(), &caps, &usd(worst), NOW);
        let balance = holdings.lock().unwrap().balance(&key(Meter::UsdMicros, Window::Day), Window::Day.start(NOW));
        assert!(balance.reserved + balance.spent <= cap, "{balance:?}");
        match held {
            Ok((holds, _)) => {
                let actual = i * 37 % (worst + 1);
                holdings.lock().unwrap().settle(&holds, &usd(actual));
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
    let balance = holdings.into_inner().unwrap().balance(&key(Meter::UsdMicros, Window::Day), Window::Day.start(NOW));
    assert_eq!(balance, Balance { drawn: cap, reserved: 0, spent });
    assert!(spent <= cap && spent > cap - worst, "{spent} of {cap}");
    assert!(refused > 0);
}

#[test]
fn a_spent_budget_is_exhausted_and_a_held_one_is_tied_up() {
    let caps = caps(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = drawn(&caps, NOW);
    let (holds, _) = holdings.reserve(&agent(), &caps, &usd(900), NOW).unwrap();
    let budget = key(Meter::UsdMicros, Window::Day);
    let ends = Timestamp(20_001 * DAY);
    assert_eq!(holdings.check(&agent(), &caps, &usd(200), NOW), Err(Short::TiedUp { budget: budget.clone(), ends }));
    holdings.settle(&holds, &usd(900));
    let exhausted = Exhausted { budget, cap: 1000, spent: 900, wanted: 200, ends };
    assert_eq!(holdings.check(&agent(), &caps, &usd(200), NOW), Err(Short::Exhausted(exhausted)));
    assert_eq!(holdings.check(&agent(), &caps, &usd(100), NOW), Ok(()));
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
    let caps = caps(&[(Meter::Calls, Window::Hour, 1)]);
    let late = Timestamp(Window::Hour.start(NOW).0 + Window::Hour.length_ms() - 5);
    let mut holdings = drawn(&caps, late);
    let one = Amounts { calls: 1, ..Amounts::default() };
    holdings.reserve(&agent(), &caps, &one, late).unwrap();
    let ends = late.plus_ms(5);
    let budget = key(Meter::Calls, Window::Hour);
    assert_eq!(holdings.reserve(&agent(), &caps, &one, late), Err(Short::TiedUp { budget, ends }));
    assert_eq!(asks_again_at(late, None, ends), ends);
}

#[test]
fn a_window_that_was_not_drawn_lets_nothing_through() {
    let caps = caps(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = Holdings::default();
    assert!(matches!(holdings.reserve(&agent(), &caps, &usd(1), NOW), Err(Short::TiedUp { .. })));
}

#[test]
fn what_came_out_dearer_than_its_worst_case_is_recorded_as_it_is() {
    let caps = caps(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let mut holdings = drawn(&caps, NOW);
    let (holds, _) = holdings.reserve(&agent(), &caps, &usd(900), NOW).unwrap();
    let deltas = holdings.settle(&holds, &usd(1300));
    assert_eq!((deltas[0].reserved, deltas[0].spent), (-900, 1300));
    let start = Window::Day.start(NOW);
    let balance = holdings.balance(&key(Meter::UsdMicros, Window::Day), start);
    assert_eq!(balance, Balance { drawn: 1000, reserved: 0, spent: 1300 });
    assert!(matches!(holdings.reserve(&agent(), &caps, &usd(1), NOW), Err(Short::Exhausted(_))));
}

#[test]
fn a_call_settles_in_the_window_that_it_was_held_in() {
    let caps = caps(&[(Meter::Calls, Window::Hour, 5)]);
    let mut holdings = drawn(&caps, NOW);
    let one = Amounts { calls: 1, ..Amounts::default() };
    let (holds, _) = holdings.reserve(&agent(), &caps, &one, NOW).unwrap();
    let next_hour = NOW.plus_ms(Window::Hour.length_ms());
    for (budget, start, cap) in holdings.undrawn(&agent(), &caps, next_hour) {
        holdings.drawn(&budget, start, cap);
    }
    holdings.settle(&holds, &one);
    let budget = key(Meter::Calls, Window::Hour);
    assert_eq!(holdings.balance(&budget, Window::Hour.start(NOW)).spent, 1);
    assert_eq!(holdings.balance(&budget, Window::Hour.start(next_hour)).spent, 0);
}

#[test]
fn a_raised_cap_is_drawn_and_a_lowered_one_refuses_at_once() {
    let low = caps(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let high = caps(&[(Meter::UsdMicros, Window::Day, 5000)]);
    let mut holdings = drawn(&low, NOW);
    let (holds, _) = holdings.reserve(&agent(), &low, &usd(900), NOW).unwrap();
    holdings.settle(&holds, &usd(900));
    let more = holdings.undrawn(&agent(), &high, NOW);
    assert_eq!(more, vec![(key(Meter::UsdMicros, Window::Day), Window::Day.start(NOW), 5000)]);
    holdings.drawn(&more[0].0, more[0].1, 5000);
    assert_eq!(holdings.check(&agent(), &high, &usd(4000), NOW), Ok(()));
    assert!(matches!(holdings.check(&agent(), &low, &usd(4000), NOW), Err(Short::Exhausted(_))));
}

#[test]
fn compute_time_is_charged_without_a_hold_and_refuses_once_spent() {
    let caps = caps(&[(Meter::ComputeMs, Window::Day, 60_000)]);
    let mut holdings = drawn(&caps, NOW);
    assert_eq!(holdings.check(&agent(), &caps, &Amounts::default(), NOW), Ok(()));
    let worked = Amounts { compute_ms: 60_000, ..Amounts::default() };
    let deltas = holdings.charge(&agent(), &caps, &worked, NOW);
    assert_eq!((deltas[0].reserved, deltas[0].spent), (0, 60_000));
    assert!(matches!(holdings.check(&agent(), &caps, &Amounts::default(), NOW), Err(Short::Exhausted(_))));
}

#[test]
fn what_was_never_committed_is_taken_back() {
    let caps = caps(&[(Meter::UsdMicros, Window::Day, 1000), (Meter::Calls, Window::Hour, 10)]);
    let mut holdings = drawn(&caps, NOW);
    let worst = Amounts { usd_micros: 900, calls: 1, ..Amounts::default() };
    let (_, deltas) = holdings.reserve(&agent(), &caps, &worst, NOW).unwrap();
    holdings.undo(&deltas);
    assert_eq!(holdings.check(&agent(), &caps, &usd(1000), NOW), Ok(()));
}

#[test]
fn what_the_store_kept_still_holds_after_a_restart() {
    let caps = caps(&[(Meter::UsdMicros, Window::Day, 1000)]);
    let balance = Balance { drawn: 1000, reserved: 400, spent: 300 };
    let row = (key(Meter::UsdMicros, Window::Day), Window::Day.start(NOW), balance);
    let mut holdings = Holdings::restored([row]);
    assert_eq!(holdings.check(&agent(), &caps, &usd(300), NOW), Ok(()));
    assert!(matches!(holdings.reserve(&agent(), &caps, &usd(301), NOW), Err(Short::TiedUp { .. })));
}

#[test]
fn a_spent_budget_says_so_in_words_that_do_not_invite_another_try() {
    let budget = key(Meter::UsdMicros, Window::Day);
    let ends = Timestamp(20_001 * DAY);
    let spent = Exhausted { budget, cap: 40_000_000, spent: 39_990_000, wanted: 50_000, ends };
    let refusal = spent.refusal();
    assert_eq!(
        refusal.reason,
        "The budget agent/finance/usd_micros_per_day is used up: $39.99 of $40.00 are spent, and this call could come \
         to $0.05. Nothing of it comes back before the window ends at 2024-10-05T00:00:00.000Z."
    );
    assert!(refusal.next.starts_with("Do not try again"), "{}", refusal.next);
    assert!(refusal.next.contains("spec.budgets.usd_per_day"), "{}", refusal.next);
}
