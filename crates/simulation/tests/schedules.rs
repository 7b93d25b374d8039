//! Schedules: what falls due starts a session, once, whatever happens to the node meanwhile.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]

use std::collections::BTreeMap;
use std::time::Duration;

use control::{apply, people};
use data::store::HeadFilter;
use domain::call::CallOutcome;
use domain::clock::Clock;
use domain::control::{Kind, Scope};
use domain::descriptor::parse_file;
use domain::event::Event;
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::principal::Caller;
use domain::session::Phase;
use simulation::World;
use simulation::life::{Boundary, Side};
use simulation::node::{Node, name};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// An agent that looks at something at these times. The world begins at 07:50 UTC.
async fn clerk(node: &Node, cron: &str, item: &str) {
    let text = format!(
        "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {{name: clerk, owner: finance}}\nspec:\n  \
         model: {{provider: thinker, name: small, max_output_tokens: 200}}\n  tools: [mcp://gateway/look, internal://timer]\n  \
         triggers: [{{name: hourly, cron: \"{cron}\", input: {{look: {item}}}}}]\n"
    );
    let descriptors = parse_file("clerk.yaml", &text, &|_| None).unwrap();
    apply::apply(&node.gate, &Caller::Admin, descriptors, false).await.unwrap();
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The clerk's sessions by key, each with how often it was told something and how it stands.
async fn started(node: &Node) -> BTreeMap<String, (usize, Phase)> {
    let filter = HeadFilter { agent: Some(name("clerk")), ..HeadFilter::default() };
    let mut found = BTreeMap::new();
    for (session, head, _) in node.log.heads(filter).await.unwrap() {
        let past = node.log.past(session).await.unwrap().unwrap();
        let events = past.records.iter().flat_map(|record| record.events.as_ref().unwrap());
        let told = events.filter(|event| event.kind() == "message_received").count();
        found.insert(head.key, (told, head.phase));
    }
    found
}

fn keys(started: &BTreeMap<String, (usize, Phase)>) -> Vec<&str> {
    let clock = |key: &str| key.strip_prefix("cron/hourly/2026-11-").map(|rest| rest.len());
    assert!(started.keys().all(|key| clock(key) == Some(16)), "{started:?}");
    assert!(started.values().all(|(told, phase)| (*told, *phase) == (1, Phase::Finished)), "{started:?}");
    started.keys().map(|key| &key["cron/hourly/2026-11-".len()..][..8]).collect()
}

#[test]
fn a_schedule_starts_a_session_at_each_of_its_instants() {
    let world = World::new(0);
    world.live(async |node| {
        clerk(node, "0 * * * *", "books").await;
        pass(9 * MINUTE).await;
        assert!(started(node).await.is_empty(), "it is 07:59");
        pass(3 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:00", "22T09:00", "22T10:00"]);
    });
}

#[test]
fn what_falls_due_while_no_node_lives_is_made_up_for_once_and_not_once_per_instant() {
    let world = World::new(0);
    world.live(async |node| {
        clerk(node, "0 * * * *", "books").await;
        pass(MINUTE).await;
    });
    world.clock.skip(Duration::from_secs(26 * HOUR));
    world.live(async |node| {
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:00"], "the one that was posted ahead, late");
        pass(2 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:00", "23T10:00", "23T11:00"]);
    });
}

#[test]
fn a_clock_that_jumps_a_day_ahead_fires_once_and_one_set_back_fires_nothing_twice() {
    let world = World::new(0);
    world.live(async |node| {
        clerk(node, "30 8 * * *", "books").await;
        pass(HOUR).await;
        assert!(node.rests().await);
        world.clock.skip(Duration::from_secs(24 * HOUR));
        pass(2 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:30", "23T08:30"]);
        world.clock.set_back(Duration::from_secs(24 * HOUR));
        pass(26 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:30", "23T08:30"], "it is {} again", world.clock.now());
        pass(20 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:30", "23T08:30", "24T08:30"]);
    });
}

#[test]
fn a_changed_schedule_fires_by_what_it_says_now_and_a_deleted_one_never() {
    let world = World::new(0);
    world.live(async |node| {
        clerk(node, "0 * * * *", "books").await;
        pass(MINUTE).await;
        clerk(node, "30 * * * *", "ledgers").await;
        pass(2 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T08:30", "22T09:30"]);
        apply::delete(&node.gate, &Caller::Admin, Kind::Agent, &name("clerk")).await.unwrap();
        pass(2 * HOUR).await;
        assert!(node.rests().await);
        assert_eq!(started(node).await.len(), 2);
    });
}

#[test]
fn an_agent_that_is_frozen_when_its_schedule_falls_due_is_passed_over_and_goes_on_afterwards() {
    let world = World::new(0);
    world.live(async |node| {
        clerk(node, "0 * * * *", "books").await;
        let what = Scope::Agent { agent: name("clerk") };
        people::freeze(&node.gate, &Caller::Admin, &what, "an odd answer").await.unwrap();
        pass(2 * HOUR).await;
        assert!(started(node).await.is_empty());
        people::unfreeze(&node.gate, &Caller::Admin, &what).await.unwrap();
        pass(HOUR).await;
        assert!(node.rests().await);
        assert_eq!(keys(&started(node).await), ["22T10:00"]);
    });
}

/// Has the clerk wait for two hours; what it holds meanwhile, and what it is told.
#[test]
fn a_session_that_waits_on_a_timer_sleeps_and_is_woken_once_restarts_and_freezes_in_between() {
    let world = World::new(0);
    let session = world.live(async |node| {
        clerk(node, "0 0 1 1 *", "books").await;
        let start = node.start_of(&name("clerk"), "waits");
        let session = start.principal.link.session;
        let message = Message::text(Role::Person, Origin::Person, "timer 2h");
        let body = MailBody::Message { start: Box::new(start), from: None, message };
        let mail = Mail { id: "m".parse().unwrap(), session, due: world.clock.now(), body };
        node.runtime.accept(mail).await.unwrap();
        assert!(node.rests().await);
        let (head, _) = node.log.head(session).await.unwrap().unwrap();
        assert_eq!((head.phase, head.waits_on.as_str()), (Phase::Suspended, "timer"));
        assert!(node.runtime.awake().is_empty());
        session
    });
    let session = session.unwrap();
    let what = Scope::Agent { agent: name("clerk") };
    world.live(async |node| {
        pass(60 * MINUTE).await;
        people::freeze(&node.gate, &Caller::Admin, &what, "an odd answer").await.unwrap();
        pass(20 * MINUTE).await;
        people::unfreeze(&node.gate, &Caller::Admin, &what).await.unwrap();
        pass(39 * MINUTE).await;
        assert_eq!(node.log.head(session).await.unwrap().unwrap().0.phase, Phase::Suspended);
        pass(5 * MINUTE).await;
        assert!(node.rests().await);
        let (head, _) = node.log.head(session).await.unwrap().unwrap();
        assert_eq!(head.phase, Phase::Finished, "it waited two hours once, and did not begin anew");
        let past = node.log.past(session).await.unwrap().unwrap();
        let events: Vec<_> = past.records.into_iter().flat_map(|record| record.events.unwrap()).collect();
        let count = |kind: &str| events.iter().filter(|event| event.kind() == kind).count();
        assert_eq!((count("call_requested"), count("call_answered")), (1, 1));
        let told = events.iter().find_map(|event| match event {
            Event::CallAnswered { outcome: CallOutcome::Answered { message, .. }, .. } => Some(message.words()),
            _ => None,
        });
        assert!(told.is_some_and(|told| told.contains("is over")));
    });
}

/// Killed on either side of every write of mail and every commit that three firings take.
#[test]
fn a_schedule_fires_once_wherever_the_node_is_killed() {
    let mut killed = 0;
    for boundary in [Boundary::Mail, Boundary::Commit] {
        for number in 1.. {
            let mut reached = false;
            for side in [Side::Before, Side::After] {
                let world = World::new(2);
                let first = world.live(async |node| clerk(node, "0 * * * *", "books").await);
                assert!(first.is_some());
                let before = world.life.passed(boundary);
                world.life.plan((boundary, before + number, side));
                let mut lives = 0;
                let found = loop {
                    lives += 1;
                    assert!(lives < 5, "{boundary:?} {number} {side:?}");
                    let until = domain::clock::Timestamp(1_795_333_800_000).plus_ms(3 * 3_600_000);
                    let lived = world.live(async |node| {
                        while world.clock.now() < until {
                            pass(MINUTE).await;
                        }
                        assert!(node.rests().await);
                        started(node).await
                    });
                    if let Some(found) = lived {
                        break found;
                    }
                };
                assert_eq!(keys(&found), ["22T08:00", "22T09:00", "22T10:00"], "{boundary:?} {number} {side:?}");
                reached |= lives > 1;
                killed += lives - 1;
            }
            if !reached {
                break;
            }
        }
    }
    assert!(killed > 30, "the node was killed {killed} times");
}
