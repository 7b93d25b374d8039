//! Tools for a model that cannot call any, over the real door.

use domain::call::{CallOutcome, Stop};
use domain::capability::Offer;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use models::Prepared;
use models::provider::{Format, Request};
use models::scripted::{Reply, Step};
use serde_json::{Value, json};

use crate::world::{MODEL, PLAYED, World, described, ended, hello};

fn offer() -> Offer {
    let input_schema =
        json!({"type": "object", "properties": {"company": {"type": "string"}}, "required": ["company"]});
    let capability = "mcp://gateway/ledger-read".parse().expect("a capability");
    Offer { capability, description: "Reads a ledger.".to_owned(), input_schema }
}

async fn world(says: &str) -> World {
    let provider = format!("{PLAYED}\n  tool_calls: {{claude-opus-4-7: json}}");
    described(MODEL, &provider, vec![Step::Say(Reply::text(says))]).await
}

/// What the model was asked, and what came of what it said.
async fn asked(says: &str, messages: Vec<Message>) -> (Request, Vec<Content>, Option<Stop>) {
    let mut world = world(says).await;
    let mut ask = world.ask(1, messages);
    ask.act.offers = [offer()].into();
    let Prepared::Go(rows, ticket) = world.door.prepare(&ask).await else { panic!("it may") };
    let receipt = world.commit(rows).await;
    let (outcome, _) = ended(world.door.perform(ticket, &receipt, &|_| ()).await.event);
    let CallOutcome::Answered { message, stop } = outcome else { panic!("{outcome:?}") };
    let contents = message.parts.into_iter().map(|part| part.content).collect();
    (world.script.seen().remove(0), contents, stop)
}

#[tokio::test]
async fn what_it_writes_is_read_as_a_use() {
    let says = r#"{"tool": "ledger-read", "arguments": {"company": "acme"}}"#;
    let (request, contents, stop) = asked(says, vec![hello()]).await;
    let wanted = Content::Use {
        use_id: "call_0".to_owned(),
        capability: "ledger-read".to_owned(),
        arguments: json!({"company": "acme"}),
        malformed: None,
    };
    assert_eq!((contents, stop), (vec![wanted], Some(Stop::Use)));
    assert!(request.tools.is_empty() && request.instructions.contains("ledger-read: Reads a ledger."));
    let Some(Format::Schema { schema, .. }) = request.options.format else { panic!("it is held to a schema") };
    assert_eq!(schema["anyOf"][0]["properties"]["tool"], json!({"const": "ledger-read"}));
    assert_eq!(schema["anyOf"][1]["required"], json!(["answer"]));
}

#[tokio::test]
async fn an_answer_is_words_and_what_is_not_of_the_shape_stays_as_it_is() {
    for (says, words) in [
        (r#"{"answer": "It is open."}"#, "It is open."),
        ("It is open.", "It is open."),
        (r#"{"tool": "rm", "arguments": {}}"#, r#"{"tool": "rm", "arguments": {}}"#),
    ] {
        let (_, contents, stop) = asked(says, vec![hello()]).await;
        assert_eq!((contents, stop), (vec![Content::Text { text: words.to_owned() }], Some(Stop::Done)));
    }
}

#[tokio::test]
async fn what_was_used_before_is_told_in_the_same_words() {
    let part = |content| Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
    let (use_id, capability) = ("call_0".to_owned(), "ledger-read".to_owned());
    let wanted =
        Content::Use { use_id: use_id.clone(), capability, arguments: json!({"company": "acme"}), malformed: None };
    let result =
        Content::Result { use_id, text: "4.180 €".to_owned(), structured: None, error: false, vouches: None };
    let history = vec![
        hello(),
        Message { role: Role::Agent, parts: vec![part(wanted)] },
        Message { role: Role::Capability, parts: vec![part(result)] },
    ];
    let (request, contents, _) = asked(r#"{"tool": "ledger-read", "arguments": {}}"#, history).await;
    let said: Vec<String> = request.messages.iter().map(|message| message.words()).collect();
    let written: Value = serde_json::from_str(&said[1]).expect("as it would write it");
    assert_eq!(written, json!({"tool": "ledger-read", "arguments": {"company": "acme"}}));
    assert_eq!((said[2].as_str(), request.messages[2].role), ("The tool's result: 4.180 €", Role::Person));
    assert!(matches!(&contents[0], Content::Use { use_id, .. } if use_id == "call_1"), "ids are never used twice");
}
