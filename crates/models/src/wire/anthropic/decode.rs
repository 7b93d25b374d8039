//! A stream of events becomes one answer. Blocks are built up as the provider's own JSON, so that what goes back is
//! what came.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::call::Stop;
use domain::message::{Content, Message, Part, Role};
use serde_json::{Map, Value};

use crate::provider::{Answer, Delta, ProviderError};
use crate::sse::SseEvent;
use crate::usage;
use crate::wire::{Decode, Wire, ended_early, failed_in_stream, part, say};

/// Reads the events of one answer.
#[derive(Debug, Default)]
pub(in crate::wire) struct Decoder {
    started: bool,
    stopped: bool,
    blocks: BTreeMap<u64, Building>,
    /// Uses that have begun.
    uses: u32,
    stop: Option<String>,
    usage: Map<String, Value>,
    served_model: Option<String>,
}

/// A block that is being said.
#[derive(Debug)]
struct Building {
    block: Map<String, Value>,
    /// Pieces of its `input`, JSON once they are together.
    input: String,
    /// Which use of the answer it is, if it is one.
    place: Option<u32>,
}

impl Decode for Decoder {
    fn push(&mut self, event: &SseEvent, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        if self.stopped {
            return Ok(());
        }
        let event = Wire::Anthropic.json(event)?;
        match event["type"].as_str() {
            Some("message_start") => self.start(&event["message"]),
            Some("content_block_start") => self.block_start(&event, each)?,
            Some("content_block_delta") => self.block_delta(&event, each)?,
            Some("message_delta") => {
                self.add_usage(&event["usage"]);
                if let Some(stop) = event["delta"]["stop_reason"].as_str() {
                    self.stop = Some(stop.to_owned());
                }
            }
            Some("message_stop") => self.stopped = true,
            Some("error") => return Err(failed_in_stream(&event, self.started)),
            Some(_) => {} // `ping`, `content_block_stop`, and what is added to the format later
            None => return Err(rubbish("an event without a type".to_owned())),
        }
        Ok(())
    }

    fn is_ending(&self) -> bool {
        self.stopped
    }

    fn is_complete(&self) -> bool {
        self.stopped
    }

    fn finish(self: Box<Self>) -> Result<Answer, ProviderError> {
        if self.stopped { Ok(self.answer()) } else { Err(ended_early(self.started)) }
    }
}

/// What a message that is no stream says.
///
/// # Errors
/// When it is an error, or no message.
pub(in crate::wire) fn whole(message: &Value) -> Result<Answer, ProviderError> {
    if message["type"] == "error" {
        return Err(failed_in_stream(message, false));
    }
    let Some(blocks) = message["content"].as_array() else {
        return Err(rubbish("a message without content".to_owned()));
    };
    let mut decoder = Decoder::default();
    decoder.start(message);
    decoder.stop = message["stop_reason"].as_str().map(str::to_owned);
    for (index, block) in (0..).zip(blocks) {
        let block = block.as_object().ok_or_else(|| rubbish("a block that is no object".to_owned()))?.clone();
        decoder.blocks.insert(index, Building { block, input: String::new(), place: None });
    }
    Ok(decoder.answer())
}

impl Decoder {
    fn answer(self) -> Answer {
        let parts: Vec<Part> = self.blocks.into_values().map(Building::finish).map(part).collect();
        let uses = parts.iter().any(|part| matches!(part.content, Content::Use { .. }));
        let message = Message { role: Role::Agent, parts };
        let stop = stop(self.stop.as_deref(), uses);
        let (usage, served_model) = (usage::anthropic(&Value::Object(self.usage)), self.served_model);
        Answer { message, stop, usage, served_model, tail: Bytes::new() }
    }

    fn start(&mut self, message: &Value) {
        self.started = true;
        self.served_model = message["model"].as_str().map(str::to_owned);
        self.add_usage(&message["usage"]);
    }

    /// Numbers are totals, so later ones stand for earlier ones; one that shrinks was left out by somebody in between.
    fn add_usage(&mut self, usage: &Value) {
        for (key, value) in usage.as_object().into_iter().flatten() {
            let shrinks = value.as_u64() < self.usage.get(key).and_then(Value::as_u64);
            if !value.is_null() && !shrinks {
                self.usage.insert(key.clone(), value.clone());
            }
        }
    }

