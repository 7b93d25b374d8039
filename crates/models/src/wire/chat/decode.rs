//! A stream of chunks, or one completion, becomes one answer. Of several choices the first is the answer; the usage is
//! that of all.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::call::Stop;
use domain::message::{Content, Message, Role};
use serde_json::{Map, Value};

use crate::provider::{Answer, Delta, ProviderError};
use crate::sse::SseEvent;
use crate::usage;
use crate::wire::{Decode, Wire, arguments, ended_early, failed_in_stream, made_up_id, part, say};

/// The fields in which servers keep reasoning: words, and what must go back unread.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_details"];

/// Reads the chunks of one answer.
#[derive(Debug, Default)]
pub(in crate::wire) struct Decoder {
    uses_before: usize,
    begun: bool,
    done: bool,
    text: String,
    refusal: String,
    reasoning: Map<String, Value>,
    uses: Vec<Building>,
    /// Of each choice seen, whether it is finished.
    choices: BTreeMap<u64, bool>,
    stop: Option<String>,
    usage: Value,
    served_model: Option<String>,
}

/// A use that is being said.
#[derive(Debug, Default)]
struct Building {
    /// Its index, as the server counts.
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Decode for Decoder {
    fn push(&mut self, event: &SseEvent, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        if self.done {
            return Ok(());
        }
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk = Wire::Chat.json(event)?;
        if !chunk["error"].is_null() || chunk["object"] == "error" {
            return Err(failed_in_stream(&chunk, self.begun));
        }
        self.about(&chunk);
        let Some(choices) = chunk["choices"].as_array() else {
            // Servers send other things before and after: what they filter, what they count.
            let known = self.begun || !chunk["usage"].is_null() || !chunk["id"].is_null();
            return if known { Ok(()) } else { Err(Wire::Chat.rubbish("a chunk without choices".to_owned())) };
        };
        for choice in choices {
            self.choice(choice, &choice["delta"], each)?;
        }
        Ok(())
    }

    fn is_ending(&self) -> bool {
        self.done || self.is_finished()
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>) -> Result<Answer, ProviderError> {
        // Servers exist that leave out `[DONE]`.
        if self.is_finished() { Ok(self.answer()) } else { Err(ended_early(self.begun)) }
    }
}

/// What a completion that is no stream says.
///
/// # Errors
/// When it is an error, or no completion.
pub(in crate::wire) fn whole(completion: &Value, uses_before: usize) -> Result<Answer, ProviderError> {
    if !completion["error"].is_null() || completion["object"] == "error" {
        return Err(failed_in_stream(completion, false));
    }
    let Some(choice) = completion["choices"].as_array().and_then(|choices| choices.first()) else {
        return Err(Wire::Chat.rubbish("a completion without choices".to_owned()));
    };
    let mut decoder = Decoder::after(uses_before);
    decoder.about(completion);
    decoder.choice(choice, &choice["message"], &|_| ())?;
    Ok(decoder.answer())
}

impl Decoder {
    /// Of a conversation in which so many uses were said.
    pub(in crate::wire) fn after(uses_before: usize) -> Self {
        Decoder { uses_before, ..Decoder::default() }
    }

    /// What a chunk says of the answer as a whole. Usage is a total, and stands in the last chunk.
    fn about(&mut self, chunk: &Value) {
        if let Some(model) = chunk["model"].as_str().filter(|model| !model.is_empty()) {
            self.served_model = Some(model.to_owned());
        }
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
    }

    fn choice(&mut self, choice: &Value, said: &Value, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let index = choice["index"].as_u64().unwrap_or(0);
        let reason = choice["finish_reason"].as_str();
        *self.choices.entry(index).or_default() |= reason.is_some();
        self.begun = true;
        if index != self.first() {
            return Ok(());
        }
        self.reasoned(said, each);
        say(each, Delta::Text, &said["content"]);
        self.text.push_str(said["content"].as_str().unwrap_or_default());
        say(each, Delta::Text, &said["refusal"]);
        self.refusal.push_str(said["refusal"].as_str().unwrap_or_default());
        for call in said["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, each)?;
        }
        if let Some(reason) = reason {
            self.stop = Some(reason.to_owned());
        }
        Ok(())
    }

