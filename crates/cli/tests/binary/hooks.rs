//! Webhooks in, sent by a library that nobody here wrote: `standardwebhooks` of npm signs, and the binary takes them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use serde_json::Value;

use crate::stage::{Said, Stage, root, skips, told};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn what_the_reference_library_signs_starts_an_agent_and_what_it_does_not_sign_does_not() {
    let modules = told("OSTLER_TEST_NPM").unwrap_or_default();
    if modules.is_empty() || !std::path::Path::new(&modules).join("standardwebhooks").exists() {
        return skips("hooks: OSTLER_TEST_NPM names no directory with standardwebhooks");
    }
    let mut stage = Stage::empty();
    stage.stop();
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(stage.path("secrets.env"));
    writeln!(file.unwrap(), "SAP_HOOK={SECRET}").unwrap();
    stage.start_with_secrets(&[]);
    let stage = stage.with_demo();
    let example = root().join("examples/triggers.yaml").display().to_string();
    stage.run(&["apply", "-f", &example]).with_code(0);
    let shown = stage.run(&["get", "agent", "invoice-clerk"]).with_code(0);
    assert!(
        shown.out.contains("ready     True") && shown.out.contains("POST /hooks/invoice-clerk/invoice-in"),
        "{}",
        shown.out
    );
    let context: Value = serde_json::from_str(&std::fs::read_to_string(stage.path("context.json")).unwrap()).unwrap();
    let mut node = Command::new("node");
    node.arg(root().join("crates/cli/tests/binary/sender.cjs"));
    node.args([SECRET, context["url"].as_str().unwrap()]);
    let said = Said::from(node.output().unwrap());
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [202, 202, 401, 401, 202], "{}{}", said.out, said.err);
    let session = |at: usize| lines[at]["body"]["session"].as_str().unwrap().to_owned();
    assert_eq!(session(0), session(1));
    assert_ne!(session(0), session(4), "another company");
    let sessions = stage.json(&["ps", "--agent", "invoice-clerk"]);
    assert_eq!(sessions.as_array().unwrap().len(), 2, "{sessions}");
}
