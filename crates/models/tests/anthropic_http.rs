//! The Anthropic format over a real socket, against a peer that says exactly what a test wants it to say.

use std::sync::{Arc, Mutex};

use domain::message::{Message, Origin, Role};
use models::http::{HttpProvider, client};
use models::provider::{Answer, Delta, Options, Provider, ProviderError, Request};
use models::wire::Wire;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const KEY: &str = "sk-test-very-secret";

/// A server that answers each connection with the next of these texts and closes it.
struct Peer {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

async fn peer(answers: Vec<Vec<u8>>) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let request = read_request(&mut socket).await;
            kept.lock().expect("nobody panics with it").push(request);
            socket.write_all(&answer).await.expect("the client listens");
            socket.shutdown().await.ok();
        }
    });
    Peer { url, heard }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = socket.read(&mut chunk).await.expect("the client speaks");
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if read == 0 || body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn stream(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/anthropic/{name}", env!("CARGO_MANIFEST_DIR"));
    let body = std::fs::read(path).expect("the golden file is there");
    answer("200 OK", "content-type: text/event-stream; charset=utf-8\r\n", &body)
}

fn request() -> Request {
    Request {
        agent: "finance".parse().expect("a name"),
        model: "claude-opus-4-7".to_owned(),
        instructions: "Be exact.".into(),
        messages: vec![Arc::new(Message::text(Role::Person, Origin::Person, "Hello"))],
        tools: [].into(),
        max_output_tokens: 64,
        options: Options::default(),
        verbatim: None,
    }
}

async fn send(base_url: &str) -> (Result<Answer, ProviderError>, Vec<Delta>) {
    let provider = HttpProvider::new(client().expect("a client"), Wire::Anthropic, base_url, Some(KEY.to_owned()));
    let deltas = Mutex::new(Vec::new());
    let sink = |delta| deltas.lock().expect("nobody panics with it").push(delta);
    let body = provider.body(&request());
    let answer = provider.send(&request(), body, &sink).await;
    (answer, deltas.into_inner().expect("nobody panics with it"))
}

async fn refused(status: &str, headers: &str, body: &str) -> ProviderError {
    let peer = peer(vec![answer(status, headers, body.as_bytes())]).await;
    send(&peer.url).await.0.expect_err("it is refused")
}

#[tokio::test]
async fn a_streamed_answer_arrives_and_the_request_says_what_it_must() {
    let peer = peer(vec![stream("text.sse")]).await;
    let (answer, deltas) = send(&peer.url).await;
    assert_eq!(answer.unwrap().message.words(), "Die Rechnung über 4.180 € ist offen: 請求書 🦀");
    assert_eq!(deltas.len(), 4);
    let heard = peer.heard.lock().unwrap()[0].clone();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1"), "{head}");
    for line in ["x-api-key: sk-test-very-secret", "anthropic-version: 2023-06-01", "content-type: application/json"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((body["stream"].as_bool(), body["max_tokens"].as_u64()), (Some(true), Some(64)));
}

#[tokio::test]
async fn a_base_url_may_end_as_people_write_it() {
    for ending in ["", "/", "/v1", "/v1/"] {
        let peer = peer(vec![stream("text.sse")]).await;
        send(&format!("{}{ending}", peer.url)).await.0.unwrap();
        assert!(peer.heard.lock().unwrap()[0].starts_with("POST /v1/messages "), "{ending}");
    }
    let peer = peer(vec![stream("text.sse")]).await;
    send(&format!("{}/proxy/anthropic/", peer.url)).await.0.unwrap();
    assert!(peer.heard.lock().unwrap()[0].starts_with("POST /proxy/anthropic/v1/messages "));
}

#[tokio::test]
async fn a_refusal_carries_the_providers_own_words() {
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"},"request_id":"req_1"}"#;
    let error = refused("400 Bad Request", "content-type: application/json\r\n", body).await;
    let reason = "invalid_request_error: prompt is too long (request req_1)".to_owned();
    assert_eq!(error, ProviderError::Rejected { status: 400, reason, retryable: false, retry_after_ms: None });
}

#[tokio::test]
async fn a_busy_provider_says_when_to_come_back() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let error = refused("429 Too Many Requests", "retry-after: 7\r\n", body).await;
    assert!(matches!(error, ProviderError::Rejected { status: 429, retryable: true, retry_after_ms: Some(7000), .. }));
    let error = refused("529 ", "", "").await;
    assert!(matches!(error, ProviderError::Rejected { status: 529, retryable: true, retry_after_ms: None, .. }));
}

