//! The way out: what a ticket and its receipt are checked for, the sending, and what it came to. A call is sent once;
//! a read or an idempotent one whose answer was lost is sent once more, with the same key.

use control::decide::{Query, Want};
use data::commit::Receipt;
use data::rows::Rows;
use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement};
use domain::decision::Refusal;
use domain::descriptor::Capability;
use domain::event::{Event, Intent};
use domain::id::SpanId;

use super::wanted::Outside;
use super::{Door, Ticket};
use crate::answer::{self, Marks};
use crate::upstream::{Outcome, ToolCall};

/// How often a call that may be repeated is sent, where its answer is lost.
const TRIES: u32 = 2;

fn words(no: &Refusal) -> String {
    format!("The call was not sent. {} {}", no.reason, no.next)
}

/// What one call comes to at most: one request, and its price, however often it had to be sent.
pub(super) fn price(capability: &Capability) -> Amounts {
    let usd_micros = capability.spec.cost_usd.0;
    Amounts { usd_micros, calls: 1, external_actions: 1, ..Amounts::default() }
}

impl Ticket {
    /// What the gate was asked, to be asked again.
    fn query(&self) -> Query<'_> {
        let Intent { call, attempt, arguments_hash, schema_hash, worst, .. } = *self.intent;
        let Ticket { capability, arguments, value_usd_micros, .. } = self;
        let (effect, value_usd_micros) = (self.effect(), *value_usd_micros);
        let want =
            Want::Capability { capability, effect, arguments, arguments_hash, schema_hash, value_usd_micros, worst };
        Query { call, attempt, principal: &self.principal, facts: &self.facts, want }
    }
}

impl Door {
    /// Sends the call that the receipt's record intends, and says how it ended and what that settles. Where nobody
    /// knows what came of a write, nothing is settled: it holds what it held until a person says.
    pub async fn perform(&self, ticket: Ticket, receipt: &Receipt) -> (Event, Rows) {
        let started = self.0.clock.monotonic_ms();
        let outcome = match self.may_leave(&ticket, receipt).await {
            Ok(()) => self.send(&ticket, receipt).await,
            Err(error) => Outcome::NotSent { error, retryable: false },
        };
        let waited_ms = self.0.clock.monotonic_ms().saturating_sub(started).max(0);
        self.ended(ticket, outcome, waited_ms)
    }

    /// Whether the receipt is this ticket's, and what was decided still stands.
    async fn may_leave(&self, ticket: &Ticket, receipt: &Receipt) -> Result<(), String> {
        if !receipt.holds(ticket.call(), ticket.attempt()) {
            return Err("The call was not sent: its intent is not in the record.".to_owned());
        }
        let (query, decided) = (ticket.query(), &ticket.intent.decided);
        self.0.gate.recheck(receipt.control_pos(), &query, decided).await.map_err(|no| words(&no))?;
        self.as_described(ticket)
    }

    /// Whether what was decided still stands, by what is known now.
    fn still(&self, ticket: &Ticket) -> Result<(), String> {
        self.0.gate.still(&ticket.query(), &ticket.intent.decided).map_err(|no| words(&no))?;
        self.as_described(ticket)
    }

    /// Whether the capability is described as it was when it was asked about: what it may change and what it is worth
    /// were read from that.
    fn as_described(&self, ticket: &Ticket) -> Result<(), String> {
        let Outside { capability, revision, .. } = &*ticket.outside;
        let name = &capability.metadata.name;
        match self.0.gate.registry().capability(name) {
            Some(now) if now.revision == *revision => Ok(()),
            Some(_) | None => Err(format!("the descriptor of {name} changed since the call was allowed")),
        }
    }

    async fn send(&self, ticket: &Ticket, receipt: &Receipt) -> Outcome {
        let tries = if ticket.effect().may_be_repeated() { TRIES } else { 1 };
        let mut outcome = self.send_once(ticket, receipt).await;
        for _ in 1..tries {
            let Outcome::Unknown { error: first } = outcome else { return outcome };
            outcome = match self.send_once(ticket, receipt).await {
                Outcome::NotSent { error, .. } => Outcome::Unknown { error: format!("{first}; then: {error}") },
                answered_or_lost => answered_or_lost,
            };
        }
        outcome
    }

    async fn send_once(&self, ticket: &Ticket, receipt: &Receipt) -> Outcome {
        let not_sent = |error: String, retryable| Outcome::NotSent { error, retryable };
        let spec = &ticket.outside.capability.spec;
        let found = match self.0.catalog.find(&ticket.outside.server, &spec.tool).await {
            Ok(found) => found,
            Err(why) => return not_sent(why, true),
        };
        if found.tool.bound_to(ticket.outside.revision) != ticket.intent.schema_hash {
            let error = format!("the definition of the tool `{}` changed since the call was allowed", spec.tool);
            return not_sent(error, true);
        }
        let traceparent = ticket.trace.map(|trace| {
            let span = SpanId::of_call(ticket.call(), ticket.attempt());
            format!("00-{trace}-{span}-01")
        });
        let call = ToolCall {
            tool: spec.tool.clone(),
            arguments: ticket.arguments.as_object().cloned().unwrap_or_default(),
            idempotency_key: ticket.intent.idempotency_key.clone(),
            traceparent,
        };
        // Last of all, so that no time passes between: afterwards another node may own the session.
        if self.0.clock.monotonic_ms() >= receipt.dispatch_before_ms() {
            return not_sent("this node may not own the session any more".to_owned(), false);
        }
        // The server may have taken long to start: what was allowed may not be any more.
        if let Err(why) = self.still(ticket) {
            return not_sent(why, false);
        }
        found.server.call(&found.live, call).await
    }

    fn ended(&self, ticket: Ticket, outcome: Outcome, waited_ms: i64) -> (Event, Rows) {
        let Ticket { intent, use_id, outside, .. } = ticket;
        let capability = &outside.capability;
        let (name, spec) = (&capability.metadata.name, &capability.spec);
        let mut amounts = price(capability);
        let outcome = match outcome {
            Outcome::Answered(answered) => {
                let marks = Marks { labels: spec.labels.clone(), trust: spec.output_trust };
                CallOutcome::Answered { message: answer::message(use_id, answered, marks), stop: None }
            }
            Outcome::NotSent { error, retryable } => {
                amounts = Amounts::default();
                CallOutcome::Failed {
                    error: format!("`{name}` was not called: {}.", error.trim_end_matches('.')),
                    retryable,
                }
            }
            Outcome::Unknown { error } if spec.effect.may_be_repeated() => {
                let error =
                    format!("`{name}` failed: {error}. Nobody knows what came of it; calling it again is safe.");
                CallOutcome::Failed { error, retryable: true }
            }
            Outcome::Unknown { error } => {
                let error = format!("`{name}` was called and nobody knows what came of it: {error}.");
                CallOutcome::Unknown { error }
            }
        };
        // What nobody knows stays held, and is settled when a person says what came of it.
        let unknown = matches!(outcome, CallOutcome::Unknown { .. });
        let rows = if unknown { Rows::default() } else { self.settle(&intent.holds, &amounts) };
        let amounts = if unknown { Amounts::default() } else { amounts };
        let settlement = Settlement { amounts, waited_ms, ..Settlement::default() };
        (Event::CallAnswered { call: intent.call, attempt: intent.attempt, outcome, settlement }, rows)
    }
}
