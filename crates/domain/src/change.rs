//! Changes of authority, as people who answer for an agent read them, and as they wait for a second person.
//! Persisted in the control shard: fields are only ever added. What must not be known here: how one is told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::control::{Applied, Kind};
use crate::id::{CallId, Digest, Name};

/// Which way a change of authority goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More may happen, or nobody can tell.
    Widens,
    /// Less may happen.
    Narrows,
    /// It bears on nothing that may happen.
    Neither,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Widens => "widens",
            Direction::Narrows => "narrows",
            Direction::Neither => "neither",
        })
    }
}

/// One change of authority, in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The kind of the descriptor that changes.
    pub of: Kind,
    /// Its name.
    pub name: Name,
    /// Which way it goes.
    pub direction: Direction,
    /// What changes.
    pub text: String,
    /// The agents whose authority it is, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Name>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.of, self.name, self.text)?;
        let others: Vec<&str> = self.agents.iter().filter(|_| self.of != Kind::Agent).map(Name::as_str).collect();
        if others.is_empty() { Ok(()) } else { write!(f, " (bears on {})", others.join(", ")) }
    }
}

/// A descriptor by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Its kind.
    pub of: Kind,
    /// Its name.
    pub name: Name,
}

/// A descriptor, and the revision of it that a proposal was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Which.
    #[serde(flatten)]
    pub target: Target,
    /// Its revision then; `None`: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Digest>,
}

/// A change that waits for a second person. Nothing of it is in force until they say yes to all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The descriptors to apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applies: Vec<Applied>,
    /// The descriptors to delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<Target>,
    /// What it was made from: where that is not so any more, it is superseded.
    pub base: Vec<Base>,
    /// What it changes of whose authority.
    pub changes: Vec<Change>,
    /// Who proposed it: `admin`, or `person/NAME`.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it is rejected by itself.
    pub expires_at: Timestamp,
    /// What would have been decided otherwise lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
}

/// What a change would have made of what happened lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// How many sessions were looked at.
    pub sessions: u32,
    /// How many of their calls were decided again.
    pub calls: u32,
    /// How many of those would have been decided otherwise.
    pub changed: u32,
    /// Those, the latest first; no more than a page of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differ: Vec<Differs>,
}

/// A recorded call that would have been decided otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// Which.
    pub call: CallId,
    /// Whose.
    pub agent: Name,
    /// Of which capability.
    pub capability: String,
    /// What it was worth, in micro-dollars, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_usd_micros: Option<i64>,
    /// What becomes of it as things are: allow, ask, record or deny.
    pub before: String,
    /// What would become of it.
    pub after: String,
}

/// How a proposal ended otherwise than by people's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// Whoever proposed it took it back.
    Withdrawn,
    /// What it was made from, or what it would change, is not what was shown any more.
    Superseded,
}
