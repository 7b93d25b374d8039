//! A thousand requests at once: to one popular agent, to one session, to one partition key. Nobody is kept waiting by
//! a crowd, nothing is interleaved, no update is lost, and beyond the named bounds the answer is no, at once.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]

use std::collections::BTreeMap;
use std::time::Duration;

use control::apply;
use control::approval::{self, Answer};
use data::rows::InboxKey;
use data::store::HeadFilter;
use domain::descriptor::parse_file;
use domain::event::Event;
use domain::id::{Pos, SessionId};
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::principal::Caller;
use domain::session::Phase;
use execution::{AcceptError, Full};
use futures::future::join_all;
use simulation::World;
use simulation::node::{Node, name, person};

/// How many come at once.
const CROWD: usize = 1_000;

/// Agents that many come to.
const AGENTS: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: popular, owner: finance}
spec:
  model: {provider: thinker, name: small, max_output_tokens: 200}
  tools: [mcp://gateway/look]
  budgets: {calls_per_hour: 1000000, usd_per_day: 100000}
  limits: {turns: 6}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: quiet, owner: finance}
spec:
  model: {provider: thinker, name: small, max_output_tokens: 200}
  tools: [mcp://gateway/look]
  concurrency: {active: 1, queue: 20}
  budgets: {calls_per_hour: 1000000, usd_per_day: 100000}
  limits: {turns: 6}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: counter, owner: finance}
spec:
  model: {provider: thinker, name: small, max_output_tokens: 200}
  tools: [mcp://gateway/pay]
  memory: {type: persistent, retention_days: 30}
  approval: {on_action_value_usd_gt: 1000}
  concurrency: {one_per: partition, key: input.company}
  budgets: {calls_per_hour: 1000000, usd_per_day: 100000}
  limits: {turns: 6}
";

async fn open(node: &Node) {
    let agents = parse_file("crowd.yaml", AGENTS, &|_| None).unwrap();
    apply::apply(&node.gate, &Caller::Admin, agents, false).await.unwrap();
}

/// A message to an agent's session of that key; of a partition, where one is said.
fn message(node: &Node, agent: &str, (key, id): (&str, &str), words: &str, partition: Option<&str>) -> Mail {
    let mut start = node.start_of(&name(agent), key);
    if let Some(partition) = partition {
        start.principal.link.session = SessionId::in_partition(&name(agent), key, partition);
        start.partition = Some(partition.to_owned());
    }
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Person, words);
    let body = MailBody::Message { start: Box::new(start), from: None, message };
    Mail { id: id.parse().unwrap(), session, due: node.log.clock().now(), body }
}

async fn accept_all(node: &Node, mail: Vec<Mail>) -> Vec<Result<(), Full>> {
    let answers = join_all(mail.into_iter().map(|mail| node.runtime.accept(mail))).await;
    let refused = |error| match error {
        AcceptError::Full(full) => full,
        AcceptError::Data(error) => panic!("{error}"),
    };
    answers.into_iter().map(|answer| answer.map_err(refused)).collect()
}

async fn events(node: &Node, session: SessionId) -> Vec<Event> {
    let past = node.log.past(session).await.unwrap().unwrap();
    past.records.into_iter().flat_map(|record| record.events.unwrap()).collect()
}

/// Where the sessions of an agent are, and where each has its last record.
async fn heads(node: &Node, agent: &str) -> Vec<(SessionId, Phase, Pos)> {
    let filter = HeadFilter { agent: Some(name(agent)), ..HeadFilter::default() };
    node.log.heads(filter).await.unwrap().into_iter().map(|(session, head, pos)| (session, head.phase, pos)).collect()
}

/// Where the first and the last record of a session are.
async fn span(node: &Node, session: SessionId) -> (Pos, Pos) {
    let past = node.log.past(session).await.unwrap().unwrap();
    (past.records[0].envelope.pos, past.pos)
}

