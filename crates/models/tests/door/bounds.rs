//! Sending again, waiting for a place and waiting for an answer are all bounded. Time is tokio's, paused.

use control::people::freeze;
use domain::call::CallOutcome;
use domain::control::Scope;
use domain::principal::Caller;
use models::provider::ProviderError;
use models::scripted::{Reply, Step};
use models::{Came, Performed};

use crate::world::{ALONE, MODEL, changed, described, ended, usd_and_calls, world};

fn overloaded(retry_after_ms: Option<u64>) -> Step {
    let reason = "Overloaded".to_owned();
    Step::Fail(ProviderError::Rejected { status: 529, reason, retryable: true, retry_after_ms })
}

fn unreachable() -> Step {
    Step::Fail(ProviderError::NotSent { reason: "no connection".to_owned(), retryable: true })
}

#[tokio::test(start_paused = true)]
async fn what_surely_did_nothing_is_sent_again() {
    let mut world = world(vec![overloaded(Some(2_000)), unreachable(), Step::Say(Reply::text("There."))]).await;
    let began = tokio::time::Instant::now();
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Answered { .. }));
    assert_eq!((world.script.seen().len(), settlement.amounts.calls), (3, 1));
    let waited = began.elapsed().as_millis();
    assert!((3_000..4_000).contains(&waited), "2 s as asked, then 1 s: {waited}");
}

#[tokio::test(start_paused = true)]
async fn three_times_is_enough() {
    let mut world =
        world(vec![overloaded(None), overloaded(None), overloaded(None), Step::Say(Reply::text("Late."))]).await;
    let (outcome, _, rows) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Failed { retryable: true, .. }), "{outcome:?}");
    assert_eq!((world.script.seen().len(), changed(&rows).1), (3, usd_and_calls(0, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_wants_to_be_left_alone_for_long_is() {
    let mut world = world(vec![overloaded(Some(60_000)), Step::Say(Reply::text("Too soon."))]).await;
    let CallOutcome::Failed { error, retryable: true, .. } = world.once(1).await.0 else { panic!("it is busy") };
    assert!(error.ends_with("it asks to be left alone for 60 s"), "{error}");
    assert_eq!(world.script.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_after_visible_output() {
    let mut world = world(vec![Step::BreakOff(Reply::text("Half")), Step::Say(Reply::text("Whole."))]).await;
    assert!(matches!(world.once(1).await.0, CallOutcome::Unknown { .. }));
    assert_eq!(world.script.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_given_up_as_unknown() {
    let mut world = world(vec![Step::Hang]).await;
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Unknown { .. }) && settlement.worst_case);
}

#[tokio::test]
async fn a_freeze_while_a_call_waits_for_a_place_stops_it() {
    let mut world = world(vec![Step::Hang, Step::Say(Reply::text("Never said."))]).await;
    let (first, waits) = world.may(1).await;
    let (second, hurries) = world.may(2).await;
    let receipts = (world.commit(first).await, world.commit(second).await);
    let (door, other) = (world.door.clone(), world.door.clone());
    let long = tokio::spawn(async move { door.perform(waits, &receipts.0, &|_| ()).await });
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(async move { other.perform(hurries, &receipts.1, &|_| ()).await });
    tokio::task::yield_now().await;
    freeze(&world.gate, &Caller::Admin, &Scope::All, "a drill").await.expect("it is frozen");
    let Performed { event, rows, .. } = long.await.expect("it is cut off");
    let (CallOutcome::Stopped { why }, settlement) = ended(event) else { panic!("it is frozen") };
    assert!(why.contains("possibly billed") && settlement.worst_case, "{why}");
    assert!(changed(&rows).1.usd_micros > 0, "it is settled at its worst case");
    let Performed { event, rows, .. } = waiting.await.expect("it ends");
    let CallOutcome::Stopped { why } = ended(event).0 else { panic!("it is frozen") };
    assert!(why.contains("a drill") && why.contains("was not asked"), "{why}");
    assert_eq!((world.script.seen().len(), changed(&rows).1), (1, usd_and_calls(0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_no_place_is_not_sent() {
    let mut world = world(vec![Step::Hang, Step::Say(Reply::text("Never said."))]).await;
    let (first, waits) = world.may(1).await;
    let (second, hurries) = world.may(2).await;
    let receipts = (world.commit(first).await, world.commit(second).await);
    let door = world.door.clone();
    let long = tokio::spawn(async move { door.perform(waits, &receipts.0, &|_| ()).await });
    tokio::task::yield_now().await;
    let Performed { event, rows, .. } = world.door.perform(hurries, &receipts.1, &|_| ()).await;
    let CallOutcome::Failed { error, retryable: true, .. } = ended(event).0 else { panic!("there is one place") };
    assert!(error.contains("no place at the provider"), "{error}");
    assert_eq!((world.script.seen().len(), changed(&rows).1), (1, usd_and_calls(0, 0)));
    long.abort();
}

#[tokio::test(start_paused = true)]
async fn beyond_those_who_may_wait_a_call_is_turned_away_at_once_and_costs_nothing() {
    let steps = vec![Step::Hang, Step::Say(Reply::text("There."))];
    let mut world = described(MODEL, ALONE, steps).await;
    let (first, waits) = world.may(1).await;
    let (second, hurries) = world.may(2).await;
    let receipts = (world.commit(first).await, world.commit(second).await);
    let door = world.door.clone();
    let long = tokio::spawn(async move { door.perform(waits, &receipts.0, &|_| ()).await });
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    let Performed { event, rows, came } = world.door.perform(hurries, &receipts.1, &|_| ()).await;
    let CallOutcome::Failed { error, retryable: true, .. } = ended(event).0 else { panic!("nobody may wait") };
    assert!(error.contains("no place at the provider anthropic") && error.contains("try again in 1 s"), "{error}");
    assert!(matches!(came, Came::Failed(ProviderError::Crowded { retry_after_ms: 1_000, .. })), "{came:?}");
    assert_eq!((began.elapsed().as_millis(), changed(&rows).1), (0, usd_and_calls(0, 0)));
    assert_eq!(world.script.seen().len(), 1);
    long.abort();
    assert!(long.await.is_err());
    assert!(matches!(world.once(3).await.0, CallOutcome::Answered { .. }), "its place was given back");
}
