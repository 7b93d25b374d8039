//! A client's conversation for a provider that speaks another protocol. What cannot be said in it is refused with its
//! place: nothing is left out behind the client's back. Reasoning of another provider's is: it means nothing there.

use std::sync::Arc;

use domain::descriptor::Protocol;
use domain::message::{Content, Message, Part};
use serde_json::{Value, json};

use super::responses::read::holds_elsewhere;
use super::{Dialect, Incoming, Malformed};
use crate::provider::Tool;

/// A conversation, and what its model may use, in words that every protocol has.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// Everything said so far, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// What may be used, in the client's order.
    pub tools: Vec<Tool>,
}

/// Whether a provider of this protocol reads the client's own bytes.
pub fn speaks(dialect: Dialect, protocol: &Protocol) -> bool {
    match protocol {
        Protocol::Anthropic { .. } => dialect == Dialect::Messages,
        Protocol::OpenaiChat { .. } => dialect == Dialect::Chat,
        Protocol::OpenaiResponses { .. } => dialect == Dialect::Responses,
        Protocol::Gemini { .. } | Protocol::Scripted { .. } => false,
    }
}

/// The conversation for a provider of this protocol.
///
/// # Errors
/// When something in it cannot be said there.
pub fn converted(incoming: &Incoming, to: &Protocol) -> Result<Converted, Malformed> {
    if incoming.dialect == Dialect::Responses && holds_elsewhere(&incoming.parsed) {
        let reason = format!("the model's provider speaks {} and keeps no conversations: send all of it", to.word());
        return Err(Malformed::at("previous_response_id", reason));
    }
    let messages = incoming.messages.iter().enumerate().map(|(at, message)| {
        let parts = message.parts.iter().filter_map(|part| said(part, to).transpose());
        let parts = parts.collect::<Result<Vec<_>, _>>().map_err(|kind| cannot(&format!("message {at}"), &kind, to))?;
        Ok(Arc::new(Message { role: message.role, parts }))
    });
    let tools = incoming.tools.iter().enumerate().map(|(at, tool)| match tool.input_schema {
        Value::Object(_) => Ok(Tool { raw: None, ..tool.clone() }),
        _ => Err(cannot(&format!("tools[{at}]"), &kind(tool.raw.as_ref().unwrap_or(&Value::Null)), to)),
    });
    Ok(Converted { messages: messages.collect::<Result<_, _>>()?, tools: tools.collect::<Result<_, _>>()? })
}

fn cannot(place: &str, kind: &str, to: &Protocol) -> Malformed {
    Malformed::at(place, format!("{kind} cannot be said in {}, which the model's provider speaks", to.word()))
}

fn kind(raw: &Value) -> String {
    format!("a block of type {}", raw["type"].as_str().unwrap_or("(none)"))
}

fn said(part: &Part, to: &Protocol) -> Result<Option<Part>, String> {
    let content = match &part.content {
        Content::Text { .. } | Content::Use { .. } | Content::Result { .. } => return Ok(Some(part.clone())),
        Content::Reasoning { raw, .. } => return Ok(is_own(raw, to).then(|| part.clone())),
        // Where a client offers tools only once they were looked up, this says which it offers from here on.
        Content::Other { raw } if raw["type"] == "tool_reference" => {
            Content::Text { text: format!("Loaded: {}", raw["tool_name"].as_str().unwrap_or_default()) }
        }
        Content::Other { raw } => Picture::read(raw).ok_or_else(|| kind(raw))?.write(to),
    };
    Ok(Some(Part { content, ..part.clone() }))
}

/// Whether a provider of this protocol said this reasoning.
fn is_own(raw: &Value, to: &Protocol) -> bool {
    let anthropic = raw["type"] == "thinking" || raw["type"] == "redacted_thinking";
    let responses = raw["type"] == "reasoning" && raw.get("encrypted_content").is_some();
    match to {
        Protocol::Anthropic { .. } => anthropic,
        Protocol::OpenaiResponses { .. } => responses,
        Protocol::OpenaiChat { .. } | Protocol::Gemini { .. } | Protocol::Scripted { .. } => !anthropic && !responses,
    }
}

/// A picture, whoever says it.
enum Picture<'a> {
    Here { kind: &'a str, data: &'a str },
    There { url: &'a str },
}

impl<'a> Picture<'a> {
    fn read(raw: &'a Value) -> Option<Self> {
        let source = &raw["source"];
        match (raw["type"].as_str()?, source["type"].as_str()) {
            ("image", Some("base64")) => {
                Some(Picture::Here { kind: source["media_type"].as_str()?, data: source["data"].as_str()? })
            }
            ("image", Some("url")) => Some(Picture::There { url: source["url"].as_str()? }),
            ("image_url", _) => Self::address(raw["image_url"]["url"].as_str()?),
            ("input_image", _) => Self::address(raw["image_url"].as_str()?),
            _ => None,
        }
    }

    fn address(url: &'a str) -> Option<Self> {
        let Some(inner) = url.strip_prefix("data:") else { return Some(Picture::There { url }) };
        let (kind, data) = inner.split_once(";base64,")?;
        Some(Picture::Here { kind, data })
    }

    fn url(&self) -> String {
        match self {
            Picture::Here { kind, data } => format!("data:{kind};base64,{data}"),
            Picture::There { url } => (*url).to_owned(),
        }
    }

    fn write(&self, to: &Protocol) -> Content {
        let raw = match to {
            Protocol::Anthropic { .. } | Protocol::Scripted { .. } => match self {
                Picture::Here { kind, data } => {
                    json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}})
                }
                Picture::There { url } => json!({"type": "image", "source": {"type": "url", "url": url}}),
            },
            Protocol::OpenaiChat { .. } => json!({"type": "image_url", "image_url": {"url": self.url()}}),
            Protocol::OpenaiResponses { .. } => {
                json!({"type": "input_image", "detail": "auto", "image_url": self.url()})
            }
            Protocol::Gemini { .. } => match self {
                Picture::Here { kind, data } => json!({"inlineData": {"mimeType": kind, "data": data}}),
                Picture::There { url } => json!({"fileData": {"fileUri": url}}),
            },
        };
        Content::Other { raw }
    }
}
