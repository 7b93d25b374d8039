//! Clients whose agent's model is behind OpenAI's protocols: every dialect, whole and streamed; what was used is charged.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::attached::{hello, steps};
use crate::stage::Stage;

const AGENT: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: PROTOCOL, owner: it-platform}
spec: {protocol: PROTOCOL, base_url: URL, prices: {a-model: {input: 1, output: 5, cache_read: 0.1}}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: by-PROTOCOL, owner: finance-platform}
spec: {model: {provider: PROTOCOL, name: a-model, max_output_tokens: 500}}
";

/// What one answer takes, by the price: 12 tokens, 4 of them from a cache, and 3.
const TAKES: i64 = 24;

async fn chat(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4}});
    let head = |object: &str| json!({"id": "c1", "object": object, "created": 1, "model": asked["model"]});
    if asked["stream"] != true {
        let mut whole = head("chat.completion");
        let message = json!({"role": "assistant", "content": "Hello."});
        whole["choices"] = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        whole["usage"] = usage;
        return ([("content-type", "application/json")], whole.to_string()).into_response();
    }
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = head("chat.completion.chunk");
        (chunk["choices"], chunk["usage"]) = (choices, usage);
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, end: Value| json!([{"index": 0, "delta": delta, "finish_reason": end}]);
    let text = chunk(choice(json!({"role": "assistant", "content": "Hello."}), Value::Null), Value::Null)
        + &chunk(choice(json!({}), json!("stop")), Value::Null)
        + &chunk(json!([]), usage)
        + "data: [DONE]\n\n";
    ([("content-type", "text/event-stream")], text).into_response()
}

async fn responses(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let content = json!([{"type": "output_text", "text": "Hello.", "annotations": []}]);
    let item =
        json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content});
    let whole = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": asked["model"],
        "status": "completed", "output": [item], "error": null,
        "usage": {"input_tokens": 12, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3, "total_tokens": 15}});
    if asked["stream"] != true {
        return ([("content-type", "application/json")], whole.to_string()).into_response();
    }
    let event = |mut data: Value, kind: &str, number: u32| {
        (data["type"], data["sequence_number"]) = (kind.into(), number.into());
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let mut begun = whole.clone();
    (begun["status"], begun["output"], begun["usage"]) = ("in_progress".into(), json!([]), Value::Null);
    let mut empty = item.clone();
    (empty["content"], empty["status"]) = (json!([]), "in_progress".into());
    let at = |more: Value| {
        let mut at = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
        at.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        at
    };
    let text = event(json!({"response": begun}), "response.created", 0)
        + &event(json!({"output_index": 0, "item": empty}), "response.output_item.added", 1)
        + &event(at(json!({"delta": "Hello."})), "response.output_text.delta", 2)
        + &event(at(json!({"text": "Hello."})), "response.output_text.done", 3)
        + &event(json!({"output_index": 0, "item": item}), "response.output_item.done", 4)
        + &event(json!({"response": whole}), "response.completed", 5);
    ([("content-type", "text/event-stream")], text).into_response()
}

#[tokio::test]
async fn clients_of_every_dialect_are_served_by_openais_protocols_and_charged() {
    let stage = Stage::with_agents().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/chat/completions", post(chat)).route("/responses", post(responses));
    tokio::spawn(async move { axum::serve(listener, router).await });
    for protocol in ["openai-chat", "openai-responses"] {
        stage.apply(&AGENT.replace("PROTOCOL", protocol).replace("URL", &url)).await.ok();
        let agent = format!("by-{protocol}");
        let key = stage.agent_key(&agent).await;
        let chat = json!({"model": "any", "messages": [{"role": "user", "content": "Hi"}]});
        let asks = [
            ("/v1/messages", hello(&["Hi"]), "message_stop"),
            ("/v1/chat/completions", chat, "[DONE]"),
            ("/v1/responses", json!({"model": "any", "input": "Hi"}), "response.completed"),
        ];
        for (path, mut body, last) in asks {
            for stream in [false, true] {
                body["stream"] = json!(stream);
                let session = format!("{protocol} {path} {stream}");
                let headers = [("x-api-key", key.as_str()), ("ostler-session", session.as_str())];
                let reply = stage.ask("POST", path, &headers, &body.to_string()).await;
                assert_eq!(reply.status, 200, "{session}: {reply:?}");
                assert!(reply.body.contains("Hello.") && reply.body.contains(last) == stream, "{session}: {reply:?}");
            }
        }
        let sessions = stage.get("/api/sessions").await.ok();
        let own = sessions.as_array().unwrap().iter().filter(|row| row["agent"] == agent.as_str());
        let ids: Vec<_> = own.map(|row| row["session"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 6, "{sessions}");
        for id in ids {
            let trace = stage.get(&format!("/api/sessions/{id}/trace")).await.ok();
            let model = steps(&trace, "model")[0];
            assert_eq!((&model["cost"]["usd_micros"], &model["state"]), (&json!(TAKES), &json!("answered")), "{trace}");
        }
        let cost = stage.get("/api/cost?by=agent&since=24h").await.ok();
        let line = cost["lines"].as_array().unwrap().iter().find(|line| line["name"] == agent.as_str()).unwrap();
        assert_eq!((&line["usd_micros"], &line["marked"]["provider"]["input_tokens"]), (&json!(6 * TAKES), &json!(72)));
    }
}
