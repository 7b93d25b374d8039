//! What sessions did, asked about again with one thing changed.

use crate::stage::{Stage, text};

const LIMIT: &str = "apiVersion: agent.os/v1
kind: Policy
metadata: {name: house, owner: risk}
spec:
  cedar: |
    @id(\"no-drafts\") @reason(\"Nobody drafts mail here.\")
    forbid(principal, action == Action::\"email-draft\", resource);
";

#[test]
fn a_policy_is_tried_on_what_happened_before_it_is_applied() {
    let stage = Stage::demo();
    let agent = "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {name: dunning, owner: finance-platform}\nspec:\n  \
                 model: {provider: anthropic, name: claude-haiku-4-5}\n  tools: [mcp://gateway/sap-invoice-read, \
                 mcp://gateway/email-draft]\n";
    let agent_file = stage.write("dunning.yaml", agent);
    stage.run(&["apply", "-f", &agent_file]).with_code(0);
    stage.run(&["run", "dunning", "Remind globex of INV-2034."]).with_code(0);
    let drafts = stage.drafts().len();
    let before = stage.json(&["ps"]);
    let policy = stage.write("house.yaml", LIMIT);
    let with = format!("policy={policy}");
    let replayed = stage.json(&["replay", "--agent", "dunning", "--since", "1d", "--with", &with]);
    let flips = replayed["flips"].as_array().unwrap();
    assert_eq!(flips.len(), drafts, "{replayed:#}");
    assert!(drafts > 0 && flips.iter().all(|flip| text(flip, "was") == "allow" && text(flip, "would") == "deny"));
    assert_eq!(text(&flips[0]["rules"][0], "id"), "house/no-drafts");
    assert!(replayed["untold"].as_array().unwrap().is_empty(), "{replayed:#}");
    let decisions = replayed["decisions"].as_u64().unwrap();
    assert!(decisions > flips.len() as u64);
    let said = stage.run(&["replay", "--agent", "dunning", "--with", &with]).with_code(0);
    assert!(said.out.starts_with(&format!("{drafts} of {decisions} decisions change")), "{}", said.out);
    assert!(said.out.contains("Nobody drafts mail here.") && said.err.contains("nothing was sent"), "{said:?}");
    assert_eq!(stage.json(&["ps"]), before, "nothing was written");
    assert_eq!(stage.drafts().len(), drafts, "and nothing sent");
    // The same descriptor changes nothing; another model is told.
    let same = stage.json(&["replay", "--agent", "dunning", "--with", &format!("revision={agent_file}")]);
    assert_eq!(same["flips"].as_array().map(Vec::len), Some(0), "{same:#}");
    let other = stage.write("other.yaml", &agent.replace("claude-haiku-4-5", "claude-opus-4-7"));
    let other = stage.json(&["replay", "--agent", "dunning", "--with", &format!("revision={other}")]);
    assert_eq!(other["models_see"][0], "model", "{other:#}");
    assert!(other["model_calls_not_run"].as_u64().unwrap() > 0);
}

#[test]
fn what_cannot_be_replayed_says_what_to_do() {
    let stage = Stage::demo();
    let policy = stage.write("house.yaml", LIMIT);
    let with = format!("policy={policy}");
    let none = stage.run(&["replay", "--with", &with]).with_code(2);
    assert!(none.err.contains("--since"), "{}", none.err);
    let wrong = stage.run(&["replay", "--since", "1d", "--with", "revision=nothing-here"]).with_code(2);
    assert!(wrong.err.contains("ostler get agent NAME -o yaml"), "{}", wrong.err);
    let broken = stage.write("broken.yaml", &LIMIT.replace("forbid(", "forbid(("));
    let broken = stage.run(&["replay", "--since", "1d", "--with", &format!("policy={broken}")]).with_code(1);
    assert!(broken.err.contains("broken.yaml:7"), "{}", broken.err);
}
