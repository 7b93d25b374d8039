//! A request becomes the body of `POST /v1/messages`. The same conversation always gives the same bytes, and a longer
//! one begins with the bytes of the shorter, so that the provider's prompt cache hits: tools sorted, keys sorted, no
//! clock, nothing inserted in the middle. Cache marks are the only part that moves.

use domain::message::{Content, Message, Role};
use serde_json::{Map, Value, json};

use super::SCRIPTED_SIGNATURE;
use crate::provider::{Effort, Format, Options, Request, Tool, ToolChoice};
use crate::wire::object;

/// The body for this request, without cache marks.
pub fn encode(request: &Request) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("max_tokens".into(), request.max_output_tokens.into());
    body.insert("stream".into(), true.into());
    if !request.instructions.trim().is_empty() {
        body.insert("system".into(), json!([{"type": "text", "text": &*request.instructions}]));
    }
    let tools = tools(request);
    if !tools.is_empty() {
        body.insert("tools".into(), Value::Array(tools));
    }
    body.insert("messages".into(), Value::Array(conversation(&request.messages)));
    options(request, &mut body);
    Value::Object(body)
}

fn tools(request: &Request) -> Vec<Value> {
    let mut tools: Vec<_> = request.tools.iter().collect();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    let tool = |tool: &&Tool| {
        if let Some(raw) = &tool.raw {
            return raw.clone();
        }
        let mut schema = tool.input_schema.clone();
        schema.sort_all_objects();
        let (name, description) = (tool.name.as_str().into(), tool.description.as_str().into());
        object([("name", name), ("description", description), ("input_schema", schema)])
    };
    tools.iter().map(tool).collect()
}

/// What a client of another protocol asks of the answer, as far as the format can say it.
fn options(request: &Request, body: &mut Map<String, Value>) {
    let Options { temperature, top_p, stop, tool_choice, parallel_tools, effort, format } = &request.options;
    let mut put = |key: &str, value: Option<Value>| value.and_then(|value| body.insert(key.to_owned(), value));
    let thinking = effort.and_then(|effort| thinking(request, effort));
    // Who reasons on a budget has no temperature.
    let free = thinking.is_none();
    put("temperature", temperature.filter(|_| free).map(|heat| heat.min(1.0).into()));
    put("top_p", top_p.filter(|_| free && temperature.is_none()).map(Value::from));
    put("stop_sequences", (!stop.is_empty()).then(|| stop.as_slice().into()));
    if !request.tools.is_empty() {
        let one = (*parallel_tools == Some(false)).then(|| json!({"type": "auto"}));
        let mut choice = tool_choice.as_ref().map(choice).or(one);
        if let Some(choice) =
            choice.as_mut().filter(|choice| *parallel_tools == Some(false) && choice["type"] != "none")
        {
            choice["disable_parallel_tool_use"] = true.into();
        }
        put("tool_choice", choice);
    }
    let mut output = Map::new();
    if let Some(word) = effort.filter(|_| free).and_then(effort_word) {
        output.insert("effort".to_owned(), word.into());
    }
    if let Some(Format::Schema { schema, .. }) = format {
        output.insert("format".to_owned(), json!({"type": "json_schema", "schema": schema}));
    }
    put("output_config", (!output.is_empty()).then_some(Value::Object(output)));
    put("thinking", thinking);
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Any => json!({"type": "any"}),
        ToolChoice::Tool(name) => json!({"type": "tool", "name": name}),
    }
}

/// Models of the 4.5 series and before reason on a budget of tokens, and later ones only if asked for so many.
fn thinking(request: &Request, effort: Effort) -> Option<Value> {
    let old = ["claude-3", "-4-0", "-4-1", "-4-5", "-4-2025"].iter().any(|mark| request.model.contains(mark));
    let wanted = match effort {
        Effort::Tokens(tokens) => tokens,
        Effort::None | Effort::Minimal => return None,
        Effort::Low if old => 1024,
        Effort::Medium if old => 4096,
        Effort::High | Effort::Most if old => 16_384,
        Effort::Low | Effort::Medium | Effort::High | Effort::Most => return None,
    };
    let most = request.max_output_tokens.checked_sub(1)?;
    (most >= 1024).then(|| json!({"type": "enabled", "budget_tokens": wanted.clamp(1024, most)}))
}

