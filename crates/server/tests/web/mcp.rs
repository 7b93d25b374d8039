//! `/mcp` over HTTP, both eras on one endpoint: what agents are shown, what is refused, and how a call that needs a
//! person goes.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::stage::Stage;

/// A client of an agent's.
pub(crate) struct Client<'a> {
    stage: &'a Stage,
    key: String,
    session: Option<String>,
    /// What stands in its headers beside what the protocol wants.
    pub beside: Vec<(&'static str, String)>,
    /// Whether a call of its may be answered by a task.
    pub takes_tasks: bool,
}

impl<'a> Client<'a> {
    /// One of the newer era.
    pub(crate) async fn new(stage: &'a Stage, agent: &str) -> Client<'a> {
        Client::of(stage, &stage.agent_key(agent).await)
    }

    /// The same, with a key that is there.
    pub(crate) fn of(stage: &'a Stage, key: &str) -> Client<'a> {
        Client { stage, key: key.to_owned(), session: None, beside: Vec::new(), takes_tasks: false }
    }

    /// One of the older era, its session begun.
    pub(crate) async fn with_session(stage: &'a Stage, agent: &str) -> Client<'a> {
        let mut client = Client::new(stage, agent).await;
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "old"}});
        let begun = client.older("initialize", params).await;
        assert_eq!(begun.ok()["result"]["protocolVersion"], "2025-11-25");
        client.session = begun.header("mcp-session-id").map(str::to_owned);
        assert!(client.session.is_some());
        client
    }

    async fn send(&self, method: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        all.extend(self.beside.iter().map(|(name, value)| (*name, value.as_str())));
        all.extend(self.session.as_deref().map(|session| ("mcp-session-id", session)));
        all.extend(headers);
        self.stage.ask(method, "/mcp", &all, body).await
    }

    pub(crate) async fn older(&self, method: &str, params: Value) -> Reply {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.send("POST", &[("mcp-protocol-version", "2025-11-25")], &body.to_string()).await
    }

    /// Says something that nobody answers.
    pub(crate) async fn note(&self, method: &str, params: Value) -> Reply {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send("POST", &[("mcp-protocol-version", "2025-11-25")], &body.to_string()).await
    }

    pub(crate) async fn newer(&self, method: &str, mut params: Value) -> Reply {
        let can =
            if self.takes_tasks { json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}) } else { json!({}) };
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": can,
        });
        let name = params["name"].as_str().or(params["taskId"].as_str()).unwrap_or_default().to_owned();
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        headers.extend((!name.is_empty()).then_some(("mcp-name", name.as_str())));
        self.send("POST", &headers, &body.to_string()).await
    }
}

fn code(reply: &Reply) -> (u16, i64) {
    (reply.status, reply.json()["error"]["code"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn both_eras_are_spoken_on_one_endpoint() {
    let stage = Stage::with_agents().await;
    let newer = Client::new(&stage, "note-keeper").await;
    let discovered = newer.newer("server/discover", json!({})).await.ok()["result"].clone();
    assert_eq!(discovered["supportedVersions"][0], "2026-07-28");
    assert!(discovered["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object(), "{discovered}");
    let older = Client::with_session(&stage, "note-keeper").await;
    assert_eq!(older.older("ping", json!({})).await.ok()["result"], json!({}));
    assert_eq!(code(&newer.newer("ping", json!({})).await), (404, -32601));
    assert_eq!(code(&older.older("resources/list", json!({})).await), (200, -32601));
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let taken = older.send("POST", &[], &ready).await;
    assert_eq!((taken.status, taken.body.as_str()), (202, ""));
    assert_eq!(older.send("GET", &[], "").await.status, 405);
}

#[tokio::test]
async fn a_session_is_its_agents_own_and_outlives_a_restart() {
    let mut stage = Stage::with_agents().await;
    let session = Client::with_session(&stage, "note-keeper").await.session;
    stage.restart().await;
    let other = Client { session: session.clone(), ..Client::new(&stage, "dunning-live").await };
    assert_eq!(code(&other.older("ping", json!({})).await), (404, -32600));
    let own = Client { session, ..Client::new(&stage, "note-keeper").await };
    own.older("ping", json!({})).await.ok();
    assert_eq!(own.send("DELETE", &[], "").await.status, 204);
    assert_eq!(own.older("ping", json!({})).await.status, 404);
    assert_eq!(own.send("DELETE", &[], "").await.status, 404);
}

#[tokio::test]
async fn who_may_not_ask_is_refused() {
    let stage = Stage::with_agents().await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    assert_eq!(stage.ask("POST", "/mcp", &[], &ping).await.refusal(), "401 no_key");
    assert_eq!(stage.by("ostler_nonsense", "POST", "/mcp", &ping).await.refusal(), "401 unknown_key");
    let admin = stage.by(&stage.admin, "POST", "/mcp", &ping).await;
    assert_eq!(admin.refusal(), "403 forbidden");
    let client = Client::new(&stage, "note-keeper").await;
    assert_eq!(client.send("POST", &[("origin", "http://evil.example")], &ping).await.refusal(), "403 forbidden");
    let sly = Client { beside: vec![("host", "evil.example".to_owned())], ..Client::new(&stage, "note-keeper").await };
    assert_ne!(sly.send("POST", &[], &ping).await.status, 200);
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(9 << 20)}});
    assert_eq!(client.older("ping", large).await.refusal(), "413 too_large");
}

#[tokio::test]
async fn what_is_malformed_is_refused_in_the_words_of_the_protocol() {
    let stage = Stage::with_agents().await;
    let client = Client::new(&stage, "note-keeper").await;
    assert_eq!(code(&client.send("POST", &[], "{").await), (400, -32700));
    assert_eq!(code(&client.send("POST", &[], "[]").await), (400, -32600));
    let newest = [("mcp-protocol-version", "2031-01-01")];
    let later = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    assert_eq!(code(&client.send("POST", &newest, &later).await), (400, -32022));
    let bare = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    assert_eq!(code(&client.send("POST", &bare, &later).await), (400, -32602));
    assert_eq!(code(&client.newer("tasks/get", json!({"taskId": "x"})).await), (400, -32021));
    assert_eq!(code(&client.newer("tools/call", json!({"name": "now", "arguments": 1})).await), (200, -32602));
    let long = Client { beside: vec![("ostler-session", "x".repeat(201))], ..Client::new(&stage, "note-keeper").await };
    assert_eq!(long.newer("tools/call", json!({"name": "now"})).await.refusal(), "400 bad_request");
}
