//! The port to a language model: one request in, words as they come, one answer at the end. An implementation speaks
//! to its provider and says what went wrong in terms of what the caller can do. It must not know gates, budgets or
//! sessions.

use async_trait::async_trait;
use bytes::Bytes;
use domain::call::Stop;
use domain::depth;
use domain::message::{Content, Message};
use serde_json::Value;

pub use crate::request::{Effort, Format, Options, Request, Tool, ToolChoice, Verbatim};
pub use crate::usage::Usage;

/// The most tokens of one kind that one answer can have taken: counts are added up, for years.
const MOST_TOKENS: u64 = u32::MAX as u64;

/// Something the model just said. For showing progress only: the answer repeats it. Of a verbatim request there is only
/// [`Delta::Raw`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Words of the answer.
    Text(String),
    /// Words of its reasoning.
    Reasoning(String),
    /// It began to write a use of a capability.
    UseStarted {
        /// Which use of this answer, from 0.
        index: u32,
        /// The provider's id of this use.
        id: String,
        /// The capability.
        name: String,
    },
    /// A piece of the JSON of a use's arguments; all pieces of one use together are the whole.
    Arguments {
        /// Which use of this answer, from 0.
        index: u32,
        /// The piece.
        piece: String,
    },
    /// Whole events of the answer's stream, byte for byte, for whoever spoke the provider's own protocol. What follows
    /// them, from the event on that ends the answer, is in [`Answer::tail`].
    Raw(Bytes),
}

/// Where deltas go.
pub type Sink<'a> = &'a (dyn Fn(Delta) + Send + Sync);

/// What a model answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it said.
    pub message: Message,
    /// Why it stopped.
    pub stop: Stop,
    /// What it took.
    pub usage: Usage,
    /// The model that says it answered.
    pub served_model: Option<String>,
    /// Of a verbatim request: the last bytes of the answer, which were not given as [`Delta::Raw`]; of an answer that is
    /// no stream, all of it. Whoever spoke the provider's own protocol gets them once the outcome is durable.
    pub tail: Bytes,
}

