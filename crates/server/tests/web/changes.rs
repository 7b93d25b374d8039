//! A change of authority over HTTP: it waits where everybody sees it, says what it changes and what it would have made of
//! what happened lately, is decided by a second person, and there is a way back.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stage::Stage;

const AGENT: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-live, owner: finance-platform, protected: true}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500}
";

fn wider() -> String {
    AGENT.replace("usd_gt: 500", "usd_gt: 10000")
}

async fn inbox(stage: &Stage) -> Vec<Value> {
    let all = stage.get("/api/inbox").await.ok();
    all.as_array().unwrap().iter().filter(|item| item["item"] == "change").cloned().collect()
}

async fn revision(stage: &Stage) -> Value {
    stage.get("/api/resources?kind=Agent&name=dunning-live").await.ok()[0]["revision"].clone()
}

#[tokio::test]
async fn a_change_waits_in_the_inbox_with_its_words_and_its_rehearsal_and_a_second_person_brings_it_in() {
    let stage = Stage::with_agents().await;
    let (ana, bob) = (stage.person("ana", "finance-platform").await, stage.person("bob", "finance-platform").await);
    assert_eq!(stage.apply(AGENT).await.ok()["waits"], Value::Null, "nothing protected it before");
    let item = stage.consent_wanted().await;
    let before = revision(&stage).await;
    let body = json!({ "files": [{ "path": "w.yaml", "text": wider() }], "reason": "the quarter ends" });
    let came = stage.by(&ana, "POST", "/api/apply", &body.to_string()).await.ok();
    let change = came["waits"]["change"].as_str().unwrap().to_owned();
    assert_eq!(came["applied"][0]["change"], "proposed");
    assert_eq!(revision(&stage).await, before, "the old one is in force");
    let waits = inbox(&stage).await.remove(0);
    assert_eq!(waits["changes"][0]["text"], "approval above: 500 -> 10,000 USD");
    assert_eq!((&waits["by"], &waits["reason"]), (&json!("person/ana"), &json!("the quarter ends")));
    let rehearsal = &waits["rehearsal"];
    assert_eq!((&rehearsal["sessions"], &rehearsal["changed"]), (&json!(1), &json!(1)), "{rehearsal}");
    let differs = &rehearsal["differ"][0];
    assert_eq!(
        (&differs["call"], &differs["before"], &differs["after"]),
        (&item["call"], &json!("ask"), &json!("allow"))
    );
    let approve = format!("/api/changes/{change}/approve");
    assert_eq!(stage.by(&ana, "POST", &approve, "{}").await.refusal(), "403 forbidden", "she proposed it");
    assert_eq!(stage.by(&stage.admin, "POST", &approve, "{}").await.refusal(), "403 forbidden");
    assert_eq!(stage.by(&bob, "POST", &approve, "{}").await.ok()["came"], "in_force");
    assert_eq!(stage.by(&bob, "POST", &approve, "{}").await.refusal(), "409 conflict");
    assert_ne!(revision(&stage).await, before);
    assert_eq!(inbox(&stage).await, [] as [Value; 0]);
    let history = stage.get("/api/agents/dunning-live/revisions").await.ok();
    let last = history["revisions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["by"], &last["reason"]), (&json!("person/ana"), &json!("the quarter ends")));
    assert_eq!(stage.get("/api/audit/verify").await.ok()["ok"], true);
}

#[tokio::test]
async fn the_console_shows_it_and_only_whoever_may_decides_it_there() {
    let stage = Stage::with_agents().await;
    stage.person("ana", "finance-platform").await;
    stage.person("eve", "sales").await;
    stage.apply(AGENT).await.ok();
    stage.apply(&wider()).await.ok();
    let change = inbox(&stage).await[0]["id"].as_str().unwrap().to_owned();
    let eve = Browser::sign_in(&stage, "eve").await.page("/inbox").await;
    assert!(
        eve.contains("approval above: 500 -&gt; 10,000 USD") && !eve.contains(&format!("/changes/{change}/approve"))
    );
    let browser = Browser::sign_in(&stage, "ana").await;
    let page = browser.page(&format!("/inbox/{change}")).await;
    assert!(
        page.contains("waits for a second person") && page.contains(&format!("/changes/{change}/approve")),
        "{page}"
    );
    let sent = browser.send(&format!("/changes/{change}/deny"), &[("reason", "not in this quarter")]).await;
    assert_eq!(sent.status, 303);
    let over = stage.get("/api/changes").await.ok()[0]["over"].as_str().unwrap().to_owned();
    assert!(over.starts_with("ana said no at ") && over.ends_with(": not in this quarter"), "{over}");
}

#[tokio::test]
async fn there_is_a_way_back_which_waits_where_it_widens() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    stage.apply(AGENT).await.ok();
    let first = revision(&stage).await;
    let narrower = AGENT.replace("usd_gt: 500", "usd_gt: 5");
    assert_eq!(stage.apply(&narrower).await.ok()["waits"], Value::Null);
    let narrow = revision(&stage).await;
    let back = "/api/agents/dunning-live/rollback";
    let dry = stage.post(back, json!({ "dry_run": true })).await.ok();
    assert_eq!(dry["changes"][0]["text"], "approval above: 5 -> 500 USD");
    let came = stage.post(back, json!({})).await.ok();
    assert_eq!(came["applied"][0]["revision"], first);
    assert_eq!(revision(&stage).await, narrow, "it widens: it waits");
    let approve = format!("/api/changes/{}/approve", came["waits"]["change"].as_str().unwrap());
    stage.by(&ana, "POST", &approve, "{}").await.ok();
    assert_eq!(revision(&stage).await, first);
    let to = &narrow.as_str().unwrap()[..8];
    assert_eq!(stage.post(back, json!({ "to": to })).await.ok()["waits"], Value::Null, "it narrows: at once");
    assert_eq!(revision(&stage).await, narrow);
    assert_eq!(stage.post(back, json!({ "to": to })).await.refusal(), "409 conflict");
    assert_eq!(stage.post(back, json!({ "to": "ffffffff" })).await.refusal(), "404 not_found");
    assert_eq!(stage.get("/api/agents/dunning-live/revisions").await.ok()["revisions"].as_array().unwrap().len(), 5);
}
