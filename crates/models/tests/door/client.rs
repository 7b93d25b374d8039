//! What a client asks becomes a call like any other: of the descriptor's models, within its cap, reserved at its worst.

use std::sync::Arc;

use domain::call::{Ask, Facts};
use domain::decision::RefusedBy;
use domain::event::{Event, Intent};
use models::Prepared;
use models::door::ClientAct;
use models::ingress::{Dialect, read};
use serde_json::{Value, json};

use crate::world::{MODEL, PLAYED, World, described};

/// A world whose agent's client may name one more model.
async fn open_world() -> World {
    described(&format!("{MODEL}, allow: [claude-haiku-4-5]"), PLAYED, Vec::new()).await
}

async fn prepared(world: &World, dialect: Dialect, body: Value) -> Prepared {
    let incoming = Arc::new(read(dialect, body.to_string().into(), &[]).expect("it can be read"));
    let ask = world.ask(1, Vec::new());
    let act = ClientAct { incoming };
    let ask: Ask<ClientAct> =
        Ask { call: ask.call, attempt: 1, principal: ask.principal, act, facts: Facts::default() };
    world.door.prepare_client(&ask).await
}

/// What was intended: the intent, the model, the cap, how many messages.
async fn intended(world: &World, dialect: Dialect, body: Value) -> (Intent, String, u32, u32) {
    let rows = match prepared(world, dialect, body).await {
        Prepared::Go(rows, _ticket) => rows,
        other => panic!("{other:?}"),
    };
    let requested = rows.events.into_iter().find_map(|event| match event {
        Event::ModelRequested { intent, model, messages, max_output_tokens, .. } => {
            Some((intent, model, max_output_tokens, messages))
        }
        _ => None,
    });
    requested.expect("it is intended")
}

fn chat(fields: Value) -> Value {
    let mut body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]});
    fields.as_object().expect("fields").iter().for_each(|(field, value)| body[field] = value.clone());
    body
}

#[tokio::test]
async fn the_descriptors_model_answers_unless_a_listed_one_is_asked_for() {
    for (asked, sent) in [("gpt-5.5", "claude-opus-4-7"), ("claude-haiku-4-5", "claude-haiku-4-5")] {
        let world = open_world().await;
        let (_, model, _, messages) = intended(&world, Dialect::Chat, chat(json!({"model": asked}))).await;
        assert_eq!((model.as_str(), messages), (sent, 1));
    }
    let world = open_world().await;
    let agent = "thinker".parse().expect("a name");
    let provider = || "anthropic".to_owned();
    let listed = [("claude-opus-4-7".to_owned(), provider()), ("claude-haiku-4-5".to_owned(), provider())];
    assert_eq!(world.door.client_models(&agent), listed);
}

#[tokio::test]
async fn a_client_may_lower_the_cap_and_not_raise_it() {
    for (asked, sent) in [(json!(300), 300), (json!(90_000), 1000), (Value::Null, 1000)] {
        let world = open_world().await;
        let (intent, _, cap, _) = intended(&world, Dialect::Chat, chat(json!({"max_tokens": asked}))).await;
        assert_eq!(cap, sent);
        assert!(intent.worst.tokens >= i64::from(sent), "{:?}", intent.worst);
    }
}

#[tokio::test]
async fn a_picture_is_reserved_as_a_picture_whatever_its_bytes() {
    let free = "protocol: scripted\n  script: played\n  prices: {claude-opus-4-7: {free: true}}";
    let world = || described(MODEL, free, Vec::new());
    let picture = |bytes: usize| {
        let url = format!("data:image/png;base64,{}", "A".repeat(bytes));
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        chat(json!({"messages": [{"role": "user", "content": content}]}))
    };
    let (small, ..) = intended(&world().await, Dialect::Chat, picture(100)).await;
    let (large, ..) = intended(&world().await, Dialect::Chat, picture(1_000_000)).await;
    assert!(large.worst.tokens - small.worst.tokens < 500_000, "{} {}", small.worst.tokens, large.worst.tokens);
}

#[tokio::test]
async fn what_the_models_provider_cannot_be_told_is_refused_before_anything_is_sent() {
    let world = open_world().await;
    let tools = json!({"tools": [{"type": "custom", "custom": {"name": "sql"}}]});
    let Prepared::Refuse(rows, refusal) = prepared(&world, Dialect::Chat, chat(tools)).await else {
        panic!("it cannot be said")
    };
    assert_eq!(refusal.by, RefusedBy::Arguments);
    assert!(refusal.reason.starts_with("tools[0]: a block of type custom"), "{refusal:?}");
    assert!(matches!(&rows.events[..], [Event::CallRefused { model: true, .. }]), "{:?}", rows.events);
    assert_eq!(world.script.seen().len(), 0);
}
