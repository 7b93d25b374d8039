//! The body of `POST /v1/chat/completions` becomes a conversation.

use domain::message::{Content, Role};
use serde_json::Value;

use crate::ingress::field::{
    Read, each, flag, flag_or_none, joined, list, number, object, text, text_or_none, texts, tokens,
};
use crate::ingress::openai;
use crate::ingress::talk::{Talk, arguments};
use crate::ingress::{Dialect, Incoming, Malformed};
use crate::provider::{Options, Tool};

/// What a body says.
pub(in crate::ingress) fn read(body: &Value) -> Read<Incoming> {
    ungovernable(body)?;
    let (mut talk, mut instructions) = (Talk::default(), Some(Vec::new()));
    let mut heads = Vec::new();
    each(list(body, "messages")?, "messages", |message| match (text(message, "role")?, &mut instructions) {
        ("system" | "developer", Some(heads)) => {
            heads.push(openai::words(message, "content")?);
            Ok(())
        }
        (role, open) => {
            heads.extend(open.take().into_iter().flatten());
            say(message, role, &mut talk)
        }
    })?;
    heads.extend(instructions.into_iter().flatten());
    let (messages, weight) = talk.done();
    let cap = tokens(body, "max_completion_tokens")?.or(tokens(body, "max_tokens")?);
    Ok(Incoming {
        model: text(body, "model")?.to_owned(),
        stream: flag(body, "stream")?,
        max_output_tokens: cap,
        instructions: joined(&heads),
        messages,
        tools: each(list(body, "tools")?, "tools", tool)?,
        options: options(body)?,
        hint: openai::hint(body)?,
        weight,
        ..Incoming::blank(Dialect::Chat)
    })
}

/// What would be billed in a way that no price tells beforehand, or would reach outside past the gateway.
fn ungovernable(body: &Value) -> Read<()> {
    openai::ungovernable(body)?;
    let refuse = |field: &str, reason: &str| Err(Malformed::at(field, reason));
    if tokens(body, "n")?.is_some_and(|choices| choices > 1) {
        return refuse("n", "an answer has one choice: ask several times");
    }
    if list(body, "modalities")?.iter().any(|kind| kind != "text") || object(body, "audio")?.is_some() {
        return refuse("modalities", "what audio costs is not known: ask for text");
    }
    if object(body, "prediction")?.is_some() {
        return refuse("prediction", "what it costs where it is wrong has no bound: leave it out");
    }
    if object(body, "web_search_options")?.is_some() {
        return refuse(
            "web_search_options",
            "the provider would search past the gateway: use the capabilities at /mcp",
        );
    }
    Ok(())
}

fn say(message: &Value, role: &str, talk: &mut Talk) -> Read<()> {
    // Several results are one message of one side, as in every other dialect.
    if role != "tool" {
        talk.turn();
    }
    match role {
        "assistant" => say_answer(message, talk),
        // An instruction in the middle is said like everything that is not the model's.
        "user" | "system" | "developer" => openai::say_content(message, "content", Role::Person, talk),
        "tool" => {
            let (use_id, text) = (text(message, "tool_call_id")?.to_owned(), openai::words(message, "content")?);
            talk.say(Role::Capability, Content::Result { use_id, text, structured: None, error: false, vouches: None })
        }
        other => Err(Malformed::at("role", format!("{other:?} is none: system, user, assistant or tool"))),
    }
}

fn say_answer(message: &Value, talk: &mut Talk) -> Read<()> {
    if object(message, "function_call")?.is_some() {
        return Err(Malformed::at("function_call", "it was replaced by tool_calls: use those"));
    }
    for field in ["reasoning_content", "reasoning"] {
        if let Some(Value::String(text)) = message.get(field).filter(|text| *text != "") {
            let raw = serde_json::json!({field: text});
            talk.say(Role::Agent, Content::Reasoning { text: text.clone(), raw })?;
        }
    }
    openai::say_content(message, "content", Role::Agent, talk)?;
    if let Some(refusal) = text_or_none(message, "refusal")? {
        talk.words(Role::Agent, refusal)?;
    }
    each(list(message, "tool_calls")?, "tool_calls", |call| match call["type"].as_str() {
        None | Some("function") => {
            let function = object(call, "function")?.unwrap_or(&Value::Null);
            let capability = text(function, "name").map_err(|wrong| wrong.under("function"))?.to_owned();
            let (arguments, malformed) = arguments(text_or_none(function, "arguments")?.unwrap_or_default());
            let use_id = text(call, "id")?.to_owned();
            talk.say(Role::Agent, Content::Use { use_id, capability, arguments, malformed })
        }
        Some(_) => talk.say(Role::Agent, Content::Other { raw: call.clone() }),
    })
    .map(drop)
}

fn tool(tool: &Value) -> Read<Tool> {
    match text_or_none(tool, "type")? {
        None | Some("function") => {
            let function = object(tool, "function")?.ok_or_else(|| Malformed::at("function", "it is missing"))?;
            openai::function(function, tool).map_err(|wrong| wrong.under("function"))
        }
        Some("custom") => {
            let custom = object(tool, "custom")?.ok_or_else(|| Malformed::at("custom", "it is missing"))?;
            openai::custom(custom, tool).map_err(|wrong| wrong.under("custom"))
        }
        Some(kind) => Err(openai::past_the_gateway(kind)),
    }
}

fn options(body: &Value) -> Read<Options> {
    let nested = object(body, "tool_choice").ok().flatten().and_then(|choice| choice.get("function"));
    Ok(Options {
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        stop: texts(body, "stop")?,
        tool_choice: openai::tool_choice(&body["tool_choice"], nested)?,
        parallel_tools: flag_or_none(body, "parallel_tool_calls")?,
        effort: openai::effort(text_or_none(body, "reasoning_effort")?),
        format: match object(body, "response_format")? {
            Some(format) => openai::format(format, &format["json_schema"]).map_err(|w| w.under("response_format"))?,
            None => None,
        },
    })
}
