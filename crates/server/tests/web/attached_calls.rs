//! What an attached agent uses through `/mcp`: found to belong to the conversation that wanted it, asked about, one call
//! however often it is made, and explained; and what a restart in the middle leaves.

use serde_json::{Value, json};

use crate::attached::{Place, hello, steps};
use crate::http::Reply;

impl Place {
    /// Uses a capability, and waits for nobody.
    async fn call(&self, session: Option<&str>, name: &str, arguments: &Value) -> Reply {
        let params = json!({"name": name, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let bearer = format!("Bearer {}", self.key);
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
            ("prefer", "wait=0"),
        ];
        headers.extend(session.map(|session| ("ostler-session", session)));
        self.stage.ask("POST", "/mcp", &headers, &body).await
    }

    /// What a call came to, in words.
    async fn told(&self, session: Option<&str>, name: &str, arguments: &Value) -> String {
        self.call(session, name, arguments).await.json()["result"]["content"][0]["text"].to_string()
    }

    async fn approve(&self) {
        let ana = self.stage.person("ana", "finance-platform").await;
        let item = self.stage.get("/api/inbox").await.ok()[0].clone();
        let path = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
        self.stage.by(&ana, "POST", &path, "{}").await.ok();
    }
}

fn draft(amount: u32) -> Value {
    json!({"to": "ap@example.com", "amount_usd": amount})
}

#[tokio::test]
async fn a_use_through_mcp_belongs_to_the_conversation_that_wanted_it_and_waits_for_consent() {
    let place = Place::of("guest").await;
    let wanted = draft(4180);
    let asked = hello(&[&format!("use mcp__ostler__email-draft {wanted}")]);
    place.message("one", asked).await.ok();
    let waits = place.told(None, "email-draft", &wanted).await;
    assert!(waits.contains("same call again"), "{waits}");
    place.told(None, "email-draft", &wanted).await;
    assert_eq!(
        place.stage.get("/api/inbox").await.ok().as_array().unwrap().len(),
        1,
        "made again, it is the same call"
    );
    place.approve().await;
    place.stage.upstream.drafted().await;
    let told = place.told(Some("one"), "email-draft", &wanted).await;
    assert!(told.contains("draft-1"), "{told}");
    assert_eq!(place.stage.upstream.drafts().len(), 1);
    let trace = place.trace("one").await;
    let used = steps(&trace, "capability");
    assert_eq!((used.len(), &used[0]["state"]), (1, &json!("answered")), "{trace}");
    let explained = place.stage.get(&format!("/api/calls/{}/explain", used[0]["call"].as_str().unwrap())).await.ok();
    assert_eq!((&explained["resolved"], &explained["missing"]), (&json!(true), &json!([])), "{explained}");
    assert_eq!(explained["intent"]["key_of"], "guest");
    assert!(explained["asked_by"].is_object(), "{explained}");
    // Once it was told, the next is another call: it asks again.
    let waits = place.told(Some("one"), "email-draft", &wanted).await;
    assert!(waits.contains("same call again"), "{waits}");
}

#[tokio::test]
async fn a_client_of_capabilities_alone_has_a_session_whose_effects_are_explained() {
    let place = Place::of("guest").await;
    let told = place.told(Some("tools"), "email-draft", &draft(100)).await;
    assert!(told.contains("draft-1"), "{told}");
    let told = place.told(Some("tools"), "calculate", &json!({"expression": "6*7"})).await;
    assert!(told.contains("42"), "{told}");
    let trace = place.trace("tools").await;
    assert_eq!(trace["phase"], "finished", "{trace}");
    for used in steps(&trace, "capability") {
        let path = format!("/api/calls/{}/explain", used["call"].as_str().unwrap());
        let explained = place.stage.get(&path).await.ok();
        assert_eq!((&explained["resolved"], &explained["intent"]["key_of"]), (&json!(true), &json!("guest")));
    }
}

#[tokio::test]
async fn a_restart_settles_a_model_call_at_its_worst_and_a_write_is_in_doubt_and_the_same_call() {
    let mut place = Place::of("guest").await;
    place.model.hold(true);
    let headers = [("x-api-key", place.key.as_str()), ("ostler-session", "thinks")];
    let body = hello(&["Hi"]).to_string();
    let _stream = crate::http::send(&place.stage.host, "POST", "/v1/messages", &headers, &body).await;
    while place.model.raw().is_empty() {
        tokio::task::yield_now().await;
    }
    place.stage.upstream.hang(true);
    let small = draft(5);
    {
        let call = place.call(Some("acts"), "email-draft", &small);
        tokio::pin!(call);
        tokio::select! {
            reply = &mut call => panic!("it hangs: {reply:?}"),
            () = place.stage.upstream.drafted() => {}
        }
    }
    place.stage.restart().await;
    place.model.hold(false);
    place.stage.upstream.hang(false);
    let thinks = place.session("thinks").await["session"].as_str().unwrap().to_owned();
    place.stage.becomes(&thinks, "failed").await;
    let trace = place.trace("thinks").await;
    let cost = &steps(&trace, "model")[0]["cost"];
    assert_eq!((&cost["calls"], cost["possibly_billed_usd_micros"].as_i64() > Some(0)), (&json!(1), true), "{trace}");
    place.message("thinks", hello(&["Hi"])).await.ok();
    let acts = place.session("acts").await["session"].as_str().unwrap().to_owned();
    place.stage.becomes(&acts, "suspended").await;
    let told = place.told(Some("acts"), "email-draft", &small).await;
    assert_eq!(place.stage.upstream.drafts().len(), 1, "it is not sent again: {told}");
    let doubt = place.stage.get("/api/inbox").await.ok()[0].clone();
    let ana = place.stage.person("ana", "finance-platform").await;
    let path = format!("/api/calls/{}/resolve", doubt["call"].as_str().unwrap());
    place.stage.by(&ana, "POST", &path, r#"{"say": "happened", "result": "it is draft-1"}"#).await.ok();
    let told = place.told(Some("acts"), "email-draft", &small).await;
    assert!(told.contains("it is draft-1"), "{told}");
}
