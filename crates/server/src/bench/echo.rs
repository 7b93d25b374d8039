//! An MCP server that says back what it is told, as fast as it can: what a call through `/mcp` is measured beside.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use domain::capability::Offer;
use gateway::wire::{self, Frame, Method};
use serde_json::{Value, json};

/// Serves one tool, `echo`, on a free port until the process ends, and says where before it does.
///
/// # Errors
/// If no port can be listened on.
pub async fn serve(say: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    say(listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, axum::Router::new().route("/mcp", post(frame))).await?;
    Ok(())
}

async fn frame(headers: HeaderMap, body: Bytes) -> Response {
    let lookup = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let body = match wire::read(&body, &lookup) {
        Ok(Frame::Request(request)) => wire::complete(&request.id, &result(&request)),
        Ok(Frame::Notification(_) | Frame::Response) => return StatusCode::ACCEPTED.into_response(),
        Err(fault) => fault.body(),
    };
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn result(request: &wire::Request) -> Value {
    match &request.method {
        Method::Initialize(revision) => wire::initialized(revision),
        Method::Discover => wire::discovered(),
        Method::ListTools => wire::tools(request.era, &[offer()]),
        Method::CallTool(call) => {
            let said = call.arguments["text"].as_str().unwrap_or_default();
            wire::tool_result(request.era, said, None, false)
        }
        Method::Ping | Method::GetTask(_) | Method::UpdateTask(_) | Method::CancelTask(_) => wire::shown(request.era),
    }
}

fn offer() -> Offer {
    Offer {
        capability: "mcp://gateway/echo".parse().expect("it is a name"),
        description: "Says back what it is told.".to_owned(),
        input_schema: json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}),
    }
}
