//! What a session is told of its descriptor, and what it is charged for its own work.

use data::rows::Rows;
use domain::budget::Amounts;
use domain::principal::Principal;

use super::Door;

/// What the runtime needs to know of a session's revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// How many model calls one message may cause.
    pub turns: u32,
}

impl Door {
    /// What the principal's revision says; `None` if it is not known any more.
    pub fn brief(&self, principal: &Principal) -> Option<Brief> {
        let registry = self.inner.parts.gate.registry();
        let entry = registry.revision(&principal.link.agent, principal.link.revision)?;
        Some(Brief { turns: entry.descriptor.spec.limits.turns })
    }

    /// Charges a session for what it worked, in milliseconds from wake to sleep less waiting on doors.
    pub fn charge(&self, principal: &Principal, compute_ms: i64) -> Rows {
        self.inner.parts.gate.charge(principal, &Amounts { compute_ms, ..Amounts::default() })
    }
}
