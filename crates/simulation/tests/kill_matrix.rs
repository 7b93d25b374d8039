//! One walk (a model that thinks, reads, and writes with and without consent, several at once), killed at every
//! boundary that it crosses and on either side of it: before and after each commit, and between each dispatch and its
//! outcome. What was really done is counted in the upstream's own file.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use control::approval::{self, Answer};
use data::rows::InboxKey;
use data::store::HeadFilter;
use domain::clock::Clock;
use domain::event::Resolution;
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::session::Phase;
use serde_json::Value;
use simulation::World;
use simulation::invariant;
use simulation::life::{Boundary, Point, Side};
use simulation::node::{Node, name, person};
use tempfile::TempDir;

/// Reads; then a write that asks, a read and a write that does not ask at once; then another write that asks.
const WALK: &str = "look a | pay 1500 & look b & pay 30 | pay 2000";
/// What it writes, by amount.
const WRITES: [i64; 3] = [1500, 30, 2000];
/// How often what waits is answered before a walk counts as stuck.
const PATIENCE: usize = 50;

/// The upstream's own file.
struct Ledger(PathBuf);

impl Ledger {
    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How often each amount was paid.
    fn paid(&self) -> BTreeMap<i64, usize> {
        let mut paid = BTreeMap::new();
        for line in self.lines().iter().filter(|line| line["tool"] == "pay") {
            *paid.entry(line["arguments"]["amount_usd"].as_i64().unwrap()).or_default() += 1;
        }
        paid
    }

    fn reads(&self) -> usize {
        self.lines().iter().filter(|line| line["tool"] == "look").count()
    }

    fn has(&self, key: &str) -> bool {
        self.lines().iter().any(|line| line["key"] == key)
    }
}

/// What one walk came to.
struct Walked {
    world: World,
    ledger: Ledger,
    lives: usize,
    wrong: Vec<String>,
}

/// Walks, killed at this point, started again until it is at its end.
fn walk(dir: &Path, point: Option<Point>) -> Walked {
    let ledger = Ledger(dir.join("ledger.jsonl"));
    let world = World::new(1).keeping(ledger.0.clone());
    if let Some(point) = point {
        world.life.plan(point);
    }
    let mut lives = 0;
    loop {
        lives += 1;
        assert!(lives < 10, "{point:?} is never passed");
        if let Some(wrong) = world.live(async |node| to_the_end(&world, node, &ledger).await) {
            return Walked { world, ledger, lives, wrong };
        }
    }
}

async fn to_the_end(world: &World, node: &Node, ledger: &Ledger) -> Vec<String> {
    let start = node.start_of(&name("payer"), "walk");
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Person, WALK);
    let body = MailBody::Message { start: Box::new(start), from: Some(name("ana")), message };
    let mail = Mail { id: "walk".parse().unwrap(), session, due: world.clock.now(), body };
    // In every life: whoever got no answer posts it again.
    node.runtime.accept(mail).await.unwrap();
    for _ in 0..PATIENCE {
        if !node.rests().await {
            return vec!["it never rests".to_owned()];
        }
        let head = node.log.heads(HeadFilter::default()).await.unwrap().pop().unwrap().1;
        if head.phase == Phase::Finished {
            return invariant::at_the_end(world, node).await;
        }
        answer_all(node, ledger).await;
    }
    vec!["it is stuck".to_owned()]
}

async fn answer_all(node: &Node, ledger: &Ledger) {
    for item in node.log.inbox().await.unwrap() {
        match item.key {
            InboxKey::Approval { approval } => {
                let yes = Answer { approved: true, ..Answer::default() };
                approval::answer(&node.gate, &person("ana"), approval, yes).await.unwrap();
            }
            InboxKey::InDoubt { call } => {
                let say = match ledger.has(&call.to_string()) {
                    true => Resolution::Happened { result: "it is in the ledger".to_owned() },
                    false => Resolution::DidNot,
                };
                approval::resolve(&node.gate, &person("ana"), call, say).await.unwrap();
            }
        }
    }
}

#[test]
fn killed_at_every_boundary_nothing_is_lost_and_nothing_is_doubled() {
    let clean_dir = TempDir::new().unwrap();
    let clean = walk(clean_dir.path(), None);
    assert_eq!((clean.lives, clean.wrong.as_slice()), (1, [].as_slice()));
    assert_eq!(clean.ledger.paid(), WRITES.map(|amount| (amount, 1)).into());
    let (mut points, mut performed, mut lost, mut doubled, mut read_again) = (0, 0, 0, 0, 0);
    for boundary in [Boundary::Commit, Boundary::Model, Boundary::Tool] {
        let crossed = clean.world.life.passed(boundary);
        println!("{crossed} {boundary:?} boundaries");
        for point in (1..=crossed).flat_map(|number| [Side::Before, Side::After].map(|side| (boundary, number, side))) {
            let dir = TempDir::new().unwrap();
            let walked = walk(dir.path(), Some(point));
            assert_eq!((walked.lives, walked.wrong.as_slice()), (2, [].as_slice()), "{point:?}");
            let paid = walked.ledger.paid();
            points += 1;
            performed += paid.values().sum::<usize>();
            lost += WRITES.iter().filter(|amount| !paid.contains_key(amount)).count();
            doubled += paid.values().filter(|times| **times > 1).count();
            read_again += walked.ledger.reads() - clean.ledger.reads();
        }
    }
    println!(
        "{points} points, {performed} writes performed, {lost} lost, {doubled} doubled; {read_again} reads repeated"
    );
    assert_eq!((performed, lost, doubled), (points * WRITES.len(), 0, 0));
}
