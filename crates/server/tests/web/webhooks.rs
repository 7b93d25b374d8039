//! Webhooks out: signed, again until they are taken, in order, from where they were.

use ring::hmac;
use serde_json::{Value, json};

use crate::receiver::{Called, Receiver};
use crate::stage::{SECRET, Stage};

async fn added(stage: &Stage, receiver: &Receiver, more: Value) -> Value {
    let mut body = json!({ "name": "office", "url": receiver.url, "secret": "OFFICE_SECRET", "allow_private": true });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.post("/api/webhooks", body).await.ok()
}

/// The list, once it is as wanted.
async fn listed(stage: &Stage, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let webhook = stage.get("/api/webhooks").await.ok()[0].clone();
        if wanted(&webhook) {
            return webhook;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it never came to this: {}", stage.get("/api/webhooks").await.body);
}

fn kinds(calls: &[Called]) -> Vec<String> {
    calls.iter().map(|call| call.event()["kind"].as_str().unwrap().to_owned()).collect()
}

fn well_signed(call: &Called) -> bool {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &engine.decode(SECRET.trim_start_matches("whsec_")).unwrap());
    let signed = format!("{}.{}.{}", call.header("webhook-id"), call.header("webhook-timestamp"), call.body);
    let tag = engine.decode(call.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
}

#[tokio::test]
async fn a_receiver_is_called_for_what_it_asked_for_signed_and_without_content() {
    let stage = Stage::with_agents().await;
    let receiver = Receiver::answering(&[]).await;
    stage.work("note-keeper", "Calculate 1 + 1").await;
    added(&stage, &receiver, json!({ "kinds": ["session_started", "finished"], "agent": "note-keeper" })).await;
    let standing = stage.work("note-keeper", "Calculate 6 * 7").await;
    let calls = receiver.calls(2).await;
    assert_eq!(kinds(&calls), ["session_started", "finished"], "what was before is not told");
    for call in &calls {
        assert!(well_signed(call), "{call:?}");
        assert_eq!(call.header("webhook-id"), call.event()["id"]);
        assert_eq!(call.event()["session"], standing["session"]);
        assert!(!call.body.contains("6 * 7") && call.event()["data"]["content"].is_null(), "{call:?}");
    }
    let webhook = listed(&stage, |webhook| webhook["taken"] == 2).await;
    assert_eq!(
        (&webhook["failed"], &webhook["last_error"], &webhook["stopped"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
    assert!(!webhook.to_string().contains(&SECRET[6..]), "{webhook}");
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_under_the_same_id_and_later_events_wait() {
    let stage = Stage::with_agents().await;
    let moved = "302 Found\r\nlocation: http://127.0.0.1:1/\r\n";
    let receiver = Receiver::answering(&["500 Oh\r\n", moved, "503 Busy\r\nretry-after: 1\r\n"]).await;
    added(&stage, &receiver, json!({ "kinds": ["session_started", "finished"] })).await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    let calls = receiver.calls(5).await;
    let first = calls[0].header("webhook-id");
    assert!(calls[..4].iter().all(|call| call.header("webhook-id") == first && well_signed(call)), "{calls:?}");
    assert_eq!(kinds(&calls[3..]), ["session_started", "finished"]);
    let seconds = |call: &Called| call.header("webhook-timestamp").parse::<i64>().unwrap();
    assert!(seconds(&calls[3]) > seconds(&calls[2]), "it waited as it was asked to");
    let webhook = listed(&stage, |webhook| webhook["taken"] == 2).await;
    assert_eq!(webhook["last_error"]["what"], "it answered 503 Service Unavailable");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let mut stage = Stage::with_agents().await;
    let receiver = Receiver::answering(&[]).await;
    added(&stage, &receiver, json!({ "kinds": ["finished"] })).await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    receiver.calls(1).await;
    // Its place is kept once the list says that it is not behind.
    listed(&stage, |webhook| webhook["lag"] == 0).await;
    stage.restart().await;
    stage.work("note-keeper", "Calculate 1 + 1").await;
    let calls = receiver.calls(2).await;
    listed(&stage, |webhook| webhook["lag"] == 0).await;
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|call| call.header("webhook-id")).collect();
    assert_eq!((ids.len(), receiver.calls(2).await.len()), (2, 2), "each was told once");
}

#[tokio::test]
async fn one_that_says_it_is_gone_is_called_no_more_even_after_a_restart() {
    let mut stage = Stage::with_agents().await;
    let receiver = Receiver::answering(&["410 Gone\r\n"]).await;
    added(&stage, &receiver, json!({ "kinds": ["finished"] })).await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    let stopped = |webhook: &Value| webhook["stopped"] == "it answered 410 Gone";
    listed(&stage, stopped).await;
    stage.restart().await;
    listed(&stage, stopped).await;
    stage.work("note-keeper", "Calculate 1 + 1").await;
    assert_eq!(receiver.calls(1).await.len(), 1);
}

#[tokio::test]
async fn a_dead_receiver_holds_up_neither_the_others_nor_the_work() {
    let stage = Stage::with_agents().await;
    let (dead, alive) = (Receiver::answering(&["500 Oh\r\n"; 50]).await, Receiver::answering(&[]).await);
    added(&stage, &dead, json!({ "name": "dead" })).await;
    added(&stage, &alive, json!({ "kinds": ["finished"] })).await;
    dead.calls(1).await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    assert_eq!(kinds(&alive.calls(1).await), ["finished"]);
    let all = stage.get("/api/webhooks").await.ok();
    assert!(all[0]["name"] == "dead" && all[0]["taken"] == 0 && all[0]["failed"].as_u64().unwrap() > 0, "{all}");
    assert!(all[0]["lag"].as_u64().unwrap() > 0, "{all}");
    assert_eq!(stage.by(&stage.admin, "DELETE", "/api/webhooks/dead", "").await.status, 204);
    assert_eq!(stage.get("/api/webhooks").await.ok().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_receiver_is_tried_once_on_demand() {
    let stage = Stage::bare().await;
    let receiver = Receiver::answering(&[]).await;
    added(&stage, &receiver, json!({ "kinds": ["finished"] })).await;
    let tried = stage.post("/api/webhooks/office/test", json!({})).await.ok();
    assert_eq!((&tried["taken"], &tried["said"]), (&json!(true), &json!("204 No Content")));
    let call = receiver.calls(1).await.remove(0);
    assert!(well_signed(&call) && call.event()["kind"] == "test" && call.event()["id"] == tried["id"], "{call:?}");
    receiver.answers("500 Oh\r\n");
    let tried = stage.post("/api/webhooks/office/test", json!({})).await.ok();
    assert_eq!((&tried["taken"], &tried["said"]), (&json!(false), &json!("it answered 500 Internal Server Error")));
    assert_eq!(stage.post("/api/webhooks/nobody/test", json!({})).await.refusal(), "404 not_found");
}

#[tokio::test]
async fn what_cannot_be_a_receiver_is_refused_and_only_administrators_add_any() {
    let stage = Stage::bare().await;
    let ana = stage.person("ana", "finance-platform").await;
    let body = |url: &str, secret: &str, more: Value| {
        let mut body = json!({ "name": "office", "url": url, "secret": secret });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let public = "https://office.example/hook";
    for wrong in [
        body("http://office.example/", "OFFICE_SECRET", json!({})),
        body("https://127.0.0.1/", "OFFICE_SECRET", json!({})),
        body(public, "NO_SUCH_SECRET", json!({})),
        body(public, "OFFICE_SECRET", json!({ "kinds": ["finnished"] })),
        body(public, "OFFICE_SECRET", json!({ "after": "rubbish" })),
    ] {
        assert_eq!(stage.post("/api/webhooks", wrong.clone()).await.refusal(), "400 bad_request", "{wrong}");
    }
    let good = body(public, "OFFICE_SECRET", json!({}));
    assert_eq!(stage.by(&ana, "POST", "/api/webhooks", &good.to_string()).await.refusal(), "403 forbidden");
    assert_eq!(stage.by(&ana, "GET", "/api/webhooks", "").await.refusal(), "403 forbidden");
    stage.post("/api/webhooks", good.clone()).await.ok();
    assert_eq!(stage.post("/api/webhooks", good).await.refusal(), "409 conflict");
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_called() {
    let stage = Stage::bare().await;
    let url = "https://localhost:9/hook";
    stage.post("/api/webhooks", json!({ "name": "office", "url": url, "secret": "OFFICE_SECRET" })).await.ok();
    let tried = stage.post("/api/webhooks/office/test", json!({})).await.ok();
    assert_eq!(tried["taken"], false);
    assert!(tried["said"].as_str().unwrap().contains("localhost has no public address"), "{tried}");
}
