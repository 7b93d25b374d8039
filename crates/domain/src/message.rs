//! What people, models and tools say. Every part knows where it came from and how far it is trusted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::provenance::Vouches;
use crate::tagged::tagged;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A person or a trigger: what the agent is asked.
    Person,
    /// The model, in the agent's name.
    Agent,
    /// What capabilities answered.
    Capability,
}

/// Where a part came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Said by a person.
    Person,
    /// Written in the descriptor.
    Descriptor,
    /// Said by the model.
    Model,
    /// Returned by a capability.
    Capability,
    /// Recalled from memory.
    Memory,
    /// Said by the runtime itself: a refusal, a repair hint.
    Runtime,
    /// Brought by a webhook: whoever holds its secret wrote it.
    Webhook,
    /// Said by another agent: who delegated, or who was delegated to.
    Agent,
}

/// How far a part is trusted to instruct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// May be relied upon.
    Trusted,
    /// May have been written by a stranger.
    Untrusted,
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What it says.
    pub content: Content,
    /// Where it came from.
    pub origin: Origin,
    /// Labels it carries, from the capability that returned it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How far it is trusted.
    pub trust: Trust,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Content {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// The model's reasoning, kept as the provider sent it, signature included: it must go back unchanged.
    Reasoning {
        /// What a person may read of it; empty when the provider redacted it.
        text: String,
        /// The provider's own block.
        raw: Value,
    },
    /// The model wants to use a capability.
    Use {
        /// The provider's id of this use; its result answers to it.
        use_id: String,
        /// The capability's name as the model saw it.
        capability: String,
        /// The arguments, where the model wrote valid JSON.
        arguments: Value,
        /// What the model wrote, where it was not valid JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        malformed: Option<String>,
    },
    /// What a use came to.
    Result {
        /// The use that this answers.
        use_id: String,
        /// What the model reads.
        text: String,
        /// The structured result, where the capability gave one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        structured: Option<Value>,
        /// Whether it failed or was refused.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        error: bool,
        /// What of it may be relied upon though the rest may not, as its capability said when it answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vouches: Option<Box<Vouches>>,
    },
    /// A provider's block that Ostler does not know: kept and sent back unchanged.
    Other {
        /// The provider's own block.
        raw: Value,
    },
}

tagged!(Content, "type");

/// One thing said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of one text.
    pub fn text(role: Role, origin: Origin, text: impl Into<String>) -> Self {
        let content = Content::Text { text: text.into() };
        Message { role, parts: vec![Part { content, origin, labels: Vec::new(), trust: Trust::Trusted }] }
    }

    /// All its words, reasoning left out, joined by line breaks.
    pub fn words(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match &part.content {
            Content::Text { text } | Content::Result { text, .. } => Some(text.as_str()),
            Content::Reasoning { .. } | Content::Use { .. } | Content::Other { .. } => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}
