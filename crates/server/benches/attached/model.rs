//! A model API that answers at once, in Anthropic's protocol.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use futures::stream;

/// What it always says.
pub(crate) const SAYS: &str = "It is well, thank you; and so are the horses.";

/// Listens there; its host and port.
pub(crate) async fn start(address: &str) -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let host = listener.local_addr()?.to_string();
    let listener = listener.tap_io(|io| drop(io.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/v1/messages", post(answer))).await });
    Ok(host)
}

async fn answer(body: Bytes) -> Response {
    let streams = body.windows(13).any(|some| some == b"\"stream\":true");
    if !streams {
        let whole = format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{{"type":"text","text":"{SAYS}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":120,"output_tokens":12}}}}"#
        );
        return ([("content-type", "application/json")], whole).into_response();
    }
    let start = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":120,"output_tokens":1}}}"#;
    let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta =
        format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{SAYS}"}}}}"#);
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":12}}"#;
    let event = |kind: &str, data: &str| format!("event: {kind}\ndata: {data}\n\n");
    let first =
        event("message_start", start) + &event("content_block_start", block) + &event("content_block_delta", &delta);
    let last = event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#)
        + &event("message_delta", end)
        + &event("message_stop", r#"{"type":"message_stop"}"#);
    let pieces = stream::iter([Ok::<_, std::convert::Infallible>(first), Ok(last)]);
    ([("content-type", "text/event-stream")], Body::from_stream(pieces)).into_response()
}
