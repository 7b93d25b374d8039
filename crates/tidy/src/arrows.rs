//! The arrows between the rooms, and which outside crates a room may know. It reads `cargo metadata`, not the code:
//! what Cargo does not list cannot be imported.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::finding::{Finding, TidyError};
use crate::tree::Tree;

const RULE: &str = "arrows";

/// Each room and the rooms that it may list, bottom-up. `execution` without `control` is the point of it all.
pub const MAY: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("data", &["domain"]),
    ("control", &["data", "domain"]),
    ("models", &["control", "data", "domain"]),
    ("gateway", &["control", "data", "domain"]),
    ("execution", &["models", "gateway", "data", "domain"]),
    ("server", &["execution", "models", "gateway", "control", "data", "domain"]),
    ("cli", &["server", "domain"]),
    ("simulation", &["server", "execution", "models", "gateway", "control", "data", "domain"]),
    ("tidy", &[]),
];

/// Outside crates that only these rooms may list: what a room must never know, as far as Cargo can tell.
pub const ONLY: [(&str, &[&str]); 11] = [
    ("anyhow", &["server", "cli"]),
    ("axum", &["server"]),
    ("clap", &["cli"]),
    ("maud", &["server"]),
    ("reqwest", &["models", "gateway", "cli"]),
    ("rmcp", &["gateway"]),
    ("rusqlite", &["data"]),
    ("serde-saphyr", &["domain", "cli"]),
    ("tokio-postgres", &["data"]),
    ("tower-http", &["server"]),
    ("tokio", &["data", "control", "models", "gateway", "execution", "server", "cli"]),
];

/// What one crate lists, tests apart.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// Other crates of this workspace.
    pub rooms: Vec<String>,
    /// Crates from outside.
    pub outside: Vec<String>,
}

/// What every crate of the workspace lists; development dependencies are left out.
///
/// # Errors
/// `cargo metadata` that cannot be run or read.
pub fn listed(tree: &Tree) -> Result<BTreeMap<String, Lists>, TidyError> {
    let broken = |what: &dyn std::fmt::Display| TidyError::Metadata(what.to_string());
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(&tree.root)
        .output()
        .map_err(|error| broken(&error))?;
    if !output.status.success() {
        return Err(broken(&String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| broken(&error))?;
    let packages = metadata["packages"].as_array().ok_or_else(|| broken(&"no packages"))?;
    Ok(packages.iter().map(package).collect())
}

fn package(package: &Value) -> (String, Lists) {
    let mut lists = Lists::default();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let name = dependency["name"].as_str().unwrap_or_default().to_owned();
        if dependency["kind"] == "dev" {
            continue;
        }
        let side = if dependency["path"].is_string() { &mut lists.rooms } else { &mut lists.outside };
        side.push(name);
    }
    (package["name"].as_str().unwrap_or_default().to_owned(), lists)
}

/// Arrows that the house does not have.
pub fn check(listed: &BTreeMap<String, Lists>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (room, lists) in listed {
        let manifest = format!("crates/{room}/Cargo.toml");
        let Some((_, may)) = MAY.iter().find(|(name, _)| name == room) else {
            findings.push(Finding::new(
                RULE,
                &manifest,
                0,
                "a new crate needs a page in docs/decisions and a line here",
            ));
            continue;
        };
        let strays = lists.rooms.iter().filter(|to| !may.contains(&to.as_str()));
        findings.extend(strays.map(|to| Finding::new(RULE, &manifest, 0, format!("{room} must not list {to}"))));
        let test_only = ["simulation", "tidy"].contains(&room.as_str());
        for (outside, rooms) in ONLY {
            if !test_only && !rooms.contains(&room.as_str()) && lists.outside.iter().any(|name| name == outside) {
                let said = format!("{outside} belongs to {}, not to {room}", rooms.join(", "));
                findings.push(Finding::new(RULE, &manifest, 0, said));
            }
        }
    }
    findings
}
