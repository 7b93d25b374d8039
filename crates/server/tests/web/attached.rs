//! Agents that keep their own loop, over HTTP: what their clients are answered in each dialect, what is recorded of it,
//! and what a freeze, a suspension and a kill do.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::http::{self, Reply};
use crate::model::Model;
use crate::stage::Stage;

const AGENTS: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: elsewhere, owner: it-platform}
spec:
  protocol: anthropic
  base_url: URL
  prices: {claude-haiku-4-5: {input: 1, output: 5, cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: guest, owner: finance-platform}
spec:
  model: {provider: elsewhere, name: claude-haiku-4-5, max_output_tokens: 500}
  tools: [internal://calculate, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: poor, owner: finance-platform}
spec:
  model: {provider: elsewhere, name: claude-haiku-4-5, max_output_tokens: 500}
  budgets: {calls_per_hour: 1}
";

/// A server, a model API, and a client with its agent's key.
pub(crate) struct Place {
    pub(crate) stage: Stage,
    pub(crate) model: Arc<Model>,
    pub(crate) key: String,
}

impl Place {
    pub(crate) async fn of(agent: &str) -> Place {
        let stage = Stage::with_agents().await;
        let model = Arc::new(Model::default());
        let url = model.clone().start().await;
        stage.apply(&AGENTS.replace("URL", &url)).await.ok();
        let key = stage.agent_key(agent).await;
        Place { stage, model, key }
    }

    async fn ask(&self, path: &str, session: &str, body: &Value) -> Reply {
        let headers = [("x-api-key", self.key.as_str()), ("ostler-session", session)];
        self.stage.ask("POST", path, &headers, &body.to_string()).await
    }

    pub(crate) async fn message(&self, session: &str, body: Value) -> Reply {
        self.ask("/v1/messages", session, &body).await
    }

    /// The session of the agent `guest` that a client calls by this name.
    pub(crate) async fn session(&self, name: &str) -> Value {
        let all = self.stage.get("/api/sessions").await.ok();
        let found = all.as_array().unwrap().iter().find(|one| one["key"] == name);
        found.unwrap_or_else(|| panic!("{name} in {all}")).clone()
    }

    pub(crate) async fn trace(&self, name: &str) -> Value {
        let id = self.session(name).await["session"].as_str().unwrap().to_owned();
        self.stage.get(&format!("/api/sessions/{id}/trace")).await.ok()
    }
}

pub(crate) fn hello(messages: &[&str]) -> Value {
    let role = |at: usize| if at.is_multiple_of(2) { "user" } else { "assistant" };
    let each = messages.iter().enumerate().map(|(at, text)| json!({"role": role(at), "content": text}));
    json!({"model": "claude-haiku-4-5", "max_tokens": 100, "messages": each.collect::<Vec<_>>()})
}

pub(crate) fn steps<'a>(trace: &'a Value, kind: &str) -> Vec<&'a Value> {
    trace["steps"].as_array().unwrap().iter().filter(|step| step["step"] == kind).collect()
}

#[tokio::test]
async fn a_client_of_the_same_protocol_is_handed_what_the_provider_said() {
    let place = Place::of("guest").await;
    let whole = place.message("one", hello(&["Hi"])).await;
    assert_eq!(whole.ok()["content"], json!([{"type": "text", "text": "Hello."}]));
    let mut streamed = hello(&["Hi", "Hello.", "And?"]);
    streamed["stream"] = json!(true);
    let stream = place.message("one", streamed).await;
    assert_eq!(stream.status, 200, "{stream:?}");
    assert!(stream.body.contains("event: message_start") && stream.body.contains("Hello."), "{stream:?}");
    assert!(stream.body.contains("event: message_stop"), "{stream:?}");
    let trace = place.trace("one").await;
    assert_eq!((&trace["attached"], &trace["phase"]), (&json!(true), &json!("finished")));
    let told = steps(&trace, "client");
    let counts: Vec<_> = told.iter().map(|step| (&step["tells"], step["said"].as_array().unwrap().len())).collect();
    assert_eq!(counts, [(&json!(1), 1), (&json!(3), 1)], "what was told before is not told again: {trace}");
    assert_eq!(steps(&trace, "model").len(), 2);
    assert_eq!(place.session("one").await["waits_on"], "its client");
}