    fn first(&self) -> u64 {
        self.choices.keys().next().copied().unwrap_or(0)
    }

    fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|finished| *finished)
    }

    fn reasoned(&mut self, said: &Value, each: &dyn Fn(Delta)) {
        for field in REASONING {
            match (&said[field], self.reasoning.get_mut(field)) {
                (Value::String(words), known) if !words.is_empty() => {
                    // Two fields of the same words are shown once.
                    if field == "reasoning_content" || said["reasoning_content"].is_null() {
                        each(Delta::Reasoning(words.clone()));
                    }
                    match known {
                        Some(Value::String(all)) => all.push_str(words),
                        _ => drop(self.reasoning.insert(field.to_owned(), words.as_str().into())),
                    }
                }
                (Value::Array(more), Some(Value::Array(all))) => all.extend(more.iter().cloned()),
                (Value::Array(more), None) if !more.is_empty() => {
                    self.reasoning.insert(field.to_owned(), more.clone().into());
                }
                _ => {}
            }
        }
    }

    /// A tool call, or a piece of one. A server that counts no indexes begins a new call with a new id or a name.
    fn call(&mut self, call: &Value, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let (index, id) = (call["index"].as_u64(), call["id"].as_str().unwrap_or_default());
        let body = if call["custom"].is_object() { &call["custom"] } else { &call["function"] };
        let name = body["name"].as_str().unwrap_or_default();
        let known = match index {
            Some(_) => self.uses.iter().position(|building| building.index == index),
            None if id.is_empty() && name.is_empty() => self.uses.len().checked_sub(1),
            None => self.uses.iter().position(|building| !id.is_empty() && building.id == id),
        };
        let at = known.unwrap_or(self.uses.len());
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        if known.is_none() {
            if name.is_empty() {
                return Err(Wire::Chat.rubbish("a piece of a tool call that did not begin".to_owned()));
            }
            let id = if id.is_empty() { made_up_id(self.uses_before, place) } else { id.to_owned() };
            each(Delta::UseStarted { index: place, id: id.clone(), name: name.to_owned() });
            self.uses.push(Building { index, id, name: name.to_owned(), arguments: String::new() });
        }
        let piece = match &body["arguments"] {
            Value::String(piece) => piece.clone(),
            Value::Null => body["input"].as_str().unwrap_or_default().to_owned(),
            object => object.to_string(),
        };
        if !piece.is_empty() {
            self.uses[at].arguments.push_str(&piece);
            each(Delta::Arguments { index: place, piece });
        }
        Ok(())
    }

    fn answer(self) -> Answer {
        let mut contents = Vec::new();
        if !self.reasoning.is_empty() {
            let words =
                ["reasoning_content", "reasoning"].iter().find_map(|field| self.reasoning.get(*field)?.as_str());
            let text = words.unwrap_or_default().to_owned();
            contents.push(Content::Reasoning { text, raw: Value::Object(self.reasoning) });
        }
        let refused = !self.refusal.is_empty();
        contents
            .extend([self.text, self.refusal].into_iter().filter(|t| !t.is_empty()).map(|text| Content::Text { text }));
        let uses = !self.uses.is_empty();
        for Building { id: use_id, name: capability, arguments: written, .. } in self.uses {
            let (arguments, malformed) = arguments(&written);
            contents.push(Content::Use { use_id, capability, arguments, malformed });
        }
        let stop = match self.stop.as_deref() {
            Some("length") => Stop::Length,
            Some("content_filter") => Stop::Refused,
            _ if uses => Stop::Use,
            _ if refused => Stop::Refused,
            _ => Stop::Done,
        };
        let message = Message { role: Role::Agent, parts: contents.into_iter().map(part).collect() };
        let usage = usage::chat(&self.usage);
        Answer { message, stop, usage, served_model: self.served_model, tail: Bytes::new() }
    }
}
