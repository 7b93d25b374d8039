//! Capabilities: the things one can do. What a call may change, what it is worth, how far its answer is trusted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::Name;

/// What a call changes outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing: may be repeated.
    Read,
    /// Something, but the same call twice changes no more than once: may be repeated with the same key.
    Idempotent,
    /// Something: never repeated without a person's word.
    Write,
    /// Something that cannot be undone.
    Irreversible,
}

impl Effect {
    /// Whether a call whose outcome is unknown may simply be sent again.
    pub const fn may_be_repeated(self) -> bool {
        matches!(self, Effect::Read | Effect::Idempotent)
    }

    /// Whether it changes anything outside.
    pub const fn changes_something(self) -> bool {
        !matches!(self, Effect::Read)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effect::Read => "read",
            Effect::Idempotent => "idempotent",
            Effect::Write => "write",
            Effect::Irreversible => "irreversible",
        })
    }
}

/// What a descriptor's `tools:` entry points at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CapabilityRef {
    /// `mcp://gateway/NAME`: external, through the gateway.
    External(Name),
    /// `internal://NAME`: inside the runtime.
    Internal(Name),
    /// `agent://NAME`: another agent, in a session of its own.
    Agent(Name),
}

impl CapabilityRef {
    /// The name a model sees and calls.
    pub fn name(&self) -> &Name {
        match self {
            CapabilityRef::External(name) | CapabilityRef::Internal(name) | CapabilityRef::Agent(name) => name,
        }
    }
}

impl fmt::Display for CapabilityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CapabilityRef::External(name) => write!(f, "mcp://gateway/{name}"),
            CapabilityRef::Internal(name) => write!(f, "internal://{name}"),
            CapabilityRef::Agent(name) => write!(f, "agent://{name}"),
        }
    }
}

impl FromStr for CapabilityRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let name = |rest: &str| rest.parse::<Name>().map_err(|e| e.to_string());
        if let Some(rest) = text.strip_prefix("mcp://gateway/") {
            name(rest).map(CapabilityRef::External)
        } else if let Some(rest) = text.strip_prefix("internal://") {
            name(rest).map(CapabilityRef::Internal)
        } else if let Some(rest) = text.strip_prefix("agent://") {
            name(rest).map(CapabilityRef::Agent)
        } else {
            Err(format!("{text:?} is not a tool: write mcp://gateway/NAME, internal://NAME or agent://NAME"))
        }
    }
}

impl Serialize for CapabilityRef {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CapabilityRef {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A capability as a model is offered it. The list is sorted by name, so that the prompt's prefix is byte-stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// What it resolves to.
    pub capability: CapabilityRef,
    /// What it does, in the upstream's or the runtime's words.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
}
