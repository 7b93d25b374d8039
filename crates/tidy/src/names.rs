//! What files are called, and how they begin. It reads no further than the first line and the `mod` lines.

use crate::finding::Finding;
use crate::function::functions;
use crate::tree::{File, Tree};

const RULE: &str = "names";
/// Names that say nothing about what is inside.
pub const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "shared"];

/// Names that say nothing, files that do not say what they are for, and maps that became workshops.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(|file| [path(file), opening(file), map(file), modules(file)].concat()).collect()
}

fn path(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.name() == "mod.rs" {
        findings.push(Finding::new(RULE, &file.path, 0, "`foo.rs` beside `foo/`, no `mod.rs`"));
    }
    let stems = file.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    for stem in stems.filter(|stem| EMPTY_NAMES.contains(stem)) {
        findings.push(Finding::new(RULE, &file.path, 0, format!("`{stem}` says nothing: name what is inside")));
    }
    findings
}

fn opening(file: &File) -> Vec<Finding> {
    let said = "starts without `//!`: what it is for, what it must not know";
    match (&file.rust, &file.text) {
        (Some(_), Some(text)) if !text.starts_with("//!") => vec![Finding::new(RULE, &file.path, 1, said)],
        _ => Vec::new(),
    }
}

fn map(file: &File) -> Vec<Finding> {
    let Some(source) = file.rust.as_ref().filter(|_| file.path.ends_with("/src/lib.rs")) else {
        return Vec::new();
    };
    let bodies = functions(source).into_iter().filter(|function| function.body);
    let said = |name: &str| format!("`lib.rs` is a map, never a workshop: `{name}` belongs to a room");
    bodies.map(|function| Finding::new(RULE, &file.path, function.line, said(&function.name))).collect()
}

fn modules(file: &File) -> Vec<Finding> {
    let Some(source) = &file.rust else { return Vec::new() };
    let mut findings = Vec::new();
    for name in EMPTY_NAMES {
        for at in source.find_all(&format!("mod {name}")) {
            let said = format!("`mod {name}` says nothing: name what is inside");
            findings.push(Finding::new(RULE, &file.path, source.line_at(at), said));
        }
    }
    findings
}
