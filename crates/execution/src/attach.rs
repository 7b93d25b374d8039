//! The way in for agents that keep their own loop: a client's request becomes a call of an attached session, which the
//! session's one task makes as it makes every other. Here are the words of it; it must not know how a client speaks.
//!
//! ```text
//!   client ─▶ server ─▶ attach_model, attach_call ─▶ desk ─▶ the session's task ─▶ doors ─▶ commit ─▶ reply
//! ```

mod guests;
mod linger;
mod request;
mod uses;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::capability::Offer;
use domain::clock::Timestamp;
use domain::decision::{Refusal, RefusedBy, WaitFor};
use domain::id::{CallId, Digest, Name, SessionId};
use domain::mail::Start;
use models::ingress::Incoming;
use models::provider::{Answer, ProviderError};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

pub(crate) use guests::Guests;
pub(crate) use linger::Lingering;
pub use request::Say;
pub(crate) use request::{Listener, ModelRequest, Request, Taken, What};

use crate::mailbox::{Full, Runtime};

/// How long a client's model call waits for a budget that is tied up.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest name that a client may give its session, in bytes.
const LONGEST_KEY: usize = 200;

/// How a session of an agent starts under a key, or why it cannot: asked of whoever was wired in, for the execution
/// plane knows no descriptors.
pub type StartOf = dyn Fn(&Name, String) -> Result<Start, NotAttached> + Send + Sync;

/// Whom to ask how sessions start.
#[derive(Clone)]
pub struct Starts(pub(crate) Arc<StartOf>);

impl Starts {
    /// Asks this.
    pub fn new(ask: Arc<StartOf>) -> Self {
        Starts(ask)
    }
}

/// Nobody: no agent can be attached to.
impl Default for Starts {
    fn default() -> Self {
        Starts(Arc::new(|agent, _| {
            let reason = format!("{agent} cannot be attached to: this process serves no clients.");
            Err(NotAttached { reason, next: "Ask the operator.".to_owned() })
        }))
    }
}

impl fmt::Debug for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Starts")
    }
}

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

/// What a model answered a client, once that is durable.
#[derive(Debug)]
pub struct ModelReply {
    /// The call.
    pub call: CallId,
    /// The answer, with the bytes that end it.
    pub answer: Box<Answer>,
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
    /// The gate said no.
    #[error("{} {}", .0.reason, .0.next)]
    Refused(Refusal),
    /// The gate said not yet, and it did not change while the client waited: a model call is not made then.
    #[error("{words}")]
    Waits {
        /// What for.
        why: WaitFor,
        /// When to come back, where that is known.
        until: Option<Timestamp>,
        /// In words.
        words: String,
    },
    /// The provider did not answer.
    #[error("{0}")]
    Upstream(ProviderError),
    /// It is not known what came of it: the server stops, or the log did not take it.
    #[error("{0}")]
    Lost(String),
}

impl AttachError {
    fn lost() -> Self {
        AttachError::Lost("Nobody knows what came of it: the server stops, or its log did not take it.".to_owned())
    }
}