    fn block_start(&mut self, event: &Value, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let (Some(index), Some(block)) = (event["index"].as_u64(), event["content_block"].as_object()) else {
            return Err(rubbish("a block without an index or without content".to_owned()));
        };
        let mut place = None;
        match block.get("type").and_then(Value::as_str) {
            Some("text") => say(each, Delta::Text, &event["content_block"]["text"]),
            Some("thinking") => say(each, Delta::Reasoning, &event["content_block"]["thinking"]),
            Some("tool_use") => {
                let text = |field: &str| event["content_block"][field].as_str().unwrap_or_default().to_owned();
                place = Some(self.uses);
                self.uses += 1;
                each(Delta::UseStarted { index: self.uses - 1, id: text("id"), name: text("name") });
            }
            _ => {}
        }
        let building = Building { block: block.clone(), input: String::new(), place };
        match self.blocks.insert(index, building) {
            None => Ok(()),
            Some(_) => Err(rubbish(format!("block {index} begins twice"))),
        }
    }

    fn block_delta(&mut self, event: &Value, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let Some(building) = event["index"].as_u64().and_then(|index| self.blocks.get_mut(&index)) else {
            return Err(rubbish("words of a block that did not begin".to_owned()));
        };
        let delta = &event["delta"];
        match delta["type"].as_str() {
            Some("text_delta") => {
                say(each, Delta::Text, &delta["text"]);
                building.append("text", &delta["text"]);
            }
            Some("thinking_delta") => {
                say(each, Delta::Reasoning, &delta["thinking"]);
                building.append("thinking", &delta["thinking"]);
            }
            Some("signature_delta") => {
                building.block.insert("signature".to_owned(), delta["signature"].clone());
            }
            Some("input_json_delta") => {
                let piece = delta["partial_json"].as_str().unwrap_or_default();
                building.input.push_str(piece);
                if let Some(index) = building.place.filter(|_| !piece.is_empty()) {
                    each(Delta::Arguments { index, piece: piece.to_owned() });
                }
            }
            Some("citations_delta") => building.cite(&delta["citation"]),
            _ => {} // added to the format later
        }
        Ok(())
    }
}

impl Building {
    fn append(&mut self, field: &str, piece: &Value) {
        let piece = piece.as_str().unwrap_or_default();
        match self.block.get_mut(field) {
            Some(Value::String(text)) => text.push_str(piece),
            _ => drop(self.block.insert(field.to_owned(), piece.into())),
        }
    }

    fn cite(&mut self, citation: &Value) {
        match self.block.get_mut("citations") {
            Some(Value::Array(citations)) => citations.push(citation.clone()),
            _ => drop(self.block.insert("citations".to_owned(), Value::Array(vec![citation.clone()]))),
        }
    }

    fn finish(mut self) -> Content {
        let text = |block: &Map<String, Value>, field: &str| {
            block.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match self.block.get("type").and_then(Value::as_str) {
            Some("text") => Content::Text { text: text(&self.block, "text") },
            Some("thinking") => {
                Content::Reasoning { text: text(&self.block, "thinking"), raw: Value::Object(self.block) }
            }
            Some("redacted_thinking") => Content::Reasoning { text: String::new(), raw: Value::Object(self.block) },
            Some("tool_use") => {
                let (use_id, capability) = (text(&self.block, "id"), text(&self.block, "name"));
                let (arguments, malformed) = self.arguments();
                Content::Use { use_id, capability, arguments, malformed }
            }
            _ => {
                if let (input @ Value::Object(_), None) = self.arguments() {
                    self.block.insert("input".to_owned(), input);
                }
                Content::Other { raw: Value::Object(self.block) }
            }
        }
    }

    /// What the pieces of `input` come to, and what they were if that is not JSON.
    fn arguments(&self) -> (Value, Option<String>) {
        if self.input.trim().is_empty() {
            return (self.block.get("input").cloned().unwrap_or_default(), None);
        }
        match serde_json::from_str(&self.input) {
            Ok(arguments) => (arguments, None),
            Err(_) => (Value::Null, Some(self.input.clone())),
        }
    }
}

fn stop(reason: Option<&str>, uses: bool) -> Stop {
    match reason {
        Some("max_tokens" | "model_context_window_exceeded") => Stop::Length,
        Some("refusal") => Stop::Refused,
        _ if uses => Stop::Use,
        // `end_turn`, `stop_sequence`, `pause_turn` (of server tools, which are not offered), and later ones.
        _ => Stop::Done,
    }
}

fn rubbish(reason: String) -> ProviderError {
    Wire::Anthropic.rubbish(reason)
}
