//! Undo over HTTP: what was done is told with how it is undone before and after, a person confirms all of it once, each
//! effect is undone once, and what cannot be undone is said before anybody consents to it.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stage::Stage;

const UNDOABLE: &str = "
apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-delete, owner: it-platform}
spec: {server: books, tool: delete_draft, effect: write, egress: false}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-draft, owner: it-platform}
spec:
  server: books
  tool: draft_email
  effect: write
  value_usd: args.amount_usd
  cost_usd: 0.002
  egress: false
  undo: {use: email-delete, args: {id: result.id}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-live, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft, mcp://gateway/email-delete]
  approval: {on_action_value_usd_gt: 500}
";

fn states(plan: &Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_effect_is_undone_once_by_a_call_like_any_other() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let eve = stage.person("eve", "sales").await;
    stage.apply(UNDOABLE).await.ok();
    let item = stage.consent_wanted().await;
    assert_eq!(item["undone"], "It can be undone, by email-delete: `ostler undo` does it.");
    let session = item["session"].as_str().unwrap();
    let approve = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    stage.by(&ana, "POST", &approve, "{}").await.ok();
    stage.rests(&json!({ "session": session })).await;
    assert_eq!(stage.upstream.drafts().len(), 1);
    let undo = format!("/api/sessions/{session}/undo");
    let plan = stage.get(&undo).await.ok();
    assert_eq!(states(&plan), ["to_do"], "reads are not in it: {plan}");
    assert_eq!(plan["steps"][0]["by"], json!({ "capability": "email-delete", "arguments": { "id": "draft-1" } }));
    let confirmed = json!({ "plan_sha256": plan["plan_sha256"], "reason": "wrong month" }).to_string();
    for key in [&stage.admin, &eve] {
        assert_eq!(stage.by(key, "POST", &undo, &confirmed).await.refusal(), "403 forbidden");
    }
    let other = json!({ "plan_sha256": "0".repeat(64) }).to_string();
    assert_eq!(stage.by(&ana, "POST", &undo, &other).await.refusal(), "409 conflict", "another plan was shown");
    assert_eq!(stage.upstream.deleted(), [] as [String; 0]);
    // Of unknown worth, it takes consent: the confirmation is it.
    let came = stage.by(&ana, "POST", &undo, &confirmed).await.ok();
    assert_eq!((&came["done"][0]["came"], &came["left"]), (&json!("undone"), &json!([])), "{came}");
    assert_eq!(stage.upstream.deleted(), ["draft-1"]);
    let again = stage.get(&undo).await.ok();
    assert_eq!(states(&again), ["undone"]);
    let confirmed = json!({ "plan_sha256": again["plan_sha256"] }).to_string();
    assert_eq!(stage.by(&ana, "POST", &undo, &confirmed).await.ok()["done"], json!([]));
    assert_eq!(stage.upstream.deleted(), ["draft-1"], "once");
    let undoing = came["session"].as_str().unwrap();
    let trace = stage.get(&format!("/api/sessions/{undoing}/trace")).await.ok();
    assert_eq!((&trace["key"], &trace["on_behalf_of"]), (&json!(format!("undo {session}")), &json!("ana")));
    let tree = stage.get(&format!("/api/sessions/{undoing}/trace?as=tree")).await.body;
    assert!(tree.contains("email-delete") && tree.contains("approved by ana"), "{tree}");
}

#[tokio::test]
async fn what_cannot_be_undone_is_said_before_it_is_approved_and_in_the_plan() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let item = stage.consent_wanted().await;
    assert_eq!(item["undone"], "Ostler cannot undo it: its capability names no `undo`.");
    let page = Browser::sign_in(&stage, "ana").await.page("/inbox").await;
    assert!(page.contains("Ostler cannot undo it: "), "{page}");
    stage.by(&ana, "POST", &format!("/api/inbox/{}/approve", item["id"].as_str().unwrap()), "{}").await.ok();
    stage.rests(&json!({ "session": item["session"] })).await;
    let undo = format!("/api/sessions/{}/undo", item["session"].as_str().unwrap());
    let plan = stage.get(&undo).await.ok();
    assert_eq!((states(&plan), &plan["steps"][0]["why"]), (vec!["cannot"], &json!("its capability names no `undo`")));
    // Named, but not listed by the agent.
    let unlisted = UNDOABLE.replace(", mcp://gateway/email-delete]", "]");
    stage.apply(&unlisted).await.ok();
    let plan = stage.get(&undo).await.ok();
    assert_eq!(plan["steps"][0]["why"], "dunning-live may not use email-delete, which would undo it");
    let confirmed = json!({ "plan_sha256": plan["plan_sha256"] }).to_string();
    let came = stage.by(&ana, "POST", &undo, &confirmed).await.ok();
    assert_eq!((&came["done"], came["left"].as_array().unwrap().len()), (&json!([]), 1));
    assert_eq!(stage.upstream.deleted(), [] as [String; 0]);
}

#[tokio::test]
async fn where_it_takes_two_people_the_undoing_waits_for_the_second() {
    let stage = Stage::with_agents().await;
    let [ana, bob] = [stage.person("ana", "finance-platform").await, stage.person("bob", "finance-platform").await];
    stage.apply(UNDOABLE).await.ok();
    let item = stage.consent_wanted().await;
    stage.by(&ana, "POST", &format!("/api/inbox/{}/approve", item["id"].as_str().unwrap()), "{}").await.ok();
    stage.rests(&json!({ "session": item["session"] })).await;
    stage.apply(&UNDOABLE.replace("usd_gt: 500}", "usd_gt: 500, by: {quorum: 2}}")).await.ok();
    let undo = format!("/api/sessions/{}/undo", item["session"].as_str().unwrap());
    let plan = stage.get(&undo).await.ok();
    let confirmed = json!({ "plan_sha256": plan["plan_sha256"] }).to_string();
    let came = stage.by(&ana, "POST", &undo, &confirmed).await.ok();
    assert_eq!((&came["done"][0]["came"], came["left"].as_array().unwrap().len()), (&json!("waits"), 1), "{came}");
    assert_eq!(states(&stage.get(&undo).await.ok()), ["waits"]);
    let waits = stage.get("/api/inbox").await.ok()[0].clone();
    stage.by(&bob, "POST", &format!("/api/inbox/{}/approve", waits["id"].as_str().unwrap()), "{}").await.ok();
    stage.rests(&json!({ "session": came["session"] })).await;
    assert_eq!(stage.upstream.deleted(), ["draft-1"]);
    assert_eq!(states(&stage.get(&undo).await.ok()), ["undone"]);
}
