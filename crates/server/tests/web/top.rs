//! What runs, over HTTP and as a page.

use serde_json::json;

use crate::browser::Browser;
use crate::stage::Stage;

#[tokio::test]
async fn what_runs_is_counted_per_agent_beside_what_it_may() {
    let stage = Stage::with_agents().await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    stage.consent_wanted().await;
    stage.get("/api/cost").await.ok();
    let top = stage.get("/api/top").await.ok();
    let of = |name: &str| top["agents"].as_array().unwrap().iter().find(|line| line["agent"] == name).unwrap();
    let notes = of("note-keeper");
    assert_eq!(notes["sessions"], json!({ "finished": 1 }));
    let budgets = notes["budgets"].as_array().unwrap();
    let calls = budgets.iter().find(|budget| budget["meter"] == "calls").unwrap();
    assert_eq!((&calls["per"], &calls["cap"], &calls["reserved"]), (&json!("hour"), &json!(200), &json!(0)));
    assert_eq!(calls["spent"], notes["hour"]["calls"]);
    assert!(notes["today"]["usd_micros"].as_i64().unwrap() > 0, "{notes}");
    assert_eq!(of("dunning-live")["sessions"], json!({ "suspended": 1 }));
    assert_eq!(of("not-there-yet")["sessions"], json!({}));
    let node = &top["node"];
    assert_eq!(node["sessions"], json!({ "finished": 1, "suspended": 1 }));
    assert!(node["commits"].as_u64().unwrap() >= 5 && node["log_bytes"].as_u64().unwrap() > 10_000, "{node}");
    let bounds = node["bounds"].as_array().unwrap();
    assert!(bounds.iter().any(|bound| bound["bound"] == "awake" && bound["limit"].as_u64() > Some(0)), "{node}");
}

#[tokio::test]
async fn a_failure_is_shown_with_its_reason() {
    let stage = Stage::with_agents().await;
    let thrifty = "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {name: thrifty, owner: finance-platform}\n\
                   spec:\n  model: {provider: anthropic, name: claude-haiku-4-5}\n  budgets: {calls_per_hour: 1}\n  tools: [internal://calculate]\n";
    stage.apply(thrifty).await.ok();
    let standing = stage.work("thrifty", "Calculate 6 * 7").await;
    assert_eq!(standing["phase"], "failed", "{standing}");
    let top = stage.get("/api/top").await.ok();
    let line = top["agents"].as_array().unwrap().iter().find(|line| line["agent"] == "thrifty").unwrap().clone();
    assert_eq!(line["last_error"]["session"], standing["session"]);
    assert!(line["last_error"]["why"].as_str().unwrap().contains("budget"), "{line}");
}

#[tokio::test]
async fn the_page_looks_again_by_itself() {
    let stage = Stage::with_agents().await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    stage.person("ana", "finance-platform").await;
    let page = Browser::sign_in(&stage, "ana").await.get("/top").await;
    assert_eq!(page.header("refresh"), Some("2"));
    assert!(page.page().contains("note-keeper") && page.page().contains("commits/s"), "{page:?}");
}
