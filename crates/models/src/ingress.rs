//! What a client that lives elsewhere asks, in its own dialect, and what it is answered: pure functions. They must not
//! know sessions, gates, or status codes.
//!
//! ```text
//! body ──▶ read ──▶ Incoming ──┬─▶ verbatim: the same bytes but for what must change    (the provider speaks alike)
//!                              └─▶ the typed conversation, encoded in `wire`            (it does not)
//! deltas, Answer ──▶ AnswerWriter │ whole ──▶ what the client's SDK reads               Trouble ──▶ error_body
//! ```

mod blocks;
mod chat;
mod convert;
mod event;
mod field;
mod listing;
mod messages;
mod openai;
mod responses;
mod splice;
mod talk;
mod thought;
mod trouble;
mod verbatim;
mod weight;
mod writer;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::id::Digest;
use domain::message::Message;
use serde_json::{Value, json};

pub use convert::{Converted, converted, speaks};
pub use listing::{counted, estimated_tokens, listed};
pub use trouble::{Trouble, error_body, error_event};
pub use verbatim::{question, verbatim};
pub use weight::Weight;
pub use writer::{AnswerWriter, keep_alive, whole};

use crate::provider::{Options, Tool};

/// The API that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anthropic Messages: `POST /v1/messages`.
    Messages,
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    Chat,
    /// OpenAI Responses: `POST /v1/responses`.
    Responses,
}

/// What a client asks: what it sent, and what that means.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The API that it speaks.
    pub dialect: Dialect,
    /// Exactly what it sent.
    pub body: Bytes,
    /// Its headers that a provider of the same protocol is to see: names in small letters, no key among them.
    pub headers: Vec<(String, String)>,
    /// The model it asks for.
    pub model: String,
    /// Whether it wants the answer as it comes.
    pub stream: bool,
    /// The output it allows, in tokens, where it says so.
    pub max_output_tokens: Option<u32>,
    /// What it tells its model to be: system prompts, joined.
    pub instructions: String,
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// What its model may use, in its order.
    pub tools: Vec<Tool>,
    /// How its model is to answer.
    pub options: Options,
    /// What the dialect says of its conversation: calls with the same hint belong together.
    pub hint: Option<String>,
    /// What it weighs beside its bytes.
    pub weight: Weight,
    /// The body as JSON.
    parsed: Arc<Value>,
    /// Of the tools, once it was asked for.
    tools_hash: OnceLock<Digest>,
}

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Malformed {
    /// Where in the body, such as `messages[2].content`.
    pub field: String,
    /// What is wrong with it, and what is expected.
    pub reason: String,
}

/// What a converted answer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its id, without the dialect's prefix.
    pub id: String,
    /// The model that was asked.
    pub model: String,
    /// When it began, in seconds since 1970.
    pub created: i64,
}

/// Headers of the dialects' own that a provider is to see.
const KEPT: [&str; 3] = ["anthropic-beta", "anthropic-version", "openai-beta"];
/// Headers in which clients name their conversation.
const CONVERSATION: [&str; 4] = ["x-claude-code-session-id", "session_id", "session-id", "conversation_id"];

/// Reads what a client sent. `headers` are all of its headers, names in small letters; those of the dialect's own are
/// kept.
///
/// # Errors
/// When it is not the dialect, or asks for what cannot be governed.
pub fn read(dialect: Dialect, body: Bytes, headers: &[(String, String)]) -> Result<Incoming, Malformed> {
    let parsed: Value =
        serde_json::from_slice(&body).map_err(|error| Malformed::at("body", format!("no JSON: {error}")))?;
    if !parsed.is_object() {
        return Err(Malformed::at("body", "expected a JSON object"));
    }
    said_once(&body)?;
    let mut incoming = match dialect {
        Dialect::Messages => messages::read::read(&parsed),
        Dialect::Chat => chat::read::read(&parsed),
        Dialect::Responses => responses::read::read(&parsed),
    }?;
    let named = CONVERSATION.iter().find_map(|name| headers.iter().find(|(header, _)| header == name));
    if let Some((_, conversation)) = named {
        incoming.hint = Some(conversation.clone());
    }
    incoming.headers = headers.iter().filter(|(name, _)| KEPT.contains(&name.as_str())).cloned().collect();
    (incoming.body, incoming.parsed) = (body, Arc::new(parsed));
    Ok(incoming)
}

/// A field that is there twice is read by some as the first and by others as the second: what is decided upon would
/// not be what is done.
fn said_once(body: &[u8]) -> Result<(), Malformed> {
    let unreadable = |error: serde_json::Error| Malformed::at("body", format!("no JSON: {error}"));
    let splice::Fields(fields) = serde_json::from_slice(body).map_err(unreadable)?;
    let mut names: Vec<_> = fields.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Malformed::at(&pair[0], "it is there twice")),
        None => Ok(()),
    }
}

impl Incoming {
    /// What it sent, as JSON.
    pub fn parsed(&self) -> &Value {
        &self.parsed
    }

    /// Nothing said, in a dialect.
    fn blank(dialect: Dialect) -> Self {
        Incoming {
            dialect,
            body: Bytes::new(),
            headers: Vec::new(),
            model: String::new(),
            stream: false,
            max_output_tokens: None,
            instructions: String::new(),
            messages: Vec::new(),
            tools: Vec::new(),
            options: Options::default(),
            hint: None,
            weight: Weight::default(),
            parsed: Arc::new(Value::Null),
            tools_hash: OnceLock::new(),
        }
    }

    /// What its model may use, as it is recorded: each tool as the client defines it.
    pub fn tools_said(&self) -> Value {
        said(&self.tools)
    }

    /// Of that, as canonical JSON.
    pub fn tools_hash(&self) -> Digest {
        *self.tools_hash.get_or_init(|| Digest::of_json(&self.tools_said()))
    }
}

/// Tools as a client defines them, or as they are said to a provider that speaks another protocol.
pub(crate) fn said(tools: &[Tool]) -> Value {
    let each = tools.iter().map(|tool| {
        let said = || json!({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema});
        tool.raw.clone().unwrap_or_else(said)
    });
    each.collect()
}
