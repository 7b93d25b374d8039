//! Channels of people, and the links that are sent there: who is told, what a link shows, that it answers once and in
//! nobody else's name, and what it says when it answers nothing.

use serde_json::{Value, json};

use crate::browser::origin;
use crate::http::{Reply, form};
use crate::receiver::{Called, Receiver};
use crate::stage::Stage;

const TWO: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-two, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500, by: {quorum: 2, not: [on_behalf_of]}}
";

const SOON: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-soon, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500, expires: {after: 4s}}
";

/// A webhook for people, and whoever answers there.
async fn desk(stage: &Stage, name: &str) -> Receiver {
    let receiver = Receiver::answering(&[]).await;
    let body = json!({ "name": name, "url": receiver.url, "secret": "OFFICE_SECRET", "allow_private": true, "for_people": true });
    stage.post("/api/webhooks", body).await.ok();
    receiver
}

/// A person who is told there; their key.
async fn told(stage: &Stage, person: &str, webhook: &str) -> String {
    let key = stage.person(person, "finance-platform").await;
    let channel = json!({ "by": "webhook", "webhook": webhook }).to_string();
    stage.by(&key, "POST", "/api/channels", &channel).await.ok();
    key
}

/// The path of the link that a call brought.
fn link(stage: &Stage, call: &Called) -> String {
    let event = call.event();
    assert_eq!(event["type"], "ostler.consent_wanted", "{event}");
    let link = event["data"]["link"].as_str().unwrap();
    link.strip_prefix(&origin(stage)).unwrap().to_owned()
}

async fn answer(stage: &Stage, path: &str, say: &str) -> Reply {
    let origin = origin(stage);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    stage.ask("POST", path, &headers, &form(&[("say", say), ("reason", "overdue indeed")])).await
}

async fn look(stage: &Stage, path: &str) -> Reply {
    stage.ask("GET", path, &[], "").await
}

async fn ask_two(stage: &Stage, by: &str) -> Value {
    let message = json!({ "message": "Remind acme of INV-2041." }).to_string();
    let sent = stage.by(by, "POST", "/api/agents/dunning-two/messages", &message).await.ok();
    assert_eq!(stage.rests(&sent).await["phase"], "suspended");
    stage.get("/api/inbox").await.ok()[0].clone()
}

fn says(reply: &Reply, status: u16, words: &str) {
    assert!(reply.status == status && reply.page().contains(words), "{words}: {reply:?}");
}

#[tokio::test]
async fn a_link_shows_what_waits_changes_nothing_when_looked_at_and_answers_once() {
    let stage = Stage::with_agents().await;
    let desk = desk(&stage, "desk").await;
    told(&stage, "ana", "desk").await;
    let item = stage.consent_wanted().await;
    let call = desk.calls(1).await.remove(0);
    assert_eq!((&call.event()["person"], &call.event()["data"]["approval"]), (&json!("ana"), &item["id"]));
    assert!(!call.body.contains("INV-2041") && !call.body.contains("arguments\""), "no content: {call:?}");
    let path = link(&stage, &call);
    let commits = stage.get("/metrics").await.body.lines().filter(|line| line.starts_with("ostler_commits")).count();
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(stage.ask(method, &path, &[], "").await.status, 200);
    }
    let page = look(&stage, &path).await;
    for shown in
        ["INV-2041", "email-draft", "draft_email", "Ostler cannot undo it", "This page is for ana", "webhook desk"]
    {
        assert!(page.page().contains(shown), "{shown}: {page:?}");
    }
    let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
    assert_eq!(
        (header("referrer-policy"), header("cache-control")),
        ("strict-origin".to_owned(), "no-store".to_owned())
    );
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{page:?}");
    assert!(!page.body.contains("http://") && !page.body.contains("https://"), "it leads nowhere else: {page:?}");
    assert_eq!(stage.get("/api/inbox").await.ok()[0]["id"], item["id"], "still waits, after {commits} counters");
    let elsewhere = [("content-type", "application/x-www-form-urlencoded"), ("origin", "https://evil.example")];
    assert_eq!(stage.ask("POST", &path, &elsewhere, "say=approve").await.status, 403);
    assert_eq!(answer(&stage, &path, "perhaps").await.status, 400);
    assert_eq!(stage.upstream.drafts().len(), 0);
    says(&answer(&stage, &path, "approve").await, 200, "This link is used up");
    assert_eq!(stage.rests(&json!({ "session": item["session"] })).await["phase"], "finished");
    assert_eq!(stage.upstream.drafts().len(), 1);
    says(&answer(&stage, &path, "deny").await, 410, "ana said yes");
    says(&look(&stage, &path).await, 410, "ana said yes");
    let trace = stage.get(&format!("/api/sessions/{}/trace?as=tree", item["session"].as_str().unwrap())).await.body;
    assert!(trace.contains("approved by ana, by the link sent to webhook desk"), "{trace}");
    assert_eq!(stage.get("/api/audit/verify").await.ok()["ok"], true);
    let feed = stage.get("/api/events?follow=false&content=true").await.body;
    assert!(feed.contains("channel_set") && !feed.contains(path.rsplit('~').next().unwrap()), "{feed}");
}

