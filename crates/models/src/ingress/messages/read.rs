//! The body of `POST /v1/messages` becomes a conversation.

use domain::message::{Content, Role};
use serde_json::Value;

use crate::ingress::field::{
    Read, each, flag, flag_or_none, joined, list, number, object, text, text_or_none, texts, tokens,
};
use crate::ingress::talk::Talk;
use crate::ingress::thought::{self, Thought};
use crate::ingress::{Dialect, Incoming, Malformed};
use crate::provider::{Effort, Format, Options, Tool, ToolChoice};

/// What a body says.
pub(in crate::ingress) fn read(body: &Value) -> Read<Incoming> {
    ungovernable(body)?;
    let mut talk = Talk::default();
    each(list(body, "messages")?, "messages", |message| say(message, &mut talk))?;
    let (messages, weight) = talk.done();
    let metadata = object(body, "metadata")?.unwrap_or(&Value::Null);
    Ok(Incoming {
        model: text(body, "model")?.to_owned(),
        stream: flag(body, "stream")?,
        max_output_tokens: tokens(body, "max_tokens")?,
        instructions: system(body)?,
        messages,
        tools: each(list(body, "tools")?, "tools", tool)?,
        options: options(body)?,
        hint: text_or_none(metadata, "user_id")?.map(str::to_owned),
        weight,
        ..Incoming::blank(Dialect::Messages)
    })
}

/// What would be billed in a way that no price tells beforehand, or would reach outside past the gateway.
fn ungovernable(body: &Value) -> Read<()> {
    let refuse = |field: &str, reason: &str| Err(Malformed::at(field, reason));
    if !list(body, "mcp_servers")?.is_empty() {
        return refuse("mcp_servers", "the provider would call them past the gateway: use the capabilities at /mcp");
    }
    if text_or_none(body, "speed")?.is_some_and(|speed| speed != "standard") {
        return refuse("speed", "its price is not known: leave it out");
    }
    if text_or_none(body, "inference_geo")?.is_some_and(|geo| geo != "global") {
        return refuse("inference_geo", "its price is not known: leave it out");
    }
    Ok(())
}

fn system(body: &Value) -> Read<String> {
    if let Some(Value::String(system)) = body.get("system") {
        return Ok(system.clone());
    }
    Ok(joined(&each(list(body, "system")?, "system", |block| Ok(text(block, "text")?.to_owned()))?))
}

fn say(message: &Value, talk: &mut Talk) -> Read<()> {
    let role = match text(message, "role")? {
        "assistant" => Role::Agent,
        // An instruction in the middle is said like everything that is not the model's.
        "user" | "system" => Role::Person,
        other => return Err(Malformed::at("role", format!("{other:?} is none: user or assistant"))),
    };
    talk.turn();
    match &message["content"] {
        Value::String(words) => talk.words(role, words).map_err(|wrong| wrong.under("content")),
        _ => each(list(message, "content")?, "content", |block| say_block(block, role, talk)).map(drop),
    }
}

fn say_block(block: &Value, role: Role, talk: &mut Talk) -> Read<()> {
    match text(block, "type")? {
        "text" => talk.words(role, text(block, "text")?),
        "tool_use" if role == Role::Agent => {
            let (use_id, capability) = (text(block, "id")?.to_owned(), text(block, "name")?.to_owned());
            talk.say(role, Content::Use { use_id, capability, arguments: block["input"].clone(), malformed: None })
        }
        "tool_result" if role != Role::Agent => say_result(block, talk),
        "thinking" => say_thought(block, ("thinking", "signature"), talk),
        "redacted_thinking" => say_thought(block, ("", "data"), talk),
        _ => talk.say(role, Content::Other { raw: block.clone() }),
    }
}

