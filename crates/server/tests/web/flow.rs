//! Work over the API: sent, waited for, decided, looked back at.

use serde_json::{Value, json};

use crate::http;
use crate::stage::Stage;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn work_is_sent_waited_for_and_looked_back_at() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let sent = json!({ "message": "Calculate 6 * 7", "key": "sums" }).to_string();
    let sent = stage.by(&ana, "POST", "/api/agents/note-keeper/messages", &sent).await;
    assert_eq!(sent.status, 202);
    let standing = stage.rests(&sent.ok()).await;
    assert_eq!((&standing["phase"], &standing["scripted"]), (&json!("finished"), &json!(true)));
    assert!(standing["answer"].as_str().unwrap().contains("42"), "{standing}");
    let session = standing["session"].as_str().unwrap();

    let listed = stage.get("/api/sessions?agent=note-keeper&phase=finished").await.ok();
    assert_eq!((&listed[0]["session"], &listed[0]["key"]), (&json!(session), &json!("sums")));
    assert_eq!(stage.get("/api/sessions?phase=failed").await.ok(), json!([]));
    assert_eq!(stage.get(&format!("/api/sessions/{session}")).await.ok(), listed[0]);
    let trace = stage.get(&format!("/api/sessions/{session}/trace")).await.ok();
    assert_eq!(trace["on_behalf_of"], "ana");
    for words in ["tree", "transcript"] {
        let text = stage.get(&format!("/api/sessions/{session}/trace?as={words}")).await;
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(text.body.contains("calculate"), "{text:?}");
    }
    let odd = stage.get(&format!("/api/sessions/{session}/trace?as=song")).await;
    assert_eq!(odd.refusal(), "400 bad_request");
    let call =
        trace["steps"].as_array().unwrap().iter().find(|step| step["step"] == "capability").unwrap()["call"].clone();
    let explained = stage.get(&format!("/api/calls/{}/explain", call.as_str().unwrap())).await.ok();
    assert_eq!(
        (&explained["what"], &explained["resolved"]),
        (&json!("internal://calculate"), &json!(true)),
        "{explained}"
    );
    let results = stage.get("/api/results?agent=note-keeper").await.ok();
    assert_eq!((&results[0]["session"], &results[0]["end"]), (&json!(session), &json!("answered")));
    let cost = stage.get("/api/cost?by=agent&since=1h").await.ok();
    assert_eq!(cost["lines"][0]["name"], "note-keeper");
    assert!(cost["total"]["scripted_usd_micros"].as_i64().unwrap() > 0, "{cost}");
    assert_eq!(stage.get("/api/audit/verify").await.ok()["ok"], true);
}

