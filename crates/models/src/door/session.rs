//! What a session is told of its descriptor, and what it is charged for its own work.

use data::rows::Rows;
use domain::descriptor::{DEFAULT_ACTIVE, DEFAULT_QUEUE};
use domain::principal::Principal;

use super::Door;

/// What the runtime needs to know of a session's revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// How many model calls one message may cause.
    pub turns: u32,
}

/// How much of an agent's work goes on at once, and how much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many of its sessions work at once.
    pub active: u32,
    /// How many messages wait for it.
    pub queue: u32,
}

impl Door {
    /// An agent's limits, as its descriptor in force says; of one that is gone, what they are where none says.
    pub fn limits(&self, agent: &str) -> Limits {
        let registry = self.inner.parts.gate.registry();
        let entry = agent.parse().ok().and_then(|name| registry.agent(&name));
        let Some(entry) = entry else { return Limits { active: DEFAULT_ACTIVE, queue: DEFAULT_QUEUE } };
        let said = &entry.descriptor.spec.concurrency;
        Limits { active: said.active(), queue: said.queue() }
    }

    /// What the principal's revision says; `None` if it is not known any more.
    pub fn brief(&self, principal: &Principal) -> Option<Brief> {
        let registry = self.inner.parts.gate.registry();
        let entry = registry.revision(&principal.link.agent, principal.link.revision)?;
        Some(Brief { turns: entry.descriptor.spec.limits.turns })
    }

    /// Charges a session for what it worked, in milliseconds from wake to sleep less waiting on doors; and what that
    /// costs, in micro-dollars, where its descriptor prices it.
    pub fn charge(&self, principal: &Principal, compute_ms: i64) -> (Rows, Option<i64>) {
        self.inner.parts.gate.charge(principal, compute_ms)
    }
}
