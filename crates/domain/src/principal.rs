//! Who acts. An agent is a principal of its own, down to the session; a person may stand behind it.

use serde::{Deserialize, Serialize};

use crate::id::{CallId, Digest, Name, SessionId};

/// How much an agent may do on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Reads pass; writes are recorded and never sent.
    Shadow,
    /// Every write asks a person.
    Supervised,
    /// The descriptor's own approval rules apply.
    Autonomous,
}

/// Whether a record is of the live world or of a shadow-run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Effects happen.
    Live,
    /// Writes are recorded, never sent.
    Shadow,
}

/// One agent's session in a chain of delegation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The agent.
    pub agent: Name,
    /// Its revision: the hash of its descriptor.
    pub revision: Digest,
    /// Its session.
    pub session: SessionId,
    /// The call that it delegated by, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
}

/// The principal of a call: (agent, revision, session, on behalf of, parents, mode).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Who acts.
    #[serde(flatten)]
    pub link: Link,
    /// The owner group of the agent.
    pub owner: Name,
    /// The person behind the request, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Name>,
    /// Who delegated, root first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Link>,
    /// How much it may do on its own.
    pub autonomy: Autonomy,
}

impl Principal {
    /// The session at the root of its delegation: its own, where nobody delegated to it.
    pub fn root(&self) -> &Link {
        self.parents.first().unwrap_or(&self.link)
    }

    /// Everybody from the root down to itself.
    pub fn chain(&self) -> impl Iterator<Item = &Link> {
        self.parents.iter().chain([&self.link])
    }

    /// The call of another session that its own was started by.
    pub fn delegated_by(&self) -> Option<CallId> {
        self.parents.last()?.call
    }

    /// Live, or shadow.
    pub fn mode(&self) -> Mode {
        match self.autonomy {
            Autonomy::Shadow => Mode::Shadow,
            Autonomy::Supervised | Autonomy::Autonomous => Mode::Live,
        }
    }

    /// The session's SPIFFE id in a trust domain (SPIFFE-ID §2): `spiffe://DOMAIN/agent/NAME/rev/HASH/session/ID`.
    pub fn spiffe(&self, domain: &str) -> String {
        let Link { agent, revision, session, .. } = &self.link;
        format!("spiffe://{domain}/agent/{agent}/rev/{revision}/session/{session}")
    }
}

/// Who holds the key that a request came with. An agent's key never decides, applies, or reads another's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Caller {
    /// Applies, adds people and keys, kills and freezes; decides no approval.
    Admin,
    /// Sends work, reads, decides approvals of their groups.
    Person {
        /// Who.
        name: Name,
        /// The groups they belong to.
        groups: Vec<Name>,
    },
    /// Opens the ingress, for itself.
    Agent {
        /// Which.
        name: Name,
    },
}
