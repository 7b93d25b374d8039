//! Policies as people work with them: tried on files alone, explained where they refuse, kept whole when tools change.

use crate::stage::{Stage, text};

const AGENT: &str = "apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools:
    - mcp://gateway/sap-invoice-read
    - {use: mcp://gateway/email-draft, when: \"args.to.endsWith('@acme.example')\", per_hour: 1}
";

const POLICY: &str = "apiVersion: agent.os/v1
kind: Policy
metadata: {name: house, owner: risk}
spec:
  cedar: |
    @id(\"few\")
    forbid(principal, action == Action::\"email-draft\", resource)
    when { context.input has copies && context.input.copies > 3 };
";

const CAPABILITY: &str = "apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-draft, owner: it-platform}
spec: {server: mail, tool: draft_email, effect: write, egress: false}
";

#[test]
fn a_table_is_tried_on_files_alone_where_no_server_runs() {
    let stage = Stage::stopped(None);
    let files = [("agent.yaml", AGENT), ("house.yaml", POLICY), ("mail.yaml", CAPABILITY)]
        .map(|(name, text)| stage.write(&format!("all/{name}"), text));
    let dir = std::path::Path::new(&files[0]).parent().unwrap().display().to_string();
    let calls = "agent: dunning
calls:
  - {tool: email-draft, input: {to: a@acme.example}, expect: allow}
  - {tool: email-draft, input: {to: a@acme.example, copies: 4}, expect: deny, rule: house/few}
  - {tool: email-draft, input: {to: a@evil.test}, expect: deny, rule: tool-when.email-draft}
";
    let table = stage.write("calls.yaml", calls);
    let said = stage.run(&["policy", "test", &table, "-f", &dir]).with_code(0);
    assert!(said.err.contains("no server is running"), "{}", said.err);
    assert_eq!(said.out.matches("ok ").count(), 3, "{}", said.out);
    let wrong = stage.write("wrong.yaml", &calls.replace("evil.test", "acme.example"));
    let said = stage.run(&["policy", "test", &wrong, "-f", &dir]).with_code(1);
    assert!(said.out.contains("DIFFERS") && said.out.contains("expected deny, got allow"), "{}", said.out);
    assert!(said.err.contains("1 of 3 calls are not decided as expected"), "{}", said.err);
    // What is broken is told with its place; without files there is nothing to try.
    stage.write("all/house.yaml", &POLICY.replace("when {", "when {{"));
    let said = stage.run(&["policy", "test", &table, "-f", &dir]).with_code(1);
    assert!(said.err.contains("house.yaml:8"), "{}", said.err);
    let said = stage.run(&["policy", "test", &table]).with_code(1);
    assert!(said.err.contains("name the descriptors with -f"), "{}", said.err);
}

#[test]
fn a_denial_is_explained_by_its_rule_its_text_and_what_would_have_passed() {
    let stage = Stage::demo();
    let agent = stage.write("agent.yaml", AGENT);
    stage.run(&["apply", "-f", &agent]).with_code(0);
    stage.run(&["run", "dunning", "Remind globex of INV-2034."]).with_code(0);
    assert_eq!(stage.drafts().len(), 0, "it is addressed to somebody else");
    let sessions = stage.json(&["ps", "--agent", "dunning"]);
    let session = text(&sessions[0], "session");
    let trace = stage.run(&["trace", session]).with_code(0).out;
    assert!(trace.contains("refused by tool-when.email-draft: dunning may use email-draft only when"), "{trace}");
    let steps = stage.json(&["trace", session]);
    let steps = steps["steps"].as_array().unwrap();
    let refused = steps.iter().find(|step| step["state"] == "refused").expect("a call was refused");
    let call = text(refused, "call");
    let explained = stage.run(&["explain", call]).with_code(0).out;
    for expected in [
        "forbid by rule tool-when.email-draft of the descriptor",
        "unless { (context.input.to like \"*@acme.example\") };",
        "it would have been allowed with arguments of which `args.to.endsWith('@acme.example')` is true",
    ] {
        assert!(explained.contains(expected), "{expected} in\n{explained}");
    }
    let whole = stage.json(&["explain", call]);
    assert_eq!(text(&whole["rules"][0], "id"), "tool-when.email-draft", "{whole:#}");
}

#[test]
fn what_would_break_a_policy_is_refused_before_it_happens() {
    let stage = Stage::demo();
    let policy = "apiVersion: agent.os/v1\nkind: Policy\nmetadata: {name: house, owner: risk}\nspec:\n  cedar: |\n    \
                  forbid(principal, action == Action::\"email-draft\", resource) when { context.input.to == \"x\" };\n";
    let file = stage.write("house.yaml", policy);
    stage.run(&["apply", "-f", &file]).with_code(0);
    let said = stage.run(&["delete", "capability", "email-draft"]).with_code(1);
    assert!(
        said.err.contains("would break the policy house") && said.err.contains("delete policy house"),
        "{}",
        said.err
    );
    let other =
        stage.write("mail.yaml", &CAPABILITY.replace("draft_email", "read_ledger").replace("mail, t", "erp, t"));
    let said = stage.run(&["apply", "-f", &other]).with_code(1);
    assert!(said.err.contains("would break the policy house"), "{}", said.err);
    stage.run(&["delete", "policy", "house"]).with_code(0);
    stage.run(&["apply", "-f", &other]).with_code(0);
}
