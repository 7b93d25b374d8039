//! A seed, told: lives of a node one after the other, what people did in them, and at the end a calm in which all that
//! waits is answered. Told twice, it is the same story, to the byte.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use domain::id::{Digest, Pos, SessionId, Shard};

use crate::chance::Chance;
use crate::invariant;
use crate::node::Node;
use crate::people::People;
use crate::weather::Weather;
use crate::world::World;

/// How many deeds a story has, at least and at most.
const DEEDS: (usize, usize) = (10, 50);
/// How many times what waits is answered before the end is called off.
const ANSWERS: usize = 200;

/// What a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The seed.
    pub seed: u64,
    /// Its weather.
    pub weather: Weather,
    /// How many lives the node had.
    pub lives: usize,
    /// How many sessions there were, and records in all.
    pub records: u64,
    /// What the upstream did.
    pub effects: usize,
    /// How many times the node died without warning.
    pub crashes: u64,
    /// How many commits were followed.
    pub steps: u64,
    /// How many things were looked at that must hold.
    pub checks: u64,
    /// How many snapshots were compared with what they stand for.
    pub snapshots: u64,
    /// How often each kind of thing went wrong outside.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each kind of event happened.
    pub kinds: BTreeMap<String, u64>,
    /// Of everything in the log, to the byte.
    pub digest: Digest,
    /// What people did.
    pub notes: Vec<String>,
    /// What must not be and was.
    pub wrong: Vec<String>,
}

/// How a life ends where nothing kills it.
enum End {
    /// There is nothing more to do.
    Over,
    /// The node was stopped, and is started again.
    Stopped,
    /// The process was killed.
    Killed,
    /// Something that must not be was seen.
    Wrong(Vec<String>),
}

/// Tells a seed.
pub fn tell(seed: u64) -> Told {
    let world = World::new(seed);
    let chance = Chance::new(seed, "story");
    let weather = Weather::of(&chance);
    let mut people = People::new(seed);
    let mut left = DEEDS.0 + chance.below(DEEDS.1 - DEEDS.0);
    let (mut lives, mut crashes) = (0, 0);
    let (wrong, Written { text, records, kinds, steps }) = loop {
        lives += 1;
        world.sky.turn(weather);
        world.life.endanger(weather.deaths);
        let end = world.live(async |node| match live(&world, node, &mut people, &mut left).await {
            End::Stopped | End::Killed => None,
            End::Over => Some((finish(&world, node, &mut people).await, written(&world, node).await)),
            End::Wrong(wrong) => Some((wrong, written(&world, node).await)),
        });
        match end {
            Some(Some(end)) => break end,
            Some(None) => people.note(&world, format!("life {lives} ended")),
            None => {
                crashes += 1;
                people.note(&world, format!("life {lives} ended in an accident"));
            }
        }
    };
    let (effects, digest) = (world.watch.all_done().len(), Digest::of(text.as_bytes()));
    let (checks, faults, notes) = (world.watch.checks(), world.watch.faults(), people.notes().to_vec());
    let snapshots = world.watch.snapshots();
    Told {
        seed,
        weather,
        lives,
        records,
        effects,
        crashes,
        steps,
        checks,
        snapshots,
        faults,
        kinds,
        digest,
        notes,
        wrong,
    }
}

async fn live(world: &World, node: &Node, people: &mut People, left: &mut usize) -> End {
    while *left > 0 {
        *left -= 1;
        people.act(world, node).await;
        let mut wrong = invariant::always(world, node).await;
        match people.chance().weighed(&[(24, 0), (4, 1), (1, 2), (1, 3)]) {
            1 if node.rests().await => wrong = in_calm(world, node).await,
            1 => wrong.push(format!("it never came to rest: {}", node.unrest().await)),
            2 => {
                let drain = Duration::from_millis(people.chance().below(3_000) as u64);
                node.stop(drain).await;
                return End::Stopped;
            }
            3 => return End::Killed,
            _ => {}
        }
        if !wrong.is_empty() {
            return End::Wrong(wrong);
        }
    }
    End::Over
}

/// Looks at everything in a lull, in which the store answers at once and nothing happens meanwhile.
async fn in_calm(world: &World, node: &Node) -> Vec<String> {
    let weather = world.sky.now();
    world.sky.turn(Weather::default());
    let wrong = invariant::at_rest(world, node).await;
    world.sky.turn(weather);
    wrong
}

/// Lets everything go on, in the same life and in calm weather, until nothing waits for anybody.
async fn finish(world: &World, node: &Node, people: &mut People) -> Vec<String> {
    world.sky.turn(Weather::default());
    world.life.endanger(0);
    for _ in 0..ANSWERS {
        if !node.rests().await {
            return vec![format!("it never comes to rest in the calm: {}", node.unrest().await)];
        }
        let wrong = invariant::at_rest(world, node).await;
        if !wrong.is_empty() {
            return wrong;
        }
        let waited = people.settle(world, node).await;
        if !waited && waits(node).await.is_empty() {
            return invariant::at_the_end(world, node).await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    vec![format!("there is always something that waits: {:?}", waits(node).await)]
}

/// Who waits, and on what.
async fn waits(node: &Node) -> Vec<(SessionId, String)> {
    let suspended = data::store::HeadFilter { phases: vec![domain::session::Phase::Suspended], ..Default::default() };
    let heads = node.log.heads(suspended).await.unwrap_or_default();
    heads.into_iter().map(|(session, head, _)| (session, head.waits_on)).collect()
}

/// What is in the log.
#[derive(Default)]
struct Written {
    text: String,
    records: u64,
    kinds: BTreeMap<String, u64>,
    steps: u64,
}

async fn written(world: &World, node: &Node) -> Written {
    let mut written = Written { steps: world.chronicle.steps().await, ..Written::default() };
    for shard in [Shard(0), Shard::CONTROL] {
        for tailed in node.log.tail(shard, Pos(0), usize::MAX >> 1).await.unwrap_or_default() {
            written.records += 1;
            written.text.push_str(&tailed.envelope.canonical());
            written.text.push_str(&tailed.body_hash.to_string());
            for header in tailed.envelope.headers {
                *written.kinds.entry(header.k).or_default() += 1;
            }
        }
    }
    written
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { seed, lives, records, effects, .. } = self;
        writeln!(f, "seed {seed}: {lives} lives, {records} records, {effects} effects, {:?}", self.weather)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "  WRONG: {wrong}"))?;
        writeln!(f, "  replay: OSTLER_SIM_SEED={seed} cargo test -p simulation --test seeds -- --nocapture")
    }
}
