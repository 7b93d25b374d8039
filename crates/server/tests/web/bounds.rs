//! What the bounds on queues look like from outside: no, at once, with when to come back.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::attached::{Place, hello};
use crate::stage::Stage;

/// Asks a person before it writes, and works on one message of a company at a time.
const TURNSTILE: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-in-turn, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500}
  concurrency: {one_per: partition, key: input.company, queue: 3}
";

#[tokio::test]
async fn a_full_queue_turns_messages_away_at_once_and_says_when_to_come_back() {
    let stage = Stage::with_agents().await;
    stage.apply(TURNSTILE).await.ok();
    let send = || {
        let sent = json!({ "input": { "company": "acme", "invoice": "INV-2041" } });
        stage.post("/api/agents/dunning-in-turn/messages", sent)
    };
    // The first waits for a person and holds the key; the others wait for it.
    let first = send().await.ok();
    assert_eq!(stage.rests(&first).await["phase"], "suspended");
    let answers = join_all((0..10).map(|_| send())).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert_eq!((accepted.len(), refused.len()), (3, 7));
    for answer in refused {
        assert_eq!(answer.refusal(), "429 full");
        assert!(answer.json()["error"]["reason"].as_str().unwrap().starts_with("the agent's queue is full"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let metrics = stage.get("/metrics").await.body;
    for line in ["ostler_bound", "ostler_bound_limit"] {
        let line = format!("{line}{{bound=\"queue\",agent=\"dunning-in-turn\"}} 3\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    // Ended, it frees the key: the next one begins, and there is room for another.
    let session = first["session"].as_str().unwrap();
    stage.post(&format!("/api/sessions/{session}/kill"), json!({ "reason": "enough" })).await.ok();
    let one_began = async {
        while !stage.get("/metrics").await.body.contains("{bound=\"queue\",agent=\"dunning-in-turn\"} 2\n") {}
    };
    tokio::time::timeout(Duration::from_secs(30), one_began).await.unwrap();
    assert_eq!(send().await.status, 202);
    assert_eq!(send().await.status, 429);
}

#[tokio::test]
async fn a_client_of_a_provider_that_is_full_is_told_so_at_once_and_when_to_come_back() {
    let place = Place::of("guest").await;
    let mut provider = place.stage.get("/api/resources?kind=ModelProvider&name=elsewhere").await.ok();
    let mut provider = provider[0]["descriptor"].take();
    provider["spec"]["limits"] = json!({ "concurrent": 1, "queue": 0 });
    place.stage.apply(&provider.to_string()).await.ok();
    place.model.hold(true);
    let first = place.message("one", hello(&["Hello"]));
    let beyond = async {
        while place.model.raw().is_empty() {
            tokio::task::yield_now().await;
        }
        let full = place.message("two", hello(&["Hello"])).await;
        place.model.hold(false);
        full
    };
    let (first, full) = tokio::join!(first, beyond);
    assert_eq!((first.status, full.status), (200, 429), "{}", full.body);
    assert_eq!((full.header("retry-after"), full.header("x-should-retry")), (Some("1"), Some("true")));
    assert!(full.body.contains("no place at the provider elsewhere"), "{}", full.body);
    assert_eq!(place.message("two", hello(&["Hello"])).await.status, 200);
    assert_eq!(place.model.raw().len(), 2, "who was turned away was not sent");
}
