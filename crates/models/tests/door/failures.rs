//! Everything a provider can do wrong, in every protocol, over a real socket: each ends as its own outcome, and is
//! settled once.

use std::sync::{Arc, Mutex};

use domain::call::{CallOutcome, Settlement, Stop};
use models::Performed;
use models::provider::Delta;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{MODEL, World, changed, described, ended, usd_and_calls};

const PROTOCOLS: [(&str, &str); 4] =
    [("anthropic", "anthropic"), ("openai-chat", "chat"), ("openai-responses", "responses"), ("gemini", "gemini")];

fn golden(folder: &str, name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A golden answer whose usage fits the small question that is asked here, and how many tokens that is.
fn honest(folder: &str) -> (String, i64) {
    let text = String::from_utf8(golden(folder, "text.sse")).expect("text");
    let pairs = [
        ("6169", "69"),
        ("6200", "100"),
        ("4096", "40"),
        ("2048", "28"),
        ("2000", "20"),
        (":48", ":8"),
        (": 48", ": 8"),
    ];
    let text = pairs.iter().fold(text, |text, (from, to)| text.replace(from, to));
    (text, if folder == "anthropic" { 124 } else { 100 })
}

/// What the server does on a connection: it says this, and closes it or falls silent.
#[derive(Clone)]
enum Act {
    Say(Vec<u8>),
    SayAndStall(Vec<u8>),
}

/// A server that serves each connection the next of these, and counts.
async fn server(acts: Vec<Act>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        for act in acts {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let request = read_request(&mut socket).await;
            kept.lock().expect("nobody panics with it").push(request);
            match act {
                Act::Say(bytes) => {
                    socket.write_all(&bytes).await.ok();
                    socket.shutdown().await.ok();
                }
                Act::SayAndStall(bytes) => {
                    socket.write_all(&bytes).await.ok();
                    silent.push(socket);
                }
            }
        }
        std::future::pending::<()>().await;
    });
    (url, heard)
}

async fn read_request(socket: &mut TcpStream) -> String {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut chunk).await.expect("the client speaks");
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if read == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn stream(body: &[u8]) -> Vec<u8> {
    http("200 OK", "content-type: text/event-stream\r\n", body)
}

fn refusal(status: &str, headers: &str) -> Act {
    let body = br#"{"error":{"type":"busy","message":"not now"}}"#;
    Act::Say(http(status, &format!("content-type: application/json\r\n{headers}"), body))
}

/// A world whose provider speaks this protocol at this address, and has prices of its own.
async fn world(protocol: &str, url: &str) -> World {
    let provider = format!(
        "protocol: {protocol}\n  base_url: {url}\n  prices: {{claude-opus-4-7: {{input: 5, output: 25, cache_read: 0.5}}}}"
    );
    described(MODEL, &provider, Vec::new()).await
}

struct Ended {
    outcome: CallOutcome,
    settlement: Settlement,
    deltas: Vec<Delta>,
    requests: Vec<String>,
}

/// Asks once, and looks that what was held is given back once and what was spent is what was settled. `pause`: time
/// stands still once the server has heard the request and the model has said something, so that waiting ends at once.
async fn once((protocol, pause): (&str, bool), acts: Vec<Act>) -> Ended {
    let says = acts.iter().any(|act| matches!(act, Act::SayAndStall(bytes) if !bytes.is_empty()));
    let (url, heard) = server(acts).await;
    let mut world = world(protocol, &url).await;
    let (rows, ticket) = world.may(1).await;
    let held = changed(&rows).0;
    let receipt = world.commit(rows).await;
    let deltas = Mutex::new(Vec::new());
    let sink = |delta| deltas.lock().expect("nobody panics with it").push(delta);
    let stalls = async {
        while pause
            && (heard.lock().expect("it is free").is_empty() || (says && deltas.lock().expect("it is free").is_empty()))
        {
            tokio::task::yield_now().await;
        }
        if pause {
            tokio::time::pause();
        }
        std::future::pending::<()>().await;
    };
    let Performed { event, rows, .. } = tokio::select! {
        performed = world.door.perform(ticket, &receipt, &sink) => performed,
        () = stalls => unreachable!("it never ends"),
    };
    let (outcome, settlement) = ended(event);
    let spent = usd_and_calls(settlement.amounts.usd_micros, settlement.amounts.calls);
    assert_eq!(changed(&rows), (usd_and_calls(-held.usd_micros, -1), spent), "{protocol}: settled once");
    world.commit(rows).await;
    let requests = heard.lock().expect("it is free").clone();
    Ended { outcome, settlement, deltas: deltas.into_inner().expect("it is free"), requests }
}

