//! Seeds: each is a whole world with its weather, its people and its accidents. `OSTLER_SIM_SEED=7` tells one and shows
//! it; `OSTLER_SIM_SEEDS=1000` tells more of them.

use std::collections::BTreeMap;

use simulation::{Told, tell};

/// How many seeds are told where nobody says otherwise.
const SEEDS: u64 = 100;

/// What must have happened somewhere: seeds that lead nowhere prove nothing.
const KINDS: [&str; 19] = [
    "session_started",
    "message_received",
    "capabilities_offered",
    "model_requested",
    "model_answered",
    "call_requested",
    "call_answered",
    "call_recorded",
    "call_refused",
    "call_waits",
    "approval_requested",
    "approval_decided",
    "approval_withdrawn",
    "call_in_doubt",
    "call_resolved",
    "suspended",
    "finished",
    "failed",
    "killed",
];

#[expect(clippy::disallowed_methods, reason = "which seeds are told is a matter of the test alone")]
fn told(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn tell_one(seed: u64) -> Told {
    let told = std::panic::catch_unwind(|| tell(seed));
    told.unwrap_or_else(|_| {
        panic!("seed {seed} panicked: OSTLER_SIM_SEED={seed} cargo test -p simulation --test seeds")
    })
}

/// Each world is told on one thread; several worlds are told at once.
fn tell_all(seeds: u64) -> Vec<Told> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        let every = |first: u64| {
            scope.spawn(move || (first..seeds).step_by(threads as usize).map(tell_one).collect::<Vec<_>>())
        };
        let told: Vec<_> = (0..threads).map(every).collect();
        let mut all: Vec<Told> =
            told.into_iter().flat_map(|thread| thread.join().expect("seed by seed, a panic is told above")).collect();
        all.sort_by_key(|told| told.seed);
        all
    })
}

#[test]
fn whatever_happens_what_must_hold_holds() {
    if let Some(seed) = told("OSTLER_SIM_SEED") {
        let told = tell(seed);
        println!("{told}");
        assert!(told.wrong.is_empty(), "seed {seed} went wrong");
        return;
    }
    let all = tell_all(told("OSTLER_SIM_SEEDS").unwrap_or(SEEDS));
    let (mut lives, mut records, mut effects) = (0, 0, 0);
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for told in all {
        assert!(told.wrong.is_empty(), "{told}");
        lives += told.lives;
        records += told.records;
        effects += told.effects;
        told.kinds.into_iter().for_each(|(kind, times)| *kinds.entry(kind).or_default() += times);
    }
    println!("{lives} lives, {records} records, {effects} effects: {kinds:?}");
    for kind in KINDS {
        assert!(kinds.contains_key(kind), "no seed has led to {kind}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story_to_the_byte() {
    for seed in [1, 2, 3] {
        let (once, again) = (tell(seed), tell(seed));
        assert_eq!(once.notes, again.notes, "seed {seed}");
        assert_eq!(once.digest, again.digest, "seed {seed}");
    }
}
