//! What the two dialects of OpenAI have in common.

use domain::message::{Content, Role};
use serde_json::Value;

use super::Malformed;
use super::field::{Read, each, list, object, text, text_or_none};
use super::talk::Talk;
use crate::provider::{Effort, Format, Tool, ToolChoice, Usage};

/// What would be billed in a way that no price tells beforehand.
pub(super) fn ungovernable(body: &Value) -> Read<()> {
    match text_or_none(body, "service_tier")? {
        None | Some("auto" | "default" | "flex") => Ok(()),
        Some(tier) => Err(Malformed::at("service_tier", format!("the price of {tier} is not known: leave it out"))),
    }
}

/// A tool that a provider runs.
pub(super) fn past_the_gateway(kind: &str) -> Malformed {
    let reason = format!("the provider runs {kind} itself, past the gateway: use the capabilities at /mcp");
    Malformed::at("type", reason)
}

/// What is said of the conversation.
pub(super) fn hint(body: &Value) -> Read<Option<String>> {
    let said = text_or_none(body, "prompt_cache_key")?.or(text_or_none(body, "safety_identifier")?);
    Ok(said.or(text_or_none(body, "user")?).map(str::to_owned))
}

/// The words of a content part, if it has any.
pub(super) fn words_of(part: &Value) -> Option<&str> {
    match part["type"].as_str() {
        Some("text" | "input_text" | "output_text") => part["text"].as_str(),
        Some("refusal") => part["refusal"].as_str(),
        _ => None,
    }
}

/// All words of a content that is a text, a list of parts, or nothing.
pub(super) fn words(value: &Value, field: &str) -> Read<String> {
    if let Some(Value::String(text)) = value.get(field) {
        return Ok(text.clone());
    }
    let texts: Vec<_> = list(value, field)?.iter().filter_map(words_of).collect();
    Ok(texts.join("\n"))
}

/// Somebody says a content that is a text, a list of parts, or nothing.
pub(super) fn say_content(value: &Value, field: &str, role: Role, talk: &mut Talk) -> Read<()> {
    if let Some(Value::String(text)) = value.get(field) {
        return if text.is_empty() && role == Role::Agent { Ok(()) } else { talk.words(role, text) };
    }
    let one = |part: &Value| match words_of(part) {
        Some(text) => talk.words(role, text),
        None if part["type"] == "input_audio" => Err(Malformed::at("type", "what audio costs is not known: send text")),
        None => talk.say(role, Content::Other { raw: part.clone() }),
    };
    each(list(value, field)?, field, one).map(drop)
}

/// A function that the client runs.
pub(super) fn function(function: &Value, raw: &Value) -> Read<Tool> {
    let description = text_or_none(function, "description")?.unwrap_or_default().to_owned();
    let none = || serde_json::json!({"type": "object", "properties": {}});
    let input_schema = object(function, "parameters")?.cloned().unwrap_or_else(none);
    Ok(Tool { name: text(function, "name")?.to_owned(), description, input_schema, raw: Some(raw.clone()) })
}

/// A tool whose input is free text: it has no schema.
pub(super) fn custom(custom: &Value, raw: &Value) -> Read<Tool> {
    let description = text_or_none(custom, "description")?.unwrap_or_default().to_owned();
    let name = text(custom, "name")?.to_owned();
    Ok(Tool { name, description, input_schema: Value::Null, raw: Some(raw.clone()) })
}

/// Which tools are to be used; `named` holds the name of the one that must be.
pub(super) fn tool_choice(choice: &Value, named: Option<&Value>) -> Read<Option<ToolChoice>> {
    match choice {
        Value::String(word) => match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Any)),
            other => Err(Malformed::at("tool_choice", format!("{other:?} is not known"))),
        },
        // Which of them it may use is the provider's business; that it must is told.
        _ if choice["type"] == "allowed_tools" => {
            let allowed = choice.get("allowed_tools").unwrap_or(choice);
            Ok((allowed["mode"] == "required").then_some(ToolChoice::Any))
        }
        _ => Ok(named.and_then(|it| it["name"].as_str()).map(|name| ToolChoice::Tool(name.to_owned()))),
    }
}

/// How much is reasoned.
pub(super) fn effort(word: Option<&str>) -> Option<Effort> {
    Some(match word? {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        _ => Effort::Most,
    })
}

/// The form of the words; `schema` holds the name and the schema.
pub(super) fn format(format: &Value, schema: &Value) -> Read<Option<Format>> {
    Ok(match text(format, "type")? {
        "json_object" => Some(Format::Json),
        "json_schema" => Some(Format::Schema {
            name: text_or_none(schema, "name")?.unwrap_or("answer").to_owned(),
            schema: schema["schema"].clone(),
        }),
        _ => None,
    })
}

/// A use's arguments as the text that the model wrote.
pub(super) fn arguments(content: &Content) -> String {
    match content {
        Content::Use { malformed: Some(written), .. } => written.clone(),
        Content::Use { arguments, .. } => arguments.to_string(),
        Content::Text { .. } | Content::Reasoning { .. } | Content::Result { .. } | Content::Other { .. } => {
            String::new()
        }
    }
}

/// How much of the output was reasoning, where the provider says so.
pub(super) fn reasoning_tokens(usage: &Usage) -> u64 {
    let raw = &usage.raw;
    let said = [
        &raw["completion_tokens_details"]["reasoning_tokens"],
        &raw["output_tokens_details"]["reasoning_tokens"],
        &raw["output_tokens_details"]["thinking_tokens"],
        &raw["thoughtsTokenCount"],
    ];
    said.into_iter().find_map(Value::as_u64).unwrap_or(0).min(usage.all_output())
}
