//! One walk for every kind of call and of start, killed at every boundary that it crosses and on either side of it:
//! before and after each commit and each write of mail, and between each dispatch and its outcome; on both stores. What
//! was really done is counted in the upstream's own file, and for what happens inside, in the log.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../../data/tests/support/postgres.rs"]
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use control::ControlError;
use control::approval::{self, Answer};
use data::rows::InboxKey;
use domain::call::{ApprovalRequest, CallOutcome};
use domain::clock::{Clock, Timestamp};
use domain::event::{Event, Resolution};
use domain::id::{CallId, Digest, SessionId};
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::session::Phase;
use execution::{CallReply, Use, Whose};
use serde_json::{Value, json};
use simulation::World;
use simulation::invariant::{self, Tale};
use simulation::life::{Boundary, Point, Side};
use simulation::node::{Node, name, person};
use tempfile::TempDir;

use server::Cluster;

/// How often what waits is answered before a walk counts as stuck.
const PATIENCE: usize = 50;

/// How long whoever waits for a timer is left alone.
const A_WHILE: Duration = Duration::from_secs(60);
/// When the schedule of the population falls due for the first time: 2026-11-22T08:00:00Z.
const THE_HOUR: Timestamp = Timestamp(1_795_334_400_000);

/// A kind of call, and a walk that consists of it.
struct Kind {
    name: &'static str,
    agent: &'static str,
    start: Start,
    /// How its effects are counted.
    count: Count,
}

