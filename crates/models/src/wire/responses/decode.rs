//! A stream of events, or one response, becomes one answer. Items are the provider's own JSON, so that what goes back
//! is what came; the last event repeats them all.

use bytes::Bytes;
use domain::call::Stop;
use domain::message::{Content, Message, Role};
use serde_json::Value;

use crate::provider::{Answer, Delta, ProviderError};
use crate::sse::SseEvent;
use crate::usage;
use crate::wire::{Decode, Wire, arguments, ended_early, failed_in_stream, part, say};

/// Reads the events of one answer.
#[derive(Debug, Default)]
pub(in crate::wire) struct Decoder {
    begun: bool,
    /// Whether the model began to say something.
    saying: bool,
    /// The items that are complete.
    items: Vec<Value>,
    /// The uses that have begun: where each is among the items, and its id.
    uses: Vec<(Option<u64>, String)>,
    /// The response as the last event repeats it.
    response: Option<Value>,
}

impl Decode for Decoder {
    fn push(&mut self, event: &SseEvent, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        if self.response.is_some() || event.data.trim() == "[DONE]" {
            return Ok(());
        }
        let event = Wire::Responses.json(event)?;
        match event["type"].as_str() {
            Some("response.output_item.added") => self.added(&event, each),
            Some("response.output_item.done") => self.items.push(event["item"].clone()),
            Some("response.output_text.delta" | "response.refusal.delta") => {
                say(each, Delta::Text, &event["delta"]);
            }
            Some("response.reasoning_summary_text.delta" | "response.reasoning_text.delta") => {
                say(each, Delta::Reasoning, &event["delta"]);
            }
            Some("response.function_call_arguments.delta" | "response.custom_tool_call_input.delta") => {
                self.arguments(&event, each)?;
            }
            Some("response.completed" | "response.incomplete") => self.response = Some(event["response"].clone()),
            Some("response.failed" | "error") => return Err(failed_in_stream(&event, self.saying)),
            Some(_) => {} // beginnings and ends of parts, and what is added to the format later
            None if !event["error"].is_null() => return Err(failed_in_stream(&event, self.saying)),
            None => return Err(Wire::Responses.rubbish("an event without a type".to_owned())),
        }
        self.begun = true;
        Ok(())
    }

    fn is_ending(&self) -> bool {
        self.response.is_some()
    }

    fn is_complete(&self) -> bool {
        self.response.is_some()
    }

    fn finish(self: Box<Self>) -> Result<Answer, ProviderError> {
        let Decoder { begun, items, response, .. } = *self;
        let response = response.ok_or_else(|| ended_early(begun))?;
        let said = response["output"].as_array().filter(|output| !output.is_empty()).cloned().unwrap_or(items);
        Ok(answer(said, &response))
    }
}

/// What a response that is no stream says.
///
/// # Errors
/// When it is an error, or no response.
pub(in crate::wire) fn whole(response: &Value) -> Result<Answer, ProviderError> {
    if !response["error"].is_null() || response["status"] == "failed" {
        let begun = response["output"].as_array().is_some_and(|output| !output.is_empty());
        return Err(failed_in_stream(response, begun));
    }
    match response["output"].as_array() {
        Some(output) if response["status"] != "in_progress" && response["status"] != "queued" => {
            Ok(answer(output.clone(), response))
        }
        // An answer that comes later is fetched by nobody.
        Some(_) => Err(ProviderError::Unknown { reason: "the provider answers in the background".to_owned() }),
        None => Err(Wire::Responses.rubbish("a response without output".to_owned())),
    }
}

impl Decoder {
    fn added(&mut self, event: &Value, each: &dyn Fn(Delta)) {
        self.saying = true;
        let item = &event["item"];
        if !matches!(item["type"].as_str(), Some("function_call" | "custom_tool_call")) {
            return;
        }
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let index = u32::try_from(self.uses.len()).unwrap_or(u32::MAX);
        self.uses.push((event["output_index"].as_u64(), text("id")));
        each(Delta::UseStarted { index, id: text("call_id"), name: text("name") });
    }

    /// Servers exist that name the item by its id alone.
    fn arguments(&mut self, event: &Value, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let (place, id) = (event["output_index"].as_u64(), event["item_id"].as_str());
        let is_it = |(at, known): &(Option<u64>, String)| match (at, place) {
            (Some(at), Some(place)) => *at == place,
            _ => Some(known.as_str()) == id,
        };
        let Some(index) = self.uses.iter().position(is_it) else {
            return Err(Wire::Responses.rubbish("arguments of a use that did not begin".to_owned()));
        };
        if let Some(piece) = event["delta"].as_str().filter(|piece| !piece.is_empty()) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            each(Delta::Arguments { index, piece: piece.to_owned() });
        }
        Ok(())
    }
}

fn answer(items: Vec<Value>, response: &Value) -> Answer {
    let contents: Vec<Content> = items.into_iter().flat_map(contents).collect();
    let uses = contents.iter().any(|content| matches!(content, Content::Use { .. }));
    let refused = response["output"].as_array().into_iter().flatten().any(says_no);
    let stop = match response["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => Stop::Length,
        Some("content_filter") => Stop::Refused,
        _ if uses => Stop::Use,
        _ if refused => Stop::Refused,
        _ => Stop::Done,
    };
    let message = Message { role: Role::Agent, parts: contents.into_iter().map(part).collect() };
    let served_model = response["model"].as_str().map(str::to_owned);
    Answer { message, stop, usage: usage::responses(&response["usage"]), served_model, tail: Bytes::new() }
}

fn says_no(item: &Value) -> bool {
    item["content"].as_array().into_iter().flatten().any(|part| part["type"] == "refusal")
}

/// What an item says: of a message its words, of a call its use, of anything else the item itself.
fn contents(item: Value) -> Vec<Content> {
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    match item["type"].as_str() {
        Some("message") => {
            let parts = item["content"].as_array().into_iter().flatten();
            let words = parts.filter_map(|part| part["text"].as_str().or_else(|| part["refusal"].as_str()));
            words.filter(|words| !words.is_empty()).map(|words| Content::Text { text: words.to_owned() }).collect()
        }
        Some("function_call") => {
            let (arguments, malformed) = arguments(&text("arguments"));
            vec![Content::Use { use_id: text("call_id"), capability: text("name"), arguments, malformed }]
        }
        Some("custom_tool_call") => {
            let (use_id, capability, malformed) = (text("call_id"), text("name"), Some(text("input")));
            vec![Content::Use { use_id, capability, arguments: Value::Null, malformed }]
        }
        Some("reasoning") => {
            let summary = item["summary"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
            let shown = item["content"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
            let text = summary.chain(shown).collect::<Vec<_>>().join("\n\n");
            vec![Content::Reasoning { text, raw: item }]
        }
        _ => vec![Content::Other { raw: item }],
    }
}
