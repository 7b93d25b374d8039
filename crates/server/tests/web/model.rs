//! A model API of the test's own, in Anthropic's protocol: it answers `Hello.`, or wants a capability used where it is
//! told `use NAME ARGUMENTS`; it keeps every body, and holds its answers back when told to.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What happened to it.
pub(crate) struct Model {
    bodies: Mutex<Vec<Bytes>>,
    headers: Mutex<Vec<HeaderMap>>,
    /// Whether an answer stops before its last events until this is false.
    held: watch::Sender<bool>,
    /// What it answers with, where that is not 200.
    status: AtomicU16,
    /// Whether an answer's connection breaks off in the middle.
    breaks: AtomicBool,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            bodies: Mutex::default(),
            headers: Mutex::default(),
            held: watch::channel(false).0,
            status: AtomicU16::new(200),
            breaks: AtomicBool::new(false),
        }
    }
}

impl Model {
    /// Listens; its address.
    pub(crate) async fn start(self: Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/v1/messages", post(answer))
            .route("/v1/messages/count_tokens", post(count))
            .with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// Every body that it was sent.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.raw().iter().map(|body| serde_json::from_slice(body).unwrap()).collect()
    }

    /// The same, byte for byte.
    pub(crate) fn raw(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap().clone()
    }

    /// A header of the latest request.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let all = self.headers.lock().unwrap();
        all.last()?.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub(crate) fn hold(&self, yes: bool) {
        self.held.send_replace(yes);
    }

    pub(crate) fn refuse(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn break_off(&self, yes: bool) {
        self.breaks.store(yes, Ordering::SeqCst);
    }
}

async fn count(State(model): State<Arc<Model>>, headers: HeaderMap, body: Bytes) -> Response {
    model.bodies.lock().unwrap().push(body);
    model.headers.lock().unwrap().push(headers);
    let status = StatusCode::from_u16(model.status.load(Ordering::SeqCst)).unwrap();
    (status, [("content-type", "application/json")], json!({"input_tokens": 4242}).to_string()).into_response()
}

async fn answer(State(model): State<Arc<Model>>, headers: HeaderMap, body: Bytes) -> Response {
    model.bodies.lock().unwrap().push(body.clone());
    model.headers.lock().unwrap().push(headers);
    let status = StatusCode::from_u16(model.status.load(Ordering::SeqCst)).unwrap();
    if status != StatusCode::OK {
        let error = json!({"type": "error", "error": {"type": "api_error", "message": "not today"}});
        return (status, [("content-type", "application/json")], error.to_string()).into_response();
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let block = block(&asked);
    let stop = if block["type"] == "tool_use" { "tool_use" } else { "end_turn" };
    if asked["stream"] != true {
        wait(&model).await;
        let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"],
            "content": [block], "stop_reason": stop, "stop_sequence": null,
            "usage": {"input_tokens": 12, "output_tokens": 3}});
        return ([("content-type", "application/json")], whole.to_string()).into_response();
    }
    let (first, last) = events(&asked, &block, stop);
    let breaks = model.breaks.load(Ordering::SeqCst);
    let rest = futures::stream::once(async move {
        wait(&model).await;
        if breaks { Err(std::io::Error::other("broken off")) } else { Ok(Bytes::from(last)) }
    });
    let stream = futures::stream::iter([Ok(Bytes::from(first))]).chain(rest);
    ([("content-type", "text/event-stream")], Body::from_stream(stream)).into_response()
}

async fn wait(model: &Model) {
    model.held.subscribe().wait_for(|held| !held).await.unwrap();
}

/// What it says to what it was told last.
fn block(asked: &Value) -> Value {
    let last = asked["messages"].as_array().unwrap().last().unwrap();
    let words = last["content"].as_str().or(last["content"][0]["text"].as_str()).unwrap_or_default().to_owned();
    match words.strip_prefix("use ").and_then(|rest| rest.split_once(' ')) {
        Some((name, input)) => {
            let input: Value = serde_json::from_str(input).unwrap();
            json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": input})
        }
        None => json!({"type": "text", "text": "Hello."}),
    }
}

fn events(asked: &Value, block: &Value, stop: &str) -> (String, String) {
    let event = |kind: &str, data: Value| format!("event: {kind}\ndata: {data}\n\n");
    let (start, delta) = if block["type"] == "tool_use" {
        let start = json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}});
        (start, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
    } else {
        (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
    };
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 12, "output_tokens": 1}});
    let first = event("message_start", json!({"type": "message_start", "message": message}))
        + &event("content_block_start", json!({"type": "content_block_start", "index": 0, "content_block": start}))
        + &event("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let last = event("content_block_stop", json!({"type": "content_block_stop", "index": 0}))
        + &event(
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
                "usage": {"output_tokens": 3}}),
        )
        + &event("message_stop", json!({"type": "message_stop"}));
    (first, last)
}