fn gauge(node: &Node, bound: &str, agent: &str) -> u64 {
    let found = node.runtime.gauges().into_iter().find(|gauge| gauge.bound == bound && gauge.agent == agent);
    found.map_or(0, |gauge| gauge.now)
}

#[test]
fn a_crowd_at_one_agent_keeps_no_other_waiting() {
    let world = World::new(0);
    let lived = world.live(async |node| {
        open(node).await;
        let crowd = (0..CROWD).map(|n| message(node, "popular", (&format!("k{n}"), "m"), "look a", None));
        assert!(accept_all(node, crowd.collect()).await.iter().all(Result::is_ok));
        let quiet = message(node, "quiet", ("k", "m"), "look a", None);
        let session = quiet.session;
        node.runtime.accept(quiet).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        // As many of the crowd as the agent may have at work, and the other beside them.
        assert_eq!((gauge(node, "active", "popular"), gauge(node, "awake", "")), (64, 65));
        assert_eq!(gauge(node, "queue", "popular"), (CROWD - 64) as u64);
        assert!(node.rests().await);
        let crowd = heads(node, "popular").await;
        assert!(crowd.len() == CROWD && crowd.iter().all(|(_, phase, _)| *phase == Phase::Finished));
        let (_, answered) = span(node, session).await;
        let before = crowd.iter().filter(|(_, _, pos)| *pos < answered).count();
        assert!(before < 200, "{before} of the crowd were answered first");
        assert_eq!(gauge(node, "queue", "popular"), 0);
        assert!(node.runtime.awake().is_empty());
    });
    assert!(lived.is_some());
}

#[test]
fn a_crowd_at_one_session_is_heard_one_after_the_other_and_turned_away_at_its_bound() {
    let world = World::new(0);
    let lived = world.live(async |node| {
        open(node).await;
        let crowd = (0..CROWD).map(|n| message(node, "popular", ("k", &format!("m{n}")), &format!("look {n}"), None));
        let crowd: Vec<Mail> = crowd.collect();
        let session = crowd[0].session;
        let answers = accept_all(node, crowd).await;
        let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().enumerate().partition(|(_, answer)| answer.is_ok());
        assert_eq!((accepted.len(), refused.len()), (256, CROWD - 256));
        let full = refused[0].1.as_ref().unwrap_err();
        assert!(full.bound == "the session's mailbox" && full.retry_after_ms > 0);
        assert!(node.rests().await);
        let mut heard: BTreeMap<String, u32> = BTreeMap::new();
        let mut asked = 0;
        for event in events(node, session).await {
            match event {
                Event::MessageReceived { mail, .. } => *heard.entry(mail.to_string()).or_default() += 1,
                Event::ModelRequested { .. } => asked += 1,
                Event::ModelAnswered { .. } => asked -= 1,
                _ => {}
            }
            assert!((0..=1).contains(&asked), "one turn at a time");
        }
        let expected: BTreeMap<String, u32> = accepted.iter().map(|(n, _)| (format!("m{n}"), 1)).collect();
        assert_eq!(heard, expected, "each that was accepted is heard once");
        assert_eq!(heads(node, "popular").await[0].1, Phase::Finished);
        // There is room again.
        let late = message(node, "popular", ("k", "late"), "look late", None);
        node.runtime.accept(late).await.unwrap();
        assert!(node.rests().await);
        assert_eq!(gauge(node, "queue", "popular"), 0);
    });
    assert!(lived.is_some());
}

#[test]
fn a_crowd_at_one_partition_key_takes_turns_and_no_update_is_lost() {
    let world = World::new(0);
    let lived = world.live(async |node| {
        open(node).await;
        let crowd = (0..CROWD).map(|n| message(node, "counter", (&format!("k{n}"), "m"), "count", Some("acme")));
        let crowd: Vec<Mail> = crowd.collect();
        let sessions: Vec<SessionId> = crowd.iter().map(|mail| mail.session).collect();
        assert!(accept_all(node, crowd).await.iter().all(Result::is_ok));
        assert!(node.rests().await);
        let mut last = Pos(0);
        for session in sessions {
            let (from, to) = span(node, session).await;
            assert!(from > last, "one after the other, in the order in which they came");
            last = to;
        }
        let remembered = node.log.recall(&name("counter"), node.log.clock().now(), 10).await.unwrap();
        let texts: Vec<_> = remembered.iter().map(|item| item.text.as_str()).collect();
        assert_eq!(texts, [format!("count {CROWD}")]);
    });
    assert!(lived.is_some());
}

