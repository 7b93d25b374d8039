//! The way out: what a ticket and its receipt are checked for, the sending, and what it came to. A call is sent once;
//! a read or an idempotent one whose answer was lost is sent once more, with the same key. A freeze cuts it off at any
//! moment: what was not sent, or may be repeated, is wanted again later; a write is in doubt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control::decide::{Overtaken, Query, Want};
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

/// How long a call waits for a place at its server.
const PLACE: Duration = Duration::from_secs(60);

/// How a call's way out ended.
enum Ended {
    /// As the upstream, or the way there, says.
    So(Outcome),
    /// It was cut off; why.
    CutOff(String),
}

/// Surely nothing was sent.
fn not_sent(error: String, retryable: bool) -> Ended {
    Ended::So(Outcome::NotSent { error, retryable })
}

impl From<Overtaken> for Ended {
    fn from(overtaken: Overtaken) -> Self {
        match overtaken {
            Overtaken::Frozen(frozen) => Ended::CutOff(frozen.to_string()),
            Overtaken::Refused(Refusal { reason, next, .. }) => {
                not_sent(format!("The call was not sent. {reason} {next}"), false)
            }
        }
    }
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
        let Ticket { capability, arguments, value_usd_micros, provenance, .. } = self;
        let want = Want::Capability {
            capability,
            effect: self.effect(),
            arguments,
            arguments_hash,
            schema_hash,
            input_schema: None,
            value_usd_micros: *value_usd_micros,
            worst,
            provenance: provenance.as_deref(),
        };
        Query { call, attempt, principal: &self.principal, facts: &self.facts, want }
    }
}

impl Door {
    /// Sends the call that the receipt's record intends, and says how it ended and what that settles. Where nobody
    /// knows what came of a write, nothing is settled: it holds what it held until a person says.
    pub async fn perform(&self, ticket: Ticket, receipt: &Receipt) -> (Event, Rows) {
        let started = self.0.clock.monotonic_ms();
        let sent = AtomicBool::new(false);
        let ended = tokio::select! {
            biased;
            cut = ticket.dispatch.cut() => Ended::CutOff(cut.to_string()),
            ended = self.leave(&ticket, receipt, &sent) => ended,
        };
        let waited_ms = self.0.clock.monotonic_ms().saturating_sub(started).max(0);
        self.ended(ticket, (ended, sent.into_inner()), waited_ms)
    }

    async fn leave(&self, ticket: &Ticket, receipt: &Receipt, sent: &AtomicBool) -> Ended {
        match self.may_leave(ticket, receipt).await {
            Ok(()) => self.send(ticket, receipt, sent).await,
            Err(no) => no,
        }
    }

    /// Whether the receipt is this ticket's, and what was decided still stands.
    async fn may_leave(&self, ticket: &Ticket, receipt: &Receipt) -> Result<(), Ended> {
        if !receipt.holds(ticket.call(), ticket.attempt()) {
            return Err(not_sent("The call was not sent: its intent is not in the record.".to_owned(), false));
        }
        let (query, decided) = (ticket.query(), &ticket.intent.decided);
        self.0.gate.recheck(receipt.control_pos(), &query, decided).await?;
        self.as_described(ticket)
    }

    /// Whether what was decided still stands, by what is known now.
    fn still(&self, ticket: &Ticket) -> Result<(), Ended> {
        self.0.gate.still(&ticket.query(), &ticket.intent.decided)?;
        self.as_described(ticket)
    }

    /// Whether the capability is described as it was when it was asked about: what it may change and what it is worth
    /// were read from that.
    fn as_described(&self, ticket: &Ticket) -> Result<(), Ended> {
        let Outside { capability, revision, .. } = &*ticket.outside;
        let name = &capability.metadata.name;
        match self.0.gate.registry().capability(name) {
            Some(now) if now.revision == *revision => Ok(()),
            Some(_) | None => {
                Err(not_sent(format!("the descriptor of {name} changed since the call was allowed"), false))
            }
        }
    }

