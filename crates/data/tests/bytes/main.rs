//! Golden bytes: what is persisted, as it is persisted, one file per kind and one line per example. A file never
//! changes: old logs hold these bytes. A new kind adds a file (`cargo test -p data --test bytes -- --ignored` writes
//! those that are missing); a new field has a default, and old lines must still read.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

mod control;
mod delegation;
mod event;
mod mail;
mod part;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Examples by the name of their file.
type Examples<T> = BTreeMap<String, Vec<T>>;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{file}.jsonl"))
}

fn lines<T: Serialize>(examples: &[T]) -> String {
    examples.iter().map(|example| serde_json::to_string(example).unwrap() + "\n").collect()
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(all: &Examples<T>) {
    for (file, examples) in all {
        let golden = fs::read_to_string(path(file)).unwrap_or_else(|_| panic!("{file} has no golden file"));
        assert_eq!(golden, lines(examples), "{file}");
        let read: Vec<T> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(&read, examples, "{file}");
    }
}

fn write_missing<T: Serialize>(all: &Examples<T>) {
    for (file, examples) in all {
        if !path(file).exists() {
            fs::write(path(file), lines(examples)).unwrap();
        }
    }
}

fn by_kind<T: Serialize>(room: &str, tag: &str, examples: Vec<T>) -> Examples<T> {
    let mut all = Examples::new();
    for example in examples {
        let value = serde_json::to_value(&example).unwrap();
        let kind = value[tag].as_str().unwrap().to_owned();
        all.entry(format!("{room}.{kind}")).or_insert_with(Vec::new).push(example);
    }
    all
}

#[test]
fn every_event_is_written_as_it_always_was() {
    check(&by_kind("event", "kind", event::examples()));
    check(&by_kind("event.added", "kind", event::added()));
    check(&by_kind("event.retries", "kind", event::of_retries()));
    check(&by_kind("event.budget", "kind", event::of_budgets()));
    check(&by_kind("event.origins", "kind", event::of_origins()));
    check(&by_kind("event.delegation", "kind", delegation::examples()));
}

#[test]
fn every_control_event_is_written_as_it_always_was() {
    check(&by_kind("control", "kind", control::examples()));
    check(&by_kind("control.added", "kind", control::added()));
    check(&by_kind("control.policies", "kind", control::of_policies()));
}

#[test]
fn every_kind_of_mail_is_written_as_it_always_was() {
    check(&by_kind("mail", "mail", mail::examples()));
}

#[test]
fn an_envelope_is_written_as_it_always_was_and_so_is_its_leaf() {
    check(&Examples::from([("envelope".to_owned(), part::envelopes())]));
    let [live, _] = part::envelopes().try_into().unwrap();
    let leaf = data::record::leaf(&live, domain::id::Digest::of(b"sealed body"));
    assert_eq!(leaf.to_string(), part::LEAF);
}

#[test]
fn every_kind_has_an_example() {
    let seen = |kinds: Vec<usize>| kinds.into_iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(seen(event::examples().iter().map(event::number).collect()), (0..event::KINDS).collect());
    assert_eq!(seen(control::examples().iter().map(control::number).collect()), (0..control::KINDS).collect());
    assert_eq!(seen(mail::examples().iter().map(mail::number).collect()), (0..mail::KINDS).collect());
}

#[test]
fn the_lists_of_kinds_name_every_kind_and_no_other() {
    let files = |examples: Vec<String>| examples.into_iter().collect::<std::collections::BTreeSet<_>>();
    let named = |room: &str, kinds: &[&str]| files(kinds.iter().map(|kind| format!("{room}.{kind}")).collect());
    let events = files(by_kind("event", "kind", event::examples()).into_keys().collect());
    assert_eq!(events, named("event", domain::event::Event::KINDS));
    let control = files(by_kind("control", "kind", control::examples()).into_keys().collect());
    assert_eq!(control, named("control", domain::control::ControlEvent::KINDS));
}

#[test]
fn an_events_name_for_itself_is_the_one_that_is_persisted() {
    for example in event::examples() {
        assert_eq!(serde_json::to_value(&example).unwrap()["kind"], example.kind());
        assert_eq!(example.header().k, example.kind());
    }
}

#[test]
#[ignore = "run by hand: writes the files that are missing, and never changes one that is there"]
fn write_missing_files() {
    write_missing(&by_kind("event", "kind", event::examples()));
    write_missing(&by_kind("event.added", "kind", event::added()));
    write_missing(&by_kind("event.retries", "kind", event::of_retries()));
    write_missing(&by_kind("event.budget", "kind", event::of_budgets()));
    write_missing(&by_kind("event.origins", "kind", event::of_origins()));
    write_missing(&by_kind("event.delegation", "kind", delegation::examples()));
    write_missing(&by_kind("control", "kind", control::examples()));
    write_missing(&by_kind("control.added", "kind", control::added()));
    write_missing(&by_kind("control.policies", "kind", control::of_policies()));
    write_missing(&by_kind("mail", "mail", mail::examples()));
    write_missing(&Examples::from([("envelope".to_owned(), part::envelopes())]));
}
