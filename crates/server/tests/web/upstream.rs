//! An MCP server of the test's own over streamable HTTP (2025-06-18): one invoice to read, mail to draft. It counts
//! what really happened to it, and hangs when told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What happened to it.
#[derive(Default)]
pub(crate) struct Upstream {
    /// The arguments of every draft.
    drafts: Mutex<Vec<Value>>,
    /// The id of every draft that was deleted.
    deleted: Mutex<Vec<String>>,
    /// Whether a draft is taken and never answered.
    hangs: AtomicBool,
    drafted: Notify,
}

impl Upstream {
    /// Listens; its address.
    pub(crate) async fn start(self: Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/mcp", post(frame)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub(crate) fn drafts(&self) -> Vec<Value> {
        self.drafts.lock().unwrap().clone()
    }

    pub(crate) fn deleted(&self) -> Vec<String> {
        self.deleted.lock().unwrap().clone()
    }

    pub(crate) fn hang(&self, yes: bool) {
        self.hangs.store(yes, Ordering::SeqCst);
    }

    /// Waits until a draft was taken.
    pub(crate) async fn drafted(&self) {
        self.drafted.notified().await;
    }
}

async fn frame(State(upstream): State<Arc<Upstream>>, Json(frame): Json<Value>) -> Response {
    if frame["id"].is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    let result = match frame["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": frame["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "books", "version": "1" },
        }),
        "tools/list" => json!({ "tools": tools() }),
        "tools/call" => call(&upstream, &frame["params"]).await,
        other => {
            let error = json!({ "code": -32601, "message": format!("no method {other}") });
            return Json(json!({ "jsonrpc": "2.0", "id": frame["id"], "error": error })).into_response();
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": frame["id"], "result": result })).into_response()
}

fn tools() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    json!([
        { "name": "read_invoices", "description": "Reads invoices.", "inputSchema": {
            "type": "object", "required": ["company"],
            "properties": { "company": text("One of: acme"), "invoice_id": text("Which") } } },
        { "name": "draft_email", "description": "Drafts a mail.", "inputSchema": {
            "type": "object", "required": ["to", "amount_usd"],
            "properties": { "to": text("To whom"), "subject": text("About"), "body": text("What"),
                            "amount_usd": { "type": "number" }, "invoice_id": text("Which") } } },
        { "name": "delete_draft", "description": "Deletes a draft.", "inputSchema": {
            "type": "object", "required": ["id"], "properties": { "id": text("Which") } } },
    ])
}

async fn call(upstream: &Upstream, params: &Value) -> Value {
    let answer = if params["name"] == "read_invoices" {
        json!({ "next_offset": null, "invoices": [{
            "invoice_id": params["arguments"]["invoice_id"], "company": "acme", "vendor_name": "Harborline <Freight>",
            "invoice_date": "2026-09-06", "due_date": "2026-10-06", "amount": 4180.0, "status": "open",
        }] })
    } else if params["name"] == "delete_draft" {
        upstream.deleted.lock().unwrap().push(params["arguments"]["id"].as_str().unwrap_or_default().to_owned());
        json!({ "deleted": params["arguments"]["id"] })
    } else {
        let drafts = {
            let mut drafts = upstream.drafts.lock().unwrap();
            drafts.push(params["arguments"].clone());
            drafts.len()
        };
        upstream.drafted.notify_one();
        if upstream.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        json!({ "id": format!("draft-{drafts}") })
    };
    json!({ "content": [{ "type": "text", "text": answer.to_string() }], "isError": false })
}
