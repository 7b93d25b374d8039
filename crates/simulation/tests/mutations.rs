//! Every mutation on the list still applies: its text stands where it says, once.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::path::Path;

/// How many there are at least.
const AT_LEAST: usize = 15;

/// One change of one file: what goes and what comes.
struct Edit {
    file: String,
    old: Vec<String>,
}

#[test]
fn every_mutation_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let list = std::fs::read_to_string(root.join("crates/simulation/mutations.txt")).unwrap();
    let mutations: Vec<&str> = list.split("\n== ").skip(1).collect();
    assert!(mutations.len() >= AT_LEAST, "{} are few", mutations.len());
    for mutation in mutations {
        let name = mutation.lines().next().unwrap();
        for wanted in ["\ncaught: ", "\nwith: ", "\nfile: "] {
            assert!(mutation.contains(wanted), "`{name}` has no line `{}`", wanted.trim());
        }
        for Edit { file, old } in edits(mutation) {
            let text = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
            let times = text.matches(&old.join("\n")).count();
            assert_eq!(times, 1, "`{name}`: {file} has this {times} times:\n{}", old.join("\n"));
        }
    }
}

/// Lines that begin with `-` stand together until lines that begin with `+` say what comes instead.
fn edits(mutation: &str) -> Vec<Edit> {
    let (mut edits, mut file, mut before): (Vec<Edit>, String, char) = (Vec::new(), String::new(), ' ');
    for line in mutation.lines() {
        if let Some(path) = line.strip_prefix("file: ") {
            file = path.to_owned();
        } else if let Some(old) = line.strip_prefix("- ") {
            if before != '-' {
                edits.push(Edit { file: file.clone(), old: Vec::new() });
            }
            edits.last_mut().unwrap().old.push(old.to_owned());
        }
        before = line.chars().next().unwrap_or(' ');
    }
    edits
}