impl Runtime {
    /// Asks a model for a client, in its agent's name. `key`: the session that the client names; else it follows from
    /// the conversation's first turn. Words go to `say` as they come; the answer is given once it is durable. A client
    /// that goes away, so that this is dropped, lets the call end: it is paid for.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn attach_model(
        &self,
        agent: &Name,
        key: Option<String>,
        incoming: Arc<Incoming>,
        say: Say,
    ) -> Result<ModelReply, AttachError> {
        let key = key.map_or_else(|| Ok(first_turn(&incoming)), checked)?;
        let start = self.start_of(agent, key)?;
        let session = start.principal.link.session;
        let (reply, answer) = oneshot::channel();
        let patience_ms = self.log().clock().monotonic_ms() + ms(PATIENCE);
        let model = ModelRequest { incoming, say, reply, patience_ms };
        self.ask(session, Request { agent: agent.clone(), start: Some(Box::new(start)), what: What::Model(model) })?;
        answer.await.unwrap_or_else(|_| Err(AttachError::lost()))
    }

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
        let (session, start) = self.session_of(agent, whose, &wanted)?;
        let (listener, told) = mpsc::unbounded_channel();
        let what = What::Call { wanted, listener };
        self.ask(session, Request { agent: agent.clone(), start: Some(Box::new(start)), what })?;
        self.hear(told, wait).await
    }

    /// Uses a capability in a session that starts like this, where there is none: for whoever knows on whose behalf it is.
    /// The same call made again is the same call, as it is for a client.
    ///
    /// # Errors
    /// Where nothing was begun, or nobody knows.
    pub async fn attach_as(&self, start: Start, wanted: Use, wait: Duration) -> Result<CallReply, AttachError> {
        let start = Start { attached: true, ..start };
        let (agent, session) = (start.principal.link.agent.clone(), start.principal.link.session);
        let (listener, told) = mpsc::unbounded_channel();
        let what = What::Call { wanted, listener };
        self.ask(session, Request { agent, start: Some(Box::new(start)), what })?;
        self.hear(told, wait).await
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
        let (listener, told) = mpsc::unbounded_channel();
        let what = What::Look { call, listener };
        self.ask(call.session, Request { agent: agent.clone(), start: None, what })?;
        match self.hear(told, wait).await {
            Ok(reply) => Ok(Some(reply)),
            Err(AttachError::NotAttached(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes back a capability call of an attached agent: what waits is not made, and nobody is asked for consent to it any
    /// more. Whether there was such a call; one that was sent goes on.
    ///
    /// # Errors
    /// Where nobody knows.
    pub async fn attach_withdraw(&self, agent: &Name, call: CallId) -> Result<bool, AttachError> {
        self.withdraw(agent, call.session, Taken::Call(call)).await
    }

    /// The same of the call that this would be again, unless another request waits for it.
    ///
    /// # Errors
    /// Where nobody knows.
    pub async fn attach_give_up(&self, agent: &Name, whose: Whose, wanted: Use) -> Result<bool, AttachError> {
        let (session, _) = self.session_of(agent, whose, &wanted)?;
        self.withdraw(agent, session, Taken::Same(wanted)).await
    }

    async fn withdraw(&self, agent: &Name, session: SessionId, which: Taken) -> Result<bool, AttachError> {
        let (reply, done) = oneshot::channel();
        let what = What::Withdraw { which, reply };
        self.ask(session, Request { agent: agent.clone(), start: None, what })?;
        match done.await.unwrap_or_else(|_| Err(AttachError::lost())) {
            Err(AttachError::NotAttached(_)) => Ok(false),
            done => done,
        }
    }

    /// Which session a capability call is of, and how that would start.
    fn session_of(&self, agent: &Name, whose: Whose, wanted: &Use) -> Result<(SessionId, Start), AttachError> {
        let arguments = Digest::of_json(&wanted.arguments);
        let (key, asked) = match whose {
            Whose::Key(key) => (checked(key)?, None),
            Whose::Asked { otherwise } => (otherwise, self.guests().asked(agent, (wanted.name.as_str(), arguments))),
        };
        let start = self.start_of(agent, key)?;
        Ok((asked.unwrap_or(start.principal.link.session), start))
    }

    /// What an agent may use now, sorted by name: exactly what its descriptor lists.
    ///
    /// # Errors
    /// Where there is no such agent, or it cannot be attached to.
    pub async fn attach_offers(&self, agent: &Name) -> Result<Arc<[Offer]>, AttachError> {
        let start = self.start_of(agent, "offers".to_owned())?;
        Ok(self.gateway().offers(&start.principal).await)
    }

    fn start_of(&self, agent: &Name, key: String) -> Result<Start, AttachError> {
        let start = (self.starts().0)(agent, key)?;
        Ok(Start { attached: true, ..start })
    }

    /// How a call stands, once it has ended; what it waits for, once `wait` is over.
    async fn hear(
        &self,
        mut told: mpsc::UnboundedReceiver<Result<CallReply, AttachError>>,
        wait: Duration,
    ) -> Result<CallReply, AttachError> {
        let mut latest = told.recv().await.unwrap_or_else(|| Err(AttachError::lost()))?;
        let enough = tokio::time::sleep(wait);
        tokio::pin!(enough);
        while let CallReply::Waits { call, .. } = latest {
            tokio::select! {
                biased;
                next = told.recv() => latest = next.unwrap_or_else(|| Err(AttachError::lost()))?,
                () = &mut enough => {
                    drop(told);
                    self.guests().left(call);
                    return Ok(latest);
                }
            }
        }
        Ok(latest)
    }
}

/// A name that a client gave its session.
fn checked(key: String) -> Result<String, NotAttached> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        let reason = format!("The session's name has {} bytes; 1 to {LONGEST_KEY} are allowed.", key.len());
        return Err(NotAttached { reason, next: "Send a shorter `Ostler-Session`, or none.".to_owned() });
    }
    Ok(key)
}

/// What a conversation is called that its client gives no name: the same for each of its calls.
fn first_turn(incoming: &Incoming) -> String {
    let first = incoming.messages.first().map(|message| serde_json::to_string(message).unwrap_or_default());
    let parts = (&incoming.instructions, first, &incoming.hint);
    let digest = Digest::of(serde_json::to_string(&parts).unwrap_or_default().as_bytes());
    format!("client-{}", digest.short())
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
