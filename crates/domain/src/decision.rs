//! What the gate answers. A refusal is a value, not an error: it says what is wrong and what to do next.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::control::Scope;
use crate::id::{ApprovalId, CallId, Digest, Name, Pos, SessionId};

/// May it?
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not.
    Deny(Refusal),
    /// Not yet: ask again when something changed, at the latest at `until`.
    Wait(Wait),
}

/// What refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// The principal is unknown or deleted.
    Identity,
    /// The descriptor or a policy does not allow it.
    Policy,
    /// The budget is spent.
    Budget,
    /// A person said no, or nobody answered in time.
    Approval,
    /// The arguments do not fit the capability's schema, or the model wrote no valid JSON.
    Arguments,
    /// The descriptor is accepted but not yet satisfiable.
    Readiness,
    /// A named bound is full.
    Bound,
}

/// No, and why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What refused.
    pub by: RefusedBy,
    /// What is wrong, in one sentence.
    pub reason: String,
    /// What to do next, in one sentence.
    pub next: String,
}

/// Not yet, and why, and until when at the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What it waits for.
    pub why: WaitFor,
    /// The next instant at which the answer can change by itself; `None`: only mail can change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a call can wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum WaitFor {
    /// A person's consent.
    Approval {
        /// The request for it.
        approval: ApprovalId,
    },
    /// Reservations in flight tie up the budget; `until` is when to ask again.
    TiedUp {
        /// Which budget.
        budget: String,
    },
    /// The budget is spent, and its agent's descriptor says to wait: `until` the window ends.
    Exhausted {
        /// Which budget.
        budget: String,
    },
    /// The outcome of a write is unknown: a person must say what happened.
    InDoubt {
        /// The call.
        call: CallId,
    },
    /// An administrator stopped something that the call is of: it waits until that is let go on.
    Frozen {
        /// What was stopped.
        scope: Scope,
    },
    /// Somebody suspended the session: it waits until it is resumed.
    Paused {
        /// Who.
        by: String,
    },
    /// An instant: `until`.
    Timer,
    /// The model could not be asked, or did not take the request: it is asked again at `until`.
    Model {
        /// How often in a row it failed.
        failed: u32,
    },
    /// Another agent, which it was delegated to.
    Delegated {
        /// Which.
        agent: Name,
        /// In which session.
        session: SessionId,
    },
}

/// Under what a decision was made: enough to make it again, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedAt {
    /// The control shard's position.
    pub control_pos: Pos,
    /// The hash of the policy set.
    pub policy_set: Digest,
    /// The policies that determined it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_ids: Vec<String>,
}
