//! Rubbish that looks like the real thing, thrown at everything that people and strangers write: descriptors, policies
//! of Cedar, expressions, webhooks. Nothing may panic, and nothing may fail open. Inputs that found something are kept
//! in `corpus`, and are tried each time; `scripts/verify fuzz` goes on for minutes.
//!
//! Each input is a text made from the corpus by a few changes that keep most of its structure (`mutate.rs`). What must
//! hold is the target's own to say.

#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]
#![expect(clippy::print_stdout, reason = "how far it came is said where somebody looks")]

mod cedar;
mod descriptors;
mod expressions;
mod mutate;
mod webhooks;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use domain::clock::{Clock, SystemClock};
use domain::id::Digest;

use crate::mutate::Mutator;

/// What became of an input that did nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    Refused,
}

/// What must hold of one input; `Err` says what does not.
pub(crate) type Check<'a> = &'a mut dyn FnMut(&str) -> Result<Fate, String>;

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment how long it may take")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn dir(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// Texts by the names of their files.
pub(crate) type Files = Vec<(String, String)>;

/// The corpus of a target.
pub(crate) fn corpus(target: &str) -> Files {
    files(&dir(target))
}

/// The files of a directory.
pub(crate) fn files(dir: &Path) -> Files {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Tries seeds and what is made of them: so many inputs, or for as long as the environment says.
pub(crate) fn run(target: &str, (inputs, seeds): (u64, Files), check: Check<'_>) {
    let seeds: Vec<String> = seeds.into_iter().map(|(_, text)| text).collect();
    let mut tried = [0_u64; 2];
    for seed in &seeds {
        tried[one(target, seed, check) as usize] += 1;
    }
    let seconds = told("OSTLER_FUZZ_SECONDS");
    let seed = told("OSTLER_FUZZ_SEED").unwrap_or(if seconds.is_some() { SystemClock.random_u128() as u64 } else { 1 });
    let begun = SystemClock.monotonic_ms();
    let mut mutator = Mutator::new(seed, &seeds);
    loop {
        let made = tried.iter().sum::<u64>();
        let over = match seconds {
            Some(seconds) => SystemClock.monotonic_ms() - begun >= i64::try_from(seconds * 1000).unwrap(),
            None => made >= inputs,
        };
        if over {
            break;
        }
        let input = mutator.next();
        let fate = one(target, &input, check);
        tried[fate as usize] += 1;
        if fate == Fate::Taken {
            mutator.keep(&input);
        }
    }
    let took = SystemClock.monotonic_ms() - begun;
    println!("{target}: {} inputs taken, {} refused, none amiss; seed {seed}, {took} ms", tried[0], tried[1]);
    assert!(tried[0] > 0 && tried[1] > 0, "{target}: inputs of one fate only, {tried:?}: it tries nothing");
}

/// Tries one input; one that finds something is kept.
fn one(target: &str, input: &str, check: Check<'_>) -> Fate {
    let said = catch_unwind(AssertUnwindSafe(|| check(input)));
    let wrong = match said {
        Ok(Ok(fate)) => return fate,
        Ok(Err(wrong)) => wrong,
        Err(_) => "it panicked".to_owned(),
    };
    let name = format!("found-{}", Digest::of(input.as_bytes()).short());
    std::fs::write(dir(target).join(&name), input).unwrap();
    panic!("{target}: {wrong}\nthe input is kept as corpus/{target}/{name}:\n{input}");
}
