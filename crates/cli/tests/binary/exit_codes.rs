//! Exit codes are for scripts: 0 ok, 1 failed, 2 usage, 3 denied, 4 waiting for approval, 5 budget exhausted. Data goes
//! to standard output, talk to standard error.

use std::io::Read;
use std::process::Stdio;

use crate::apply::agent;
use crate::stage::{Said, Stage, ostler, text};

#[test]
fn an_answer_is_data_and_the_rest_is_talk() {
    let stage = Stage::empty();
    let file = stage.write("my-agent.yaml", &agent("my-agent", ""));
    stage.run(&["apply", "-f", &file]).with_code(0);
    let said = stage.run(&["run", "my-agent", "What is 6 * 7?"]).with_code(0);
    assert_eq!(said.out, "42\n");
    assert!(said.err.contains("session ses_") && said.err.contains("[scripted] finished"), "{}", said.err);
    let mut piped = stage.command(&["run", "my-agent"]);
    piped.stdin(std::fs::File::open(stage.write("question", "What is 6 * 8?")).unwrap());
    assert_eq!(Said::from(piped.output().unwrap()).with_code(0).out, "48\n");
    let mut empty = stage.command(&["run", "my-agent"]);
    assert!(Said::from(empty.output().unwrap()).with_code(2).err.contains("there is no message"));
    for words in ["What is 2 * 2?", "What is 3 * 3?"] {
        stage.run(&["run", "my-agent", words, "--session", "sums"]).with_code(0);
    }
    assert_eq!(stage.json(&["ps"]).as_array().map(Vec::len), Some(3), "one key, one session");
}

#[test]
fn failure_is_1() {
    let nowhere = tempfile::tempdir().unwrap();
    let ask = |args: &[&str]| Said::from(ostler().args(args).current_dir(nowhere.path()).output().unwrap());
    let said = ask(&["ps", "--data", "never-started"]).with_code(1);
    assert!(said.err.contains("no server was ever started on never-started"), "{}", said.err);
    let said = ask(&["ps", "--url", "http://127.0.0.1:9", "--key", "k"]).with_code(1);
    assert!(said.err.contains("no server answers at http://127.0.0.1:9: start one with `ostler up`"), "{}", said.err);
    let stage = Stage::empty();
    let said = stage.run(&["run", "nobody", "Hello"]).with_code(1);
    assert!(said.err.contains("there is no agent nobody"), "{}", said.err);
    assert!(stage.run(&["trace", "zzzz"]).with_code(1).err.contains("see `ostler ps`"));
    assert!(stage.run(&["apply", "-f", "gone.yaml"]).with_code(1).err.contains("gone.yaml could not be read"));
}

#[test]
fn a_line_that_cannot_be_meant_is_2() {
    let lines: [(&[&str], &str); 9] = [
        (&["fly"], "unrecognized subcommand"),
        (&["run", "Helper", "hi"], "invalid value 'Helper'"),
        (&["cost", "--since", "yesterday"], "write 30m, 24h, 7d or 2026-11-01"),
        (&["ps", "--phase", "asleep"], "write ready, running, suspended"),
        (&["freeze"], "required"),
        (&["key", "add", "agent"], "key add agent NAME"),
        (&["get", "cows", "--url", "http://127.0.0.1:9", "--key", "k"], "cows is no kind"),
        (&["ps", "--url", "http://127.0.0.1:9"], "add --key"),
        (&["ps", "--url", "nonsense", "--key", "k"], "nonsense is no address"),
    ];
    for (line, expected) in lines {
        let said = Said::from(ostler().args(line).output().unwrap()).with_code(2);
        assert!(said.err.contains(expected) && said.out.is_empty(), "{line:?}: {said:?}");
    }
}

#[test]
fn denial_is_3_waiting_is_4_and_an_exhausted_budget_is_5() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let again = ["run", "reconciliation-finance", "And September.", "--session", "acme"];
    let waiting = stage.run(&again).with_code(4);
    let id = text(&request, "id");
    assert!(waiting.err.contains(&format!("ostler approve {id} --as PERSON")), "{}", waiting.err);
    assert!(
        stage.run(&["approve", id]).with_code(3).err.contains("finance-platform"),
        "an administrator does not decide"
    );
    stage.run(&["freeze", "--agent", "vendor-helpdesk", "--reason", "drill"]).with_code(0);
    let frozen = stage.run(&["run", "vendor-helpdesk", "Who is V-101?"]).with_code(4);
    assert!(frozen.err.contains("frozen: agent vendor-helpdesk"), "{}", frozen.err);
    stage.run(&["unfreeze", "--agent", "vendor-helpdesk"]).with_code(0);
    stage.run(&["run", "vendor-helpdesk", "Who is V-101?"]).with_code(0);
    let poor = agent("poor", "  budgets: {usd_per_day: 0.000001}\n").split("---").next().unwrap().to_owned();
    stage.run(&["apply", "-f", &stage.write("poor.yaml", &poor)]).with_code(0);
    let spent = stage.run(&["run", "poor", "What is 6 * 7?"]).with_code(5);
    assert!(spent.err.contains("Refused (budget)") && spent.out.is_empty(), "{spent:?}");
}

#[test]
fn every_list_is_a_table_json_or_yaml() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let session = text(&request, "session");
    let call = text(&request, "id").split('-').next().unwrap();
    let lines: [&[&str]; 13] = [
        &["ps"],
        &["get"],
        &["get", "all"],
        &["get", "results"],
        &["get", "agent", "note-keeper"],
        &["inbox"],
        &["cost", "--by", "session"],
        &["audit", "verify"],
        &["person", "list"],
        &["key", "list"],
        &["trace", session],
        &["explain", call],
        &["shadow", "report", "dunning-drafts"],
    ];
    for line in lines {
        let json = stage.json(line);
        let yaml = stage.run(&[line, &["-o", "yaml"]].concat()).with_code(0).out;
        let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"));
        assert_eq!(read.is_array(), json.is_array(), "{line:?}");
        let table = stage.run(line).with_code(0);
        assert!(
            !table.out.trim().is_empty() && serde_json::from_str::<serde_json::Value>(&table.out).is_err(),
            "{table:?}"
        );
    }
    let ending = &session[session.len() - 6..];
    assert_eq!(
        stage.run(&["trace", ending]).with_code(0).out.lines().next(),
        stage.run(&["trace", session]).out.lines().next()
    );
    assert!(stage.run(&["trace", ending, "--transcript"]).with_code(0).out.contains("(thinks)"));
    assert!(stage.run(&["kill", ending, "--reason", "drill"]).with_code(0).out.contains("killed"));
    assert!(stage.run(&["inbox"]).with_code(0).out.contains("(nothing waits for anybody)"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut schema = ostler().arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(schema.stdout.take());
    let mut err = String::new();
    schema.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((schema.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn every_command_has_help_with_examples() {
    let help = |args: &[&str]| Said::from(ostler().args(args).arg("--help").output().unwrap()).with_code(0).out;
    let all = help(&[]);
    let commands = all.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 26, "{names:?}");
    for name in names {
        assert!(help(&[name]).contains(&format!("Examples:\n  ostler {name}")), "{name}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = Said::from(ostler().args(["completion", shell]).output().unwrap()).with_code(0).out;
        assert!(script.contains("ostler") && script.contains("shadow"), "{shell}");
    }
}
