//! A model's provider that is down for a while: its sessions wait and ask again by themselves, each attempt is a call
//! that is settled once, and what is down for too long is given up with a sentence that says so.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]

use std::time::Duration;

use domain::call::CallOutcome;
use domain::event::Event;
use domain::id::SessionId;
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::session::Phase;
use simulation::World;
use simulation::node::{Node, name};

async fn write(node: &Node, id: &str) -> SessionId {
    let start = node.start_of(&name("reader"), "k");
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Person, "look a");
    let body = MailBody::Message { start: Box::new(start), from: None, message };
    node.runtime.accept(Mail { id: id.parse().unwrap(), session, due: node.log.clock().now(), body }).await.unwrap();
    session
}

/// Its phase, and what it waits on.
async fn stands(node: &Node, session: SessionId) -> (Phase, String) {
    let head = node.log.head(session).await.unwrap().unwrap().0;
    (head.phase, head.waits_on)
}

async fn events(node: &Node, session: SessionId) -> Vec<Event> {
    let past = node.log.past(session).await.unwrap().unwrap();
    past.records.into_iter().flat_map(|record| record.events.unwrap()).collect()
}

/// Model calls: asked, failed for the moment, answered.
fn calls(events: &[Event]) -> (usize, usize, usize) {
    let (mut asked, mut failed, mut answered) = (Vec::new(), 0, 0);
    let mut settled = Vec::new();
    for event in events {
        match event {
            Event::ModelRequested { intent, .. } => asked.push(intent.call),
            Event::ModelAnswered { call, outcome, .. } => {
                settled.push(*call);
                failed += usize::from(matches!(outcome, CallOutcome::Failed { retryable: true, .. }));
                answered += usize::from(matches!(outcome, CallOutcome::Answered { .. }));
            }
            _ => {}
        }
    }
    assert_eq!(asked, settled, "each call is settled once");
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), settled.len(), "each attempt is a call of its own");
    (asked.len(), failed, answered)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn its_sessions_wait_and_go_on_by_themselves_also_after_a_restart() {
    let world = World::new(0);
    world.model.goes_down(true);
    let session = world.live(async |node| {
        let session = write(node, "m-1").await;
        assert!(node.rests().await);
        let (phase, waits) = stands(node, session).await;
        assert_eq!((phase, waits.as_str()), (Phase::Suspended, "its model, which failed once"));
        assert!(node.runtime.awake().is_empty(), "it waits at no cost");
        tokio::time::sleep(minutes(20)).await;
        let (_, waits) = stands(node, session).await;
        assert!(waits.starts_with("its model, which failed ") && waits.ends_with(" times"), "{waits}");
        session
    });
    let session = session.unwrap();
    world.live(async |node| {
        tokio::time::sleep(minutes(10)).await;
        let before = calls(&events(node, session).await);
        assert!((8..20).contains(&before.0) && before.1 == before.0, "{before:?}");
        world.model.goes_down(false);
        tokio::time::sleep(minutes(7)).await;
        assert_eq!(stands(node, session).await.0, Phase::Finished);
        let after = calls(&events(node, session).await);
        assert_eq!((after.1, after.2), (before.1, 2));
        assert!(world.watch.faults()["the model's provider is down"] >= 8);
    });
}

#[test]
fn what_is_down_for_hours_is_given_up_and_a_message_tries_again() {
    let world = World::new(0);
    world.model.goes_down(true);
    world.live(async |node| {
        let session = write(node, "m-1").await;
        tokio::time::sleep(minutes(3 * 60 + 50)).await;
        assert_eq!(stands(node, session).await.0, Phase::Suspended);
        tokio::time::sleep(minutes(20)).await;
        assert_eq!(stands(node, session).await.0, Phase::Failed);
        let told = events(node, session).await;
        let Some(Event::Failed { reason, .. }) = told.last() else { panic!("{:?}", told.last()) };
        assert!(reason.contains("times in a row") && reason.contains("no connection"), "{reason}");
        world.model.goes_down(false);
        write(node, "m-2").await;
        assert!(node.rests().await);
        assert_eq!(stands(node, session).await.0, Phase::Finished);
        assert_eq!(calls(&events(node, session).await).2, 2);
    });
}

#[test]
fn whoever_writes_meanwhile_has_it_asked_at_once() {
    let world = World::new(0);
    world.model.goes_down(true);
    world.live(async |node| {
        let session = write(node, "m-1").await;
        tokio::time::sleep(minutes(60)).await;
        world.model.goes_down(false);
        write(node, "m-2").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(stands(node, session).await.0, Phase::Finished);
    });
}