async fn approve(node: &Node) {
    let items = node.log.inbox().await.unwrap();
    let [InboxKey::Approval { approval }] = items.iter().map(|item| item.key).collect::<Vec<_>>()[..] else {
        panic!("one person is asked: {items:?}")
    };
    let yes = Answer { approved: true, ..Answer::default() };
    approval::answer(&node.gate, &person("ana"), approval, yes).await.unwrap();
}

async fn kill(node: &Node, session: SessionId) {
    let body = MailBody::Kill { by: "admin".to_owned(), reason: "enough".to_owned() };
    let mail = Mail { id: "kill".parse().unwrap(), session, due: node.log.clock().now(), body };
    node.runtime.accept(mail).await.unwrap();
}

#[test]
fn one_that_waits_for_a_person_holds_its_partition_also_over_a_restart() {
    for killed in [false, true] {
        let world = World::new(0);
        let (first, second, other) = world
            .live(async |node| {
                open(node).await;
                let first = message(node, "counter", ("k1", "m"), "pay 1500", Some("acme"));
                let second = message(node, "counter", ("k2", "m"), "count", Some("acme"));
                let other = message(node, "counter", ("k3", "m"), "count", Some("other"));
                let sessions = (first.session, second.session, other.session);
                assert!(accept_all(node, vec![first, second, other]).await.iter().all(Result::is_ok));
                tokio::time::sleep(Duration::from_secs(60)).await;
                sessions
            })
            .unwrap();
        let lived = world.live(async |node| {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let phase = async |session| node.log.head(session).await.unwrap().map(|(head, _)| head.phase);
            assert_eq!((phase(first).await, phase(second).await), (Some(Phase::Suspended), None));
            assert_eq!(phase(other).await, Some(Phase::Finished), "another key is another's");
            assert!(node.runtime.awake().is_empty(), "whoever waits holds no task");
            match killed {
                true => kill(node, first).await,
                false => approve(node).await,
            }
            assert!(node.rests().await);
            let ended = if killed { Phase::Killed } else { Phase::Finished };
            assert_eq!((phase(first).await, phase(second).await), (Some(ended), Some(Phase::Finished)));
            assert!(span(node, second).await.0 > span(node, first).await.1 || killed);
        });
        assert!(lived.is_some());
    }
}

#[test]
fn an_agents_queue_is_bounded_and_known_again_after_a_restart() {
    let world = World::new(0);
    let lived = world.live(async |node| {
        open(node).await;
        let crowd = (0..CROWD).map(|n| message(node, "quiet", (&format!("k{n}"), "m"), "look a", None));
        let answers = accept_all(node, crowd.collect()).await;
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err()).collect::<Vec<_>>();
        assert_eq!(CROWD - refused.len(), 20);
        assert!(refused.iter().all(|full| full.bound == "the agent's queue" && full.retry_after_ms > 0));
        // Nobody else is turned away.
        node.runtime.accept(message(node, "popular", ("k", "m"), "look a", None)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((gauge(node, "active", "quiet"), gauge(node, "queue", "quiet")), (1, 19));
    });
    assert!(lived.is_some());
    let lived = world.live(async |node| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let queued = gauge(node, "queue", "quiet");
        assert!((18..=19).contains(&queued), "{queued}");
        assert!(node.rests().await);
        assert_eq!(heads(node, "quiet").await.len(), 20);
        assert_eq!(gauge(node, "queue", "quiet"), 0);
    });
    assert!(lived.is_some());
}
