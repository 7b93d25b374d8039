//! Marks for OpenAI. A provider that keeps prefixes by itself only has to be asked at the same machine again:
//! `prompt_cache_key`, the same for every call of a conversation. Models that take marks get one after the
//! instructions, so that a new conversation finds them; the end of the conversation they mark by themselves.

use domain::id::Digest;
use serde_json::{Value, json};

use super::is_marked;

const KEY: &str = "prompt_cache_key";
const MARK: &str = "prompt_cache_breakpoint";
const RELAYED: &str = "cache_control";

pub(super) fn mark_chat(breakpoints: bool, body: &mut Value) {
    let marked = is_marked(body);
    name(body, "messages");
    if breakpoints && !marked {
        mark_instructions(&mut body["messages"], ("text", MARK, json!({"mode": "explicit"})));
    }
}

/// For a model of Anthropic's behind a server that speaks chat and hands its marks on: one after the instructions, and
/// one at the last thing that a person said.
pub(super) fn mark_relayed(body: &mut Value) {
    if is_marked(body) {
        return;
    }
    let mark = json!({"type": "ephemeral"});
    mark_instructions(&mut body["messages"], ("text", RELAYED, mark.clone()));
    let mut said = body["messages"].as_array_mut().into_iter().flatten();
    if let Some(last) = said.rfind(|message| message["role"] == "user") {
        mark_content(&mut last["content"], ("text", RELAYED, mark));
    }
}

pub(super) fn mark_responses(breakpoints: bool, body: &mut Value) {
    let marked = is_marked(body);
    name(body, "input");
    if breakpoints && !marked {
        mark_instructions(&mut body["input"], ("input_text", MARK, json!({"mode": "explicit"})));
    }
}

/// The same for every call that begins alike.
fn name(body: &mut Value, conversation: &str) {
    if body.get(KEY).is_some() {
        return;
    }
    let said = &body[conversation];
    // Instructions, if they stand there, and the first thing that a person said.
    let first: Vec<&Value> = match said.as_array() {
        Some(items) => {
            let person = items.iter().position(|item| item["role"] == "user").unwrap_or(0);
            items.iter().take(person + 1).collect()
        }
        None => vec![said],
    };
    let beginning = json!([body["model"], body["instructions"], body["tools"], first]);
    body[KEY] = format!("ostler-{}", Digest::of_json(&beginning).short()).into();
}

/// Marks the last of the messages that instruct, which come first.
fn mark_instructions(messages: &mut Value, mark: (&str, &str, Value)) {
    let instructs = |message: &Value| message["role"] == "system" || message["role"] == "developer";
    let Some(messages) = messages.as_array_mut() else { return };
    let last = messages.iter().take_while(|message| instructs(message)).count();
    let Some(content) = last.checked_sub(1).and_then(|last| messages[last].get_mut("content")) else { return };
    mark_content(content, mark);
}

/// Marks the last part of a message, if it is a text.
fn mark_content(content: &mut Value, (kind, name, mark): (&str, &str, Value)) {
    if content.as_str().is_some_and(|text| !text.is_empty()) {
        *content = json!([{"type": kind, "text": content.take()}]);
    }
    let part = content.as_array_mut().and_then(|parts| parts.last_mut());
    if let Some(part) = part.filter(|part| part["type"] == kind) {
        part[name] = mark;
    }
}
