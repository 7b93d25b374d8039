//! `trace --cache` and the marks in `cost`: what a provider's cache was read for, and what broke a prefix, of an agent
//! of our own and of one that keeps its own loop.

use serde_json::{Value, json};

use crate::clients;
use crate::stage::{Stage, ask_model, text};

fn session(stage: &Stage, key: &str) -> String {
    let all = stage.json(&["ps"]);
    let found = all.as_array().unwrap().iter().find(|row| row["key"] == key);
    text(found.unwrap_or_else(|| panic!("{key} in {all}")), "session").to_owned()
}

fn said(instructions: &str, words: &[&str]) -> String {
    let message = |(at, words): (usize, &&str)| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": words})
    };
    let messages: Vec<Value> = words.iter().enumerate().map(message).collect();
    let tools = json!([{"name": "find", "description": "Finds.", "input_schema": {"type": "object"}}]);
    json!({"model": "a-model", "max_tokens": 100, "system": instructions, "tools": tools, "messages": messages})
        .to_string()
}

#[test]
fn what_broke_an_attached_agents_prefix_is_named() {
    let (stage, _upstream) = clients::stage();
    let set = stage.json(&["onboard", "by-anthropic", "--anthropic", "--print"]);
    let asks = |body: &str| ask_model((text(&set, "url"), text(&set, "key")), "talk", body);
    asks(&said("It is 10:00.", &["Hello"]));
    asks(&said("It is 10:00.", &["Hello", "There is nothing to look up.", "Really?"]));
    asks(&said("It is 10:01.", &["Hello", "There is nothing to look up.", "Really?"]));
    asks(&said("It is 10:01.", &["Hallo", "There is nothing to look up.", "Really?"]));
    let id = session(&stage, "talk");
    let told = stage.run(&["trace", &id, "--cache"]).with_code(0).out;
    for words in
        ["begins: there was no call before it", "goes on from", "BROKE at the instructions", "was: It is 10:00."]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let calls = stage.json(&["trace", &id, "--cache"])["calls"].clone();
    let broke = |at: usize| calls[at]["broke"]["block"].as_str();
    assert_eq!([broke(0), broke(1)], [None, None], "{calls}");
    assert_eq!(broke(2), Some("the instructions"));
    assert_eq!(broke(3), Some("message 1, part 1: what the model is asked"), "{calls}");
    assert_eq!(calls[3]["broke"]["was"], "Hello");
    // What the upstream says that it took.
    assert_eq!((&calls[1]["input_tokens"], &calls[1]["read_tokens"]), (&json!(1200), &json!(200)));
    assert_eq!((&calls[1]["marked_by"], &calls[1]["kept_blocks"]), (&json!("ostler"), &json!(3)));
    stage.run(&["trace", &id, "--cache", "--transcript"]).with_code(2);
}

#[test]
fn an_own_agents_prefix_goes_on_and_whose_marks_they_were_is_in_the_cost() {
    let (stage, _upstream) = clients::stage();
    for agent in ["by-anthropic", "by-openai-chat"] {
        stage.run(&["run", agent, "Hello", "--session", agent]).with_code(0);
        stage.run(&["run", agent, "Go on", "--session", agent]).with_code(0);
        let calls = stage.json(&["trace", &session(&stage, agent), "--cache"])["calls"].clone();
        assert_eq!(calls.as_array().unwrap().len(), 2, "{calls}");
        assert_eq!((&calls[1]["compared_with"], &calls[1]["broke"]), (&calls[0]["call"], &Value::Null), "{calls}");
    }
    let table = stage.run(&["cost"]).with_code(0).out;
    let line = |agent: &str| table.lines().find(|line| line.contains(agent)).unwrap_or_else(|| panic!("{table}"));
    assert!(line("by-anthropic").contains("ostler"), "{table}");
    assert!(line("by-openai-chat").contains("provider"), "{table}");
}