/// How a walk begins.
#[derive(Clone, Copy)]
enum Start {
    /// Somebody writes this.
    Now(&'static str),
    /// The same, to be delivered in five minutes.
    Later(&'static str),
    /// Its schedule falls due.
    Schedule,
    /// A client that keeps the loop uses a tool, with these arguments, and looks how that stands.
    Client(&'static str, i64),
}

/// Where the store is.
enum Place {
    Memory,
    Postgres(&'static Cluster, tokio::runtime::Runtime),
}

impl Place {
    /// A world that begins, with a store of its own.
    fn world(&self) -> World {
        match self {
            Place::Memory => World::new(1),
            Place::Postgres(cluster, outside) => {
                let url = cluster.database().parse().unwrap();
                World::on_postgres(1, &url, outside.handle())
            }
        }
    }
}

/// What an effect is, by what makes it that one: no two of the same may be there.
#[derive(Clone, Copy)]
enum Count {
    /// An answer of the model, by its call.
    Answers,
    /// A use of this tool that was answered, by its call: it may be sent again.
    Heard(&'static str),
    /// A use of this tool, by its idempotency key: the same key again is the same effect.
    Keys(&'static str),
    /// A line of this tool in the upstream's file.
    Lines(&'static str),
    /// What the agent remembers.
    Memories,
    /// A message of this walk that was taken, by its mail.
    Messages,
    /// A wait that was over, by its call; none is over early.
    Waits,
}

/// Which of them is a plain write.
const WRITE: usize = 3;

const KINDS: [Kind; 15] = [
    Kind { name: "model", agent: "reader", start: Start::Now(""), count: Count::Answers },
    Kind { name: "read", agent: "reader", start: Start::Now("look a"), count: Count::Heard("look") },
    Kind { name: "idempotent", agent: "reader", start: Start::Now("file a"), count: Count::Keys("file") },
    Kind { name: "write", agent: "payer", start: Start::Now("pay 30"), count: Count::Lines("pay") },
    Kind { name: "write, with consent", agent: "payer", start: Start::Now("pay 1500"), count: Count::Lines("pay") },
    Kind {
        name: "irreversible, with consent",
        agent: "payer",
        start: Start::Now("wire 5"),
        count: Count::Lines("wire"),
    },
    Kind { name: "memory", agent: "keeper", start: Start::Now("remember one"), count: Count::Memories },
    // A read; then a write that asks, a read and a write that does not ask at once; then another write that asks.
    Kind {
        name: "several at once",
        agent: "payer",
        start: Start::Now("look a | pay 1500 & look b & pay 30 | pay 2000"),
        count: Count::Lines("pay"),
    },
    // One person edits it, the other agrees to that.
    Kind {
        name: "write, two people's consent",
        agent: "couple",
        start: Start::Now("look a | pay 1500"),
        count: Count::Lines("pay"),
    },
    Kind { name: "message due later", agent: "payer", start: Start::Later("pay 30"), count: Count::Messages },
    Kind { name: "timer", agent: "keeper", start: Start::Now("timer 5m"), count: Count::Waits },
    Kind { name: "delegated call", agent: "chief", start: Start::Now("payer:pay 30"), count: Count::Lines("pay") },
    // Two levels down, and beside another; one of them asks.
    Kind {
        name: "delegated on, with consent",
        agent: "chief",
        start: Start::Now("deputy:payer:look a ;; pay 1500 & reader:look b"),
        count: Count::Lines("pay"),
    },
    Kind { name: "schedule", agent: "clerk", start: Start::Schedule, count: Count::Keys("file") },
    Kind {
        name: "a client's write, with consent",
        agent: "guest",
        start: Start::Client("pay", 1500),
        count: Count::Lines("pay"),
    },
];

/// The upstream's own file.
struct Ledger(PathBuf);

impl Ledger {
    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a tool did, by a field of it.
    fn by(&self, tool: &str, field: &str) -> BTreeMap<String, usize> {
        let mut by = BTreeMap::new();
        for line in self.lines().iter().filter(|line| line["tool"] == tool) {
            *by.entry(line[field].to_string()).or_default() += 1;
        }
        by
    }

    fn has(&self, key: &str) -> bool {
        self.lines().iter().any(|line| line["key"] == key)
    }
}

/// What one walk came to.
#[derive(Default)]
struct Walked {
    lives: usize,
    wrong: Vec<String>,
    /// Effects, and how often each is there.
    effects: BTreeMap<String, usize>,
    /// What was sent, to the model and to the upstream.
    sent: usize,
    /// How often a person was asked what came of a call.
    asked: usize,
    crossed: BTreeMap<Boundary, u64>,
    /// Until when a timer was waited for.
    until: Option<Timestamp>,
    /// The call that a client was told waits.
    call: Option<CallId>,
}

/// Walks, killed at this point, started again until it is at its end.
fn walk(place: &Place, kind: &Kind, dir: &Path, point: Option<Point>) -> Walked {
    let ledger = Ledger(dir.join("ledger.jsonl"));
    let world = place.world().keeping(ledger.0.clone());
    let begun = world.clock.now();
    if let Some(point) = point {
        world.life.plan(point);
    }
    let mut walked = Walked::default();
    loop {
        walked.lives += 1;
        assert!(walked.lives < 10, "{point:?} is never passed");
        if world.live(async |node| to_the_end(kind, (&world, begun), node, &ledger, &mut walked).await).is_some() {
            break;
        }
    }
    walked.sent += ledger.lines().len();
    walked.crossed = BOUNDARIES.into_iter().map(|boundary| (boundary, world.life.passed(boundary))).collect();
    walked
}

const BOUNDARIES: [Boundary; 4] = [Boundary::Commit, Boundary::Mail, Boundary::Model, Boundary::Tool];

async fn to_the_end(
    kind: &Kind,
    (world, begun): (&World, Timestamp),
    node: &Node,
    ledger: &Ledger,
    walked: &mut Walked,
) {
    let session = match kind.start {
        Start::Client(tool, amount) => client_begins(kind, (tool, amount), node, walked).await,
        Start::Now(_) | Start::Later(_) | Start::Schedule => begin(kind, begun, node).await,
    };
    for _ in 0..PATIENCE {
        if !node.rests().await {
            walked.wrong.push("it never rests".to_owned());
            return;
        }
        let (phase, waits_on) = match node.log.head(session).await.unwrap() {
            Some((head, _)) => (Some(head.phase), head.waits_on),
            None => (None, String::new()),
        };
        if phase == Some(Phase::Finished) {
            if let Some(call) = walked.call {
                client_looks(kind, call, node, walked).await;
            }
            walked.wrong.extend(invariant::at_the_end(world, node).await);
            count(kind, node, ledger, walked).await;
            return;
        }
        if phase.is_none() || waits_on == "timer" {
            tokio::time::sleep(A_WHILE).await;
        }
        answer_all(node, ledger, walked).await;
    }
    walked.wrong.push("it is stuck".to_owned());
}

/// Begins the walk, in every life: whoever got no answer posts it again.
async fn begin(kind: &Kind, begun: Timestamp, node: &Node) -> SessionId {
    let agent = name(kind.agent);
    let (words, due) = match kind.start {
        Start::Now(words) => (words, begun),
        Start::Later(words) => (words, begun.plus_ms(300_000)),
        Start::Schedule => return SessionId::for_key(&agent, &format!("cron/hourly/{THE_HOUR}")),
        Start::Client(..) => panic!("nobody writes for a client"),
    };
    let start = node.start_of(&agent, "walk");
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Person, words);
    let body = MailBody::Message { start: Box::new(start), from: Some(name("ana")), message };
    let mail = Mail { id: "walk".parse().unwrap(), session, due, body };
    node.runtime.accept(mail).await.unwrap();
    session
}

/// A client makes its call, and again where it was told nothing: it is the same call until it hears how that stands.
async fn client_begins(kind: &Kind, (tool, amount): (&str, i64), node: &Node, walked: &mut Walked) -> SessionId {
    let (agent, key) = (name(kind.agent), "client/walk".to_owned());
    let session = SessionId::for_key(&agent, &key);
    if walked.call.is_none() {
        let wanted = Use { name: tool.to_owned(), arguments: json!({"to": "acme", "amount_usd": amount}) };
        match node.runtime.attach_call(&agent, Whose::Key(key), wanted, Duration::ZERO).await.unwrap() {
            CallReply::Waits { call, .. } => walked.call = Some(call),
            other => walked.wrong.push(format!("it does not wait: {other:?}")),
        }
    }
    session
}

/// It is told how its call ended, or was before the end of the world.
async fn client_looks(kind: &Kind, call: CallId, node: &Node, walked: &mut Walked) {
    match node.runtime.attach_look(&name(kind.agent), call, Duration::ZERO).await.unwrap() {
        None | Some(CallReply::Result { error: false, .. }) => assert!(node.rests().await),
        other => walked.wrong.push(format!("it is told {other:?}")),
    }
}

async fn answer_all(node: &Node, ledger: &Ledger, walked: &mut Walked) {
    for item in node.log.inbox().await.unwrap() {
        match item.key {
            InboxKey::Approval { approval } => {
                let asked = approval::recorded(&node.gate, approval).await.unwrap().request.unwrap();
                if asked.terms.quorum == 1 {
                    let yes = Answer { approved: true, ..Answer::default() };
                    approval::answer(&node.gate, &person("ana"), approval, yes).await.unwrap();
                } else {
                    both(node, &asked).await;
                }
            }
            InboxKey::InDoubt { call } => {
                walked.asked += 1;
                let say = match ledger.has(&call.to_string()) {
                    true => Resolution::Happened { result: "it is in the ledger".to_owned() },
                    false => Resolution::DidNot,
                };
                approval::resolve(&node.gate, &person("ana"), call, say).await.unwrap();
            }
        }
    }
}

/// Ben edits what is asked and says yes, cho says yes to exactly that: it is on behalf of ana, who may not. Each as often as it takes to have said it.
async fn both(node: &Node, asked: &ApprovalRequest) {
    let mut edited = asked.arguments.clone();
    edited["amount_usd"] = 1200.into();
    let seen = Some(Digest::of_json(&edited));
    let edit = Answer { approved: true, edited: Some(edited), ..Answer::default() };
    let agree = Answer { approved: true, seen, ..Answer::default() };
    for (who, said) in [("ben", edit), ("cho", agree)] {
        match approval::answer(&node.gate, &person(who), asked.approval, said).await {
            // Whoever said so before the last end of the world has said it.
            Ok(_) | Err(ControlError::Conflict { .. }) => {}
            Err(error) => panic!("{who}: {error}"),
        }
    }
}

/// Counts the effects of a walk that is over.
async fn count(kind: &Kind, node: &Node, ledger: &Ledger, walked: &mut Walked) {
    let tales = invariant::tales(node, &mut walked.wrong).await;
    let events: Vec<&Event> = tales.iter().flat_map(|tale| tale.events()).collect();
    walked.sent = events.iter().filter(|event| matches!(event, Event::ModelRequested { .. })).count();
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    let heard = |event: &&Event, model: bool| match event {
        Event::ModelAnswered { call, outcome: CallOutcome::Answered { .. }, .. } if model => Some(call.to_string()),
        Event::CallAnswered { call, outcome: CallOutcome::Answered { .. }, .. } if !model => Some(call.to_string()),
        _ => None,
    };
    match kind.count {
        Count::Answers => events.iter().filter_map(|event| heard(event, true)).for_each(|call| {
            *effects.entry(call).or_default() += 1;
        }),
        Count::Heard(tool) => {
            assert!(!ledger.by(tool, "key").is_empty(), "it was used");
            events.iter().filter_map(|event| heard(event, false)).for_each(|call| {
                *effects.entry(call).or_default() += 1;
            });
        }
        // The same key again changes nothing at the upstream: what is counted is how many there are.
        Count::Keys(tool) => effects = ledger.by(tool, "key").into_keys().map(|key| (key, 1)).collect(),
        // By what was asked, and not by the call: a second call that does the same is a second effect.
        Count::Lines(tool) => effects = ledger.by(tool, "arguments"),
        Count::Messages => {
            let received = events.iter().filter_map(|event| match event {
                Event::MessageReceived { mail, .. } => Some(mail.to_string()),
                _ => None,
            });
            received.for_each(|mail| *effects.entry(mail).or_default() += 1);
        }
        Count::Waits => over(&tales, walked, &mut effects),
        Count::Memories => {
            let memories = node.log.recall(&name(kind.agent), node.log.clock().now(), 100).await.unwrap();
            memories.into_iter().for_each(|memory| *effects.entry(memory.text).or_default() += 1);
        }
    }
    walked.effects = effects;
}

/// Waits that were over, by their call.
fn over(tales: &[Tale], walked: &mut Walked, effects: &mut BTreeMap<String, usize>) {
    for record in tales.iter().flat_map(|tale| &tale.past.records) {
        for event in record.events.iter().flatten() {
            match event {
                Event::CallAnswered { call, .. } => *effects.entry(call.to_string()).or_default() += 1,
                Event::CallWaits { wait, .. } => walked.until = wait.until,
                _ => continue,
            }
            let early = walked.until.is_some_and(|until| record.envelope.at < until);
            if early && matches!(event, Event::CallAnswered { .. }) {
                walked.wrong.push("it was woken early".to_owned());
            }
        }
    }
}

/// One line of the table.
#[derive(Default)]
struct Line {
    points: usize,
    performed: usize,
    lost: usize,
    doubled: usize,
    repeated: usize,
    asked: usize,
}

fn line(place: &Place, kind: &Kind) -> Line {
    let dir = TempDir::new().unwrap();
    let clean = walk(place, kind, dir.path(), None);
    assert_eq!((clean.lives, clean.wrong.as_slice()), (1, [].as_slice()), "{}", kind.name);
    assert!(!clean.effects.is_empty() && clean.effects.values().all(|times| *times == 1), "{}", kind.name);
    let mut line = Line::default();
    for (boundary, crossed) in &clean.crossed {
        for point in (1..=*crossed).flat_map(|n| [Side::Before, Side::After].map(|side| (*boundary, n, side))) {
            let dir = TempDir::new().unwrap();
            let walked = walk(place, kind, dir.path(), Some(point));
            assert_eq!((walked.lives, walked.wrong.as_slice()), (2, [].as_slice()), "{}: {point:?}", kind.name);
            line.points += 1;
            line.performed += walked.effects.values().sum::<usize>();
            line.lost += clean.effects.len().saturating_sub(walked.effects.len());
            line.doubled += walked.effects.values().filter(|times| **times > 1).count();
            line.doubled += walked.effects.len().saturating_sub(clean.effects.len());
            line.repeated += walked.sent.saturating_sub(clean.sent);
            line.asked += walked.asked;
        }
    }
    assert_eq!(line.performed, line.points * clean.effects.len(), "{}", kind.name);
    line
}

fn table(place: &Place, title: &str) {
    println!(
        "{title:28}{:>8}{:>11}{:>6}{:>9}{:>12}{:>10}",
        "points", "performed", "lost", "doubled", "sent again", "in doubt"
    );
    for kind in KINDS {
        let Line { points, performed, lost, doubled, repeated, asked } = line(place, &kind);
        println!("{:28}{points:>8}{performed:>11}{lost:>6}{doubled:>9}{repeated:>12}{asked:>10}", kind.name);
        assert_eq!((lost, doubled), (0, 0), "{}", kind.name);
        assert!(points >= 10, "{}", kind.name);
    }
}

#[test]
fn killed_at_every_boundary_nothing_is_lost_and_nothing_is_doubled() {
    table(&Place::Memory, "SQLite");
}

fn on_postgresql() -> Option<Place> {
    let cluster = server::cluster()?;
    // Its own thread looks after the lines: the thread of the world stands still while it waits for them.
    let outside = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Some(Place::Postgres(cluster, outside))
}

#[test]
fn killed_at_every_boundary_of_a_write_on_postgresql() {
    let Some(place) = on_postgresql() else { return };
    let Line { points, performed, lost, doubled, .. } = line(&place, &KINDS[WRITE]);
    assert_eq!((points, performed, lost, doubled), (points, points, 0, 0));
    assert!(points >= 10);
}

#[test]
#[ignore = "takes minutes; scripts/verify kill-matrix"]
fn killed_at_every_boundary_nothing_is_lost_and_nothing_is_doubled_on_postgresql() {
    let Some(place) = on_postgresql() else { return };
    table(&place, "PostgreSQL");
}
