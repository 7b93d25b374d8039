//! A stream of responses, or one of them, becomes one answer. Words come in pieces, calls whole.

use bytes::Bytes;
use domain::call::Stop;
use domain::message::{Content, Message, Role};
use serde_json::{Value, json};

use super::SIGNATURE;
use crate::provider::{Answer, Delta, ProviderError};
use crate::sse::SseEvent;
use crate::usage;
use crate::wire::{Decode, Wire, ended_early, failed_in_stream, made_up_id, part, say};

/// Reads the responses of one answer.
#[derive(Debug, Default)]
pub(in crate::wire) struct Decoder {
    uses_before: usize,
    begun: bool,
    contents: Vec<Content>,
    /// Uses that were said.
    uses: u32,
    stop: Option<String>,
    usage: Value,
    served_model: Option<String>,
}

impl Decode for Decoder {
    fn push(&mut self, event: &SseEvent, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let response = Wire::Gemini.json(event)?;
        self.read(&response, each)
    }

    fn is_ending(&self) -> bool {
        self.stop.is_some()
    }

    /// Nothing in the stream says that nothing follows but its end.
    fn is_complete(&self) -> bool {
        false
    }

    fn finish(self: Box<Self>) -> Result<Answer, ProviderError> {
        if self.stop.is_some() { Ok(self.answer()) } else { Err(ended_early(self.begun)) }
    }
}

/// What a response that is no stream says.
///
/// # Errors
/// When it is an error, or no response.
pub(in crate::wire) fn whole(response: &Value, uses_before: usize) -> Result<Answer, ProviderError> {
    let mut decoder = Decoder::after(uses_before);
    decoder.read(response, &|_| ())?;
    match decoder.stop {
        Some(_) => Ok(decoder.answer()),
        None => Err(Wire::Gemini.rubbish("a response without an end".to_owned())),
    }
}

impl Decoder {
    /// Of a conversation in which so many uses were said.
    pub(in crate::wire) fn after(uses_before: usize) -> Self {
        Decoder { uses_before, ..Decoder::default() }
    }

    fn read(&mut self, response: &Value, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let outer = response.get(0).unwrap_or(response);
        if !outer["error"].is_null() {
            return Err(failed_in_stream(outer, self.begun));
        }
        let candidate = &response["candidates"][0];
        let blocked = response["promptFeedback"]["blockReason"].as_str();
        let known = ["usageMetadata", "responseId", "modelVersion"].iter().any(|key| !response[*key].is_null());
        if candidate.is_null() && blocked.is_none() && !known {
            return Err(Wire::Gemini.rubbish("a response without candidates".to_owned()));
        }
        if let Some(model) = response["modelVersion"].as_str() {
            self.served_model = Some(model.to_owned());
        }
        if response["usageMetadata"].is_object() {
            self.usage = response["usageMetadata"].clone();
        }
        for said in candidate["content"]["parts"].as_array().into_iter().flatten() {
            self.begun = true;
            self.said(said, each);
        }
        if let Some(reason) = candidate["finishReason"].as_str().or(blocked) {
            self.stop = Some(reason.to_owned());
        }
        Ok(())
    }

    fn said(&mut self, said: &Value, each: &dyn Fn(Delta)) {
        let thought = said["thought"] == true;
        if let Some(signature) = said[SIGNATURE].as_str().filter(|_| !thought) {
            let raw = json!({SIGNATURE: signature});
            self.contents.push(Content::Reasoning { text: String::new(), raw });
        }
        if let Some(words) = said["text"].as_str() {
            say(each, if thought { Delta::Reasoning } else { Delta::Text }, &said["text"]);
            self.words(words, thought);
        } else if said["functionCall"].is_object() {
            self.call(&said["functionCall"], each);
        } else if !thought {
            let mut raw = said.clone();
            raw.as_object_mut().map(|part| part.remove(SIGNATURE));
            self.contents.push(Content::Other { raw });
        }
    }

    fn words(&mut self, words: &str, thought: bool) {
        match self.contents.last_mut() {
            Some(Content::Text { text }) if !thought => text.push_str(words),
            Some(Content::Reasoning { text, raw }) if thought && raw["thought"] == true => text.push_str(words),
            _ if words.is_empty() => {}
            _ if thought => {
                self.contents.push(Content::Reasoning { text: words.to_owned(), raw: json!({"thought": true}) });
            }
            _ => self.contents.push(Content::Text { text: words.to_owned() }),
        }
    }

    fn call(&mut self, call: &Value, each: &dyn Fn(Delta)) {
        let index = self.uses;
        self.uses += 1;
        let given = call["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        let use_id = given.unwrap_or_else(|| made_up_id(self.uses_before, index));
        let capability = call["name"].as_str().unwrap_or_default().to_owned();
        let arguments = if call["args"].is_object() { call["args"].clone() } else { json!({}) };
        each(Delta::UseStarted { index, id: use_id.clone(), name: capability.clone() });
        each(Delta::Arguments { index, piece: arguments.to_string() });
        self.contents.push(Content::Use { use_id, capability, arguments, malformed: None });
    }

    fn answer(self) -> Answer {
        let stop = match self.stop.as_deref() {
            Some("MAX_TOKENS") => Stop::Length,
            Some("STOP" | "MALFORMED_FUNCTION_CALL" | "FINISH_REASON_UNSPECIFIED" | "OTHER") | None => {
                if self.uses > 0 { Stop::Use } else { Stop::Done }
            }
            // SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, and later ones.
            Some(_) => Stop::Refused,
        };
        let message = Message { role: Role::Agent, parts: self.contents.into_iter().map(part).collect() };
        let usage = usage::gemini(&self.usage);
        Answer { message, stop, usage, served_model: self.served_model, tail: Bytes::new() }
    }
}
