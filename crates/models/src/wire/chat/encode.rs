//! A request becomes the body of `POST /chat/completions`. The same conversation always gives the same bytes, and a
//! longer one begins with the bytes of the shorter.

use domain::message::Content;
use serde_json::{Map, Value, json};

use crate::provider::{Effort, Format, Options, Request, Tool, ToolChoice};
use crate::wire::object;
use crate::wire::turns::{Said, Turn, turns};

/// The body for this request. OpenAI's own models know the cap by its newer name only; other servers by the old one.
pub fn encode(request: &Request, vendor: bool) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    let cap = if vendor { "max_completion_tokens" } else { "max_tokens" };
    body.insert(cap.into(), request.max_output_tokens.into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({"include_usage": true}));
    if !request.tools.is_empty() {
        let mut tools: Vec<_> = request.tools.iter().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        body.insert("tools".into(), tools.into_iter().map(tool).collect());
    }
    options(request, &mut body);
    body.insert("messages".into(), Value::Array(conversation(request)));
    Value::Object(body)
}

fn tool(tool: &Tool) -> Value {
    if let Some(raw) = &tool.raw {
        return raw.clone();
    }
    let mut schema = tool.input_schema.clone();
    schema.sort_all_objects();
    let (name, description) = (tool.name.as_str().into(), tool.description.as_str().into());
    let function = object([("name", name), ("description", description), ("parameters", schema)]);
    object([("type", "function".into()), ("function", function)])
}

fn options(request: &Request, body: &mut Map<String, Value>) {
    let Options { temperature, top_p, stop, tool_choice, parallel_tools, effort, format } = &request.options;
    let mut put = |key: &str, value: Option<Value>| value.and_then(|value| body.insert(key.to_owned(), value));
    put("temperature", temperature.map(Value::from));
    put("top_p", top_p.map(Value::from));
    put("stop", (!stop.is_empty()).then(|| stop.as_slice().into()));
    if !request.tools.is_empty() {
        put("tool_choice", tool_choice.as_ref().map(choice));
        put("parallel_tool_calls", parallel_tools.map(Value::from));
    }
    put("reasoning_effort", effort.map(effort_word).map(Value::from));
    put("response_format", format.as_ref().map(response_format));
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// OpenAI's words for it; a number of tokens becomes the nearest word.
pub(in crate::wire) fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low | Effort::Tokens(0..=2048) => "low",
        Effort::Medium | Effort::Tokens(2049..=12_288) => "medium",
        Effort::High | Effort::Tokens(_) => "high",
        Effort::Most => "xhigh",
    }
}

fn response_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema } => {
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema}})
        }
    }
}

fn conversation(request: &Request) -> Vec<Value> {
    let mut messages = Vec::new();
    if !request.instructions.trim().is_empty() {
        messages.push(json!({"role": "system", "content": &*request.instructions}));
    }
    for turn in turns(&request.messages) {
        if turn.agent {
            messages.extend(agent(&turn));
        } else {
            messages.extend(turn.said.iter().filter_map(result));
            messages.extend(person(&turn));
        }
    }
    messages
}

fn result(said: &Said<'_>) -> Option<Value> {
    let (use_id, text, _) = said.result()?;
    Some(json!({"role": "tool", "tool_call_id": use_id, "content": text}))
}

/// Words, or words and pictures; one text alone is a plain string, which every server reads.
fn person(turn: &Turn<'_>) -> Option<Value> {
    let part = |said: &Said<'_>| match said {
        Said::Content(Content::Text { text }) if !text.trim().is_empty() => Some(json!({"type": "text", "text": text})),
        Said::Content(Content::Other { raw }) if is_own(raw) => Some(raw.clone()),
        Said::Content(_) | Said::NoResult(_) => None,
    };
    let mut parts: Vec<Value> = turn.said.iter().filter_map(part).collect();
    let content = match &mut parts[..] {
        [] => return None,
        [one] if one["type"] == "text" => one["text"].take(),
        _ => Value::Array(parts),
    };
    Some(object([("role", "user".into()), ("content", content)]))
}

fn is_own(raw: &Value) -> bool {
    matches!(raw["type"].as_str(), Some("image_url" | "input_audio" | "file"))
}

fn agent(turn: &Turn<'_>) -> Option<Value> {
    let mut message = Map::from_iter([("role".to_owned(), Value::from("assistant"))]);
    let (mut words, mut uses, mut reasoning) = (String::new(), Vec::new(), Map::new());
    for said in &turn.said {
        match said {
            Said::Content(Content::Text { text }) => words.push_str(text),
            Said::Content(Content::Use { use_id, capability, arguments, malformed }) => {
                uses.push(call(use_id, capability, (arguments, malformed.as_deref())));
            }
            Said::Content(Content::Reasoning { raw, .. }) => reasoning.extend(own_reasoning(raw)),
            Said::Content(Content::Result { .. } | Content::Other { .. }) | Said::NoResult(_) => {}
        }
    }
    let said_words = !words.trim().is_empty();
    message.insert("content".to_owned(), if said_words { words.into() } else { Value::Null });
    if !uses.is_empty() {
        // Those who want their reasoning back want it with the uses that it led to, and refuse it elsewhere.
        message.extend(reasoning);
        message.insert("tool_calls".to_owned(), uses.into());
    } else if !said_words {
        return None;
    }
    Some(Value::Object(message))
}

fn call(use_id: &str, capability: &str, (arguments, malformed): (&Value, Option<&str>)) -> Value {
    let mut sorted = if arguments.is_object() { arguments.clone() } else { json!({}) };
    sorted.sort_all_objects();
    let written = malformed.map_or_else(|| sorted.to_string(), |_| "{}".to_owned());
    json!({"id": use_id, "type": "function", "function": {"name": capability, "arguments": written}})
}

/// The fields of a message in which servers keep reasoning.
fn own_reasoning(raw: &Value) -> impl Iterator<Item = (String, Value)> {
    let fields = super::decode::REASONING.iter();
    fields.filter_map(|field| raw.get(*field).map(|value| ((*field).to_owned(), value.clone())))
}
