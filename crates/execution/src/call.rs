//! The one call path: every call, of a model or a capability, is prepared by its door (the gate is asked, nothing
//! leaves), committed, performed by the door, and committed again. This file asks and keeps what came back; it must
//! not know why the answer is what it is.

use std::sync::Arc;

use data::commit::Receipt;
use data::rows::Rows;
use domain::call::{Ask, CapabilityAct, Facts, ModelAct};
use domain::capability::{CapabilityRef, Offer};
use domain::event::Event;
use domain::heard::Heard;
use domain::id::{CallId, SessionId};
use domain::session::{CallKind, OpenCall, Session};
use futures::future::BoxFuture;
use models::provider::Delta;
use models::{Came, Performed};

use crate::attach::Say;
use crate::local;
use crate::machine::Wanted;
use crate::progress::{Announcer, Progress};
use crate::scheduler::Parts;

/// A call whose intent is in the rows and may be sent once they are durable.
pub(crate) enum Ready {
    Model(models::Ticket),
    /// For a client, which hears it as it comes.
    Client(models::Ticket, Say),
    Capability(gateway::Ticket),
}

/// What a session brings to a call.
pub(crate) struct Known<'a> {
    pub session: &'a Session,
    pub offers: &'a Arc<[Offer]>,
    /// What it heard; nothing, where a model is asked.
    pub heard: Arc<Heard>,
}

/// What one prepared call adds to the next commit.
pub(crate) struct Prepared {
    pub rows: Rows,
    pub ready: Option<Ready>,
}

/// Asks the right door. Whatever it says is rows to commit; only `Go` leaves something to send.
pub(crate) async fn prepare(parts: &Parts, known: &Known<'_>, wanted: Wanted) -> Prepared {
    let Known { session, offers, .. } = known;
    match wanted {
        Wanted::Model { call, attempt } => {
            let act = ModelAct { messages: session.messages.clone(), offers: Arc::clone(offers) };
            let facts = session.open.get(&call.ordinal).map(Facts::of).unwrap_or_default();
            let ask = Ask { call, attempt, principal: session.principal.clone(), act, facts };
            match parts.models.prepare(&ask).await {
                models::Prepared::Go(rows, ticket) => Prepared { rows, ready: Some(Ready::Model(ticket)) },
                models::Prepared::Wait(rows, _) | models::Prepared::Refuse(rows, _) => Prepared { rows, ready: None },
            }
        }
        Wanted::Capability { call, attempt } => capability(parts, known, *call, attempt).await,
    }
}

async fn capability(parts: &Parts, known: &Known<'_>, call: OpenCall, attempt: u16) -> Prepared {
    let session = known.session;
    let Some(ask) = ask(known, call, attempt) else {
        return Prepared { rows: Rows::default(), ready: None };
    };
    let (rows, ready) = match parts.gateway.prepare(&ask).await {
        gateway::Prepared::Go(rows, ticket) => (rows, Some(Ready::Capability(ticket.in_trace(session.trace)))),
        gateway::Prepared::Local(rows, local) => (local::perform(parts, session, rows, *local).await, None),
        gateway::Prepared::Wait(rows, _) | gateway::Prepared::Refuse(rows, _) | gateway::Prepared::Record(rows, _) => {
            (rows, None)
        }
    };
    Prepared { rows, ready }
}

fn ask(known: &Known<'_>, call: OpenCall, attempt: u16) -> Option<Ask<CapabilityAct>> {
    let offered: Vec<CapabilityRef> = known.offers.iter().map(|offer| offer.capability.clone()).collect();
    let resolved = call.resolves_to(&offered);
    let facts = Facts { heard: Arc::clone(&known.heard), ..Facts::of(&call) };
    let CallKind::Capability { use_id, capability, arguments, malformed } = call.kind else {
        return None;
    };
    let act = CapabilityAct { use_id, capability: resolved.ok_or(capability), arguments, malformed };
    Some(Ask { call: call.id, attempt, principal: known.session.principal.clone(), act, facts })
}

/// What came of a call: the event and what it settles.
pub(crate) struct Landed {
    pub event: Event,
    pub rows: Rows,
    /// What a model's provider said, for whoever hands it on.
    pub came: Option<Came>,
}

/// Sends a call whose intent the receipt proves durable.
pub(crate) fn perform(parts: &Parts, ready: Ready, receipt: Arc<Receipt>) -> BoxFuture<'static, Landed> {
    let parts = parts.clone();
    Box::pin(async move {
        let announce = delta_to(parts.announcer.clone(), receipt.session());
        let Performed { event, rows, came } = match ready {
            Ready::Model(ticket) => parts.models.perform(ticket, &receipt, &announce).await,
            Ready::Client(ticket, say) => {
                let both = move |delta: Delta| {
                    say(&delta);
                    announce(delta);
                };
                parts.models.perform(ticket, &receipt, &both).await
            }
            Ready::Capability(ticket) => {
                let (event, rows) = parts.gateway.perform(ticket, &receipt).await;
                return Landed { event, rows, came: None };
            }
        };
        Landed { event, rows, came: Some(came) }
    })
}

fn delta_to(announcer: Announcer, session: SessionId) -> impl Fn(Delta) + Send + Sync {
    move |delta| {
        if let Delta::Text(words) = delta {
            announcer.announce(session, Progress::Delta(words));
        }
    }
}

/// The call that an event is about, for the envelope's `cause`.
pub(crate) fn cause_of(event: &Event) -> Option<String> {
    event.call().map(|call: CallId| call.to_string())
}