#[tokio::test]
async fn nobody_else_sets_a_channel_and_a_changed_link_is_none() {
    let stage = Stage::with_agents().await;
    let desk = desk(&stage, "desk").await;
    let key = told(&stage, "ana", "desk").await;
    let ben = stage.person("ben", "finance-platform").await;
    let channel = json!({ "by": "webhook", "webhook": "desk" }).to_string();
    assert_eq!(stage.by(&stage.admin, "POST", "/api/channels", &channel).await.refusal(), "403 forbidden");
    let wrong = json!({ "by": "webhook", "webhook": "nothing" }).to_string();
    assert_eq!(stage.by(&ben, "POST", "/api/channels", &wrong).await.refusal(), "404 not_found");
    let mail = json!({ "by": "mail", "address": "ben@example.com" }).to_string();
    assert_eq!(stage.by(&ben, "POST", "/api/channels", &mail).await.refusal(), "409 conflict");
    assert_eq!(stage.by(&ben, "DELETE", "/api/channels/ana", "").await.refusal(), "403 forbidden");
    assert_eq!(stage.by(&ben, "GET", "/api/channels", "").await.ok(), json!([]), "others' channels are not shown");
    stage.consent_wanted().await;
    let path = link(&stage, &desk.calls(1).await[0]);
    for changed in [
        path.replace("~ana~", "~ben~"),
        path[..path.len() - 1].to_owned(),
        format!("{path}x"),
        "/answer/rubbish".to_owned(),
    ] {
        says(&look(&stage, &changed).await, 403, "no link of this server");
        says(&answer(&stage, &changed, "approve").await, 403, "no link of this server");
    }
    assert_eq!(look(&stage, &path).await.status, 200);
    assert_eq!(stage.by(&key, "DELETE", "/api/channels/ana", "").await.status, 204);
    says(&answer(&stage, &path, "approve").await, 410, "not told anything by this way any more");
    stage.by(&key, "POST", "/api/channels", &channel).await.ok();
    says(&look(&stage, &path).await, 410, "not told anything by this way any more");
    assert_eq!(stage.upstream.drafts().len(), 0);
}

#[tokio::test]
async fn a_link_ends_with_its_persons_key_with_their_group_and_with_the_session() {
    let stage = Stage::with_agents().await;
    let desk = desk(&stage, "desk").await;
    told(&stage, "ana", "desk").await;
    told(&stage, "bob", "desk").await;
    let item = stage.consent_wanted().await;
    let calls = desk.calls(2).await;
    let of = |person: &str| link(&stage, calls.iter().find(|call| call.event()["person"] == person).unwrap());
    let (ana, bob) = (of("ana"), of("bob"));
    let keys = stage.get("/api/keys").await.ok();
    let key =
        keys.as_array().unwrap().iter().find(|key| key["name"] == "ana").unwrap()["id"].as_str().unwrap().to_owned();
    stage.by(&stage.admin, "DELETE", &format!("/api/keys/{key}"), "").await;
    says(&answer(&stage, &ana, "approve").await, 410, "not told anything");
    stage.post("/api/people", json!({ "name": "bob", "groups": ["procurement"] })).await.ok();
    says(&answer(&stage, &bob, "approve").await, 403, "bob is not in the group finance-platform");
    stage.post("/api/people", json!({ "name": "bob", "groups": ["finance-platform"] })).await.ok();
    assert_eq!(look(&stage, &bob).await.status, 200);
    stage
        .post(&format!("/api/sessions/{}/kill", item["session"].as_str().unwrap()), json!({ "reason": "odd" }))
        .await
        .ok();
    stage.becomes(item["session"].as_str().unwrap(), "killed").await;
    let over = look(&stage, &bob).await;
    assert!(over.status == 410 && (over.page().contains("ended by") || over.page().contains("withdrawn")), "{over:?}");
}

