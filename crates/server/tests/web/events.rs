//! The event feed over HTTP: what it tells, whom, and where it goes on.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::http::{self, Reply};
use crate::stage::Stage;

/// The events of an answer that has ended, and the last cursor it named.
pub(crate) fn told(reply: &Reply) -> (Vec<Value>, String) {
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")), "{reply:?}");
    let field = |name: &str| {
        let of = format!("{name}: ");
        reply.body.lines().filter_map(move |line| line.strip_prefix(&of).map(str::to_owned)).collect::<Vec<_>>()
    };
    let events = field("data").iter().map(|data| serde_json::from_str(data).unwrap()).collect();
    (events, field("id").pop().unwrap())
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_happened_is_told_from_the_beginning_and_from_any_cursor_even_after_a_restart() {
    let mut stage = Stage::with_agents().await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    let (all, end) = told(&stage.get("/api/events?follow=false").await);
    let of_session: Vec<Value> = all.iter().filter(|event| event["agent"] == "note-keeper").cloned().collect();
    assert_eq!(kinds(&of_session)[..2], ["session_started", "message_received"]);
    assert_eq!(*kinds(&of_session).last().unwrap(), "finished");
    assert!(kinds(&all).contains(&"applied"));
    assert!(!Value::Array(all.clone()).to_string().contains("6 * 7"), "no content unless it is asked for");
    stage.restart().await;
    let (after, _) = told(&stage.get(&format!("/api/events?follow=false&after={end}&agent=note-keeper")).await);
    assert_eq!(after, Vec::<Value>::new());
    stage.work("note-keeper", "Calculate 1 + 1").await;
    let from_end = [("authorization", format!("Bearer {}", stage.admin)), ("last-event-id", end)];
    let headers: Vec<_> = from_end.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // What a reader says when it comes back goes before what its address says.
    let reply =
        stage.ask("GET", "/api/events?follow=false&after=now&kind=session_started,finished", &headers, "").await;
    assert_eq!(kinds(&told(&reply).0), ["session_started", "finished"]);
}

#[tokio::test]
async fn who_asks_decides_what_is_told() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    let path = "/api/events?follow=false&content=true";
    let (all, _) = told(&stage.get(path).await);
    let (hers, _) = told(&stage.by(&ana, "GET", path, "").await);
    assert!(kinds(&all).contains(&"key_added") && !kinds(&hers).contains(&"key_added"));
    let applied = |events: &[Value]| events.iter().find(|event| event["kind"] == "applied").unwrap()["data"].clone();
    assert_eq!(applied(&all)["content"]["by"], "admin");
    assert_eq!(applied(&hers)["content"], Value::Null);
    let asked = hers.iter().find(|event| event["kind"] == "message_received").unwrap();
    assert!(asked["data"]["content"].to_string().contains("Calculate 6 * 7"), "{asked}");
    let agent = stage.agent_key("note-keeper").await;
    assert_eq!(stage.by(&agent, "GET", path, "").await.refusal(), "403 forbidden");
    let description = stage.get("/api/openapi.json").await.ok();
    let mut schema = description["components"]["schemas"]["Event"].clone();
    schema["components"] = description["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for event in all.iter().chain(&hers) {
        assert!(validator.is_valid(event), "{event:#}");
    }
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let stage = Stage::bare().await;
    assert_eq!(stage.get("/api/events?after=rubbish").await.refusal(), "400 bad_request");
    assert_eq!(stage.get("/api/events?kind=levitated").await.refusal(), "400 bad_request");
    let other = Stage::bare().await;
    let (_, cursor) = told(&other.get("/api/events?follow=false").await);
    assert_eq!(stage.get(&format!("/api/events?after={cursor}")).await.refusal(), "409 conflict");
}

#[tokio::test]
async fn a_follower_hears_what_happens_and_is_let_go_when_the_server_stops() {
    let mut stage = Stage::with_agents().await;
    let key = format!("Bearer {}", stage.admin);
    let path = "/api/events?after=now&kind=finished";
    let mut stream = http::send(&stage.host, "GET", path, &[("authorization", &key)], "").await;
    let mut heard = String::new();
    let mut bytes = [0; 4096];
    // The answer's head is there: it follows.
    let read = stream.read(&mut bytes).await.unwrap();
    heard.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    stage.work("note-keeper", "Calculate 6 * 7").await;
    while !heard.contains("\"kind\":\"finished\"") {
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "it ended: {heard}");
        heard.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    stage.stop().await;
    stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.ends_with("0\r\n\r\n"), "the stream was cut off: {heard}");
}

#[tokio::test]
async fn there_is_a_bound_on_who_follows_and_it_says_when_to_come_back() {
    let stage = Stage::bare().await;
    let key = format!("Bearer {}", stage.admin);
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut stream = http::send(&stage.host, "GET", "/api/events", &[("authorization", &key)], "").await;
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        open.push(stream);
    }
    let refused = stage.get("/api/events").await;
    assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("429 full", Some("1")));
    assert_eq!(json!(open.len()), 64);
}
