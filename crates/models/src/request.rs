//! What a provider is told: the conversation, the tools, and how to answer, in no protocol's words; or a client's own
//! body of the same protocol, which goes out as it is. It must not know gates, budgets or sessions.

use std::sync::Arc;

use bytes::Bytes;
use domain::capability::Offer;
use domain::id::Name;
use domain::message::Message;
use serde_json::Value;

/// Everything that a provider is told.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub agent: Name,
    /// Which model, as it is sent.
    pub model: String,
    /// What the agent is for.
    pub instructions: Arc<str>,
    /// Everything said so far, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// What may be used.
    pub tools: Arc<[Tool]>,
    /// The output it may write, in tokens.
    pub max_output_tokens: u32,
    /// How it is to answer.
    pub options: Options,
    /// The body to send instead of one made of all this.
    pub verbatim: Option<Verbatim>,
}

/// What a model may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What the model calls it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
    /// A client's own definition, in the provider's own protocol: it goes out unchanged. Tools of the provider's servers
    /// are such.
    pub raw: Option<Value>,
}

impl From<&Offer> for Tool {
    fn from(offer: &Offer) -> Self {
        Tool {
            name: offer.capability.name().to_string(),
            description: offer.description.clone(),
            input_schema: offer.input_schema.clone(),
            raw: None,
        }
    }
}

/// How a model is to answer. What is not said is the provider's business.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// How much chance there is in it.
    pub temperature: Option<f64>,
    /// Of which share of the likeliest words it chooses.
    pub top_p: Option<f64>,
    /// Words that end its answer.
    pub stop: Vec<String>,
    /// Which tools it must use.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may want several uses at once.
    pub parallel_tools: Option<bool>,
    /// How much it reasons.
    pub effort: Option<Effort>,
    /// The form of its answer.
    pub format: Option<Format>,
}

/// Which tools a model must use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Any,
    /// This one.
    Tool(String),
}

/// How much a model reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    Most,
    /// So many tokens.
    Tokens(u32),
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Some JSON object.
    Json,
    /// JSON of this schema.
    Schema {
        /// What the schema is called.
        name: String,
        /// The schema.
        schema: Value,
    },
}

/// A client's own body, in the provider's own protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbatim {
    /// The body: exactly this is sent.
    pub body: Bytes,
    /// Headers that go with it, such as `anthropic-beta`; never a key.
    pub headers: Vec<(String, String)>,
    /// Whether it asks for a stream.
    pub stream: bool,
}