#[tokio::test]
async fn a_spent_account_is_not_asked_again() {
    let details = r#""details":{"error_code":"enforced_spend_limit_reached"}"#;
    let body = format!(r#"{{"type":"error","error":{{"type":"rate_limit_error","message":"limit",{details}}}}}"#);
    assert!(!refused("429 Too Many Requests", "", &body).await.may_be_sent_again());
}

#[tokio::test]
async fn a_gateway_that_gave_up_waiting_is_possibly_billed() {
    let error = refused("504 Gateway Timeout", "content-type: text/html\r\n", "<html>timeout</html>").await;
    assert!(matches!(&error, ProviderError::Unknown { reason } if reason.contains("504")), "{error}");
}

#[tokio::test]
async fn a_page_instead_of_a_stream_is_rubbish() {
    let peer = peer(vec![answer("200 OK", "content-type: text/html\r\n", b"<html>hello</html>")]).await;
    let error = send(&peer.url).await.0.unwrap_err();
    assert!(matches!(&error, ProviderError::Rubbish { reason, .. } if reason.contains("text/html")), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = peer(vec![stream("text.sse")]).await;
    let error = refused("307 Temporary Redirect", &format!("location: {}/v1/messages\r\n", elsewhere.url), "").await;
    assert!(matches!(error, ProviderError::Rejected { status: 307, retryable: false, .. }), "{error}");
    assert!(elsewhere.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_listening_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = send(&url).await.0.unwrap_err();
    assert!(matches!(error, ProviderError::NotSent { retryable: true, .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_dies_after_the_request_leaves_the_outcome_unknown() {
    let silent = peer(vec![Vec::new()]).await;
    let error = send(&silent.url).await.0.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error}");
    let cut = peer(vec![stream("truncated.sse")]).await;
    let (answer, deltas) = send(&cut.url).await;
    assert!(matches!(answer, Err(ProviderError::Unknown { .. })));
    assert_eq!(deltas, [Delta::Text("I begin".to_owned())]);
    let mut short = stream("text.sse");
    let place = short.windows(12).position(|bytes| bytes == b"content-type").unwrap();
    short.splice(place..place, *b"content-length: 99999\r\n");
    short.truncate(900);
    let error = send(&peer(vec![short]).await.url).await.0.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn the_key_is_in_no_error_and_no_debug_text() {
    let body =
        format!(r#"{{"type":"error","error":{{"type":"authentication_error","message":"invalid x-api-key {KEY}"}}}}"#);
    let error = refused("401 Unauthorized", "", &body).await;
    let text = format!("{error} {error:?}");
    assert!(text.contains("authentication_error") && !text.contains(KEY), "{text}");
    let provider =
        HttpProvider::new(client().unwrap(), Wire::Anthropic, "http://user:pass@127.0.0.1:9", Some(KEY.to_owned()));
    let error = provider.send(&request(), Vec::new().into(), &|_| ()).await.unwrap_err();
    let text = format!("{provider:?} {error} {error:?}");
    assert!(!text.contains(KEY) && !text.contains("pass"), "{text}");
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_not_sent_and_not_shown() {
    let provider =
        HttpProvider::new(client().unwrap(), Wire::Anthropic, "http://127.0.0.1:9", Some("bad\nkey".to_owned()));
    let error = provider.send(&request(), Vec::new().into(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotSent { retryable: false, .. }));
    assert!(!error.to_string().contains("bad"), "{error}");
}
