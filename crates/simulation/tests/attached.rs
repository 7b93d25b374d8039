//! Clients of agents that keep their own loop, on a node of their own: how long they wait for a budget that is tied up,
//! what they are told then, and that a call taken back is not made.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]

use std::sync::Arc;
use std::time::Duration;

use control::approval::{self, Answer};
use data::rows::InboxKey;
use domain::clock::Clock;
use domain::decision::WaitFor;
use domain::event::Event;
use domain::id::SessionId;
use execution::{AttachError, CallReply, ModelReply, Use, Whose};
use gateway::Reply;
use serde_json::json;
use simulation::World;
use simulation::node::{Node, name, person};
use simulation::people::asks;

async fn ask(node: &Node, key: &str) -> Result<ModelReply, AttachError> {
    let incoming = Arc::new(asks(&[json!({"role": "user", "content": "Hello"})]));
    node.runtime.attach_model(&name("thrifty"), Some(key.to_owned()), incoming, Arc::new(|_| {})).await
}

async fn uses(node: &Node, agent: &str, (tool, arguments): (&str, serde_json::Value), wait_s: u64) -> CallReply {
    let wanted = Use { name: tool.to_owned(), arguments };
    let whose = Whose::Key("client/a".to_owned());
    node.runtime.attach_call(&name(agent), whose, wanted, Duration::from_secs(wait_s)).await.unwrap()
}

async fn kinds(node: &Node, agent: &str, key: &str) -> Vec<&'static str> {
    let session = SessionId::for_key(&name(agent), key);
    let past = node.log.past(session).await.unwrap().unwrap();
    past.records.iter().flat_map(|record| record.events.as_ref().unwrap()).map(Event::kind).collect()
}

#[test]
fn a_model_call_waits_for_a_tied_up_budget_so_long_and_no_longer_and_is_not_made() {
    let world = World::new(0);
    world.live(async |node| {
        world.model.falls_silent(true);
        let second = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let began = world.clock.monotonic_ms();
            let refused = ask(node, "client/b").await.unwrap_err();
            let waited = world.clock.monotonic_ms() - began;
            world.model.falls_silent(false);
            (refused, waited)
        };
        let (first, (refused, waited)) = tokio::join!(ask(node, "client/a"), second);
        first.unwrap();
        assert!(matches!(&refused, AttachError::Waits { why: WaitFor::TiedUp { .. }, .. }), "{refused:?}");
        assert!((2_000..=15_000).contains(&waited), "it waited {waited} ms");
        assert!(node.rests().await);
        let told = kinds(node, "thrifty", "client/b").await;
        assert!(told.contains(&"call_waits") && told.contains(&"client_told"), "{told:?}");
        assert!(!told.contains(&"model_requested"), "{told:?}");
    });
}

#[test]
fn a_use_waits_for_a_tied_up_budget_as_long_as_its_client_wants_and_stays_the_same_call() {
    let world = World::new(0);
    world.live(async |node| {
        world.upstream.next([Reply::DoneAndHangs]);
        let hangs = uses(node, "thrifty", ("look", json!({"item": "a"})), 0);
        let other = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let began = world.clock.monotonic_ms();
            let reply = uses(node, "thrifty", ("look", json!({"item": "b"})), 7).await;
            (reply, world.clock.monotonic_ms() - began)
        };
        tokio::select! {
            biased;
            reply = hangs => panic!("{reply:?}"),
            (reply, waited) = other => {
                let CallReply::Waits { call, why: WaitFor::TiedUp { .. }, .. } = reply else { panic!("{reply:?}") };
                assert!((7_000..=8_000).contains(&waited), "it waited {waited} ms");
                let again = uses(node, "thrifty", ("look", json!({"item": "b"})), 0).await;
                assert!(matches!(again, CallReply::Waits { call: same, .. } if same == call), "{again:?}");
            }
        }
    });
}

#[test]
fn what_is_taken_back_is_off_the_inbox_and_is_not_made_whatever_is_said_later() {
    let world = World::new(0);
    world.live(async |node| {
        let pay = || ("pay", json!({"to": "acme", "amount_usd": 1500}));
        let CallReply::Waits { call, .. } = uses(node, "guest", pay(), 0).await else { panic!("it asks") };
        let items = node.log.inbox().await.unwrap();
        let [InboxKey::Approval { approval }] = items.iter().map(|item| item.key).collect::<Vec<_>>()[..] else {
            panic!("{items:?}")
        };
        assert_eq!(node.runtime.attach_withdraw(&name("guest"), call).await, Ok(true));
        assert!(node.log.inbox().await.unwrap().is_empty());
        let yes = Answer { approved: true, ..Answer::default() };
        assert!(approval::answer(&node.gate, &person("ana"), approval, yes).await.is_err());
        assert_eq!(node.runtime.attach_withdraw(&name("guest"), call).await, Ok(false), "once");
        assert!(node.rests().await);
        let told = kinds(node, "guest", "client/a").await;
        assert_eq!(told[told.len() - 3..], ["approval_withdrawn", "client_told", "finished"]);
        assert!(world.upstream.calls().is_empty());
        // What was sent is not taken back.
        let sent = uses(node, "guest", ("pay", json!({"to": "acme", "amount_usd": 5})), 0).await;
        let CallReply::Result { call, .. } = sent else { panic!("{sent:?}") };
        assert_eq!(node.runtime.attach_withdraw(&name("guest"), call).await, Ok(false));
    });
}

#[test]
fn whoever_gives_up_takes_back_what_nobody_else_waits_for() {
    let world = World::new(0);
    world.live(async |node| {
        let pay = || ("pay", json!({"to": "acme", "amount_usd": 1500}));
        let guest = name("guest");
        let gives_up = || {
            let (tool, arguments) = pay();
            let wanted = Use { name: tool.to_owned(), arguments };
            node.runtime.attach_give_up(&guest, Whose::Key("client/a".to_owned()), wanted)
        };
        let other = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(gives_up().await, Ok(false), "somebody waits for it");
        };
        let (waits, ()) = tokio::join!(uses(node, "guest", pay(), 5), other);
        assert!(matches!(waits, CallReply::Waits { .. }));
        assert_eq!(gives_up().await, Ok(true));
        assert!(node.log.inbox().await.unwrap().is_empty());
    });
}
