//! The execution plane on a node of its own: what sleeps holds nothing, what wakes it, what ends it.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]

use std::time::Duration;

use control::approval::{self, Answer};
use data::rows::InboxKey;
use domain::event::Event;
use domain::id::{ApprovalId, SessionId};
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::session::Phase;
use gateway::Reply;
use simulation::World;
use simulation::node::{Node, name, person};
use simulation::weather::Weather;

fn mail(node: &Node, agent: &str, id: &str, words: &str) -> Mail {
    let start = node.start_of(&name(agent), "k");
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Person, words);
    let body = MailBody::Message { start: Box::new(start), from: None, message };
    Mail { id: id.parse().unwrap(), session, due: node.log.clock().now(), body }
}

async fn write(node: &Node, agent: &str, id: &str, words: &str) -> SessionId {
    let mail = mail(node, agent, id, words);
    let session = mail.session;
    node.runtime.accept(mail).await.unwrap();
    session
}

async fn kill(node: &Node, session: SessionId) {
    let body = MailBody::Kill { by: "admin".to_owned(), reason: "enough".to_owned() };
    let mail = Mail { id: "kill".parse().unwrap(), session, due: node.log.clock().now(), body };
    node.runtime.accept(mail).await.unwrap();
}

async fn phase(node: &Node, session: SessionId) -> Phase {
    node.log.head(session).await.unwrap().unwrap().0.phase
}

async fn events(node: &Node, session: SessionId) -> Vec<Event> {
    let past = node.log.past(session).await.unwrap().unwrap();
    past.records.into_iter().flat_map(|record| record.events.unwrap()).collect()
}

async fn asked(node: &Node) -> Vec<ApprovalId> {
    let items = node.log.inbox().await.unwrap().into_iter();
    let approvals = items.filter_map(|item| match item.key {
        InboxKey::Approval { approval } => Some(approval),
        InboxKey::InDoubt { .. } => None,
    });
    approvals.collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_session_that_waits_for_a_person_holds_no_task_and_wakes_on_their_answer() {
    let world = World::new(0);
    world.live(async |node| {
        let session = write(node, "payer", "m-1", "pay 1500").await;
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Suspended);
        assert!(node.runtime.awake().is_empty());
        assert!(world.upstream.done().is_empty());
        let [approval] = asked(node).await[..] else { panic!("one person is asked") };
        let yes = Answer { approved: true, ..Answer::default() };
        approval::answer(&node.gate, &person("ana"), approval, yes).await.unwrap();
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Finished);
        assert_eq!(world.upstream.done().len(), 1);
        assert!(node.runtime.awake().is_empty());
    });
}

/// Of mail that says nothing nobody is told again: what the store does not throw away at once must be tried until it is
/// gone. Nothing else goes wrong here, so that nobody looks at the whole table.
#[test]
fn mail_that_says_nothing_is_thrown_away_also_where_the_store_fails_at_it() {
    for seed in 0..8 {
        let world = World::new(seed);
        world.live(async |node| {
            let mail = mail(node, "reader", "m-1", "look a");
            let session = mail.session;
            node.runtime.accept(mail.clone()).await.unwrap();
            assert!(node.rests().await);
            let slow = Weather { slow: 1_000, ..Weather::default() };
            world.sky.turn(slow);
            node.runtime.accept(mail).await.unwrap();
            world.sky.turn(Weather { writes: 1_000, ..slow });
            tokio::time::sleep(seconds(5)).await;
            world.sky.turn(Weather::default());
            assert!(node.rests().await, "it is due for ever");
            let told = events(node, session).await;
            assert_eq!(told.iter().filter(|event| event.kind() == "message_received").count(), 1);
            let faults = world.watch.faults();
            let failed = faults.keys().any(|fault| fault.contains("write") || fault.contains("disk"));
            assert!(failed, "no store has failed: {faults:?}");
        });
    }
}

#[test]
fn consent_that_nobody_gives_in_time_is_a_no_and_nobody_has_to_say_so() {
    let world = World::new(0);
    world.live(async |node| {
        let session = write(node, "careful", "m-1", "pay 5").await;
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Suspended);
        tokio::time::sleep(seconds(19 * 60)).await;
        assert_eq!(phase(node, session).await, Phase::Suspended);
        tokio::time::sleep(seconds(2 * 60)).await;
        assert_eq!(phase(node, session).await, Phase::Finished);
        assert!(asked(node).await.is_empty() && world.upstream.done().iter().all(|call| call.tool != "pay"));
    });
}