    async fn send(&self, ticket: &Ticket, receipt: &Receipt, sent: &AtomicBool) -> Ended {
        let Outside { server, limits, .. } = &*ticket.outside;
        let line = self.0.lines.before(&server.name, *limits);
        let _place = match line.take(&ticket.principal.link.agent, PLACE).await {
            Ok(place) => place,
            Err(crowded) => return not_sent(format!("no place at the server {}: {crowded}", server.name), true),
        };
        let tries = if ticket.effect().may_be_repeated() { TRIES } else { 1 };
        let mut ended = self.send_once(ticket, receipt, sent).await;
        for _ in 1..tries {
            let Ended::So(Outcome::Unknown { error: first }) = ended else { return ended };
            ended = match self.send_once(ticket, receipt, sent).await {
                Ended::So(Outcome::NotSent { error, .. }) => {
                    Ended::So(Outcome::Unknown { error: format!("{first}; then: {error}") })
                }
                answered_lost_or_cut => answered_lost_or_cut,
            };
        }
        ended
    }

    async fn send_once(&self, ticket: &Ticket, receipt: &Receipt, sent: &AtomicBool) -> Ended {
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
        if let Err(no) = self.still(ticket) {
            return no;
        }
        let was_sent = sent.swap(true, Ordering::Relaxed);
        let outcome = found.server.call(&found.live, call).await;
        if matches!(outcome, Outcome::NotSent { .. }) {
            sent.store(was_sent, Ordering::Relaxed);
        }
        Ended::So(outcome)
    }

    fn ended(&self, ticket: Ticket, (ended, sent): (Ended, bool), waited_ms: i64) -> (Event, Rows) {
        let Ticket { intent, use_id, outside, .. } = ticket;
        let (outcome, amounts) = match ended {
            Ended::So(outcome) => came_to(&outside.capability, use_id, outcome),
            Ended::CutOff(why) => cut_off(&outside.capability, &why, sent),
        };
        // What nobody knows stays held, and is settled when a person says what came of it.
        let unknown = matches!(outcome, CallOutcome::Unknown { .. });
        let rows = if unknown { Rows::default() } else { self.settle(intent.call.session, &intent.holds, &amounts) };
        let amounts = if unknown { Amounts::default() } else { amounts };
        let settlement = Settlement { amounts, waited_ms, ..Settlement::default() };
        (Event::CallAnswered { call: intent.call, attempt: intent.attempt, outcome, settlement }, rows)
    }
}

/// What an outcome is to the session, and what it costs.
fn came_to(capability: &Capability, use_id: String, outcome: Outcome) -> (CallOutcome, Amounts) {
    let (name, spec) = (&capability.metadata.name, &capability.spec);
    match outcome {
        Outcome::Answered(answered) => {
            let vouches = (!spec.vouches.is_empty()).then(|| Box::new(spec.vouches.clone()));
            let marks = Marks { labels: spec.labels.clone(), trust: spec.output_trust, vouches };
            let message = answer::message(use_id, answered, marks);
            (CallOutcome::Answered { message, stop: None }, price(capability))
        }
        Outcome::NotSent { error, retryable } => {
            let error = format!("`{name}` was not called: {}.", error.trim_end_matches('.'));
            (CallOutcome::Failed { error, retryable, retry_after_ms: None }, Amounts::default())
        }
        Outcome::Unknown { error } if spec.effect.may_be_repeated() => {
            let error = format!("`{name}` failed: {error}. Nobody knows what came of it; calling it again is safe.");
            (CallOutcome::Failed { error, retryable: true, retry_after_ms: None }, price(capability))
        }
        Outcome::Unknown { error } => {
            let error = format!("`{name}` was called and nobody knows what came of it: {error}.");
            (CallOutcome::Unknown { error }, price(capability))
        }
    }
}

/// The same of a call that was cut off. Only what was surely not sent, or may be repeated, is asked for again.
fn cut_off(capability: &Capability, why: &str, sent: bool) -> (CallOutcome, Amounts) {
    let name = &capability.metadata.name;
    match (sent, capability.spec.effect.may_be_repeated()) {
        (false, _) => {
            let why = format!("`{name}` was not called: {why}. It is called once it may.");
            (CallOutcome::Stopped { why }, Amounts::default())
        }
        (true, true) => {
            let why = format!("`{name}` was cut off: {why}. It is called again, with the same key, once it may.");
            (CallOutcome::Stopped { why }, price(capability))
        }
        (true, false) => {
            let error = format!("`{name}` was called and cut off, and nobody knows what came of it: {why}.");
            (CallOutcome::Unknown { error }, price(capability))
        }
    }
}
