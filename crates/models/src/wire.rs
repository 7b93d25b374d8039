//! Wire formats of providers, our own code: what is not known in them goes back unchanged. One word per protocol; what
//! differs between them is here and below, and nowhere else.
//!
//! ```text
//! Request ──▶ encode ──▶ body      stream ──▶ reader (sse, decode) ──▶ deltas, Answer      error ──▶ refusal
//! ```
//! It must not know how bytes travel.

pub mod anthropic;
pub mod chat;
pub mod gemini;
mod reader;
mod refusal;
pub mod responses;
mod turns;

use domain::descriptor::Protocol;
use domain::message::{Content, Origin, Part, Trust};
use serde_json::Value;

pub use reader::AnswerReader;
pub use refusal::refused;

use crate::cache;
use crate::provider::{Answer, Delta, ProviderError, Request};
use crate::sse::SseEvent;

/// A provider's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Gemini `generateContent`.
    Gemini,
}

/// An object of these fields, in this order. They are moved into it; `json!` copies what is handed to it, and a
/// conversation is long.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().collect()
}

/// Reads the events of one answer.
trait Decode: std::fmt::Debug + Send {
    /// Reads one event, and gives `each` what it says.
    ///
    /// # Errors
    /// When the provider says that it failed, or says something that is not the format. Nothing can be read after it.
    fn push(&mut self, event: &SseEvent, each: &dyn Fn(Delta)) -> Result<(), ProviderError>;

    /// Whether the answer has come to its end: what a client of the same protocol sees from here on waits until the
    /// outcome is durable.
    fn is_ending(&self) -> bool;

    /// Whether the answer is complete; whatever follows is not read.
    fn is_complete(&self) -> bool;

    /// The stream has ended: the answer.
    ///
    /// # Errors
    /// When it ended too early.
    fn finish(self: Box<Self>) -> Result<Answer, ProviderError>;
}

impl Wire {
    /// Of a descriptor's protocol; `None` of a script.
    pub fn of(protocol: &Protocol) -> Option<Self> {
        match protocol {
            Protocol::Anthropic { .. } => Some(Wire::Anthropic),
            Protocol::OpenaiChat { .. } => Some(Wire::Chat),
            Protocol::OpenaiResponses { .. } => Some(Wire::Responses),
            Protocol::Gemini { .. } => Some(Wire::Gemini),
            Protocol::Scripted { .. } => None,
        }
    }