fn say_thought(block: &Value, (words, seal): (&str, &str), talk: &mut Talk) -> Read<()> {
    match thought::open(text_or_none(block, seal)?) {
        Thought::Shown => Ok(()),
        Thought::Sealed(at, text, raw) => talk.reasoned(at, Content::Reasoning { text, raw }),
        Thought::Own => {
            let text = text_or_none(block, words)?.unwrap_or_default().to_owned();
            talk.say(Role::Agent, Content::Reasoning { text, raw: block.clone() })
        }
    }
}

/// A result's texts are one text; what is no text follows it.
fn say_result(block: &Value, talk: &mut Talk) -> Read<()> {
    let (use_id, error) = (text(block, "tool_use_id")?.to_owned(), flag(block, "is_error")?);
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    match &block["content"] {
        Value::String(text) => texts.push(text.clone()),
        _ => drop(each(list(block, "content")?, "content", |inner| {
            match text_or_none(inner, "text")?.filter(|_| inner["type"] == "text") {
                Some(text) => texts.push(text.to_owned()),
                None => others.push(inner.clone()),
            }
            Ok(())
        })?),
    }
    talk.say(
        Role::Capability,
        Content::Result { use_id, text: texts.join("\n"), structured: None, error, vouches: None },
    )?;
    others.into_iter().try_for_each(|raw| talk.say(Role::Capability, Content::Other { raw }))
}

/// Kinds of tools that have a name and no schema, and that the client runs itself.
const CLIENTS_OWN: [&str; 4] = ["bash_", "text_editor_", "computer_", "memory_"];

fn tool(tool: &Value) -> Read<Tool> {
    let kind = text_or_none(tool, "type")?.unwrap_or("custom");
    if kind != "custom" && !CLIENTS_OWN.iter().any(|own| kind.starts_with(own)) {
        let reason = format!("the provider runs {kind} itself, past the gateway: use the capabilities at /mcp");
        return Err(Malformed::at("type", reason));
    }
    let description = text_or_none(tool, "description")?.unwrap_or_default().to_owned();
    let input_schema = object(tool, "input_schema")?.cloned().unwrap_or_default();
    Ok(Tool { name: text(tool, "name")?.to_owned(), description, input_schema, raw: Some(tool.clone()) })
}

fn options(body: &Value) -> Read<Options> {
    let choice = object(body, "tool_choice")?.unwrap_or(&Value::Null);
    let tool_choice = match text_or_none(choice, "type")? {
        None => None,
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        Some("any") => Some(ToolChoice::Any),
        Some("tool") => Some(ToolChoice::Tool(text(choice, "name").map_err(|w| w.under("tool_choice"))?.to_owned())),
        Some(other) => return Err(Malformed::at("tool_choice.type", format!("{other:?} is not known"))),
    };
    Ok(Options {
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        stop: texts(body, "stop_sequences")?,
        tool_choice,
        parallel_tools: flag_or_none(choice, "disable_parallel_tool_use")?.map(|disabled| !disabled),
        effort: effort(body)?,
        format: format(body)?,
    })
}

fn effort(body: &Value) -> Read<Option<Effort>> {
    let thinking = object(body, "thinking")?.unwrap_or(&Value::Null);
    let config = object(body, "output_config")?.unwrap_or(&Value::Null);
    if thinking["type"] == "disabled" {
        return Ok(Some(Effort::None));
    }
    Ok(match text_or_none(config, "effort")? {
        Some("low") => Some(Effort::Low),
        Some("medium") => Some(Effort::Medium),
        Some("high") => Some(Effort::High),
        Some(_) => Some(Effort::Most),
        None if thinking["type"] == "adaptive" => Some(Effort::Medium),
        None => tokens(thinking, "budget_tokens")?.map(Effort::Tokens),
    })
}

fn format(body: &Value) -> Read<Option<Format>> {
    let config = object(body, "output_config")?.unwrap_or(&Value::Null);
    let format = object(config, "format")?.or(object(body, "output_format")?);
    let schema = format.filter(|format| format["type"] == "json_schema").map(|format| format["schema"].clone());
    Ok(schema.map(|schema| Format::Schema { name: "answer".to_owned(), schema }))
}
