//! Sending: once the intent is durable and still stands, within the lease, at a free place, and again only while
//! surely nothing happened. Whatever comes of it is settled.

use std::time::Duration;

use data::commit::Receipt;
use data::rows::Rows;
use domain::budget::Amounts;
use domain::call::{CallOutcome, Facts, Settlement};
use domain::decision::Refusal;
use domain::event::Event;
use domain::message::{Message, Trust};
use tokio::time::timeout;

use super::{Door, Ticket};
use crate::provider::{Answer, ProviderError, Sink};

/// How often one attempt is sent at most, while the provider surely did nothing.
const SENDS: u32 = 3;
/// The first wait between two of them; it doubles.
const FIRST_WAIT_MS: u64 = 500;
/// The longest wait that a provider may ask for; whoever asks for more is asked again by a person.
const LONGEST_WAIT_MS: u64 = 20_000;
/// How long a call waits for a place at its provider.
const PLACE: Duration = Duration::from_secs(60);
/// How long one attempt may take in all.
const ANSWER: Duration = Duration::from_secs(900);

/// How an attempt ended.
enum Ended {
    Answered(Answer),
    Failed(ProviderError),
}

impl Door {
    /// Sends a call whose intent the receipt proves durable: the event that ends it, and what it changes of the
    /// holdings. Without such a receipt, after a freeze, or after the lease, nothing is sent and everything is released.
    ///
    /// Dropping the future loses the answer and nothing else: the intent stays in doubt.
    pub async fn perform(&self, ticket: Ticket, receipt: &Receipt, sink: Sink<'_>) -> (Event, Rows) {
        let clock = &self.inner.parts.clock;
        let began = clock.monotonic_ms();
        let ended = match self.may_leave(&ticket, receipt).await {
            Ok(()) => match timeout(ANSWER, self.send(&ticket, receipt, sink)).await {
                Ok(said) => said.and_then(Answer::within_reason).map_or_else(Ended::Failed, Ended::Answered),
                Err(_) => {
                    let reason = format!("it was not complete after {} s", ANSWER.as_secs());
                    Ended::Failed(ProviderError::Unknown { reason })
                }
            },
            Err(reason) => Ended::Failed(ProviderError::NotSent { reason, retryable: false }),
        };
        self.settle(ticket, ended, clock.monotonic_ms().saturating_sub(began))
    }

    async fn may_leave(&self, ticket: &Ticket, receipt: &Receipt) -> Result<(), String> {
        if !receipt.holds(ticket.call, ticket.attempt) {
            return Err(format!(
                "the record does not hold the intent of attempt {} at {}",
                ticket.attempt, ticket.call
            ));
        }
        let facts = Facts::default();
        let (gate, query) = (&self.inner.parts.gate, ticket.query(&facts));
        gate.recheck(receipt.control_pos(), &query, &ticket.decided).await.map_err(|no| words(&no))
    }

    async fn send(&self, ticket: &Ticket, receipt: &Receipt, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        let full = |_| ProviderError::NotSent {
            reason: format!("no place at the provider became free within {} s", PLACE.as_secs()),
            retryable: true,
        };
        let _place = timeout(PLACE, ticket.places.acquire()).await.map_err(full)?;
        let mut sent = 1;
        loop {
            if self.inner.parts.clock.monotonic_ms() >= receipt.dispatch_before_ms() {
                let reason = "this node's lease of the session may be over".to_owned();
                return Err(ProviderError::NotSent { reason, retryable: true });
            }
            // A place, or the next try, may have been waited for: what was allowed may not be any more.
            let facts = Facts::default();
            if let Err(no) = self.inner.parts.gate.still(&ticket.query(&facts), &ticket.decided) {
                return Err(ProviderError::NotSent { reason: words(&no), retryable: false });
            }
            let error = match ticket.provider.send(&ticket.request, ticket.body.clone(), sink).await {
                Err(error) if error.may_be_sent_again() && sent < SENDS => error,
                ended => return ended,
            };
            let wait = wait_ms(&error, sent, self.jitter());
            let left = receipt.dispatch_before_ms().saturating_sub(self.inner.parts.clock.monotonic_ms());
            if wait > LONGEST_WAIT_MS || i64::try_from(wait).unwrap_or(i64::MAX) >= left {
                return Err(error);
            }
            tracing::info!(call = %ticket.call, sent, wait_ms = wait, %error, "a model call is sent again");
            tokio::time::sleep(Duration::from_millis(wait)).await;
            sent += 1;
        }
    }