    /// How errors name it.
    pub fn name(self) -> &'static str {
        match self {
            Wire::Anthropic => "the Anthropic Messages format",
            Wire::Chat => "the OpenAI Chat Completions format",
            Wire::Responses => "the OpenAI Responses format",
            Wire::Gemini => "the Gemini format",
        }
    }

    /// Where a request goes, below a base URL as people write it.
    pub fn url(self, base_url: &str, model: &str, stream: bool) -> String {
        let root = base_url.trim().trim_end_matches('/');
        match self {
            Wire::Anthropic => format!("{}/v1/messages", root.strip_suffix("/v1").unwrap_or(root)),
            Wire::Chat => format!("{root}/chat/completions"),
            Wire::Responses => format!("{root}/responses"),
            Wire::Gemini if stream => format!("{root}/models/{model}:streamGenerateContent?alt=sse"),
            Wire::Gemini => format!("{root}/models/{model}:generateContent"),
        }
    }

    /// Where a client's request is counted, below the same base URL; `None`: the protocol has no such question.
    pub fn counting_url(self, base_url: &str) -> Option<String> {
        let asked = self.url(base_url, "", false);
        match self {
            Wire::Anthropic => Some(format!("{asked}/count_tokens")),
            Wire::Responses => Some(format!("{asked}/input_tokens")),
            Wire::Chat | Wire::Gemini => None,
        }
    }

    /// The header that a key goes into, and what stands before it there.
    pub fn key_header(self) -> (&'static str, &'static str) {
        match self {
            Wire::Anthropic => ("x-api-key", ""),
            Wire::Chat | Wire::Responses => ("authorization", "Bearer "),
            Wire::Gemini => ("x-goog-api-key", ""),
        }
    }

    /// The body for this request to the server at `base_url`, with its cache marks.
    pub fn encode(self, request: &Request, base_url: &str) -> Vec<u8> {
        let mut body = match self {
            Wire::Anthropic => anthropic::encode(request),
            Wire::Chat => chat::encode(request, cache::is_openais(base_url)),
            Wire::Responses => responses::encode(request),
            Wire::Gemini => gemini::encode(request),
        };
        cache::mark(&self.at(base_url), &request.model, &mut body);
        serde_json::to_vec(&body).expect("a JSON value can be written")
    }

    /// The protocol at an address, without a key.
    fn at(self, base_url: &str) -> Protocol {
        let (base_url, key) = (base_url.to_owned(), None);
        match self {
            Wire::Anthropic => Protocol::Anthropic { base_url, key },
            Wire::Chat => Protocol::OpenaiChat { base_url, key },
            Wire::Responses => Protocol::OpenaiResponses { base_url, key },
            Wire::Gemini => Protocol::Gemini { base_url, key },
        }
    }

    /// A reader of one streamed answer, and how many uses were said in the conversation before it.
    pub fn reader(self, uses_before: usize) -> AnswerReader {
        AnswerReader::new(self, self.decoder(uses_before))
    }

    /// What an answer that is no stream says.
    ///
    /// # Errors
    /// When the provider says that it failed, or what it says is not the format.
    pub fn whole(self, body: &[u8], uses_before: usize) -> Result<Answer, ProviderError> {
        let body: Value =
            serde_json::from_slice(body).map_err(|_| self.rubbish("an answer that is not JSON".to_owned()))?;
        match self {
            Wire::Anthropic => anthropic::whole(&body),
            Wire::Chat => chat::whole(&body, uses_before),
            Wire::Responses => responses::whole(&body),
            Wire::Gemini => gemini::whole(&body, uses_before),
        }
    }

    fn decoder(self, uses_before: usize) -> Box<dyn Decode> {
        match self {
            Wire::Anthropic => Box::new(anthropic::Decoder::default()),
            Wire::Chat => Box::new(chat::Decoder::after(uses_before)),
            Wire::Responses => Box::new(responses::Decoder::default()),
            Wire::Gemini => Box::new(gemini::Decoder::after(uses_before)),
        }
    }

    fn rubbish(self, reason: String) -> ProviderError {
        ProviderError::Rubbish { protocol: self.name(), reason }
    }

    /// An event's JSON.
    fn json(self, event: &SseEvent) -> Result<Value, ProviderError> {
        serde_json::from_str(&event.data)
            .map_err(|_| self.rubbish(format!("an event {:?} that is not JSON", event.name)))
    }
}

/// A stream that ended before its answer did.
fn ended_early(begun: bool) -> ProviderError {
    let place = if begun { "in the middle of the answer" } else { "before the answer began" };
    ProviderError::Unknown { reason: format!("the stream ended {place}") }
}

/// A provider that says in its stream that it failed: after it began to answer it is possibly billed; before, it is a
/// refusal like any other.
fn failed_in_stream(event: &Value, begun: bool) -> ProviderError {
    if begun {
        let reason = refusal::reason(event).unwrap_or_else(|| "it gave no reason".to_owned());
        ProviderError::Unknown { reason: format!("the provider failed in the middle of its answer: {reason}") }
    } else {
        refusal::refused_in_stream(event)
    }
}

/// Something that the model said.
fn part(content: Content) -> Part {
    Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted }
}

/// Arguments as they were written, and what they were where they are not JSON. Nothing written means no arguments.
fn arguments(written: &str) -> (Value, Option<String>) {
    if written.trim().is_empty() {
        return (Value::Object(serde_json::Map::new()), None);
    }
    match serde_json::from_str(written) {
        Ok(arguments) => (arguments, None),
        Err(_) => (Value::Null, Some(written.to_owned())),
    }
}

/// The id of a use that the provider gave none.
fn made_up_id(uses_before: usize, index: u32) -> String {
    format!("call_{}", uses_before.saturating_add(index as usize))
}

fn say(each: &dyn Fn(Delta), kind: fn(String) -> Delta, words: &Value) {
    if let Some(words) = words.as_str().filter(|words| !words.is_empty()) {
        each(kind(words.to_owned()));
    }
}
