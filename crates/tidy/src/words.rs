//! Words that have no place in the tree: paths of one machine, notes to oneself, praise, hosts of registries. It reads
//! what people write, comments included; data and golden files speak for themselves. This file is the only one that
//! may say them.

use crate::finding::Finding;
use crate::scan::whole;
use crate::tree::{File, Tree};

const RULE: &str = "words";
const HERE: &str = "crates/tidy/src/words.rs";

/// Written in capitals they are meant as written; in small letters, in any case.
const WORDS: [(&str, &str); 18] = [
    ("/root/", "a path of one machine"),
    ("/home/", "a path of one machine"),
    ("../shared/", "outside of the repository"),
    ("TODO", "do it, or write a decision"),
    ("FIXME", "fix it, or write a decision"),
    ("XXX", "say what is wrong"),
    ("HACK", "say why it is so"),
    ("issue #", "say what it was about; trackers go away"),
    ("ticket #", "say what it was about; trackers go away"),
    ("v2", "not beside v1: replace it"),
    ("for now", "say what is true, and until what"),
    ("temporary hack", "say why it is so"),
    ("seamless", "praise: say what it does"),
    ("blazing", "praise: give the figure"),
    ("effortless", "praise: say what it does"),
    ("cutting-edge", "praise: say what it does"),
    ("state-of-the-art", "praise: say what it does"),
    ("world-class", "praise: say what it does"),
];

const HOSTS: [&str; 6] = [
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "pypi.org",
    "pythonhosted.org",
    "static.crates.io",
    "deb.debian.org",
];

/// Banned words, hosts of registries, and locks that name where they were resolved.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != HERE) {
        let Some(text) = &file.text else { continue };
        let (ours, locks) = (is_prose(file), file.name() == "package-lock.json");
        for (index, line) in text.lines().enumerate() {
            let mut add = |said: String| findings.push(Finding::new(RULE, &file.path, index + 1, said));
            if ours {
                WORDS
                    .iter()
                    .filter(|(word, _)| says(line, word))
                    .for_each(|(word, why)| add(format!("`{word}`: {why}")));
            }
            if file.name() != "Cargo.lock" {
                HOSTS
                    .iter()
                    .filter(|host| line.contains(*host))
                    .for_each(|host| add(format!("names the registry {host}")));
            }
            if locks && line.contains("\"resolved\"") {
                add("a lock that names its registry: omit-lockfile-registry-resolved=true".to_owned());
            }
        }
    }
    findings
}

/// Whether people wrote it for people: not data, not somebody else's bytes.
fn is_prose(file: &File) -> bool {
    let written = ["rs", "md", "toml", "py", "sh", "yaml", "yml", ""].contains(&file.extension());
    let foreign =
        ["golden", "fixtures", "data", "vendor"].iter().any(|folder| file.under(folder) && !is_room(file, folder));
    written && !foreign && !["LICENSE", "Cargo.lock"].contains(&file.name())
}

/// `crates/data` is a room, not data.
fn is_room(file: &File, folder: &str) -> bool {
    file.room() == Some(folder)
}

/// Whether a line says a word, and not merely a longer one.
pub fn says(line: &str, word: &str) -> bool {
    let line = if word.bytes().any(|byte| byte.is_ascii_uppercase()) { line.to_owned() } else { line.to_lowercase() };
    whole(&line, word).next().is_some()
}
