//! What waits for a session's task in memory: a client's requests, and who listens for the end of a call. Nothing here
//! is durable: a client that is not answered asks again.

use std::sync::Arc;

use domain::id::{CallId, Name};
use domain::mail::Start;
use models::ingress::Incoming;
use models::provider::Delta;
use tokio::sync::{mpsc, oneshot};

use super::{AttachError, CallReply, ModelReply, Use};

/// Where a model's words go as they come. It must not wait.
pub type Say = Arc<dyn Fn(&Delta) + Send + Sync>;

/// Who is told how a call stands: first that it waits, if it does, and then how it ended.
pub(crate) type Listener = mpsc::UnboundedSender<Result<CallReply, AttachError>>;

/// One request of a client.
pub(crate) struct Request {
    /// Whose key it showed.
    pub agent: Name,
    /// How to start its session, where there is none.
    pub start: Option<Box<Start>>,
    /// What it wants.
    pub what: What,
}

/// What a client wants.
pub(crate) enum What {
    /// Its model's answer.
    Model(ModelRequest),
    /// A capability used.
    Call { wanted: Use, listener: Listener },
    /// To know how a call stands.
    Look { call: CallId, listener: Listener },
    /// A call not made any more.
    Withdraw { which: Taken, reply: oneshot::Sender<Result<bool, AttachError>> },
}

/// A call that a client takes back.
pub(crate) enum Taken {
    /// This, whoever waits for it.
    Call(CallId),
    /// The one that this would be again, if nobody waits for it.
    Same(Use),
}

/// A client that waits for its model.
pub(crate) struct ModelRequest {
    pub incoming: Arc<Incoming>,
    pub say: Say,
    pub reply: oneshot::Sender<Result<ModelReply, AttachError>>,
    /// Until when it waits to be sent, in monotonic milliseconds.
    pub patience_ms: i64,
}

impl Request {
    /// Whether it begins something.
    pub(crate) fn begins(&self) -> bool {
        matches!(self.what, What::Model(_) | What::Call { .. })
    }

    /// Says that nothing came of it.
    pub(crate) fn fail(self, error: AttachError) {
        // A client that went away hears nothing.
        match self.what {
            What::Model(request) => drop(request.reply.send(Err(error))),
            What::Call { listener, .. } | What::Look { listener, .. } => drop(listener.send(Err(error))),
            What::Withdraw { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}