fn is_possibly_billed(ended: &Ended, protocol: &str) {
    assert!(matches!(&ended.outcome, CallOutcome::Unknown { .. }), "{protocol}: {:?}", ended.outcome);
    assert!(ended.settlement.worst_case && ended.settlement.amounts.usd_micros > 0, "{protocol}");
    assert_eq!(ended.requests.len(), 1, "{protocol}: never sent again");
}

#[tokio::test]
async fn an_answer_is_settled_at_what_it_took() {
    for (protocol, folder) in PROTOCOLS {
        let (text, tokens) = honest(folder);
        let ended = once((protocol, false), vec![Act::Say(stream(text.as_bytes()))]).await;
        let CallOutcome::Answered { message, stop } = &ended.outcome else { panic!("{protocol}: {:?}", ended.outcome) };
        assert_eq!(
            (message.words().as_str(), *stop),
            ("Die Rechnung über 4.180 € ist offen: 請求書 🦀", Some(Stop::Done))
        );
        assert_eq!(ended.settlement.amounts.tokens, tokens, "{protocol}");
        assert!(!ended.settlement.worst_case && ended.settlement.amounts.usd_micros > 0, "{protocol}");
    }
}

#[tokio::test]
async fn a_provider_that_stalls_is_given_up_before_and_within_its_answer() {
    for (protocol, folder) in PROTOCOLS {
        let ended = once((protocol, true), vec![Act::SayAndStall(Vec::new())]).await;
        is_possibly_billed(&ended, protocol);
        assert!(format!("{:?}", ended.outcome).contains("no answer within 300 s"), "{:?}", ended.outcome);
        tokio::time::resume();
        let whole = golden(folder, "text.sse");
        let half = whole.windows(4).position(|bytes| bytes == b"nung").expect("it has these words");
        let ended = once((protocol, true), vec![Act::SayAndStall(stream(&whole[..half]))]).await;
        tokio::time::resume();
        is_possibly_billed(&ended, protocol);
        assert!(format!("{:?}", ended.outcome).contains("silent for 120 s"), "{:?}", ended.outcome);
        assert!(!ended.deltas.is_empty(), "{protocol}");
    }
}

#[tokio::test]
async fn a_cut_stream_and_half_a_character_are_possibly_billed_and_never_asked_again() {
    for (protocol, folder) in PROTOCOLS {
        let whole = golden(folder, "text.sse");
        let euro = whole.windows(3).position(|bytes| bytes == "€".as_bytes()).expect("a character of three bytes");
        for bytes in [golden(folder, "truncated.sse"), whole[..euro + 1].to_vec(), whole[..euro + 2].to_vec()] {
            let ended = once((protocol, false), vec![Act::Say(stream(&bytes)), refusal("500 Twice", "")]).await;
            is_possibly_billed(&ended, protocol);
            assert!(!format!("{:?}", ended.deltas).contains('\u{fffd}'));
        }
        let mut broken = whole;
        broken[euro + 1] = b'x';
        let ended = once((protocol, false), vec![Act::Say(stream(&broken))]).await;
        assert!(
            matches!(&ended.outcome, CallOutcome::Failed { retryable: false, error, .. } if error.contains("UTF-8"))
        );
        assert!(ended.settlement.worst_case, "{protocol}");
    }
}

