//! `events`: the feed on standard output, and on again after the server was away.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::stage::{Stage, text};

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_are_lines_and_each_says_where_to_go_on() {
    let stage = Stage::demo();
    stage.run(&["run", "note-keeper", "Calculate 6 * 7"]).with_code(0);
    let all = lines(&stage.run(&["events", "-o", "jsonl"]).with_code(0).out);
    let finished = lines(&stage.run(&["events", "--kind", "finished", "-o", "jsonl"]).with_code(0).out);
    assert_eq!(finished.len(), 1);
    assert!(all.contains(&finished[0]));
    let after =
        stage.run(&["events", "--after", text(&finished[0], "cursor"), "--agent", "note-keeper", "-o", "jsonl"]);
    assert_eq!(after.with_code(0).out, "");
    let table = stage.run(&["events", "--kind", "finished,applied"]).with_code(0);
    assert!(table.out.contains("applied") && table.out.contains("note-keeper"), "{}", table.out);
    let wrong = stage.run(&["events", "--kind", "finnished"]).with_code(2);
    assert!(wrong.err.contains("kinds are session_started"), "{}", wrong.err);
}

#[test]
fn a_follower_goes_on_where_it_was_when_the_server_comes_back() {
    let mut stage = Stage::demo();
    let mut command = stage.command(&["events", "--follow", "--kind", "session_started,finished", "-o", "jsonl"]);
    let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut told = BufReader::new(follower.stdout.take().unwrap()).lines().map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (text(&event, "kind").to_owned(), text(&event, "session").to_owned())
    });
    let mut sessions = Vec::new();
    for key in ["first", "second"] {
        stage.run(&["run", "note-keeper", "Calculate 6 * 7", "--session", key]).with_code(0);
        let (started, finished) = (told.next().unwrap(), told.next().unwrap());
        assert_eq!((started.0.as_str(), finished.0.as_str()), ("session_started", "finished"), "{key}");
        assert_eq!(started.1, finished.1);
        sessions.push(started.1);
        stage.kill();
        stage.start();
    }
    assert_ne!(sessions[0], sessions[1], "nothing was told twice that was told to its end");
    follower.kill().unwrap();
    follower.wait().unwrap();
}