/// Stopped at every moment between a timer's falling due and what comes of it, on a store that takes its time.
#[test]
fn a_timer_that_falls_due_while_the_node_stops_wakes_when_there_is_one_again() {
    for late_ms in (0..200).step_by(10) {
        let world = World::new(late_ms);
        world.sky.turn(Weather { slow: 1000, ..Weather::default() });
        let session = world.live(async |node| {
            let session = write(node, "careful", "m-1", "pay 5").await;
            assert!(node.rests().await);
            let expires = node.log.inbox().await.unwrap()[0].expires.unwrap();
            let due_in = u64::try_from(expires.since_ms(node.log.clock().now())).unwrap();
            tokio::time::sleep(Duration::from_millis(due_in + late_ms)).await;
            node.stop(seconds(60)).await;
            session
        });
        let session = session.unwrap();
        world.live(async |node| {
            assert!(node.rests().await);
            assert_eq!(phase(node, session).await, Phase::Finished, "stopped {late_ms} ms after it was due");
        });
    }
}

#[test]
fn a_session_is_ended_while_a_call_is_under_way_and_the_call_is_in_doubt_for_good() {
    let world = World::new(0);
    world.live(async |node| {
        world.upstream.next([Reply::DoneAndHangs]);
        let session = write(node, "payer", "m-1", "pay 20").await;
        tokio::time::sleep(seconds(10)).await;
        assert_eq!(node.runtime.awake(), [session]);
        kill(node, session).await;
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(phase(node, session).await, Phase::Killed);
        assert!(node.runtime.awake().is_empty());
        let last: Vec<&str> = events(node, session).await.iter().rev().take(2).map(Event::kind).collect();
        assert_eq!(last, ["killed", "call_in_doubt"]);
        assert!(node.log.inbox().await.unwrap().is_empty(), "nobody is asked about it");
        write(node, "payer", "m-2", "hello?").await;
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Killed);
    });
}

#[test]
fn mail_posted_again_after_it_was_consumed_does_nothing() {
    let world = World::new(0);
    let first = world.live(async |node| {
        let session = write(node, "reader", "m-1", "look a").await;
        assert!(node.rests().await);
        let told = events(node, session).await.len();
        write(node, "reader", "m-1", "look a").await;
        assert!(node.rests().await);
        assert_eq!(events(node, session).await.len(), told);
        (session, told)
    });
    let (session, told) = first.unwrap();
    world.live(async |node| {
        write(node, "reader", "m-1", "look a").await;
        assert!(node.rests().await);
        assert_eq!(events(node, session).await.len(), told, "another node knows it too");
        assert_eq!(world.upstream.calls().len(), 1);
    });
}

#[test]
fn a_node_that_stops_lets_calls_end_and_takes_no_more_mail() {
    let world = World::new(0);
    let session = world.live(async |node| {
        let session = write(node, "reader", "m-1", "look a | look b").await;
        // The model thinks for some seconds.
        tokio::time::sleep(Duration::from_millis(50)).await;
        node.runtime.stop(seconds(10)).await;
        let told = events(node, session).await;
        assert_eq!(told.last().map(Event::kind), Some("model_answered"), "what was asked was heard");
        assert!(world.upstream.calls().is_empty(), "nothing new was begun");
        session
    });
    let session = session.unwrap();
    world.live(async |node| {
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Finished);
        let lost = events(node, session).await.iter().filter(|event| event.kind() == "call_in_doubt").count();
        assert_eq!((lost, world.upstream.calls().len()), (0, 2));
    });
}

#[test]
fn a_node_that_is_killed_asks_a_person_about_a_write_and_repeats_a_read_by_itself() {
    let world = World::new(0);
    world.upstream.next([Reply::DoneAndHangs, Reply::DoneAndHangs]);
    let session = world.live(async |node| {
        let session = write(node, "payer", "m-1", "pay 20 & look a").await;
        tokio::time::sleep(seconds(10)).await;
        session
    });
    let session = session.unwrap();
    world.live(async |node| {
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Suspended);
        let items = node.log.inbox().await.unwrap();
        let [InboxKey::InDoubt { call }] = items.iter().map(|item| item.key).collect::<Vec<_>>()[..] else {
            panic!("{items:?}")
        };
        let tools: Vec<String> = world.upstream.calls().into_iter().map(|call| call.tool).collect();
        assert_eq!(tools, ["pay", "look", "look"]);
        let happened = domain::event::Resolution::Happened { result: "it is there".to_owned() };
        approval::resolve(&node.gate, &person("ana"), call, happened).await.unwrap();
        assert!(node.rests().await);
        assert_eq!(phase(node, session).await, Phase::Finished);
        assert_eq!(world.upstream.done().iter().filter(|call| call.tool == "pay").count(), 1);
    });
}