#[tokio::test]
async fn the_same_mail_is_delivered_once() {
    let stage = Stage::with_agents().await;
    let body = json!({ "message": "Calculate 1 + 1", "key": "once", "mail": "mine:1" });
    let mut session = Value::Null;
    for _ in 0..3 {
        let sent = stage.post("/api/agents/note-keeper/messages", body.clone()).await.ok();
        session = stage.rests(&sent).await["session"].clone();
    }
    let trace = stage.get(&format!("/api/sessions/{}/trace", session.as_str().unwrap())).await.ok();
    let messages = trace["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "message");
    assert_eq!(messages.count(), 1);
}

#[tokio::test]
async fn a_session_nobody_started_is_not_there_yet() {
    let stage = Stage::bare().await;
    let session = "ses_7118b9dzpa41qsdez6a7967f91";
    let waited = stage.get(&format!("/api/sessions/{session}/wait?timeout_ms=0")).await;
    assert_eq!(waited.refusal(), "404 not_found");
    assert!(waited.json()["error"]["reason"].as_str().unwrap().ends_with(" yet"), "{waited:?}");
    assert_eq!(stage.get(&format!("/api/sessions/{session}")).await.refusal(), "404 not_found");
    assert_eq!(stage.get(&format!("/api/sessions/{session}/trace")).await.refusal(), "404 not_found");
}

#[tokio::test]
async fn consent_is_a_persons_of_the_group_and_is_used_once() {
    let stage = Stage::with_agents().await;
    let (ana, ben) = (stage.person("ana", "finance-platform").await, stage.person("ben", "procurement").await);
    let item = stage.consent_wanted().await;
    assert_eq!((&item["item"], &item["what"]), (&json!("approval"), &json!("email-draft")));
    assert_eq!(item["value_usd_micros"], json!(4_180_000_000_i64));
    let tool = [&item["tool"], &item["server"], &item["effect"]];
    assert_eq!(tool, ["draft_email", "books", "write"]);
    assert_eq!(item["task"]["text"], "Remind acme of INV-2041.");
    assert!(item["reasoning"][0].as_str().unwrap().contains("1 invoice to remind of"), "{item}");
    let path = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    for key in [&stage.admin, &ben] {
        assert_eq!(stage.by(key, "POST", &path, "{}").await.refusal(), "403 forbidden");
    }
    assert_eq!(stage.by(&ana, "POST", &path, r#"{"edited": 3}"#).await.refusal(), "422 unfit");
    assert_eq!(stage.upstream.drafts().len(), 0);
    let answered = stage.by(&ana, "POST", &path, r#"{"reason": "it is due"}"#).await.ok();
    assert_eq!((&answered["verdict"]["person"], &answered["verdict"]["approved"]), (&json!("ana"), &json!(true)));
    let standing = stage.rests(&json!({ "session": item["session"] })).await;
    assert_eq!(standing["phase"], "finished", "{standing}");
    assert_eq!(stage.by(&ana, "POST", &path, "{}").await.refusal(), "409 conflict");
    assert_eq!(stage.upstream.drafts().len(), 1);
    assert_eq!(stage.get("/api/inbox").await.ok(), json!([]));
}

#[tokio::test]
async fn a_no_is_told_to_the_agent_and_nothing_is_sent() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let item = stage.consent_wanted().await;
    let path = format!("/api/inbox/{}/deny", item["id"].as_str().unwrap());
    assert_eq!(stage.by(&ana, "POST", &path, r#"{"edited": {}}"#).await.refusal(), "422 unfit");
    stage.by(&ana, "POST", &path, r#"{"reason": "ask them first"}"#).await.ok();
    let standing = stage.rests(&json!({ "session": item["session"] })).await;
    assert!(standing["answer"].as_str().unwrap().contains("ask them first"), "{standing}");
    assert_eq!(stage.upstream.drafts().len(), 0);
}

#[tokio::test]
async fn a_write_in_doubt_waits_for_a_persons_word() {
    let mut stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let item = stage.consent_wanted().await;
    stage.upstream.hang(true);
    let path = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    stage.by(&ana, "POST", &path, "{}").await.ok();
    stage.upstream.drafted().await;
    stage.restart().await;
    stage.upstream.hang(false);
    let standing = stage.rests(&json!({ "session": item["session"] })).await;
    assert_eq!(standing["waits"][0]["why"]["for"], "in_doubt", "{standing}");
    let doubt = stage.get("/api/inbox").await.ok()[0].clone();
    assert_eq!((&doubt["item"], &doubt["call"]), (&json!("in_doubt"), &item["call"]));
    assert_eq!(doubt["arguments"], item["arguments"]);
    let path = format!("/api/calls/{}/resolve", item["call"].as_str().unwrap());
    let said = r#"{"say": "happened", "result": "{\"id\": \"draft-1\"}"}"#;
    assert_eq!(stage.by(&stage.admin, "POST", &path, said).await.refusal(), "403 forbidden");
    stage.by(&ana, "POST", &path, said).await.ok();
    let standing = stage.rests(&json!({ "session": item["session"] })).await;
    assert_eq!(standing["phase"], "finished", "{standing}");
    assert_eq!(stage.upstream.drafts().len(), 1);
    assert_eq!(stage.by(&ana, "POST", &path, said).await.refusal(), "409 conflict");
}

#[tokio::test]
async fn a_killed_session_is_over_for_good() {
    let stage = Stage::with_agents().await;
    let (ana, ben) = (stage.person("ana", "finance-platform").await, stage.person("ben", "procurement").await);
    let item = stage.consent_wanted().await;
    let session = item["session"].as_str().unwrap();
    let path = format!("/api/sessions/{session}/kill");
    assert_eq!(stage.by(&ben, "POST", &path, "{}").await.refusal(), "403 forbidden");
    let killed = stage.by(&ana, "POST", &path, r#"{"reason": "enough"}"#).await.ok();
    assert_eq!(killed["phase"], "killed");
    assert_eq!(stage.get("/api/inbox").await.ok(), json!([]));
    let body = json!({ "message": "go on", "key": item["key"] });
    assert_eq!(stage.post("/api/agents/dunning-live/messages", body).await.refusal(), "409 conflict");
}

#[tokio::test]
async fn what_is_frozen_waits_and_goes_on_afterwards() {
    let stage = Stage::with_agents().await;
    let what = json!({ "what": { "scope": "agent", "agent": "note-keeper" }, "reason": "odd sums" });
    stage.post("/api/freeze", what.clone()).await.ok();
    let listed = stage.get("/api/resources?kind=Agent").await.ok();
    let keeper = listed.as_array().unwrap().iter().find(|agent| agent["name"] == "note-keeper").unwrap();
    assert_eq!(keeper["frozen"], "odd sums");
    let listed = stage.get("/api/freezes").await.ok();
    assert_eq!(
        (&listed[0]["by"], &listed[0]["next"]),
        (&json!("admin"), &json!("ostler unfreeze --agent note-keeper"))
    );
    let standing = stage.work("note-keeper", "Calculate 1 + 1").await;
    assert_eq!(standing["waits"][0]["why"]["for"], "frozen", "{standing}");
    let session = standing["session"].as_str().unwrap();
    let row = stage.get(&format!("/api/sessions/{session}")).await.ok();
    assert_eq!((&row["phase"], &row["waits_on"]), (&json!("suspended"), &json!("frozen: agent note-keeper")));
    stage.post("/api/unfreeze", what).await.ok();
    stage.becomes(session, "finished").await;
}

#[tokio::test]
async fn a_session_is_suspended_resumed_and_killed_by_those_who_may_and_twice_harms_nobody() {
    let stage = Stage::with_agents().await;
    let (ana, ben) = (stage.person("ana", "finance-platform").await, stage.person("ben", "procurement").await);
    let item = stage.consent_wanted().await;
    let session = item["session"].as_str().unwrap();
    let path = |wish: &str| format!("/api/sessions/{session}/{wish}");
    assert_eq!(stage.by(&ben, "POST", &path("suspend"), "{}").await.refusal(), "403 forbidden");
    let held = stage.by(&ana, "POST", &path("suspend"), r#"{"reason": "let me look"}"#).await.ok();
    assert_eq!((&held["recorded"], &held["phase"]), (&json!(true), &json!("suspended")), "{held}");
    let again = stage.post(&path("suspend"), json!({})).await.ok();
    assert!(again["said"].as_str().unwrap().contains("before, by ana"), "{again}");
    // A verdict is kept for later.
    let approve = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    stage.by(&ana, "POST", &approve, "{}").await.ok();
    let row = stage.get(&format!("/api/sessions/{session}")).await.ok();
    assert_eq!((&row["phase"], &row["waits_on"]), (&json!("suspended"), &json!("suspended by ana")));
    let went_on = stage.post(&path("resume"), json!({})).await.ok();
    assert_eq!(went_on["recorded"], true, "{went_on}");
    stage.becomes(session, "finished").await;
    let idle = stage.post(&path("resume"), json!({})).await.ok();
    assert!(idle["said"].as_str().unwrap().contains("is not suspended"), "{idle}");
    stage.post(&path("kill"), json!({})).await.ok();
    let dead = stage.post(&path("kill"), json!({})).await.ok();
    assert!(dead["said"].as_str().unwrap().contains("was killed before"), "{dead}");
    assert_eq!(stage.post(&path("suspend"), json!({})).await.refusal(), "409 conflict");
}

#[tokio::test]
async fn whoever_streams_a_session_is_told_of_words_and_commits() {
    let stage = Stage::with_agents().await;
    let sent = json!({ "message": "Calculate 1 + 1", "key": "streamed" });
    let first = stage.post("/api/agents/note-keeper/messages", sent.clone()).await.ok();
    stage.rests(&first).await;
    let path = format!("/api/sessions/{}/stream", first["session"].as_str().unwrap());
    let key = format!("Bearer {}", stage.admin);
    let mut stream = http::send(&stage.host, "GET", &path, &[("authorization", &key)], "").await;
    let mut heard = read_until(&mut stream, "text/event-stream").await;
    let again = stage.post("/api/agents/note-keeper/messages", sent).await.ok();
    stage.rests(&again).await;
    heard.push_str(&read_until(&mut stream, "event: committed").await);
    assert!(heard.contains("event: delta"), "{heard}");
}

async fn read_until(stream: &mut tokio::net::TcpStream, what: &str) -> String {
    let (mut heard, mut bytes) = (String::new(), [0; 4096]);
    while !heard.contains(what) {
        let read = stream.read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "the stream ended: {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    heard
}

#[tokio::test]
async fn a_shadow_run_is_compared_with_what_people_did() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let body = json!({ "message": "Remind acme of INV-2041.", "case": "INV-2041" });
    let sent = stage.post("/api/agents/dunning-shadow/messages", body).await.ok();
    let standing = stage.rests(&sent).await;
    assert_eq!((&standing["phase"], &standing["mode"]), (&json!("finished"), &json!("shadow")));
    assert_eq!(stage.upstream.drafts().len(), 0);
    let cases = json!({ "cases": [{ "case": "INV-2041", "did": { "tool": "email-draft", "amount_usd": "4180" } }] });
    let imported = stage.post("/api/shadow/dunning-shadow/cases", cases).await.ok();
    assert_eq!(imported["cases"], 1);
    let report = stage.get("/api/shadow/dunning-shadow/report").await.ok();
    assert_eq!(report["matches"][0]["case"], "INV-2041", "{report}");
    assert!(report["note"].as_str().unwrap().contains("nothing"), "{report}");
    let path = "/api/shadow/dunning-shadow/promote";
    assert_eq!(stage.post(path, json!({ "to": "supervised" })).await.refusal(), "403 forbidden");
    stage.by(&ana, "POST", path, r#"{"to": "supervised"}"#).await.ok();
    let agent = stage.get("/api/resources?kind=Agent&name=dunning-shadow").await.ok();
    assert_eq!(agent[0]["autonomy"], "supervised");
    assert_eq!(stage.get("/api/shadow/nobody/report").await.refusal(), "404 not_found");
}

#[tokio::test]
async fn metrics_count_sessions_the_inbox_and_commits() {
    let stage = Stage::with_agents().await;
    stage.consent_wanted().await;
    stage.work("note-keeper", "Calculate 1 + 1").await;
    let reply = stage.get("/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "# TYPE ostler_sessions gauge",
        "ostler_sessions{phase=\"suspended\"} 1",
        "ostler_sessions{phase=\"finished\"} 1",
        "ostler_sessions{phase=\"killed\"} 0",
        "ostler_inbox_items{item=\"approval\"} 1",
        "ostler_inbox_items{item=\"in_doubt\"} 0",
        "ostler_agents{ready=\"false\"} 1",
    ] {
        assert!(reply.body.lines().any(|is| is == line), "{line} in {}", reply.body);
    }
}
