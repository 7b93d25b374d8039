//! Money over HTTP: the provider's own count, compute time that has a price, what was added to a budget, and how budgets
//! stand on their page.

use serde_json::{Value, json};

use crate::attached::{Place, hello};
use crate::stage::Stage;

const WORKER: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: for-nothing, owner: it-platform}
spec:
  protocol: scripted
  script: demo
  prices: {some-model: {free: true}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: worker, owner: finance-platform}
spec:
  model: {provider: for-nothing, name: some-model}
  tools: [internal://calculate]
  budgets: {usd_per_day: 100000}
  compute_usd_per_hour: 3600
";

impl Place {
    async fn count(&self) -> (Value, bool) {
        let body = json!({"model": "any", "messages": [{"role": "user", "content": "Hi"}]}).to_string();
        let headers = [("x-api-key", self.key.as_str()), ("anthropic-beta", "new-2027")];
        let reply = self.stage.ask("POST", "/v1/messages/count_tokens", &headers, &body).await;
        (reply.ok()["input_tokens"].clone(), reply.header("ostler-estimate") == Some("true"))
    }
}

#[tokio::test]
async fn a_provider_that_counts_is_asked_and_an_estimate_says_that_it_is_one() {
    let place = Place::of("guest").await;
    assert_eq!(place.count().await, (json!(4242), false));
    let asked = place.model.bodies();
    assert_eq!((asked.len(), &asked[0]["model"], asked[0].get("max_tokens")), (1, &json!("claude-haiku-4-5"), None));
    assert_eq!(place.model.header("anthropic-beta").as_deref(), Some("new-2027"));
    assert_eq!(place.stage.get("/api/sessions").await.ok(), json!([]), "it is no call");
    place.model.refuse(500);
    let (estimate, said) = place.count().await;
    assert!(said && estimate.as_u64().unwrap() > 0, "{estimate}");
    place.model.refuse(200);
    let frozen = json!({"what": {"scope": "agent", "agent": "guest"}, "reason": "odd"});
    place.stage.post("/api/freeze", frozen).await.ok();
    assert!(place.count().await.1);
    assert_eq!(place.model.raw().len(), 2, "nothing of a frozen agent reached it");
}

#[tokio::test]
async fn compute_time_that_has_a_price_is_charged_to_budgets_in_money() {
    let stage = Stage::with_agents().await;
    stage.apply(WORKER).await.ok();
    // How long it works is up to the machine; less than a millisecond costs nothing.
    let charged = loop {
        stage.work("worker", "What is 6 * 7?").await;
        let cost = stage.get("/api/cost?by=agent&since=24h").await.ok();
        let line = cost["lines"].as_array().unwrap().iter().find(|line| line["name"] == "worker").unwrap().clone();
        if line["usd_micros"].as_i64().unwrap() > 0 {
            break line;
        }
    };
    let (ms, usd) = (charged["compute_ms"].as_i64().unwrap(), charged["usd_micros"].as_i64().unwrap());
    assert_eq!(usd, 1000 * ms, "{charged}");
    let budgets = stage.get("/api/budgets?of=agent/worker").await.ok();
    assert_eq!((&budgets[0]["meter"], &budgets[0]["spent"]), (&json!("usd_micros"), &json!(usd)), "{budgets}");
}

#[tokio::test]
async fn how_budgets_stand_is_a_page_and_what_was_added_is_explained() {
    let place = Place::of("poor").await;
    place.message("a", hello(&["Hi"])).await.ok();
    let page = place.stage.get("/budgets").await;
    assert!(page.page().contains("calls per hour") && page.page().contains("exhausted"), "{page:?}");
    let more = json!({"whose": "poor", "what": "calls", "amount": 5, "reason": "the month's end"});
    place.stage.post("/api/budgets/topup", more).await.ok();
    let page = place.stage.get("/budgets").await;
    assert!(
        !page.page().contains("exhausted") && page.page().contains("the month&#39;s end")
            || page.page().contains("the month's end"),
        "{page:?}"
    );
    place.message("a", hello(&["Hi", "Hello.", "More"])).await.ok();
    let trace = place.trace("a").await;
    let calls = crate::attached::steps(&trace, "model");
    let last = calls.last().unwrap()["call"].as_str().unwrap();
    let explained = place.stage.get(&format!("/api/calls/{last}/explain")).await.ok();
    let topup = &explained["topups"][0];
    assert_eq!((&topup["amount"], &topup["reason"]), (&json!(5), &json!("the month's end")), "{explained}");
    let words = place.stage.get(&format!("/api/calls/{last}/explain?as=text")).await.body;
    assert!(words.contains("5 calls more of") && words.contains("allowed by admin"), "{words}");
}

#[tokio::test]
async fn whoever_is_told_an_address_is_told_the_public_one() {
    let mut stage = Stage::with_agents().await;
    stage.restart_as("https://ostler.example.com").await;
    stage.person("ana", "finance-platform").await;
    let login = stage.post("/api/logins", json!({"person": "ana"})).await.ok();
    assert!(login["url"].as_str().unwrap().starts_with("https://ostler.example.com/login?code="), "{login}");
    let context = std::fs::read_to_string(stage.dir.path().join("context.json")).unwrap();
    assert!(context.contains("\"public_url\": \"https://ostler.example.com\""), "{context}");
    let key = stage.agent_key("dunning-live").await;
    let mut client = crate::mcp::Client::of(&stage, &key);
    client.beside = vec![("prefer", "wait=0".to_owned())];
    let draft = json!({"name": "email-draft", "arguments": {"to": "a@b.example", "amount_usd": 4180.0}});
    let waits = client.newer("tools/call", draft).await.ok();
    assert!(waits.to_string().contains("https://ostler.example.com/inbox/"), "{waits}");
}
