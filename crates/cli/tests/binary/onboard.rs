//! `onboard`: what it prints is what a shell sets, its key is made once, and the first call is shown.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::stage::{Said, Stage, ask_model, text};

const HELLO: &str =
    r#"{"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}"#;

#[test]
fn what_is_printed_is_set_by_a_shell_and_the_key_is_made_once() {
    let stage = Stage::demo();
    let said = stage.run(&["onboard", "note-keeper", "--openai", "--print"]).with_code(0);
    assert!(said.err.contains("a key of note-keeper was made"), "{said:?}");
    let script = format!("{}\nprintf '%s %s' \"$OPENAI_BASE_URL\" \"$OPENAI_API_KEY\"", said.out);
    let shell = Said::from(Command::new("sh").args(["-c", &script]).output().unwrap()).with_code(0);
    let json = stage.json(&["onboard", "note-keeper", "--openai", "--print"]);
    let (url, key) = (text(&json, "url"), text(&json, "key"));
    assert_eq!(shell.out, format!("{url}/v1 {key}"));
    assert_eq!(json["environment"], json!({"OPENAI_BASE_URL": format!("{url}/v1"), "OPENAI_API_KEY": key}));
    let keys = |stage: &Stage| {
        let all = stage.json(&["key", "list"]);
        all.as_array().unwrap().iter().filter(|key| key["name"] == "note-keeper").cloned().collect::<Vec<_>>()
    };
    let made = keys(&stage);
    assert_eq!(made.len(), 1, "{made:?}");
    stage.run(&["key", "revoke", text(&made[0], "id")]).with_code(0);
    let again = stage.run(&["onboard", "note-keeper", "--mcp", "--print"]).with_code(0);
    assert!(!again.out.contains(key) && again.out.contains("mcpServers"), "{again:?}");
    assert_eq!(keys(&stage).len(), 1);
}

#[test]
fn nobody_who_calls_and_nobody_there_are_said_so() {
    let stage = Stage::demo();
    let nobody = stage.run(&["onboard", "nobody", "--print"]).with_code(1);
    assert!(nobody.err.contains("`ostler init nobody`"), "{nobody:?}");
    let wrong = stage.run(&["onboard", "note-keeper", "--agent-key", "ostler_x", "--print"]).with_code(3);
    assert!(wrong.err.contains("this is no key of an agent here"), "{wrong:?}");
    let silent = stage.run(&["onboard", "note-keeper", "--timeout", "1s"]).with_code(1);
    assert!(silent.err.contains("did not call within 1 s"), "{silent:?}");
    stage.run(&["onboard", "note-keeper", "--openai", "--mcp"]).with_code(2);
}

#[test]
fn the_first_call_is_waited_for_and_shown() {
    let stage = Stage::demo();
    let mut waits = stage.command(&["onboard", "note-keeper", "--timeout", "60s"]);
    let mut child = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(talk.any(|line| line.unwrap().contains("its first call is shown here")));
    // A session of our own loop is none of its calls.
    stage.run(&["run", "note-keeper", "Hello"]).with_code(0);
    let set = stage.json(&["onboard", "note-keeper", "--print"]);
    ask_model((text(&set, "url"), text(&set, "key")), "", HELLO);
    let said = Said::from(child.wait_with_output().unwrap()).with_code(0);
    let first = said.out.split("the first call:").nth(1).unwrap();
    for word in ["session  ses_", "claude-haiku-4-5, ok", "tokens   ", "nobody is billed", "ostler trace ses_"] {
        assert!(first.contains(word), "{word}: {first}");
    }
}