fn effort_word(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::None | Effort::Tokens(_) => None,
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
        Effort::Most => Some("max"),
    }
}

/// What one side said until the other spoke: the format wants the sides to take turns.
struct Turn {
    role: &'static str,
    blocks: Vec<Value>,
}

fn conversation(messages: &[std::sync::Arc<Message>]) -> Vec<Value> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages {
        let (role, blocks) = match message.role {
            Role::Agent => ("assistant", agent_blocks(message)),
            Role::Person | Role::Capability => ("user", blocks(message)),
        };
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => turns.push(Turn { role, blocks }),
        }
    }
    answer_every_use(&mut turns);
    turns.into_iter().map(|turn| object([("role", turn.role.into()), ("content", turn.blocks.into())])).collect()
}

fn blocks(message: &Message) -> Vec<Value> {
    message.parts.iter().filter_map(|part| block(&part.content)).collect()
}

/// The format refuses a model's message that ends in reasoning: one that was cut off there.
fn agent_blocks(message: &Message) -> Vec<Value> {
    let mut blocks = blocks(message);
    while blocks.last().is_some_and(is_reasoning) {
        blocks.pop();
    }
    blocks
}

fn block(content: &Content) -> Option<Value> {
    match content {
        // The format refuses empty texts.
        Content::Text { text } => {
            (!text.trim().is_empty()).then(|| object([("type", "text".into()), ("text", text.as_str().into())]))
        }
        Content::Reasoning { raw, .. } => (is_reasoning(raw) && is_signed(raw)).then(|| raw.clone()),
        Content::Use { use_id, capability, arguments, .. } => {
            let mut input = if arguments.is_object() { arguments.clone() } else { json!({}) };
            input.sort_all_objects();
            let (id, name) = (use_id.as_str().into(), capability.as_str().into());
            Some(object([("type", "tool_use".into()), ("id", id), ("name", name), ("input", input)]))
        }
        Content::Result { use_id, text, error, .. } => Some(result(use_id, text, *error)),
        Content::Other { raw } => is_own(raw).then(|| raw.clone()),
    }
}

/// Whether a block may be the format's own: what another protocol's model said (by a fallback) is not.
fn is_own(raw: &Value) -> bool {
    let foreign = ["_call", "_call_output", "_url", "input_image", "input_file"];
    raw["type"].as_str().is_some_and(|kind| !foreign.iter().any(|end| kind.ends_with(end)))
}

fn result(use_id: &str, text: &str, error: bool) -> Value {
    let mut block = json!({"type": "tool_result", "tool_use_id": use_id});
    if !text.is_empty() {
        block["content"] = text.into();
    }
    if error {
        block["is_error"] = true.into();
    }
    block
}

/// Reasoning that was cut off has no signature, and a made-up one is worth nothing: neither may go back.
fn is_signed(raw: &Value) -> bool {
    let signature = raw["signature"].as_str();
    raw["type"] != "thinking" || signature.is_some_and(|text| !text.is_empty() && !text.starts_with(SCRIPTED_SIGNATURE))
}

fn is_reasoning(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

/// The format refuses a use whose result does not follow at once. A session that failed in between has none.
fn answer_every_use(turns: &mut Vec<Turn>) {
    let mut at = 0;
    while at < turns.len() {
        let open: Vec<String> =
            uses(&turns[at]).filter(|id| !answers(turns.get(at + 1), id)).map(str::to_owned).collect();
        if !open.is_empty() {
            let missing = open.iter().map(|id| result(id, "There is no result: the session went on without it.", true));
            match turns.get_mut(at + 1) {
                Some(next) => drop(next.blocks.splice(0..0, missing)),
                None => turns.push(Turn { role: "user", blocks: missing.collect() }),
            }
        }
        at += 1;
    }
}

fn uses(turn: &Turn) -> impl Iterator<Item = &str> {
    turn.blocks.iter().filter(|block| block["type"] == "tool_use").filter_map(|block| block["id"].as_str())
}

fn answers(turn: Option<&Turn>, use_id: &str) -> bool {
    turn.is_some_and(|turn| turn.blocks.iter().any(|block| block["tool_use_id"] == use_id))
}