#[tokio::test]
async fn what_a_client_sends_reaches_the_provider_and_its_key_does_not() {
    let place = Place::of("guest").await;
    let body = r#"{ "model":"claude-haiku-4-5" , "max_tokens": 100, "from_the_future": {"b":1,"a":2},
        "messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}]}"#;
    let headers = [("x-api-key", place.key.as_str()), ("anthropic-beta", "new-2027"), ("ostler-session", "one")];
    place.stage.ask("POST", "/v1/messages", &headers, body).await.ok();
    assert_eq!(place.model.raw()[0], body);
    assert_eq!(place.model.header("anthropic-beta").as_deref(), Some("new-2027"));
    assert_eq!((place.model.header("x-api-key"), place.model.header("ostler-session")), (None, None));
}

#[tokio::test]
async fn the_other_dialects_are_answered_in_their_own_words() {
    let place = Place::of("guest").await;
    let chat = json!({"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]});
    let answer = place.ask("/v1/chat/completions", "chat", &chat).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello.", "{answer}");
    let streamed = json!({"model": "gpt", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let stream = place.ask("/v1/chat/completions", "chat-2", &streamed).await;
    assert!(stream.body.contains("Hello.") && stream.body.contains("data: [DONE]"), "{stream:?}");
    let answer = place.ask("/v1/responses", "r", &json!({"model": "gpt", "input": "Hi"})).await.ok();
    assert_eq!(answer["output"][0]["content"][0]["text"], "Hello.", "{answer}");
    let streamed = json!({"model": "gpt", "input": "Hi", "stream": true});
    let stream = place.ask("/v1/responses", "r-2", &streamed).await;
    assert!(stream.body.contains("response.completed") && stream.body.contains("Hello."), "{stream:?}");
    // The descriptor says which model it is, and bounds the answer.
    for body in place.model.bodies() {
        assert_eq!((&body["model"], &body["max_tokens"]), (&json!("claude-haiku-4-5"), &json!(500)), "{body}");
    }
}

#[tokio::test]
async fn without_a_name_a_conversation_is_one_session_by_its_first_turn() {
    let place = Place::of("guest").await;
    let bearer = format!("Bearer {}", place.key);
    for body in [hello(&["Hi"]), hello(&["Hi", "Hello.", "More"]), hello(&["Other"])] {
        place.stage.ask("POST", "/v1/messages", &[("authorization", &bearer)], &body.to_string()).await.ok();
    }
    let all = place.stage.get("/api/sessions").await.ok();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
}

#[tokio::test]
async fn an_agents_key_opens_the_ingress_and_nobody_elses_does() {
    let place = Place::of("guest").await;
    let body = hello(&["Hi"]).to_string();
    let person = place.stage.person("ana", "finance-platform").await;
    for (key, status, kind) in [
        (place.stage.admin.as_str(), 403, "permission_error"),
        (person.as_str(), 403, "permission_error"),
        ("nobody", 401, "authentication_error"),
    ] {
        for header in [("x-api-key", key.to_owned()), ("authorization", format!("Bearer {key}"))] {
            let reply = place.stage.ask("POST", "/v1/messages", &[(header.0, &header.1)], &body).await;
            assert_eq!((reply.status, &reply.json()["error"]["type"]), (status, &json!(kind)), "{reply:?}");
            assert_eq!(reply.header("x-should-retry"), Some("false"));
        }
    }
    let reply = place.stage.ask("POST", "/v1/chat/completions", &[], &body).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (401, &json!("invalid_api_key")), "{reply:?}");
    let elsewhere = place.stage.by(&place.key, "GET", "/api/sessions", "").await;
    assert_eq!(elsewhere.refusal(), "403 forbidden");
    let models = place.stage.by(&place.key, "GET", "/v1/models", "").await.ok();
    assert_eq!(models["data"][0]["id"], "claude-haiku-4-5");
    let counted = place.message("c", json!({})).await;
    assert_eq!(counted.status, 400, "{counted:?}");
    assert!(place.model.raw().is_empty(), "nothing of this reached the model");
}

#[tokio::test]
async fn a_spent_budget_is_a_refusal_that_no_client_takes_for_a_pause() {
    let place = Place::of("poor").await;
    place.message("a", hello(&["Hi"])).await.ok();
    for stream in [false, true] {
        let mut body = hello(&["Hi"]);
        body["stream"] = json!(stream);
        let reply = place.message("b", body).await;
        assert_eq!((reply.status, &reply.json()["error"]["type"]), (402, &json!("billing_error")), "{reply:?}");
        assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), (Some("false"), None));
    }
    assert_eq!(place.model.raw().len(), 1);
}

#[tokio::test]
async fn a_freeze_a_suspension_and_a_kill_stop_the_next_call_at_once() {
    let place = Place::of("guest").await;
    place.message("one", hello(&["Hi"])).await.ok();
    let id = place.session("one").await["session"].as_str().unwrap().to_owned();
    let again = hello(&["Hi", "Hello.", "More"]);
    let refused = |reply: &Reply, word: &str| {
        assert_eq!((reply.status, reply.header("x-should-retry")), (403, Some("false")), "{reply:?}");
        let words = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(words.contains(word), "{words}");
    };
    place.stage.post("/api/freeze", json!({"what": {"scope": "agent", "agent": "guest"}, "reason": "odd"})).await.ok();
    refused(&place.message("one", again.clone()).await, "frozen");
    place
        .stage
        .post("/api/unfreeze", json!({"what": {"scope": "agent", "agent": "guest"}, "reason": "well"}))
        .await
        .ok();
    place.message("one", again.clone()).await.ok();
    place.stage.post(&format!("/api/sessions/{id}/suspend"), json!({"reason": "odd"})).await.ok();
    refused(&place.message("one", again.clone()).await, "suspended");
    place.stage.post(&format!("/api/sessions/{id}/resume"), json!({})).await.ok();
    place.message("one", again.clone()).await.ok();
    place.stage.post(&format!("/api/sessions/{id}/kill"), json!({"reason": "enough"})).await.ok();
    refused(&place.message("one", again.clone()).await, "killed");
    assert_eq!(place.model.raw().len(), 3, "what was refused was not sent");
}

#[tokio::test]
async fn the_end_of_a_stream_comes_once_it_is_recorded_and_a_freeze_ends_it() {
    let place = Place::of("guest").await;
    place.model.hold(true);
    let mut body = hello(&["Hi"]);
    body["stream"] = json!(true);
    let headers = [("x-api-key", place.key.as_str()), ("ostler-session", "one")];
    let mut stream = http::send(&place.stage.host, "POST", "/v1/messages", &headers, &body.to_string()).await;
    let mut read = String::new();
    while !read.contains("text_delta") {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).await.unwrap();
        read.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    place.stage.post("/api/freeze", json!({"what": {"scope": "agent", "agent": "guest"}, "reason": "odd"})).await.ok();
    stream.read_to_string(&mut read).await.unwrap();
    assert!(read.contains("event: error") && read.contains("frozen"), "{read}");
    assert!(!read.contains("message_stop"), "{read}");
    let trace = place.trace("one").await;
    let asked = steps(&trace, "model")[0];
    assert_eq!((&asked["state"], &asked["cost"]["calls"]), (&json!("dropped"), &json!(1)), "it is settled: {trace}");
}

#[tokio::test]
async fn a_client_that_goes_away_lets_its_call_end_and_it_is_settled_once() {
    let place = Place::of("guest").await;
    place.model.hold(true);
    let headers = [("x-api-key", place.key.as_str()), ("ostler-session", "one")];
    let body = hello(&["Hi"]).to_string();
    let stream = http::send(&place.stage.host, "POST", "/v1/messages", &headers, &body).await;
    while place.model.raw().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(stream);
    place.model.hold(false);
    let id = place.session("one").await["session"].as_str().unwrap().to_owned();
    place.stage.becomes(&id, "finished").await;
    let trace = place.trace("one").await;
    let asked = steps(&trace, "model");
    assert_eq!(
        (asked.len(), &asked[0]["state"], &asked[0]["usage"]["output_tokens"]),
        (1, &json!("answered"), &json!(3))
    );
    assert_eq!(place.model.raw().len(), 1);
}

#[tokio::test]
async fn a_provider_that_fails_is_told_in_the_clients_dialect() {
    let place = Place::of("guest").await;
    place.model.refuse(400);
    let reply = place.message("one", hello(&["Hi"])).await;
    assert_eq!((reply.status, reply.header("x-should-retry")), (400, Some("false")), "{reply:?}");
    place.model.refuse(200);
    place.model.break_off(true);
    let mut body = hello(&["Hi"]);
    body["stream"] = json!(true);
    let reply = place.message("one", body).await;
    // Whether the first words had left before it broke off is up to the network.
    assert!(reply.body.contains("api_error") && !reply.body.contains("message_stop"), "{reply:?}");
    place.model.break_off(false);
    place.message("one", hello(&["Hi"])).await.ok();
    let trace = place.trace("one").await;
    let ends: Vec<_> = steps(&trace, "model").iter().map(|step| step["state"].clone()).collect();
    assert_eq!(ends.last(), Some(&json!("answered")), "{trace}");
}
