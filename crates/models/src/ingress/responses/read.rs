//! The body of `POST /v1/responses` becomes a conversation.

use domain::message::{Content, Role};
use serde_json::Value;

use crate::ingress::field::{Read, each, flag, flag_or_none, joined, list, number, object, text, text_or_none, tokens};
use crate::ingress::openai;
use crate::ingress::talk::{Talk, arguments};
use crate::ingress::thought::{self, Thought};
use crate::ingress::{Dialect, Incoming, Malformed};
use crate::provider::{Options, Tool};

/// What a body says.
pub(in crate::ingress) fn read(body: &Value) -> Read<Incoming> {
    ungovernable(body)?;
    let (mut talk, mut heads) = (Talk::default(), Vec::new());
    heads.extend(text_or_none(body, "instructions")?.map(str::to_owned));
    match &body["input"] {
        Value::String(words) => talk.words(Role::Person, words)?,
        _ => {
            let mut begun = false;
            each(list(body, "input")?, "input", |item| {
                let is_head = !begun && ["system", "developer"].iter().any(|role| item["role"] == *role);
                begun |= !is_head;
                if !is_head {
                    return say(item, &mut talk);
                }
                heads.push(openai::words(item, "content")?);
                Ok(())
            })
            .map(drop)?;
        }
    }
    let (messages, mut weight) = talk.done();
    if holds_elsewhere(body) {
        weight.named();
    }
    Ok(Incoming {
        model: text(body, "model")?.to_owned(),
        stream: flag(body, "stream")?,
        max_output_tokens: tokens(body, "max_output_tokens")?,
        instructions: joined(&heads),
        messages,
        tools: each(list(body, "tools")?, "tools", tool)?,
        options: options(body)?,
        hint: conversation(body)?.or(openai::hint(body)?),
        weight,
        ..Incoming::blank(Dialect::Responses)
    })
}

/// Whether part of the conversation lies at the provider.
pub(in crate::ingress) fn holds_elsewhere(body: &Value) -> bool {
    ["previous_response_id", "conversation", "prompt"]
        .iter()
        .any(|field| body.get(field).is_some_and(|it| !it.is_null()))
}

fn conversation(body: &Value) -> Read<Option<String>> {
    match &body["conversation"] {
        Value::String(id) => Ok(Some(id.clone())),
        _ => Ok(object(body, "conversation")?.and_then(|it| it["id"].as_str()).map(str::to_owned)),
    }
}

/// What would be billed in a way that no price tells beforehand, or would go on after the answer.
fn ungovernable(body: &Value) -> Read<()> {
    openai::ungovernable(body)?;
    if flag(body, "background")? {
        return Err(Malformed::at("background", "an answer is waited for: leave it out"));
    }
    Ok(())
}

fn say(item: &Value, talk: &mut Talk) -> Read<()> {
    match text_or_none(item, "type")?.unwrap_or("message") {
        "message" => match text(item, "role")? {
            "assistant" => openai::say_content(item, "content", Role::Agent, talk),
            "user" | "system" | "developer" => {
                talk.turn();
                openai::say_content(item, "content", Role::Person, talk)
            }
            other => Err(Malformed::at("role", format!("{other:?} is none: user, assistant, system or developer"))),
        },
        "function_call" => {
            let (use_id, capability) = (text(item, "call_id")?.to_owned(), text(item, "name")?.to_owned());
            let (arguments, malformed) = arguments(text_or_none(item, "arguments")?.unwrap_or_default());
            talk.say(Role::Agent, Content::Use { use_id, capability, arguments, malformed })
        }
        "function_call_output" => say_result(item, talk),
        "reasoning" => say_thought(item, talk),
        // Outputs of tools that the client runs are its side's; everything else is the model's.
        kind if kind.ends_with("_output") || kind.ends_with("_response") => {
            talk.say(Role::Capability, Content::Other { raw: item.clone() })
        }
        _ => talk.say(Role::Agent, Content::Other { raw: item.clone() }),
    }
}

fn say_result(item: &Value, talk: &mut Talk) -> Read<()> {
    let (use_id, text) = (text(item, "call_id")?.to_owned(), openai::words(item, "output")?);
    talk.say(Role::Capability, Content::Result { use_id, text, structured: None, error: false, vouches: None })?;
    let others = item["output"].as_array().into_iter().flatten().filter(|part| openai::words_of(part).is_none());
    others.cloned().try_for_each(|raw| talk.say(Role::Capability, Content::Other { raw }))
}

fn say_thought(item: &Value, talk: &mut Talk) -> Read<()> {
    match thought::open(text_or_none(item, "encrypted_content")?) {
        Thought::Shown => Ok(()),
        Thought::Sealed(at, text, raw) => talk.reasoned(at, Content::Reasoning { text, raw }),
        Thought::Own => {
            let texts = list(item, "summary")?.iter().filter_map(|part| part["text"].as_str());
            let text = texts.collect::<Vec<_>>().join("\n\n");
            talk.say(Role::Agent, Content::Reasoning { text, raw: item.clone() })
        }
    }
}

/// Kinds of tools that the client runs itself.
const CLIENTS_OWN: [&str; 5] = ["local_shell", "apply_patch", "computer", "computer_use_preview", "shell"];

fn tool(tool: &Value) -> Read<Tool> {
    match text(tool, "type")? {
        "function" => openai::function(tool, tool),
        "custom" => openai::custom(tool, tool),
        kind if CLIENTS_OWN.contains(&kind) && !runs_at_the_provider(tool) => {
            let name = kind.to_owned();
            Ok(Tool { name, description: String::new(), input_schema: Value::Null, raw: Some(tool.clone()) })
        }
        kind => Err(openai::past_the_gateway(kind)),
    }
}

/// A shell may be the client's or a container of the provider's.
fn runs_at_the_provider(tool: &Value) -> bool {
    tool["type"] == "shell" && tool["environment"]["type"] != "local"
}

fn options(body: &Value) -> Read<Options> {
    let text_config = object(body, "text")?.unwrap_or(&Value::Null);
    let reasoning = object(body, "reasoning")?.unwrap_or(&Value::Null);
    let choice = &body["tool_choice"];
    Ok(Options {
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        stop: Vec::new(),
        tool_choice: openai::tool_choice(choice, Some(choice))?,
        parallel_tools: flag_or_none(body, "parallel_tool_calls")?,
        effort: openai::effort(text_or_none(reasoning, "effort")?),
        format: match object(text_config, "format")? {
            Some(format) => openai::format(format, format).map_err(|wrong| wrong.under("text.format"))?,
            None => None,
        },
    })
}