    fn settle(&self, ticket: Ticket, ended: Ended, waited_ms: i64) -> (Event, Rows) {
        let scripted = ticket.provider.is_scripted();
        let mut settlement =
            Settlement { waited_ms, scripted, price_table: Some(ticket.price.table), ..Settlement::default() };
        let outcome = match ended {
            Ended::Answered(answer) => answered(&ticket, answer, &mut settlement),
            Ended::Failed(error) => failed(&ticket, &error, &mut settlement),
        };
        let rows = self.inner.parts.gate.settle(&ticket.holds, &settlement.amounts);
        let Ticket { call, attempt, .. } = ticket;
        (Event::ModelAnswered { call, attempt, outcome, settlement }, rows)
    }

    /// A number below 256, so that those who were turned away together do not come back together.
    fn jitter(&self) -> u64 {
        let mut byte = [0];
        self.inner.parts.clock.fill_random(&mut byte);
        u64::from(byte[0])
    }
}

fn words(no: &Refusal) -> String {
    format!("{} {}", no.reason, no.next)
}

/// What the provider asks for, or a wait that doubles.
fn wait_ms(error: &ProviderError, sent: u32, jitter: u64) -> u64 {
    match error {
        ProviderError::Rejected { retry_after_ms: Some(wait), .. } => wait.saturating_add(jitter),
        _ => FIRST_WAIT_MS.saturating_mul(1 << (sent - 1).min(10)).saturating_add(jitter),
    }
}

fn answered(ticket: &Ticket, answer: Answer, settlement: &mut Settlement) -> CallOutcome {
    if answer.usage.total() == 0 {
        // A provider that does not say what an answer took: it is not free for that.
        settlement.amounts = ticket.worst;
        settlement.worst_case = true;
    } else {
        settlement.amounts = ticket.price.of(&answer.usage);
    }
    let asked = &ticket.request.model;
    if answer.served_model.as_ref().is_some_and(|served| served != asked) {
        tracing::warn!(call = %ticket.call, %asked, served = ?answer.served_model, "another model answered");
    }
    settlement.usage = Some(answer.usage.raw).filter(|raw| !raw.is_null());
    settlement.served_model = answer.served_model;
    let mut message = answer.message;
    trust_no_more_than(&ticket.request.messages, &mut message);
    CallOutcome::Answered { message, stop: Some(answer.stop) }
}

/// What a model says is worth no more than the least of what it read.
fn trust_no_more_than(read: &[std::sync::Arc<Message>], said: &mut Message) {
    let all_trusted = read.iter().flat_map(|message| &message.parts).all(|part| part.trust == Trust::Trusted);
    if !all_trusted {
        said.parts.iter_mut().for_each(|part| part.trust = Trust::Untrusted);
    }
}

fn failed(ticket: &Ticket, error: &ProviderError, settlement: &mut Settlement) -> CallOutcome {
    let sentence = error.to_string();
    if error.is_possibly_billed() {
        settlement.amounts = ticket.worst;
        settlement.worst_case = true;
    }
    match error {
        ProviderError::NotSent { retryable, .. } => CallOutcome::Failed { error: sentence, retryable: *retryable },
        ProviderError::Rejected { retryable, retry_after_ms, .. } => {
            settlement.amounts = Amounts { calls: 1, ..Amounts::default() };
            let later = retry_after_ms.map(|ms| format!("; it asks to be left alone for {} s", ms.div_ceil(1000)));
            CallOutcome::Failed { error: sentence + &later.unwrap_or_default(), retryable: *retryable }
        }
        ProviderError::Rubbish { .. } => CallOutcome::Failed { error: sentence, retryable: false },
        ProviderError::Unknown { .. } => CallOutcome::Unknown { error: format!("{sentence}; it is possibly billed") },
    }
}
