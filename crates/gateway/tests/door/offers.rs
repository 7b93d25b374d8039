//! What an agent is offered.

use domain::capability::Offer;
use gateway::Reply;
use serde_json::json;

use crate::stage::{Stage, apply};
use crate::{AGENT, set};

async fn offers(stage: &Stage) -> Vec<Offer> {
    stage.door.offers(&stage.principal).await.to_vec()
}

async fn described(stage: &Stage, name: &str) -> Offer {
    offers(stage).await.into_iter().find(|offer| offer.capability.name().as_str() == name).unwrap()
}

#[tokio::test]
async fn an_agent_sees_what_it_lists_and_its_memory_sorted_by_name() {
    let (stage, script) = set(AGENT).await;
    let script = script.tool("hidden", json!({"type": "object"}), |_| Reply::text("no"));
    let names: Vec<String> = offers(&stage).await.iter().map(|offer| offer.capability.to_string()).collect();
    assert_eq!(
        names,
        [
            "internal://calculate",
            "mcp://gateway/draft",
            "internal://forget",
            "mcp://gateway/read-ledger",
            "internal://recall",
            "internal://remember",
            "mcp://gateway/upsert",
        ]
    );
    assert_eq!(script.connections(), 1);
    let draft = described(&stage, "draft").await;
    assert_eq!(draft.description, "The scripted tool draft.");
    assert_eq!(draft.input_schema["required"], json!(["to"]));
}

#[tokio::test]
async fn a_description_is_bounded_and_without_secrets_or_hidden_characters() {
    let (stage, script) = set(AGENT).await;
    script.redefine("draft", |tool| {
        tool.description = Some(format!("Drafts tok-123.\u{200b}\u{e0041} {}", "x".repeat(5000)));
        tool.input_schema = json!({"type": "object", "properties": {"a": {"description": "b\u{202e}c"}}});
    });
    let draft = described(&stage, "draft").await;
    assert!(draft.description.starts_with("Drafts [secret TOKEN]. xxx") && draft.description.ends_with("x…"));
    assert_eq!(draft.description.chars().count(), 2001);
    assert_eq!(draft.input_schema["properties"]["a"]["description"], "bc");
}

#[tokio::test]
async fn what_cannot_be_reached_is_offered_with_the_reason() {
    let (stage, script) = set(AGENT).await;
    script.unreachable(Some("no route"));
    let draft = described(&stage, "draft").await;
    let why = "Cannot be used at the moment: the server `books` cannot be used: no route.";
    assert_eq!((draft.description.as_str(), draft.input_schema), (why, json!({"type": "object"})));
}

#[tokio::test]
async fn what_was_known_is_still_offered_when_the_server_goes_away() {
    let (mut stage, script) = set(AGENT).await;
    let before = offers(&stage).await;
    script.next([Reply::DoneAndDies]);
    stage.call("mcp://gateway/draft", json!({"to": "x", "amount_usd": 1})).await;
    script.unreachable(Some("gone"));
    assert_eq!(offers(&stage).await, before);
}

#[tokio::test]
async fn what_a_new_revision_no_longer_lists_is_no_longer_offered() {
    let (stage, _) = set(AGENT).await;
    apply(&stage.gate, &AGENT.replace("mcp://gateway/draft, ", "")).await;
    assert!(!offers(&stage).await.iter().any(|offer| offer.capability.name().as_str() == "draft"));
}

#[tokio::test]
async fn a_tool_that_its_server_does_not_have_is_offered_with_the_reason() {
    let (stage, _) = set(AGENT).await;
    let parts = crate::PARTS.replace("tool: draft", "tool: no_such");
    apply(&stage.gate, &parts).await;
    let draft = described(&stage, "draft").await;
    assert_eq!(draft.description, "Cannot be used at the moment: the server `books` has no tool `no_such`.");
}
