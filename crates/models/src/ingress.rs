//! What a client that lives elsewhere asks, in its own dialect, and what it is answered: pure functions. They must not
//! know sessions, gates, or status codes.
//!
//! ```text
//! body ──▶ read ──▶ Incoming ──┬─▶ verbatim: the same bytes but for what must change    (the provider speaks alike)
//!                              └─▶ the typed conversation, encoded in `wire`            (it does not)
//! deltas, Answer ──▶ AnswerWriter │ whole ──▶ what the client's SDK reads               Trouble ──▶ error_body
//! ```

mod trouble;

use bytes::Bytes;
use domain::message::Message;

pub use trouble::{Trouble, error_body, error_event};

use crate::provider::{Answer, Delta, Options, Tool};

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

/// Reads what a client sent. `headers` are all of its headers; those of the dialect's own are kept.
///
/// # Errors
/// When it is not the dialect, or asks for what cannot be governed.
pub fn read(dialect: Dialect, body: Bytes, headers: &[(String, String)]) -> Result<Incoming, Malformed> {
    let _ = (dialect, body, headers);
    Err(Malformed { field: "body".to_owned(), reason: "no dialect can be read yet".to_owned() })
}

/// The body for a provider that speaks the client's own dialect: every byte as the client sent it, but for the model,
/// the output cap, what makes a stream tell its usage and, with `mark`, cache marks where the client has none.
pub fn verbatim(incoming: &Incoming, model: &str, max_output_tokens: u32, mark: bool) -> Bytes {
    let _ = (model, max_output_tokens, mark);
    incoming.body.clone()
}

/// Writes an answer as it comes, as a stream of the client's dialect. What a provider of the same dialect said
/// ([`Delta::Raw`] and the answer's tail) is handed on as it is.
#[derive(Debug)]
pub struct AnswerWriter {
    dialect: Dialect,
    stamp: Stamp,
}

impl AnswerWriter {
    /// For the answer to this request.
    pub fn new(incoming: &Incoming, stamp: Stamp) -> Self {
        AnswerWriter { dialect: incoming.dialect, stamp }
    }

    /// What is sent for this delta; may be empty.
    pub fn delta(&mut self, delta: &Delta) -> Bytes {
        let _ = (delta, self.dialect, &self.stamp);
        Bytes::new()
    }

    /// What ends the stream, once the outcome is committed.
    pub fn finish(&mut self, answer: &Answer) -> Bytes {
        let _ = answer;
        Bytes::new()
    }
}

/// The whole answer, for a client that wants no stream.
pub fn whole(incoming: &Incoming, stamp: &Stamp, answer: &Answer) -> Bytes {
    let _ = (incoming, stamp, answer);
    Bytes::new()
}

/// What keeps a client of this dialect waiting, while nothing is said.
pub fn keep_alive(dialect: Dialect) -> Bytes {
    Bytes::from_static(match dialect {
        Dialect::Messages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        Dialect::Chat | Dialect::Responses => b": waiting\n\n",
    })
}

/// The input tokens of a request, as far as its length tells: an estimate, for a provider that does not count.
pub fn estimated_tokens(incoming: &Incoming) -> u64 {
    (incoming.body.len() as u64).div_ceil(4)
}
