//! What a client hears while it waits for somebody: signs of life in its own protocol, and then the answer.

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::attached::{Place, hello};
use crate::http;
use crate::stage::Stage;

/// Reads until this was said; all that was.
async fn heard(stream: &mut TcpStream, what: &str) -> String {
    let mut read = String::new();
    while !read.contains(what) {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).await.unwrap();
        assert!(count > 0, "it ended before {what:?}: {read}");
        read.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    read
}

#[tokio::test]
async fn a_model_call_that_waits_for_a_budget_says_that_it_does() {
    let place = Place::of("poor").await;
    place.model.hold(true);
    let first = place.message("one", hello(&["Hi"]));
    let others = async {
        // The first holds all that there is.
        while place.model.raw().is_empty() {
            tokio::task::yield_now().await;
        }
        let say = |path: &'static str, session: &'static str, ping: &'static str| {
            let (host, key) = (place.stage.host.clone(), place.key.clone());
            async move {
                let body = json!({"model": "claude-haiku-4-5", "max_tokens": 9, "stream": true,
                    "messages": [{"role": "user", "content": "Hi"}]});
                let headers = [("x-api-key", key.as_str()), ("ostler-session", session)];
                let mut stream = http::send(&host, "POST", path, &headers, &body.to_string()).await;
                let read = heard(&mut stream, ping).await;
                assert!(read.starts_with("HTTP/1.1 200") && read.contains("text/event-stream"), "{read}");
            }
        };
        tokio::join!(say("/v1/messages", "two", "event: ping\n"), say("/v1/chat/completions", "three", ": waiting\n"));
        place.model.hold(false);
    };
    let (first, ()) = tokio::join!(first, others);
    first.ok();
    assert_eq!(place.model.raw().len(), 1, "what waits is not sent");
}

#[tokio::test]
async fn a_use_that_waits_for_a_person_reports_progress_until_it_is_decided() {
    let stage = Stage::with_agents().await;
    let (ana, key) = (stage.person("ana", "finance-platform").await, stage.agent_key("dunning-live").await);
    let draft = json!({"to": "ap@acme.example", "amount_usd": 4180.0});
    let meta = json!({
        "progressToken": "p-7",
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": "email-draft", "arguments": draft, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "email-draft"),
    ];
    let mut stream = http::send(&stage.host, "POST", "/mcp", &headers, &body).await;
    let read = heard(&mut stream, "notifications/progress").await;
    assert!(read.contains("text/event-stream") && read.contains("p-7"), "{read}");
    assert!(stage.upstream.drafts().is_empty());
    let inbox = stage.get("/api/inbox").await.ok();
    let path = format!("/api/inbox/{}/approve", inbox[0]["id"].as_str().unwrap());
    stage.by(&ana, "POST", &path, "{}").await.ok();
    let answer = heard(&mut stream, "draft-1").await;
    assert!(answer.contains(r#""id":1"#), "{answer}");
    assert_eq!(stage.upstream.drafts(), [draft]);
}
