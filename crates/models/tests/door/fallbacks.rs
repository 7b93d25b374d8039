//! Models that are asked in place of one that surely did not answer: in order, within one budget of sends, each settled
//! at its own price, and a chain that ends.

use domain::call::CallOutcome;
use domain::event::Event;
use models::Prepared;
use models::provider::ProviderError;
use models::scripted::{Reply, Step};

use crate::world::{World, changed, described, usd_and_calls};

/// Three models at three providers, all played by one script: whoever is asked takes its next step.
const CHAIN: &str = "name: first, fallbacks: [{provider: second, name: dear}, {provider: third, name: cheap}]";

fn provider(prices: &str) -> String {
    format!("protocol: scripted\n  script: played\n  prices: {{{prices}}}")
}

async fn chain(steps: Vec<Step>) -> World {
    let other = |name: &str, prices: &str| {
        let provider = provider(prices);
        format!(
            "---\napiVersion: agent.os/v1\nkind: ModelProvider\nmetadata: {{name: {name}, owner: it}}\nspec:\n  {provider}\n"
        )
    };
    let second = other("second", "dear: {input: 10, output: 50}");
    let third = other("third", "cheap: {input: 1, output: 2}");
    described(CHAIN, &format!("{}\n{second}{third}", provider("first: {input: 5, output: 25}")), steps).await
}

fn busy(status: u16) -> Step {
    let reason = "Overloaded".to_owned();
    Step::Fail(ProviderError::Rejected { status, reason, retryable: true, retry_after_ms: None })
}

fn models(world: &World) -> Vec<String> {
    world.script.seen().into_iter().map(|request| request.model).collect()
}

#[tokio::test(start_paused = true)]
async fn the_next_model_is_asked_and_settled_at_its_own_price() {
    let unreachable = Step::Fail(ProviderError::NotSent { reason: "no connection".to_owned(), retryable: true });
    let mut world = chain(vec![busy(529), unreachable, Step::Say(Reply::text("Here."))]).await;
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Answered { .. }), "{outcome:?}");
    assert_eq!(models(&world), ["first", "dear", "cheap"]);
    let usage = settlement.usage.expect("it says what it took");
    let (input, output) = (usage["input_tokens"].as_i64().unwrap(), usage["output_tokens"].as_i64().unwrap());
    assert_eq!(settlement.amounts.usd_micros, input + 2 * output);
    let fallback = settlement.fallback.expect("another model answered");
    assert_eq!((fallback.provider.as_str(), fallback.model.as_str()), ("third", "cheap"));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_what_the_dearest_could_cost() {
    let world = chain(vec![]).await;
    let (rows, _ticket) = world.may(1).await;
    let held = changed(&rows).0.usd_micros;
    assert!(
        held > 1000 * 50 && held < 2 * (1000 * 50 + 2000 * 10),
        "{held}: 1000 tokens of output at 50 USD a million"
    );
    assert!(matches!(rows.events.last(), Some(Event::ModelRequested { model, .. }) if model == "first"));
}

#[tokio::test(start_paused = true)]
async fn a_chain_ends_and_says_what_each_said() {
    let mut world = chain(vec![busy(429), busy(500), busy(529), Step::Say(Reply::text("Late."))]).await;
    let (outcome, settlement, rows) = world.once(1).await;
    let CallOutcome::Failed { error, retryable: true, .. } = outcome else { panic!("{outcome:?}") };
    for said in ["first of anthropic: ", "HTTP 429", "dear of second: ", "HTTP 500", "cheap of third: ", "HTTP 529"] {
        assert!(error.contains(said), "{said}: {error}");
    }
    assert_eq!((models(&world).len(), settlement.worst_case), (3, false));
    assert_eq!(changed(&rows).1, usd_and_calls(0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_or_refused_for_good_is_not_asked_for_elsewhere() {
    let mut world = chain(vec![Step::BreakOff(Reply::text("Half")), Step::Say(Reply::text("Whole."))]).await;
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Unknown { .. }) && settlement.worst_case, "{outcome:?}");
    assert_eq!(models(&world), ["first"]);
    let no = ProviderError::Rejected { status: 400, reason: "no".to_owned(), retryable: false, retry_after_ms: None };
    let mut world = chain(vec![Step::Fail(no), Step::Say(Reply::text("Yes."))]).await;
    let (outcome, _, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Failed { retryable: false, .. }), "{outcome:?}");
    assert_eq!(models(&world), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_falls_over_at_once() {
    let spent =
        ProviderError::Rejected { status: 429, reason: "quota".to_owned(), retryable: false, retry_after_ms: None };
    let mut world = chain(vec![Step::Fail(spent), Step::Say(Reply::text("Yes."))]).await;
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Answered { .. }), "{outcome:?}");
    assert_eq!((models(&world).len(), settlement.fallback.map(|by| by.model)), (2, Some("dear".to_owned())));
}

#[tokio::test]
async fn a_fallback_that_is_not_ready_refuses_before_anything_is_sent() {
    let model = "name: first, fallbacks: [{provider: nobody, name: dear}]";
    let world = described(model, &provider("first: {input: 5, output: 25}"), Vec::new()).await;
    let Prepared::Refuse(_, refusal) = world.prepare(1).await else { panic!("nobody is nobody") };
    assert!(refusal.reason.contains("There is no ModelProvider named nobody"), "{}", refusal.reason);
}