impl Answer {
    /// The answer, fit to be counted and to be read again once it is stored: arguments that nest too deep are malformed,
    /// and what a provider says of its usage beyond reason is left out.
    ///
    /// # Errors
    /// When tokens or other blocks are beyond reason.
    pub fn within_reason(mut self) -> Result<Self, ProviderError> {
        let beyond = |reason: String| Err(ProviderError::Rubbish { protocol: "an answer within reason", reason });
        let most = self.usage.largest();
        if most > MOST_TOKENS {
            return beyond(format!("it counts {most} tokens"));
        }
        if depth::is_too_deep(&self.usage.raw) {
            self.usage.raw = Value::Null;
        }
        for part in &mut self.message.parts {
            match &mut part.content {
                Content::Use { arguments, malformed, .. } if depth::is_too_deep(arguments) => {
                    *malformed = Some(arguments.take().to_string());
                }
                Content::Reasoning { raw, .. } | Content::Other { raw } if depth::is_too_deep(raw) => {
                    return beyond(format!("a block nests deeper than {} levels", depth::MOST));
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// Whether it asks for a capability to be used.
    pub fn uses_something(&self) -> bool {
        self.message.parts.iter().any(|part| matches!(part.content, Content::Use { .. }))
    }
}

/// What went wrong, by what the caller can do about it. No variant ever holds a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It never reached the provider: nothing happened and nothing is billed.
    #[error("the request did not reach the provider: {reason}")]
    NotSent {
        /// Why.
        reason: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
    /// There is no place at the provider: nothing was sent and nothing is billed.
    #[error("no place at the provider {reason}")]
    Crowded {
        /// Which, and how crowded it is.
        reason: String,
        /// When to come back, in milliseconds.
        retry_after_ms: i64,
    },
    /// The provider said no before it said anything else: nothing is billed.
    #[error("the provider refused the request (HTTP {status}): {reason}")]
    Rejected {
        /// The HTTP status; of an error event, the one that its kind stands for.
        status: u16,
        /// The provider's own words.
        reason: String,
        /// Whether the same request may succeed later.
        retryable: bool,
        /// How long the provider asks to be left alone.
        retry_after_ms: Option<u64>,
    },
    /// It was sent and its answer was lost: it is possibly billed.
    #[error("the answer was lost after the request was sent: {reason}")]
    Unknown {
        /// What is known.
        reason: String,
    },
    /// The provider answered with something that is not its protocol: possibly billed, and asking again will not help.
    #[error("the answer is not {protocol}: {reason}")]
    Rubbish {
        /// What was expected.
        protocol: &'static str,
        /// What came instead.
        reason: String,
    },
}

impl ProviderError {
    /// Whether the same request may simply be sent again: nothing happened, nothing is billed, and it may help.
    pub fn may_be_sent_again(&self) -> bool {
        match self {
            ProviderError::NotSent { retryable, .. } | ProviderError::Rejected { retryable, .. } => *retryable,
            ProviderError::Crowded { .. } => true,
            ProviderError::Unknown { .. } | ProviderError::Rubbish { .. } => false,
        }
    }

    /// Whether the provider may bill for it all the same.
    pub fn is_possibly_billed(&self) -> bool {
        match self {
            ProviderError::NotSent { .. } | ProviderError::Crowded { .. } | ProviderError::Rejected { .. } => false,
            ProviderError::Unknown { .. } | ProviderError::Rubbish { .. } => true,
        }
    }
}

/// A language model behind some protocol.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The body that would be sent for this request: the same request gives the same bytes, always.
    fn body(&self, request: &Request) -> Bytes;

    /// Sends that body once and follows the answer. Deltas are visible output: an error after the first of them is
    /// never [`ProviderError::NotSent`] or [`ProviderError::Rejected`].
    async fn send(&self, request: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError>;

    /// What the provider itself counts that a client's request takes, in its own words; `None` where it cannot be asked,
    /// or does not answer. Nothing is generated and nothing is billed.
    async fn count(&self, _question: &Verbatim) -> Option<Bytes> {
        None
    }

    /// Whether its answers are made up.
    fn is_scripted(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use domain::call::Stop;
    use domain::message::{Content, Message, Origin, Part, Role, Trust};
    use serde_json::{Value, json};

    use super::{Answer, ProviderError, Usage};

    fn deep() -> Value {
        (0..100).fold(json!(1), |inner, _| json!({"a": inner}))
    }

    fn said(content: Content, usage: Usage) -> Result<Answer, ProviderError> {
        let part = Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
        let message = Message { role: Role::Agent, parts: vec![part] };
        Answer { message, stop: Stop::Done, usage, served_model: None, tail: Bytes::new() }.within_reason()
    }

    fn text() -> Content {
        Content::Text { text: "Hello".to_owned() }
    }

    #[test]
    fn arguments_that_nest_too_deep_are_malformed() {
        let (use_id, capability) = ("u".to_owned(), "draft".to_owned());
        let wanted = Content::Use { use_id, capability, arguments: deep(), malformed: None };
        let answer = said(wanted, Usage::default()).unwrap();
        let Content::Use { arguments, malformed, .. } = &answer.message.parts[0].content else { panic!("{answer:?}") };
        assert_eq!((arguments, malformed.as_deref()), (&Value::Null, Some(deep().to_string().as_str())));
    }

    #[test]
    fn another_block_that_nests_too_deep_is_rubbish() {
        for block in [Content::Other { raw: deep() }, Content::Reasoning { text: String::new(), raw: deep() }] {
            assert!(matches!(said(block, Usage::default()), Err(ProviderError::Rubbish { .. })));
        }
    }

    #[test]
    fn a_usage_that_nests_too_deep_is_left_out() {
        let answer = said(text(), Usage { input: 7, raw: deep(), ..Usage::default() }).unwrap();
        assert_eq!((answer.usage.input, answer.usage.raw), (7, Value::Null));
    }

    #[test]
    fn a_count_beyond_reason_is_rubbish() {
        let most = u64::from(u32::MAX);
        assert!(said(text(), Usage { cache_read: most, ..Usage::default() }).is_ok());
        let refused = said(text(), Usage { cache_read: most + 1, ..Usage::default() }).unwrap_err();
        assert!(refused.to_string().ends_with("it counts 4294967296 tokens"), "{refused}");
    }
}
