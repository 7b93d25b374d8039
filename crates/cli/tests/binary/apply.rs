//! Descriptors as people write them: accepted as they stand, refused with the place, all of them or none.

use crate::stage::{Stage, root, text};

/// A scripted provider, for agents of these tests.
const PROVIDER: &str = "---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: anthropic, owner: my-team}
spec: {protocol: scripted, script: demo, prices: {claude-haiku-4-5: {free: true}}}
";

/// An agent that computes.
pub(crate) fn agent(name: &str, more: &str) -> String {
    format!(
        "apiVersion: agent.os/v1
kind: Agent
metadata: {{name: {name}, owner: my-team}}
spec:
  model: {{provider: anthropic, name: claude-haiku-4-5}}
  tools: [internal://calculate]
{more}{PROVIDER}"
    )
}

#[test]
fn the_articles_file_alone_is_accepted_shown_as_not_ready_and_refused_at_run_with_the_same_list() {
    let stage = Stage::empty();
    let file = root().join("examples/reconciliation-finance.yaml").display().to_string();
    let applied = stage.json(&["apply", "-f", &file]);
    let ready = applied["applied"][0]["ready"].as_array().unwrap();
    let missing: Vec<_> = ready.iter().filter(|condition| condition["ok"] == false).collect();
    assert_eq!(missing.len(), 4, "a provider and three capabilities: {missing:?}");
    let shown = stage.run(&["get", "agent", "reconciliation-finance"]).with_code(0);
    assert!(shown.out.contains("ready     False"), "{}", shown.out);
    let refused = stage.run(&["run", "reconciliation-finance", "Reconcile acme."]).with_code(1);
    assert!(refused.out.is_empty(), "{}", refused.out);
    for condition in missing {
        for field in ["reason", "next"] {
            assert!(shown.out.contains(text(condition, field)), "{condition} in {}", shown.out);
            assert!(refused.err.contains(text(condition, field)), "{condition} in {}", refused.err);
        }
    }
    assert_eq!(stage.json(&["ps"]).as_array().map(Vec::len), Some(0), "nothing began");
}

#[test]
fn what_is_malformed_is_refused_with_its_place_and_the_nearest_word() {
    let stage = Stage::empty();
    let wrong = agent("my-agent", "  budgets: {calls_per_hour: 60, usd_per_dya: 2}\n  limits: {turns: many}\n");
    let file = stage.write("wrong.yaml", &wrong);
    let said = stage.run(&["apply", "-f", &file]).with_code(1);
    for expected in [
        "2 things are wrong",
        "wrong.yaml:7:33",
        "did you mean `usd_per_day`?",
        "wrong.yaml:8:19",
        "nothing was changed",
    ] {
        assert!(said.err.contains(expected), "{expected} in\n{}", said.err);
    }
    assert!(!said.err.contains('\u{1b}'), "no terminal, no colour: {:?}", said.err);
    let not_yaml = stage.write("not.yaml", "kind: Agent\nspec:\n\tmodel: x\n");
    let said = stage.run(&["apply", "-f", &not_yaml]).with_code(1);
    assert!(said.err.contains("not.yaml:3:1") && said.err.contains("a tab cannot indent YAML"), "{}", said.err);
}

#[test]
fn one_wrong_document_keeps_all_of_them_out() {
    let stage = Stage::empty();
    let good = stage.write("a/good.yaml", &agent("good", ""));
    let mixed =
        stage.write("a/mixed.yaml", &format!("{}---\nkind: Agent\n", agent("mixed", "").replace("anthropic", "other")));
    for files in [vec!["-f", &good, "-f", &mixed], vec!["-f", good.strip_suffix("/good.yaml").unwrap()]] {
        stage.run(&[vec!["apply"], files].concat()).with_code(1);
        assert_eq!(stage.json(&["get", "all"]).as_array().map(Vec::len), Some(0));
    }
    std::fs::remove_file(mixed).unwrap();
    let applied = stage.json(&["apply", "-f", good.strip_suffix("/good.yaml").unwrap()]);
    assert_eq!(applied["applied"].as_array().map(Vec::len), Some(2), "{applied}");
}

#[test]
fn what_does_nothing_yet_is_refused_and_never_ignored() {
    let stage = Stage::empty();
    let file = stage.write("yet.yaml", &agent("my-agent", "  output: {retries: 2}\n"));
    let said = stage.run(&["apply", "-f", &file]).with_code(1);
    assert!(said.err.contains("not yet supported"), "{}", said.err);
}

#[test]
fn two_files_may_name_the_same_path_beside_them() {
    let stage = Stage::empty();
    for (folder, words) in [("one", "You count."), ("two", "You measure.")] {
        stage.write(&format!("{folder}/prompts/agent.md"), words);
        stage.write(&format!("{folder}/agent.yaml"), &agent(folder, "  instructions: {file: prompts/agent.md}\n"));
    }
    let (one, two) = (stage.path("one").display().to_string(), stage.path("two").display().to_string());
    stage.run(&["apply", "-f", &one]).with_code(0);
    let both = ["one/agent.yaml", "two/agent.yaml"].map(|file| std::fs::read_to_string(stage.path(file)).unwrap());
    stage.write("two/agent.yaml", both[1].split("---").next().unwrap());
    stage.run(&["apply", "-f", &one, "-f", &two]).with_code(0);
    for (folder, words) in [("one", "You count."), ("two", "You measure.")] {
        let shown = stage.json(&["get", "agent", folder]);
        assert_eq!(shown["descriptor"]["spec"]["instructions"], words, "{shown}");
    }
    std::fs::remove_file(stage.path("one/prompts/agent.md")).unwrap();
    let said = stage.run(&["apply", "-f", &one]).with_code(1);
    assert!(said.err.contains("one/agent.yaml:7:") && said.err.contains("prompts/agent.md"), "{}", said.err);
}

#[test]
fn a_dry_run_changes_nothing_and_the_same_content_is_unchanged() {
    let stage = Stage::empty();
    let file = stage.write("my-agent.yaml", &agent("my-agent", ""));
    let said = stage.run(&["apply", "-f", &file, "--dry-run"]).with_code(0);
    assert!(said.out.contains("created (dry run)") && said.err.contains("nothing was changed"), "{said:?}");
    assert_eq!(stage.json(&["get", "all"]).as_array().map(Vec::len), Some(0));
    let changes = |applied: &serde_json::Value| {
        let all = applied["applied"].as_array().unwrap().iter();
        all.map(|one| text(one, "change").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(changes(&stage.json(&["apply", "-f", &file])), ["created", "created"]);
    assert_eq!(changes(&stage.json(&["apply", "-f", &file])), ["unchanged", "unchanged"]);
    let narrower = stage.write("my-agent.yaml", &agent("my-agent", "  budgets: {calls_per_hour: 2}\n"));
    assert_eq!(changes(&stage.json(&["apply", "-f", &narrower])), ["changed", "unchanged"]);
}

#[test]
fn what_init_writes_runs_with_the_next_command() {
    let stage = Stage::empty();
    let said = stage.run(&["init", "my-agent"]).with_code(0);
    assert!(said.err.contains("ostler apply -f my-agent.yaml && ostler run my-agent"), "{}", said.err);
    stage.run(&["apply", "-f", "my-agent.yaml"]).with_code(0);
    let said = stage.run(&["run", "my-agent", "What is 6 * 7?"]).with_code(0);
    assert!(said.out.contains("42") && said.err.contains("[scripted] [shadow:"), "{said:?}");
    assert!(stage.run(&["init", "my-agent"]).with_code(2).err.contains("my-agent.yaml is there already"));
    stage.run(&["delete", "agent", "my-agent"]).with_code(0);
    assert!(stage.run(&["get", "agent", "my-agent"]).with_code(1).err.contains("there is no agent my-agent"));
    let piped = stage.run(&["init", "second", "-f", "-"]).with_code(0).out;
    let mut apply = stage.command(&["apply", "-f", "-"]);
    apply.stdin(std::fs::File::open(stage.write("piped", &piped)).unwrap());
    assert!(apply.status().unwrap().success());
}
