//! How heavy the tree is: a clone has to stay quick. It reads sizes only.

use crate::finding::Finding;
use crate::tree::{File, Tree};

const RULE: &str = "weight";
const FILE: u64 = 5_000_000;
const FIXTURES: u64 = 5_000_000;

/// What only tests and examples read, in bytes.
pub fn fixtures(tree: &Tree) -> u64 {
    let is_fixture = |file: &&File| {
        file.rust.is_none()
            && ["tests", "examples", "golden", "fixtures", "benches"].iter().any(|name| file.under(name))
    };
    tree.files.iter().filter(is_fixture).map(|file| file.size).sum()
}

/// Files that are too heavy, and fixtures that are so together.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let heavy = tree.files.iter().filter(|file| file.size > FILE);
    let mut findings: Vec<Finding> =
        heavy.map(|file| Finding::new(RULE, &file.path, 0, format!("{} bytes; at most {FILE}", file.size))).collect();
    let fixtures = fixtures(tree);
    if fixtures > FIXTURES {
        findings.push(Finding::new(RULE, ".", 0, format!("fixtures weigh {fixtures} bytes; at most {FIXTURES}")));
    }
    findings
}
