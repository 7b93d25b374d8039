//! `/mcp`, used by the official SDK of npm: an agent that nobody here wrote lists its tools, uses one, and runs into a
//! consent; made again after the decision, the call is the same call.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::stage::{Stage, root, skips, text, told};

#[test]
fn the_official_client_lists_and_uses_tools_and_a_consent_is_used_once() {
    let modules = told("OSTLER_TEST_NPM").unwrap_or_default();
    if modules.is_empty() || !std::path::Path::new(&modules).join("@modelcontextprotocol/sdk").exists() {
        return skips("mcp: OSTLER_TEST_NPM names no directory with @modelcontextprotocol/sdk");
    }
    let stage = Stage::demo();
    let set = stage.json(&["onboard", "reconciliation-finance", "--mcp", "--print"]);
    let server = &set["mcp"]["mcpServers"]["ostler"];
    let mut node = Command::new("node");
    node.arg(root().join("crates/cli/tests/binary/visitor.cjs")).args([text(server, "url"), text(&set, "key")]);
    let mut client = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next(), json!({"did": "connected", "revision": "2025-11-25"}));
    let tools = ["email-draft", "forget", "ledger-read", "recall", "remember", "sap-invoice-read"];
    assert_eq!(next()["tools"], json!(tools));
    let read = next();
    assert!(text(&read, "text").contains("INV-2041") && read["error"] == false, "{read}");
    let (waits, item) = (next(), stage.dearest());
    let (id, address) = (text(&item, "id"), format!("/inbox/{}", text(&item, "id")));
    assert!(waits["error"] == true && text(&waits, "text").contains(&address), "{waits}");
    assert_eq!(stage.drafts().len(), 0, "nothing is sent before the decision");
    stage.run(&["approve", id, "--as", "ana"]).with_code(0);
    client.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let done = next();
    assert!(done["error"] == false && text(&done, "text").contains("draft-"), "{done}");
    assert!(client.wait().unwrap().success());
    assert_eq!(stage.drafts().len(), 1, "one yes, one effect");
    let sessions = stage.json(&["ps", "--agent", "reconciliation-finance"]);
    assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions}");
}
