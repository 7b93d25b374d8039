//! A request becomes the body of `POST /responses`. The same conversation always gives the same bytes, and a longer one
//! begins with the bytes of the shorter.

use domain::message::Content;
use serde_json::{Map, Value, json};

use crate::provider::{Format, Options, Request, Tool, ToolChoice};
use crate::wire::chat::effort_word;
use crate::wire::object;
use crate::wire::turns::{Said, turns};

/// The body for this request.
pub fn encode(request: &Request) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("max_output_tokens".into(), request.max_output_tokens.into());
    body.insert("stream".into(), true.into());
    body.insert("store".into(), false.into());
    if reasons(request) {
        body.insert("include".into(), json!(["reasoning.encrypted_content"]));
    }
    if !request.instructions.trim().is_empty() {
        body.insert("instructions".into(), (*request.instructions).into());
    }
    if !request.tools.is_empty() {
        let mut tools: Vec<_> = request.tools.iter().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        body.insert("tools".into(), tools.into_iter().map(tool).collect());
    }
    options(request, &mut body);
    body.insert("input".into(), Value::Array(conversation(request)));
    Value::Object(body)
}

/// Models that do not reason refuse to be asked for their sealed reasoning.
fn reasons(request: &Request) -> bool {
    let name = request.model.rsplit('/').next().unwrap_or(&request.model);
    let known = ["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|start| name.starts_with(start));
    (known && !name.contains("-chat")) || request.options.effort.is_some()
}

fn tool(tool: &Tool) -> Value {
    if let Some(raw) = &tool.raw {
        return raw.clone();
    }
    let mut schema = tool.input_schema.clone();
    schema.sort_all_objects();
    // Absent means strict here, which refuses most schemas.
    let (name, description) = (tool.name.as_str().into(), tool.description.as_str().into());
    let strict = ("strict", false.into());
    object([("type", "function".into()), ("name", name), ("description", description), ("parameters", schema), strict])
}

fn options(request: &Request, body: &mut Map<String, Value>) {
    // The format has no words that end an answer.
    let Options { temperature, top_p, stop: _, tool_choice, parallel_tools, effort, format } = &request.options;
    let mut put = |key: &str, value: Option<Value>| value.and_then(|value| body.insert(key.to_owned(), value));
    put("temperature", temperature.map(Value::from));
    put("top_p", top_p.map(Value::from));
    if !request.tools.is_empty() {
        put("tool_choice", tool_choice.as_ref().map(choice));
        put("parallel_tool_calls", parallel_tools.map(Value::from));
    }
    put("reasoning", effort.map(|effort| json!({"effort": effort_word(effort), "summary": "auto"})));
    put("text", format.as_ref().map(|format| json!({"format": text_format(format)})));
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Tool(name) => json!({"type": "function", "name": name}),
    }
}

fn text_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema } => json!({"type": "json_schema", "name": name, "schema": schema}),
    }
}

fn conversation(request: &Request) -> Vec<Value> {
    let mut items = Vec::new();
    for turn in turns(&request.messages) {
        let mut content = Vec::new();
        for said in &turn.said {
            match (said, said.result()) {
                (_, Some((use_id, text, _))) => {
                    items.push(json!({"type": "function_call_output", "call_id": use_id, "output": text}));
                }
                (Said::Content(said), None) if turn.agent => items.extend(agent(said)),
                (Said::Content(said), None) => content.extend(person(said)),
                (Said::NoResult(_), None) => {}
            }
        }
        if !content.is_empty() {
            items.push(object([("type", "message".into()), ("role", "user".into()), ("content", content.into())]));
        }
    }
    items
}

fn person(said: &Content) -> Option<Value> {
    match said {
        Content::Text { text } => (!text.trim().is_empty()).then(|| json!({"type": "input_text", "text": text})),
        Content::Other { raw } => {
            matches!(raw["type"].as_str(), Some("input_image" | "input_file")).then(|| raw.clone())
        }
        Content::Reasoning { .. } | Content::Use { .. } | Content::Result { .. } => None,
    }
}

/// Each thing that the model said is an item of its own, in its order; other items of the format's go back unchanged.
fn agent(said: &Content) -> Option<Value> {
    match said {
        Content::Text { text } if text.trim().is_empty() => None,
        Content::Text { text } => {
            let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
            Some(json!({"type": "message", "role": "assistant", "status": "completed", "content": content}))
        }
        Content::Reasoning { raw, .. } => {
            (raw["type"] == "reasoning" && raw["encrypted_content"].is_string()).then(|| raw.clone())
        }
        Content::Use { use_id, capability, arguments, .. } => {
            let mut sorted = if arguments.is_object() { arguments.clone() } else { json!({}) };
            sorted.sort_all_objects();
            let written = sorted.to_string();
            Some(json!({"type": "function_call", "call_id": use_id, "name": capability, "arguments": written}))
        }
        Content::Other { raw } => raw["type"].as_str().is_some_and(|kind| kind.ends_with("_call")).then(|| raw.clone()),
        Content::Result { .. } => None,
    }
}
