//! The way in for agents that keep their own loop: a client's request becomes a call of an attached session, which the
//! session's one task makes as it makes every other. Here are the words of it; it must not know how a client speaks.
//!
//! ```text
//!   client ─▶ server ─▶ attach_model, attach_call ─▶ desk ─▶ the session's task ─▶ doors ─▶ commit ─▶ reply
//! ```

use std::sync::Arc;
use std::time::Duration;

use domain::capability::Offer;
use domain::clock::Timestamp;
use domain::decision::{RefusedBy, WaitFor};
use domain::id::{CallId, Name};
use domain::mail::Start;
use serde_json::Value;

use crate::mailbox::{Full, Runtime};

/// How a session of an agent starts under a key, or why it cannot: asked of whoever was wired in, for the execution
/// plane knows no descriptors.
pub type StartOf = dyn Fn(&Name, String) -> Result<Start, NotAttached> + Send + Sync;

/// Why an agent, or a session, cannot be attached to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} {next}")]
pub struct NotAttached {
    /// What is wrong, in one sentence.
    pub reason: String,
    /// What to do next, in one sentence.
    pub next: String,
}

/// Which session a client's call belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The one of this key: the client said so (`Ostler-Session`).
    Key(String),
    /// The attached session whose model asked for exactly this last and has no result of it yet; else the one of this
    /// key.
    Asked {
        /// That key.
        otherwise: String,
    },
}

/// A capability that a client uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    /// The capability's name, as the agent's descriptor lists it: `email-draft`.
    pub name: String,
    /// Its arguments: a JSON object.
    pub arguments: Value,
}

/// How a client's capability call stands.
#[derive(Debug, Clone, PartialEq)]
pub enum CallReply {
    /// It ended, and this is what the agent is told.
    Result {
        /// The call.
        call: CallId,
        /// What the model reads.
        text: String,
        /// The structured result, where the capability gave one.
        structured: Option<Value>,
        /// Whether it failed.
        error: bool,
    },
    /// It was refused: what, why, and what to do next.
    Refused {
        /// The call.
        call: CallId,
        /// What refused, where that is known.
        by: Option<RefusedBy>,
        /// In words, for the agent.
        text: String,
    },
    /// It waits. The same call made again is this call, also after it has ended meanwhile.
    Waits {
        /// The call.
        call: CallId,
        /// For what.
        why: WaitFor,
        /// Until when at the latest the answer changes: an approval expires then.
        until: Option<Timestamp>,
    },
}

/// Why a client's request came to nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AttachError {
    /// A bound is full: nothing was begun; try again later.
    #[error(transparent)]
    Full(#[from] Full),
    /// There is no such agent, or its sessions cannot be attached to.
    #[error(transparent)]
    NotAttached(#[from] NotAttached),
    /// Somebody stopped it: frozen, suspended or killed. In one sentence.
    #[error("{0}")]
    Stopped(String),
    /// It is not known what came of it: the server stops, or the log did not take it.
    #[error("{0}")]
    Lost(String),
}

impl Runtime {
    /// Uses a capability for a client, in its agent's name. `wait`: how long to wait for a person, or for a budget that
    /// is tied up; how long the capability itself takes does not count.
    ///
    /// The same call made again (same session, capability and arguments) while it is open, or after it ended without
    /// anybody being told, is the same call.
    ///
    /// # Errors
    /// Where nothing was begun, or nobody knows.
    pub async fn attach_call(
        &self,
        agent: &Name,
        whose: Whose,
        wanted: Use,
        wait: Duration,
    ) -> Result<CallReply, AttachError> {
        let _ = (agent, whose, wanted, wait);
        Err(AttachError::Lost("Attached calls are not served yet.".to_owned()))
    }

    /// How an attached agent's capability call stands, once it has ended or `wait` is over. `None`: there is no such
    /// open call, and no result that nobody was told.
    ///
    /// # Errors
    /// Where nobody knows.
    pub async fn attach_look(
        &self,
        agent: &Name,
        call: CallId,
        wait: Duration,
    ) -> Result<Option<CallReply>, AttachError> {
        let _ = (agent, call, wait);
        Err(AttachError::Lost("Attached calls are not served yet.".to_owned()))
    }

    /// What an agent may use now, sorted by name: exactly what its descriptor lists.
    ///
    /// # Errors
    /// Where there is no such agent, or it cannot be attached to.
    pub async fn attach_offers(&self, agent: &Name) -> Result<Arc<[Offer]>, AttachError> {
        let _ = agent;
        Err(AttachError::Lost("Attached calls are not served yet.".to_owned()))
    }
}