#[tokio::test]
async fn a_usage_that_cannot_be_is_settled_at_the_worst_case() {
    for (protocol, folder) in PROTOCOLS {
        let (text, _) = honest(folder);
        for lie in ["0", "900000"] {
            let lying = text.replace(":31", &format!(":{lie}")).replace("\"total_tokens\":100", "\"total_tokens\":0");
            let lying = lying.replace("\"output_tokens\":1", "\"output_tokens\":0");
            assert_ne!(lying, text, "{protocol}");
            let ended = once((protocol, false), vec![Act::Say(stream(lying.as_bytes()))]).await;
            assert!(matches!(ended.outcome, CallOutcome::Answered { .. }), "{protocol}: {:?}", ended.outcome);
            assert!(ended.settlement.worst_case, "{protocol} says {lie}: {:?}", ended.settlement);
            assert!(ended.settlement.amounts.tokens < 100_000, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_busy_provider_is_asked_again_when_it_says_and_three_times_in_all() {
    for (protocol, folder) in PROTOCOLS {
        for status in ["429 Too Many Requests", "500 Internal Server Error", "529 Overloaded"] {
            let busy = || refusal(status, "retry-after-ms: 1\r\n");
            let good = Act::Say(stream(&golden(folder, "text.sse")));
            let ended = once((protocol, false), vec![busy(), busy(), good]).await;
            assert!(matches!(ended.outcome, CallOutcome::Answered { .. }), "{protocol} {status}: {:?}", ended.outcome);
            assert_eq!((ended.requests.len(), ended.settlement.amounts.calls), (3, 1), "{protocol} {status}");
        }
        let busy = || refusal("500 Internal Server Error", "retry-after-ms: 1\r\n");
        let ended = once((protocol, false), vec![busy(), busy(), busy(), busy()]).await;
        let CallOutcome::Failed { retryable: true, error, .. } = &ended.outcome else { panic!("{:?}", ended.outcome) };
        assert!(error.contains("HTTP 500") && error.contains("busy: not now"), "{error}");
        assert_eq!((ended.requests.len(), ended.settlement.amounts), (3, usd_and_calls(0, 1)), "{protocol}");
        let ended = once((protocol, false), vec![refusal("429 No", "retry-after: 60\r\n"), busy()]).await;
        let CallOutcome::Failed { retryable: true, error, .. } = &ended.outcome else { panic!("{:?}", ended.outcome) };
        assert!(error.ends_with("it asks to be left alone for 60 s"), "{error}");
        assert_eq!(ended.requests.len(), 1, "{protocol}");
        let ended = once((protocol, false), vec![refusal("500 No", "x-should-retry: false\r\n"), busy()]).await;
        assert!(matches!(ended.outcome, CallOutcome::Failed { retryable: false, .. }), "{:?}", ended.outcome);
        assert_eq!(ended.requests.len(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_an_answer_that_is_paid_for_and_settled() {
    for (protocol, folder) in PROTOCOLS {
        let (text, tokens) = honest(folder);
        let (url, heard) = server(vec![Act::Say(stream(text.as_bytes()))]).await;
        let mut world = world(protocol, &url).await;
        let (rows, ticket) = world.may(1).await;
        let receipt = world.commit(rows).await;
        let (client, gone) = tokio::sync::mpsc::channel(1);
        drop(gone);
        let refused = Mutex::new(0);
        let sink = |delta| *refused.lock().expect("it is free") += usize::from(client.try_send(delta).is_err());
        let Performed { event, .. } = world.door.perform(ticket, &receipt, &sink).await;
        let (outcome, settlement) = ended(event);
        assert!(matches!(outcome, CallOutcome::Answered { .. }), "{protocol}: {outcome:?}");
        assert_eq!((settlement.amounts.tokens, heard.lock().expect("it is free").len()), (tokens, 1), "{protocol}");
        assert!(*refused.lock().expect("it is free") > 0, "{protocol}: nobody listened");
    }
}