#[tokio::test]
async fn two_people_are_told_each_their_own_and_an_edit_makes_the_first_link_void() {
    let stage = Stage::with_agents().await;
    stage.apply(TWO).await.ok();
    let (here, there, not) = (desk(&stage, "here").await, desk(&stage, "there").await, desk(&stage, "not").await);
    told(&stage, "ana", "here").await;
    let bob = told(&stage, "bob", "there").await;
    let cho = told(&stage, "cho", "not").await;
    let item = ask_two(&stage, &cho).await;
    let (ana_first, bobs) = (link(&stage, &here.calls(1).await[0]), link(&stage, &there.calls(1).await[0]));
    let mut edited = item["arguments"].clone();
    edited["amount_usd"] = json!(600);
    let edit = json!({ "edited": edited }).to_string();
    stage.by(&bob, "POST", &format!("/api/inbox/{}/approve", item["id"].as_str().unwrap()), &edit).await.ok();
    let calls = here.calls(2).await;
    assert_eq!(calls[1].event()["data"]["because"], "edited");
    says(&answer(&stage, &ana_first, "approve").await, 410, "was changed since this link was sent");
    says(&look(&stage, &bobs).await, 410, "bob said yes by another way");
    let second = link(&stage, &calls[1]);
    says(&look(&stage, &second).await, 200, "600");
    says(&answer(&stage, &second, "approve").await, 200, "used up");
    assert_eq!(stage.rests(&json!({ "session": item["session"] })).await["phase"], "finished");
    assert_eq!(stage.upstream.drafts()[0]["amount_usd"], json!(600), "what was sent is what both saw");
    // Whoever it is on behalf of was never told: a later piece of news is the first that comes there.
    stage.consent_wanted().await;
    assert_eq!(not.calls(1).await[0].event()["agent"], "dunning-live");
}

#[tokio::test]
async fn who_does_not_answer_is_reminded_and_a_link_that_is_too_old_says_so() {
    let stage = Stage::with_agents().await;
    stage.apply(SOON).await.ok();
    let desk = desk(&stage, "desk").await;
    told(&stage, "ana", "desk").await;
    let standing = stage.work("dunning-soon", "Remind acme of INV-2041.").await;
    let session = standing["session"].as_str().unwrap();
    let calls = desk.calls(2).await;
    assert_eq!(
        (&calls[0].event()["data"]["because"], &calls[1].event()["data"]["because"]),
        (&json!("requested"), &json!("reminded"))
    );
    let path = link(&stage, &calls[0]);
    assert_eq!((&path, calls[0].event()["id"] == calls[1].event()["id"]), (&link(&stage, &calls[1]), false));
    stage.becomes(session, "finished").await;
    let late = answer(&stage, &path, "approve").await;
    assert!(late.status == 410 && late.page().contains("refused meanwhile"), "{late:?}");
    assert_eq!(stage.upstream.drafts().len(), 0);
}

#[tokio::test]
async fn a_channel_that_is_dead_holds_nothing_up_and_is_said() {
    let stage = Stage::with_agents().await;
    let dead = Receiver::answering(&["500 Oh\r\n"; 60]).await;
    let body = json!({ "name": "desk", "url": dead.url, "secret": "OFFICE_SECRET", "allow_private": true, "for_people": true });
    stage.post("/api/webhooks", body).await.ok();
    let ana = told(&stage, "ana", "desk").await;
    assert_eq!(stage.get("/readyz").await.body, "ready\n");
    let item = stage.consent_wanted().await;
    dead.calls(2).await;
    let ready = stage.get("/readyz").await;
    assert!(ready.status == 200 && ready.body.contains("1 of the channels"), "{ready:?}");
    assert!(stage.get("/metrics").await.body.contains("ostler_channels{state=\"failing\"} 1"));
    let listed = stage.by(&ana, "GET", "/api/channels", "").await.ok()[0].clone();
    assert_eq!(listed["last_error"]["what"], "it answered 500 Internal Server Error", "{listed}");
    stage.by(&ana, "POST", &format!("/api/inbox/{}/approve", item["id"].as_str().unwrap()), "{}").await.ok();
    assert_eq!(stage.rests(&json!({ "session": item["session"] })).await["phase"], "finished");
    assert_eq!(stage.upstream.drafts().len(), 1);
}

#[tokio::test]
async fn a_webhook_for_people_is_told_of_no_events_and_with_it_go_its_channels() {
    let stage = Stage::with_agents().await;
    let desk = desk(&stage, "desk").await;
    told(&stage, "ana", "desk").await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    stage.consent_wanted().await;
    assert_eq!(desk.calls(1).await[0].event()["type"], "ostler.consent_wanted");
    assert_eq!(stage.by(&stage.admin, "DELETE", "/api/webhooks/desk", "").await.status, 204);
    assert_eq!(stage.get("/api/channels").await.ok(), json!([]));
    let both = json!({ "name": "x", "url": desk.url, "secret": "OFFICE_SECRET", "allow_private": true, "for_people": true, "kinds": ["finished"] });
    assert_eq!(stage.post("/api/webhooks", both).await.refusal(), "400 bad_request");
}
