//! What bad input gets: the same shape of refusal everywhere, and nothing changed.

use serde_json::json;
use server::routes::BODY_LIMIT;

use crate::stage::Stage;

#[tokio::test]
async fn a_body_that_is_no_json_or_says_what_nobody_takes_is_refused() {
    let stage = Stage::with_agents().await;
    let messages = "/api/agents/note-keeper/messages";
    for (path, body) in [
        (messages, "{"),
        (messages, "[]"),
        (messages, "{}"),
        (messages, r#"{"message": 1}"#),
        (messages, r#"{"message": "x", "colour": "red"}"#),
        (messages, r#"{"message": "  "}"#),
        (messages, r#"{"message": "x", "key": ""}"#),
        (messages, r#"{"message": "x", "mail": "two\nlines"}"#),
        ("/api/people", r#"{"name": "Ana Banana"}"#),
        ("/api/freeze", r#"{"what": {"scope": "moon"}}"#),
        ("/api/calls/ses_7118b9dzpa41qsdez6a7967f91.5/resolve", r#"{"say": "maybe"}"#),
    ] {
        let reply = stage.by(&stage.admin, "POST", path, body).await;
        assert_eq!(reply.refusal(), "400 bad_request", "{path} {body}");
    }
}

#[tokio::test]
async fn a_path_or_a_query_that_makes_no_sense_is_refused() {
    let stage = Stage::with_agents().await;
    for path in [
        "/api/sessions/rubbish",
        "/api/calls/rubbish/explain",
        "/api/sessions?phase=asleep",
        "/api/sessions?colour=red",
        "/api/sessions?limit=many",
        "/api/resources?kind=Horse",
        "/api/cost?by=moon",
        "/api/cost?since=yesterday",
        "/api/sessions/%ff",
    ] {
        assert_eq!(stage.get(path).await.refusal(), "400 bad_request", "{path}");
    }
    let kind = stage.by(&stage.admin, "DELETE", "/api/resources/Horse/x", "").await;
    assert_eq!(kind.refusal(), "400 bad_request");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let stage = Stage::with_agents().await;
    let message = json!({ "message": "x".repeat(BODY_LIMIT) });
    let reply = stage.post("/api/agents/note-keeper/messages", message).await;
    assert_eq!(reply.refusal(), "413 too_large");
    let long = json!({ "message": "x".repeat((1 << 20) + 1) });
    assert_eq!(stage.post("/api/agents/note-keeper/messages", long).await.refusal(), "400 bad_request");
}

#[tokio::test]
async fn a_malformed_descriptor_is_shown_where_it_is_wrong_and_nothing_is_applied() {
    let stage = Stage::bare().await;
    let good =
        "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {name: a, owner: o}\nspec:\n  model: {provider: p, name: m}\n";
    let reply = stage.apply(&format!("{good}---\n{}", good.replace("provider", "povider"))).await;
    assert_eq!(reply.refusal(), "422 unfit");
    let diagnostic = &reply.json()["error"]["diagnostics"][0];
    assert_eq!((&diagnostic["file"], &diagnostic["line"]), (&json!("test.yaml"), &json!(11)), "{diagnostic}");
    assert!(diagnostic["rendered"].as_str().unwrap().contains("provider"), "{diagnostic}");
    assert_eq!(stage.get("/api/resources").await.ok(), json!([]));
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let stage = Stage::bare().await;
    let agent =
        "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {name: a, owner: o}\nspec:\n  model: {provider: p, name: m}\n";
    let files = json!([{ "path": "a.yaml", "text": agent }]);
    let dry = stage.post("/api/apply", json!({ "files": files, "dry_run": true })).await.ok();
    assert_eq!(dry["applied"][0]["change"], "created");
    assert_eq!(stage.get("/api/resources").await.ok(), json!([]));
    let changes = [stage.apply(agent).await.ok(), stage.apply(agent).await.ok()];
    let changes = changes.map(|applied| applied["applied"][0]["change"].clone());
    assert_eq!(changes, ["created", "unchanged"]);
    let one = stage.get("/api/resources?kind=Agent&name=a").await.ok();
    assert_eq!(one[0]["descriptor"]["metadata"]["name"], "a");
    assert_eq!(stage.by(&stage.admin, "DELETE", "/api/resources/Agent/a", "").await.status, 204);
    assert_eq!(stage.by(&stage.admin, "DELETE", "/api/resources/Agent/a", "").await.refusal(), "404 not_found");
}

#[tokio::test]
async fn an_agent_that_is_not_ready_is_refused_with_what_is_missing() {
    let stage = Stage::with_agents().await;
    let reply = stage.post("/api/agents/not-there-yet/messages", json!({ "message": "hello" })).await;
    assert_eq!(reply.refusal(), "409 not_ready");
    let error = &reply.json()["error"];
    let missing: Vec<_> = error["conditions"].as_array().unwrap().iter().filter(|one| one["ok"] == false).collect();
    assert!(missing.iter().all(|one| !one["next"].as_str().unwrap().is_empty()) && missing.len() >= 2, "{error}");
    let nobody = stage.post("/api/agents/nobody/messages", json!({ "message": "hello" })).await;
    assert_eq!(nobody.refusal(), "404 not_found");
}
