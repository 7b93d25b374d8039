//! Snapshots: what events fold into is written as it is under its number, and a session that goes on from a snapshot is
//! the one that was folded from its first record.
#![expect(clippy::unwrap_used, reason = "files that the tests bring with them are there")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::Digest;
use domain::session::Session;

use crate::said::{session_of, start};

/// What a session has been through before the events of each file, so that those are about something.
const BEFORE: [&str; 6] = [
    "event.message_received",
    "event.capabilities_offered",
    "event.model_requested",
    "event.model_answered",
    "event.approval_requested",
    "event.call_requested",
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The golden events by the name of their file.
fn events() -> BTreeMap<String, Vec<Event>> {
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        (name, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    };
    let files = std::fs::read_dir(here("../data/tests/golden")).unwrap().map(|entry| entry.unwrap().path());
    let of_events = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("event.");
    files.filter(of_events).map(read).collect()
}

fn written(session: &Session) -> Vec<u8> {
    serde_json::to_vec(session).unwrap()
}

/// For each file the hash of what a session is written as after each of its events.
fn forms() -> String {
    let all = events();
    let mut text = format!("fold {}\n", execution::FOLD);
    for (name, events) in &all {
        let mut session = session_of(start());
        BEFORE.iter().flat_map(|before| &all[*before]).for_each(|event| session.apply(event, Timestamp(1)));
        let mut bytes = Vec::new();
        for event in events {
            session.apply(event, Timestamp(2));
            bytes.extend(written(&session));
        }
        text.push_str(&format!("{name} {}\n", Digest::of(&bytes)));
    }
    text
}

const GOLDEN: &str = "tests/golden/session.txt";

#[test]
fn a_session_is_written_as_snapshots_of_its_fold_are() {
    let golden = std::fs::read_to_string(here(GOLDEN)).unwrap();
    let now = forms();
    let known = |line: &&str| golden.lines().any(|other| other.split(' ').next() == line.split(' ').next());
    let changed: Vec<&str> = now.lines().filter(known).filter(|line| !golden.lines().any(|old| old == *line)).collect();
    let raised = golden.lines().next() != now.lines().next();
    assert!(raised || changed.is_empty(), "what these fold into changed: raise execution::FOLD: {changed:#?}");
    let again = "write it anew: cargo test -p execution --test machine -- --ignored";
    assert_eq!(golden, now, "{GOLDEN} is not of this fold and these events; {again}");
}

#[test]
#[ignore = "writes the golden file anew"]
fn write_the_forms() {
    std::fs::create_dir_all(here("tests/golden")).unwrap();
    std::fs::write(here(GOLDEN), forms()).unwrap();
}

#[test]
fn a_snapshot_and_what_comes_after_it_is_the_fold_of_everything() {
    let all: Vec<Event> = events().into_values().flatten().collect();
    let mut folded = vec![session_of(start())];
    for (n, event) in all.iter().enumerate() {
        let mut next = folded[n].clone();
        next.apply(event, Timestamp(i64::try_from(n).unwrap()));
        folded.push(next);
    }
    assert!(all.len() > 50);
    for at in 0..folded.len() {
        let mut session: Session = serde_json::from_slice(&written(&folded[at])).unwrap();
        assert_eq!(session, folded[at], "a snapshot after {at} events");
        let rest = all.iter().enumerate().skip(at);
        rest.for_each(|(n, event)| session.apply(event, Timestamp(i64::try_from(n).unwrap())));
        assert_eq!(Some(&session), folded.last(), "from a snapshot after {at} events");
    }
}
