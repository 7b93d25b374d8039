//! A request becomes the body of `POST /models/MODEL:streamGenerateContent`. The same conversation always gives the same
//! bytes, and a longer one begins with the bytes of the shorter.

use std::collections::BTreeMap;

use domain::message::Content;
use serde_json::{Map, Value, json};

use super::SIGNATURE;
use crate::provider::{Effort, Format, Options, Request, Tool, ToolChoice};
use crate::wire::object;
use crate::wire::turns::{Said, Turn, turns};

/// The body for this request.
pub fn encode(request: &Request) -> Value {
    let mut body = Map::new();
    if !request.instructions.trim().is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": [{"text": &*request.instructions}]}));
    }
    if !request.tools.is_empty() {
        let mut tools: Vec<_> = request.tools.iter().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        let declared: Vec<Value> = tools.into_iter().map(tool).collect();
        body.insert("tools".into(), json!([{"functionDeclarations": declared}]));
        if let Some(choice) = &request.options.tool_choice {
            body.insert("toolConfig".into(), json!({"functionCallingConfig": calling(choice)}));
        }
    }
    body.insert("generationConfig".into(), generation(request));
    body.insert("contents".into(), Value::Array(conversation(request)));
    Value::Object(body)
}

fn tool(tool: &Tool) -> Value {
    let mut schema = tool.input_schema.clone();
    schema.sort_all_objects();
    let (name, description) = (tool.name.as_str().into(), tool.description.as_str().into());
    object([("name", name), ("description", description), ("parametersJsonSchema", schema)])
}

fn calling(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Any => json!({"mode": "ANY"}),
        ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    }
}

fn generation(request: &Request) -> Value {
    // The format has no word for one use at a time.
    let Options { temperature, top_p, stop, tool_choice: _, parallel_tools: _, effort, format } = &request.options;
    let mut config = Map::from_iter([("maxOutputTokens".to_owned(), request.max_output_tokens.into())]);
    let mut put = |key: &str, value: Option<Value>| value.and_then(|value| config.insert(key.to_owned(), value));
    put("temperature", temperature.map(Value::from));
    put("topP", top_p.map(Value::from));
    put("stopSequences", (!stop.is_empty()).then(|| stop.as_slice().into()));
    put("thinkingConfig", effort.map(|effort| thinking(request, effort)));
    put("responseMimeType", format.as_ref().map(|_| "application/json".into()));
    if let Some(Format::Schema { schema, .. }) = format {
        put("responseJsonSchema", Some(schema.clone()));
    }
    Value::Object(config)
}

/// Models of the second series reason on a budget of tokens, later ones at a level.
fn thinking(request: &Request, effort: Effort) -> Value {
    let budget = match effort {
        Effort::None => 0,
        Effort::Minimal => 512,
        Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::Most => 24_576,
        Effort::Tokens(tokens) => tokens,
    };
    if request.model.contains("gemini-2") || matches!(effort, Effort::Tokens(_)) {
        return json!({"thinkingBudget": budget});
    }
    let level = match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Most | Effort::Tokens(_) => "high",
    };
    json!({"thinkingLevel": level})
}

fn conversation(request: &Request) -> Vec<Value> {
    let turns = turns(&request.messages);
    let mut names = BTreeMap::new();
    for said in turns.iter().flat_map(|turn| &turn.said) {
        if let Said::Content(Content::Use { use_id, capability, .. }) = said {
            names.insert(use_id.as_str(), capability.as_str());
        }
    }
    let content = |turn: &Turn<'_>| {
        let parts = if turn.agent { agent(turn) } else { person(turn, &names) };
        let role = if turn.agent { "model" } else { "user" };
        (!parts.is_empty()).then(|| object([("role", role.into()), ("parts", parts.into())]))
    };
    turns.iter().filter_map(content).collect()
}

fn person(turn: &Turn<'_>, names: &BTreeMap<&str, &str>) -> Vec<Value> {
    let part = |said: &Said<'_>| {
        if let Some((use_id, text, error)) = said.result() {
            let key = if error { "error" } else { "output" };
            let name = names.get(use_id).copied().unwrap_or(use_id);
            return Some(json!({"functionResponse": {"id": use_id, "name": name, "response": {key: text}}}));
        }
        match said {
            Said::Content(Content::Text { text }) => (!text.trim().is_empty()).then(|| json!({"text": text})),
            Said::Content(Content::Other { raw }) => is_own(raw).then(|| raw.clone()),
            Said::Content(_) | Said::NoResult(_) => None,
        }
    };
    turn.said.iter().filter_map(part).collect()
}

/// The parts of the format have no `type`; those of all others have.
fn is_own(raw: &Value) -> bool {
    raw.is_object() && raw.get("type").is_none()
}

/// What the model said. A signature stands on the part that follows it.
fn agent(turn: &Turn<'_>) -> Vec<Value> {
    let (mut parts, mut signature) = (Vec::new(), None);
    for said in &turn.said {
        let Said::Content(content) = said else { continue };
        let part = match content {
            Content::Text { text } if text.is_empty() => continue,
            Content::Text { text } => json!({"text": text}),
            Content::Use { use_id, capability, arguments, .. } => {
                let mut sorted = if arguments.is_object() { arguments.clone() } else { json!({}) };
                sorted.sort_all_objects();
                let (id, name) = (use_id.as_str().into(), capability.as_str().into());
                object([("functionCall", object([("id", id), ("name", name), ("args", sorted)]))])
            }
            Content::Other { raw } if is_own(raw) => raw.clone(),
            Content::Reasoning { raw, .. } => {
                signature = raw.get(SIGNATURE).cloned();
                continue;
            }
            Content::Other { .. } | Content::Result { .. } => continue,
        };
        parts.push(signed(part, signature.take()));
    }
    if let Some(signature) = signature {
        parts.push(signed(json!({"text": ""}), Some(signature)));
    }
    parts
}

fn signed(mut part: Value, signature: Option<Value>) -> Value {
    if let Some(signature) = signature {
        part[SIGNATURE] = signature;
    }
    part
}
