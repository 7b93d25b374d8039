//! What may be said only in one room: the time, SQL, status codes, lints switched off. It reads code and literals,
//! never comments.

use crate::finding::Finding;
use crate::scan::Scanned;
use crate::tree::{File, Tree};

const RULE: &str = "rooms";
const TIME: [&str; 5] = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "OffsetDateTime::now_utc"];
const SQL: [&str; 7] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE ", "PRAGMA "];

/// Lines that are in the wrong room.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust().filter(|(file, _)| file.room() != Some("tidy")) {
        findings.extend(time(file, source));
        findings.extend(sql(file, source));
        findings.extend(status(file, source));
        findings.extend(lints(file, source));
    }
    findings
}

fn time(file: &File, source: &Scanned) -> Vec<Finding> {
    if file.path == "crates/domain/src/clock.rs" {
        return Vec::new();
    }
    let said = "only domain/src/clock.rs reads the time: take a Clock";
    let tested = file.under("tests") || file.path.ends_with("/tests.rs");
    // A test whose time stands still measures what it moved by: that clock is the test's own.
    let moved_by_hand = |at: usize| tested && source.code[..at].ends_with("tokio::time::");
    let places = TIME.iter().flat_map(|call| source.find_all(call)).filter(|at| !moved_by_hand(*at));
    places.map(|at| Finding::new(RULE, &file.path, source.line_at(at), said)).collect()
}

fn sql(file: &File, source: &Scanned) -> Vec<Finding> {
    if file.room() == Some("data") || file.under("tests") {
        return Vec::new();
    }
    let speaks = |text: &str| SQL.iter().any(|word| text.trim_start().starts_with(word));
    let literals = source.literals.iter().filter(|literal| speaks(&literal.text));
    literals.map(|literal| Finding::new(RULE, &file.path, literal.line, "only data speaks SQL")).collect()
}

fn status(file: &File, source: &Scanned) -> Vec<Finding> {
    if file.room() == Some("server") || file.under("tests") {
        return Vec::new();
    }
    let said = "only server knows status codes: an upstream's is a number that a door turns into an outcome";
    let places = source.find_all("StatusCode").into_iter();
    places.map(|at| Finding::new(RULE, &file.path, source.line_at(at), said)).collect()
}

fn lints(file: &File, source: &Scanned) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in source.find_all("allow(") {
        if in_attribute(&source.code, at) {
            let said = "`#[expect(lint, reason = \"…\")]`, never a bare allow";
            findings.push(Finding::new(RULE, &file.path, source.line_at(at), said));
        }
    }
    for at in source.find_all("expect(") {
        let ends = source.code[at..].find(')').map_or(source.code.len(), |length| at + length);
        if in_attribute(&source.code, at) && !source.code[at..ends].contains("reason") {
            findings.push(Finding::new(RULE, &file.path, source.line_at(at), "an `expect` attribute gives its reason"));
        }
    }
    findings
}

/// Whether the last bracket opened before `at` is that of an attribute.
fn in_attribute(code: &str, at: usize) -> bool {
    let before = &code[..at];
    let opened = before.rfind("#[").max(before.rfind("#!["));
    opened.is_some_and(|start| !before[start..].contains(']'))
}
