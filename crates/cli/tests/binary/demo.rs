//! The demo: its whole walk, and how it and its runtime end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Said, lives, ostler, signal, text, until};

/// A demo that waits for a person.
struct Waiting {
    demo: Child,
    shown: Value,
}

impl Waiting {
    fn start() -> Waiting {
        let mut demo =
            ostler().args(["demo", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        let mut json = String::new();
        let shown = loop {
            json.push_str(&lines.next().expect("the demo shows what it waits for").unwrap());
            if let Ok(shown) = serde_json::from_str(&json) {
                break shown;
            }
        };
        Waiting { demo, shown }
    }

    fn dir(&self) -> PathBuf {
        PathBuf::from(text(&self.shown, "data"))
    }

    fn runtime(&self) -> u32 {
        self.shown["pid"].as_u64().unwrap().try_into().unwrap()
    }

    fn ask(&self, args: &[&str]) -> Said {
        ostler().args(args).arg("--data").arg(self.dir()).output().unwrap().into()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let of = |task: &Path| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .flat_map(|task| of(&task.path()).split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_walk_ends_well_by_itself() {
    let said: Said = ostler().args(["demo", "--exit", "-o", "json"]).output().unwrap().into();
    let said = said.with_code(0);
    let summary = said.json();
    assert_eq!(summary["phase"], "finished");
    assert_eq!(summary["scripted"], true);
    assert_eq!(summary["agents"], 5);
    assert_eq!(summary["refused_for_budget"], 1);
    assert_eq!(summary["killed_between_intent_and_outcome"], 1);
    assert_eq!(summary["effects_in_the_mail_tools_file"], 3, "{summary}");
    assert_eq!(summary["effects_doubled"], 0);
    assert_eq!(summary["audit_ok"], true);
    assert!(summary["cost"]["usd_micros"].as_i64().unwrap() > 0, "{summary}");
    assert!(text(&summary, "answer").contains("INV-2041, 4180.00 USD: drafted as"), "{summary}");
    for step in ["apply", "memory", "shadow", "budget", "consent", "approve", "kill -9", "restart", "resolve"] {
        assert!(said.err.contains(&format!("✓ {step}")), "no step {step} in\n{}", said.err);
    }
    assert!(said.err.contains("scripted") && said.err.contains("Ready: False, 4 things missing"), "{}", said.err);
    assert!(!said.err.contains('\u{1b}'), "no terminal, no colour: {:?}", said.err);
    let dir = said.err.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap();
    assert!(dir.contains("ostler-demo-") && !Path::new(dir).exists(), "{dir} is gone with the demo");
}

#[test]
fn a_runtime_that_was_killed_comes_back_and_ends_with_the_demo() {
    let mut waiting = Waiting::start();
    let killed = waiting.runtime();
    signal(killed, Signal::KILL);
    let context = waiting.dir().join("context.json");
    let runtime = until("another runtime answers", || {
        let context: Value = serde_json::from_str(&std::fs::read_to_string(&context).ok()?).ok()?;
        let pid = u32::try_from(context["pid"].as_u64()?).ok()?;
        (pid != killed && waiting.ask(&["ps"]).code == 0).then_some(pid)
    });
    let sessions = waiting.ask(&["ps", "--agent", "reconciliation-finance", "-o", "json"]).json();
    assert_eq!(sessions[0]["phase"], "suspended", "{sessions}");
    let servers = children(runtime);
    signal(waiting.demo.id(), Signal::TERM);
    assert_eq!(waiting.demo.wait().unwrap().code(), Some(0));
    let all_gone = || (!lives(runtime) && !servers.iter().any(|pid| lives(*pid))).then_some(());
    until("the runtime and its servers are gone", all_gone);
    assert!(!waiting.dir().exists(), "the demo's directory is gone");
}

#[test]
fn a_runtime_does_not_outlive_a_demo_that_was_killed() {
    let mut waiting = Waiting::start();
    let runtime = waiting.runtime();
    assert!(lives(runtime));
    waiting.demo.kill().unwrap();
    waiting.demo.wait().unwrap();
    until("the runtime is gone", || (!lives(runtime)).then_some(()));
    let log = std::fs::read_to_string(waiting.dir().join("runtime.log")).unwrap();
    assert!(log.contains("whoever started this is gone"), "{log}");
    std::fs::remove_dir_all(waiting.dir()).unwrap();
}

#[test]
fn the_demo_writes_into_no_directory_that_holds_something() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    let said: Said = ostler().args(["demo", "--data"]).arg(dir.path()).output().unwrap().into();
    let said = said.with_code(2);
    assert!(said.err.contains("is not empty"), "{}", said.err);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
