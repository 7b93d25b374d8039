//! Servers over HTTP that misbehave, each answered by a line of raw TCP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::secret::Secrets;
use crate::upstream::{At, Host, Outcome, Spec, ToolCall, Upstream, connect};

/// What the server does with a use of its tool.
#[derive(Clone, Copy)]
enum OnCall {
    Answers,
    HangsUp,
    Says(&'static str),
}

/// Every request's head, as it came.
type Heads = Arc<Mutex<Vec<String>>>;

/// A legacy MCP server over HTTP, in as few lines as it takes; its address and what it was sent.
async fn server(on_call: OnCall) -> (String, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/mcp", listener.local_addr().unwrap());
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, on_call, Arc::clone(&seen)));
        }
    });
    (address, heads)
}

async fn serve(stream: TcpStream, on_call: OnCall, heads: Heads) {
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = request(&mut stream).await {
        heads.lock().unwrap().push(head);
        let answer = match (body["method"].as_str().unwrap_or(""), on_call) {
            ("server/discover", _) => http("404 Not Found", ""),
            ("initialize", _) => result(
                &body["id"],
                &json!({"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}}, "serverInfo": {"name": "test", "version": "1"}}),
            ),
            ("tools/call", OnCall::Answers) => result(&body["id"], &json!({"content": [], "isError": false})),
            ("tools/call", OnCall::HangsUp) => return,
            ("tools/call", OnCall::Says(status)) => http(status, ""),
            ("", _) => http("405 Method Not Allowed", ""),
            _ => http("202 Accepted", ""),
        };
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn http(status: &str, body: &str) -> String {
    let (length, session) = (body.len(), "Mcp-Session-Id: s1\r\n");
    format!("HTTP/1.1 {status}\r\n{session}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn result(id: &Value, result: &Value) -> String {
    http("200 OK", &json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
}

async fn connected(url: &str) -> Result<Arc<dyn Upstream>, String> {
    let spec = Spec {
        name: "web".parse().unwrap(),
        at: At::Http { url: url.to_owned() },
        secrets: vec!["TOKEN".to_owned()],
        handshake: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
    };
    let secrets = Secrets::new([("TOKEN".to_owned(), "tok-77".to_owned())]);
    connect(&spec, &secrets, &Host::new("/nowhere".into(), [])).await
}

async fn outcome(on_call: OnCall) -> Outcome {
    let (url, _) = server(on_call).await;
    let idempotency_key = "key".to_owned();
    let call = ToolCall { tool: "use".into(), arguments: Map::new(), idempotency_key, traceparent: None };
    connected(&url).await.unwrap().call(call).await
}

#[tokio::test]
async fn the_one_secret_is_sent_as_bearer_token() {
    let (url, heads) = server(OnCall::Answers).await;
    connected(&url).await.unwrap();
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.contains("authorization: bearer tok-77\r\n")), "{heads:?}");
}

#[tokio::test]
async fn an_answer_is_an_answer() {
    assert!(matches!(outcome(OnCall::Answers).await, Outcome::Answered(answer) if !answer.error));
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_call_leaves_it_unknown() {
    assert!(matches!(outcome(OnCall::HangsUp).await, Outcome::Unknown { .. }));
}

#[tokio::test]
async fn a_server_error_leaves_a_call_unknown_and_too_many_requests_does_not() {
    let lost = outcome(OnCall::Says("502 Bad Gateway")).await;
    assert!(matches!(&lost, Outcome::Unknown { error } if error.contains("502")), "{lost:?}");
    let turned_away = outcome(OnCall::Says("429 Too Many Requests")).await;
    assert!(matches!(&turned_away, Outcome::NotSent { retryable: true, .. }), "{turned_away:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let why = connected("http://127.0.0.1:1/mcp").await.err().unwrap();
    assert!(why.starts_with("the handshake failed") && why.to_lowercase().contains("connect"), "{why}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, heads) = server(OnCall::Answers).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            if request(&mut stream).await.is_some() {
                let moved = format!("HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
                stream.get_mut().write_all(moved.as_bytes()).await.unwrap();
            }
        }
    });
    assert!(connected(&url).await.is_err());
    assert!(heads.lock().unwrap().is_empty());
}
