//! Consent in depth: several people, several requests at once, standing grants, what answering takes.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stage::Stage;

/// An agent of which two people must say yes, and not the one on whose behalf it acts.
const TWO: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-two, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500, by: {quorum: 2, not: [on_behalf_of]}}
";

const REMIND: &str = "Remind acme of INV-2041.";

async fn asks(stage: &Stage, agent: &str, key: &str, by: &str) -> Value {
    let message = json!({ "message": REMIND, "key": key }).to_string();
    let sent = stage.by(by, "POST", &format!("/api/agents/{agent}/messages"), &message).await.ok();
    assert_eq!(stage.rests(&sent).await["phase"], "suspended");
    let inbox = stage.get("/api/inbox").await.ok();
    let of_it = inbox.as_array().unwrap().iter().find(|item| item["session"] == sent["session"]);
    of_it.unwrap().clone()
}

fn path(item: &Value, verb: &str) -> String {
    format!("/api/inbox/{}/{verb}", item["id"].as_str().unwrap())
}

#[tokio::test]
async fn two_people_consent_and_neither_is_the_one_it_acts_for() {
    let stage = Stage::with_agents().await;
    stage.apply(TWO).await.ok();
    let [ana, bob, cho] = [
        stage.person("ana", "finance-platform").await,
        stage.person("bob", "finance-platform").await,
        stage.person("cho", "finance-platform").await,
    ];
    let item = asks(&stage, "dunning-two", "a", &cho).await;
    assert_eq!((&item["progress"]["needed"], &item["progress"]["not"]), (&json!(2), &json!(["cho"])));
    assert_eq!(stage.by(&cho, "POST", &path(&item, "approve"), "{}").await.refusal(), "403 forbidden");
    let mut edited = item["arguments"].clone();
    edited["amount_usd"] = json!(600);
    let edit = json!({ "edited": edited, "reason": "the rest is disputed" }).to_string();
    stage.by(&ana, "POST", &path(&item, "approve"), &edit).await.ok();
    let so_far = stage.get("/api/inbox").await.ok()[0].clone();
    let text = so_far["progress"]["text"].as_str().unwrap();
    assert!(text.starts_with("1 of 2: ana said yes to edited arguments at "), "{text}");
    assert_eq!((&so_far["arguments"]["amount_usd"], stage.upstream.drafts().len()), (&json!(600), 0));
    assert_eq!(stage.by(&bob, "POST", &path(&item, "approve"), "{}").await.refusal(), "409 conflict");
    let seen = json!({ "seen": so_far["progress"]["arguments_sha256"] }).to_string();
    stage.by(&bob, "POST", &path(&item, "approve"), &seen).await.ok();
    assert_eq!(stage.rests(&json!({ "session": item["session"] })).await["phase"], "finished");
    assert_eq!(stage.upstream.drafts().len(), 1);
    assert_eq!(stage.get("/api/audit/verify").await.ok()["ok"], true);
    let trace = stage.get(&format!("/api/sessions/{}/trace?as=tree", item["session"].as_str().unwrap())).await.body;
    assert!(trace.contains("approved by ana") && trace.contains("approved by bob"), "{trace}");
}

#[tokio::test]
async fn requests_of_one_shape_are_answered_together_and_each_for_itself() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let (one, other) = (asks(&stage, "dunning-live", "a", &ana).await, asks(&stage, "dunning-live", "b", &ana).await);
    assert_eq!(one["batch"], other["batch"]);
    let page = Browser::sign_in(&stage, "ana").await.page("/inbox").await;
    let together = format!("/inbox/together/{}", one["batch"].as_str().unwrap());
    assert!(page.contains(&together), "{page}");
    let ids = |hash: &Value| json!({ one["id"].as_str().unwrap(): one["progress"]["arguments_sha256"], other["id"].as_str().unwrap(): hash });
    let stale = json!({ "ids": ids(&json!("0".repeat(64))), "approved": true }).to_string();
    let said = stage.by(&ana, "POST", "/api/inbox/answers", &stale).await.ok();
    let done: Vec<_> = said["answers"].as_array().unwrap().iter().map(|one| one["done"].clone()).collect();
    assert_eq!(done.iter().filter(|done| **done == true).count(), 1, "{said}");
    let right = json!({ "ids": ids(&other["progress"]["arguments_sha256"]), "approved": true }).to_string();
    stage.by(&ana, "POST", "/api/inbox/answers", &right).await.ok();
    for item in [&one, &other] {
        assert_eq!(stage.rests(&json!({ "session": item["session"] })).await["phase"], "finished");
    }
    assert_eq!(stage.upstream.drafts().len(), 2, "each once");
}

#[tokio::test]
async fn within_a_standing_grant_nobody_is_asked_and_beyond_it_somebody_is() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let grant = |times: i64| {
        let body = json!({ "agent": "dunning-live", "capability": "email-draft", "until": "1h", "times": times,
            "each_usd": 5000, "name": "month-end", "reason": "month's end" });
        body.to_string()
    };
    assert_eq!(stage.by(&stage.admin, "POST", "/api/grants", &grant(1)).await.refusal(), "403 forbidden");
    stage.by(&ana, "POST", "/api/grants", &grant(1)).await.ok();
    assert_eq!(stage.work("dunning-live", REMIND).await["phase"], "finished");
    assert_eq!(stage.upstream.drafts().len(), 1);
    let listed = stage.get("/api/grants").await.ok()[0].clone();
    assert_eq!((&listed["lacks"], &listed["used"][0]["spent"]), (&Value::Null, &json!(1)), "{listed}");
    assert_eq!(stage.work("dunning-live", REMIND).await["phase"], "suspended", "it allowed one");
    let page = Browser::sign_in(&stage, "ana").await.page("/grants").await;
    assert!(page.contains("1 of 1 calls"), "{page}");
    stage.by(&ana, "POST", "/api/grants/month-end/revoke", r#"{"reason": "enough"}"#).await.ok();
    assert_eq!(stage.get("/api/grants").await.ok()[0]["lacks"], "person/ana revoked it: enough");
}

#[tokio::test]
async fn what_answering_takes_is_counted_and_what_it_speaks_for_is_proposed() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    for key in ["a", "b", "c"] {
        let item = asks(&stage, "dunning-live", key, &ana).await;
        let shown = json!({ "shown_at": item["since"], "reason": format!("due, {key}") }).to_string();
        stage.by(&ana, "POST", &path(&item, "approve"), &shown).await.ok();
        stage.rests(&json!({ "session": item["session"] })).await;
    }
    let item = asks(&stage, "dunning-live", "d", &ana).await;
    assert_eq!(item["similar"].as_array().unwrap().len(), 3, "{item}");
    assert_eq!(item["similar"][0]["answers"][0]["reason"], "due, c");
    let stats = stage.get("/api/inbox/stats").await.ok();
    assert_eq!((&stats["weeks"][0]["approved"], &stats["weeks"][0]["measured"]), (&json!(3), &json!(3)));
    assert_eq!((&stats["people"][0]["person"], &stats["people"][0]["measured"]), (&json!("ana"), &json!(3)));
    let proposed = stage.get("/api/grants/proposals?agent=dunning-live").await.ok();
    let text = proposed[0]["text"].as_str().unwrap();
    assert!(text.starts_with("this standing grant would have removed 3 of 3 approvals"), "{text}");
}
