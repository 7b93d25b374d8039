//! People and keys over the API: who may do what, and what is shown once.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn a_key_is_shown_once_and_opens_until_it_is_revoked() {
    let stage = Stage::bare().await;
    let ana = stage.person("ana", "finance-platform").await;
    let again = stage.post("/api/people", json!({ "name": "ana", "groups": ["procurement"] })).await.ok();
    assert_eq!(again["key"], json!(null));
    let listed = stage.get("/api/keys").await;
    assert!(!listed.body.contains(&ana) && !listed.body.contains(&stage.admin), "{listed:?}");
    assert_eq!(stage.by(&ana, "GET", "/api/sessions", "").await.status, 200);
    let id = listed.ok().as_array().unwrap().iter().find(|key| key["name"] == "ana").unwrap()["id"].clone();
    let path = format!("/api/keys/{}", id.as_str().unwrap());
    assert_eq!(stage.by(&ana, "DELETE", &path, "").await.refusal(), "403 forbidden");
    assert_eq!(stage.by(&stage.admin, "DELETE", &path, "").await.status, 204);
    assert_eq!(stage.by(&ana, "GET", "/api/sessions", "").await.refusal(), "401 unknown_key");
}

#[tokio::test]
async fn the_last_administrators_key_stays() {
    let stage = Stage::bare().await;
    let id = stage.get("/api/keys").await.ok()[0]["id"].as_str().unwrap().to_owned();
    let reply = stage.by(&stage.admin, "DELETE", &format!("/api/keys/{id}"), "").await;
    assert_eq!(reply.refusal(), "409 conflict");
    assert_eq!(stage.by(&stage.admin, "DELETE", "/api/keys/nothing", "").await.refusal(), "404 not_found");
}

#[tokio::test]
async fn what_changes_authority_takes_an_administrators_key() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    for (method, path, body) in [
        ("POST", "/api/apply", json!({ "files": [] })),
        ("DELETE", "/api/resources/Agent/note-keeper", json!({})),
        ("POST", "/api/people", json!({ "name": "eve" })),
        ("GET", "/api/keys", json!({})),
        ("POST", "/api/keys", json!({ "holder": "admin" })),
        ("POST", "/api/freeze", json!({ "what": { "scope": "all" } })),
        ("POST", "/api/unfreeze", json!({ "what": { "scope": "all" } })),
    ] {
        let reply = stage.by(&ana, method, path, &body.to_string()).await;
        assert_eq!(reply.refusal(), "403 forbidden", "{method} {path}");
    }
}

#[tokio::test]
async fn the_key_of_an_agent_that_is_gone_opens_nothing() {
    let stage = Stage::with_agents().await;
    let key = stage.agent_key("note-keeper").await;
    assert_eq!(stage.by(&key, "GET", "/api/sessions", "").await.refusal(), "403 forbidden");
    stage.by(&stage.admin, "DELETE", "/api/resources/Agent/note-keeper", "").await.ok();
    assert_eq!(stage.by(&key, "GET", "/api/sessions", "").await.refusal(), "401 unknown_key");
}
