//! Sending: once the intent is durable and still stands, within the lease, at a free place, and again only while
//! surely nothing happened. Whatever comes of it is settled. A freeze cuts it off at any moment: it is wanted again, and
//! what had been sent is possibly billed.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use control::Overtaken;
use data::commit::Receipt;
use data::rows::Rows;
use domain::budget::Amounts;
use domain::call::{CacheUse, CallOutcome, Facts, Settlement, StoodIn};
use domain::event::Event;
use domain::id::Digest;
use domain::message::{Content, Message, Trust};
use tokio::time::timeout;

use super::plan::Route;
use super::{Door, Ticket};
use crate::provider::{Answer, ProviderError, Sink, Usage};

/// How often one attempt is sent at most, to all of its models together, while they surely did nothing. Each of them is
/// asked once, however many there are.
const SENDS: usize = 3;
/// The first wait between two of them; it doubles.
const FIRST_WAIT_MS: u64 = 500;
/// The longest wait that a provider may ask for; whoever asks for more is asked again by a person.
const LONGEST_WAIT_MS: u64 = 20_000;
/// The same where another model may be asked instead.
const LONGEST_WAIT_ELSEWHERE_MS: u64 = 1_000;
/// How long a call waits for a place at a provider where another may be asked instead.
const PLACE_ELSEWHERE: Duration = Duration::from_secs(2);
/// How long a call waits for a place at its provider.
const PLACE: Duration = Duration::from_secs(60);
/// How long one attempt may take in all.
const ANSWER: Duration = Duration::from_secs(900);

/// What performing a ticket came to.
#[derive(Debug)]
pub struct Performed {
    /// The event that ends the call.
    pub event: Event,
    /// What it changes of the holdings.
    pub rows: Rows,
    /// What came back, for whoever hands it on to a client.
    pub came: Came,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Came {
    /// With an answer.
    Answer(Box<Answer>),
    /// With none.
    Failed(ProviderError),
    /// It was cut off; why.
    CutOff(String),
}

/// How far the sending has come, for whoever cuts it off.
#[derive(Default)]
struct Way {
    /// Requests that were sent and came to nothing.
    tried: AtomicU32,
    /// Whether one is under way.
    under_way: AtomicBool,
    /// Which model was asked last.
    route: AtomicUsize,
}

/// The sends that are left.
struct Tries {
    left: usize,
    /// How many models may be asked after this one.
    after: usize,
}

impl Tries {
    fn of(routes: usize) -> Self {
        Tries { left: SENDS.max(routes), after: 0 }
    }

    fn longest_wait_ms(&self) -> u64 {
        if self.after > 0 { LONGEST_WAIT_ELSEWHERE_MS } else { LONGEST_WAIT_MS }
    }
}

/// Whether a model did nothing, and another may do better: it cannot be reached, is too busy, or its account is empty.
fn surely_did_not_answer(error: &ProviderError) -> bool {
    error.may_be_sent_again() || matches!(error, ProviderError::Rejected { status: 402 | 429, .. })
}

/// What a chain of models came to: of several, what each said.
fn all_said(mut said: Vec<(String, ProviderError)>) -> ProviderError {
    let (_, last) = match said.len() {
        0 => return ProviderError::NotSent { reason: "there is no model to ask".to_owned(), retryable: false },
        1 => return said.remove(0).1,
        _ => &said[said.len() - 1],
    };
    let words = said.iter().map(|(who, error)| format!("{who}: {error}")).collect::<Vec<_>>().join("; ");
    let retryable = said.iter().any(|(_, error)| error.may_be_sent_again());
    match last.clone() {
        ProviderError::NotSent { .. } => ProviderError::NotSent { reason: words, retryable },
        ProviderError::Crowded { retry_after_ms, .. } => ProviderError::Crowded { reason: words, retry_after_ms },
        ProviderError::Rejected { status, retry_after_ms, .. } => {
            ProviderError::Rejected { status, reason: words, retryable, retry_after_ms }
        }
        ProviderError::Unknown { .. } => ProviderError::Unknown { reason: words },
        ProviderError::Rubbish { protocol, .. } => ProviderError::Rubbish { protocol, reason: words },
    }
}

impl From<ProviderError> for Came {
    fn from(error: ProviderError) -> Self {
        Came::Failed(error)
    }
}

impl From<Overtaken> for Came {
    fn from(overtaken: Overtaken) -> Self {
        match overtaken {
            Overtaken::Frozen(frozen) => Came::CutOff(frozen.to_string()),
            Overtaken::Refused(no) => not_sent(format!("{} {}", no.reason, no.next), false),
        }
    }
}

/// Surely nothing was sent.
fn not_sent(reason: String, retryable: bool) -> Came {
    Came::Failed(ProviderError::NotSent { reason, retryable })
}

impl Door {
    /// Sends a call whose intent the receipt proves durable: the event that ends it, and what it changes of the
    /// holdings. Without such a receipt, after a freeze, or after the lease, nothing is sent and everything is released.
    ///
    /// Dropping the future loses the answer and nothing else: the intent stays in doubt.
    pub async fn perform(&self, ticket: Ticket, receipt: &Receipt, sink: Sink<'_>) -> Performed {
        let clock = &self.inner.parts.clock;
        let began = clock.monotonic_ms();
        let way = Way::default();
        let ended = tokio::select! {
            biased;
            cut = ticket.dispatch.cut() => Came::CutOff(cut.to_string()),
            ended = self.leave(&ticket, receipt, (sink, &way)) => ended,
        };
        self.settle(ticket, (ended, &way), clock.monotonic_ms().saturating_sub(began))
    }

    async fn leave(&self, ticket: &Ticket, receipt: &Receipt, (sink, way): (Sink<'_>, &Way)) -> Came {
        if let Err(no) = self.may_leave(ticket, receipt).await {
            return no;
        }
        match timeout(ANSWER, self.send(ticket, receipt, (sink, way))).await {
            Ok(Came::Answer(answer)) => match answer.within_reason() {
                Ok(answer) => Came::Answer(Box::new(answer)),
                Err(error) => Came::Failed(error),
            },
            Ok(ended) => ended,
            Err(_) => {
                let reason = format!("it was not complete after {} s", ANSWER.as_secs());
                Came::Failed(ProviderError::Unknown { reason })
            }
        }
    }

    async fn may_leave(&self, ticket: &Ticket, receipt: &Receipt) -> Result<(), Came> {
        if !receipt.holds(ticket.call, ticket.attempt) {
            let reason =
                format!("the record does not hold the intent of attempt {} at {}", ticket.attempt, ticket.call);
            return Err(not_sent(reason, false));
        }
        let facts = Facts::default();
        let (gate, query) = (&self.inner.parts.gate, ticket.query(&facts));
        Ok(gate.recheck(receipt.control_pos(), &query, &ticket.decided).await?)
    }

    /// Asks one model after the other while the one before surely did not answer. All share one budget of sends.
    async fn send(&self, ticket: &Ticket, receipt: &Receipt, (sink, way): (Sink<'_>, &Way)) -> Came {
        let (mut tries, mut said) = (Tries::of(ticket.routes.len()), Vec::new());
        for (at, route) in ticket.routes.iter().enumerate() {
            way.route.store(at, Ordering::Relaxed);
            tries.after = ticket.routes.len() - at - 1;
            let error = match self.ask(ticket, (route, receipt), (sink, way, &mut tries)).await {
                Came::Failed(error) => error,
                came @ (Came::Answer(_) | Came::CutOff(_)) => return came,
            };
            let goes_on = tries.after > 0 && surely_did_not_answer(&error);
            said.push((format!("{} of {}", route.model_name, route.provider_name), error));
            if !goes_on {
                break;
            }
            tracing::info!(call = %ticket.call, model = %route.model_name, "a model did not answer; the next is asked");
        }
        Came::Failed(all_said(said))
    }

    async fn ask(
        &self,
        ticket: &Ticket,
        (route, receipt): (&Route, &Receipt),
        (sink, way, tries): (Sink<'_>, &Way, &mut Tries),
    ) -> Came {
        let patience = if tries.after > 0 { PLACE_ELSEWHERE } else { PLACE };
        let _place = match route.line.take(&ticket.principal.link.agent, patience).await {
            Ok(place) => place,
            Err(crowded) => {
                let reason = format!("{}: {crowded}", route.provider_name);
                return Came::Failed(ProviderError::Crowded { reason, retry_after_ms: crowded.retry_after_ms() });
            }
        };
        let mut sent = 1;
        loop {
            if self.inner.parts.clock.monotonic_ms() >= receipt.dispatch_before_ms() {
                return not_sent("this node's lease of the session may be over".to_owned(), true);
            }
            // A place, or the next try, may have been waited for: what was allowed may not be any more.
            let facts = Facts::default();
            if let Err(no) = self.inner.parts.gate.still(&ticket.query(&facts), &ticket.decided) {
                return no.into();
            }
            way.under_way.store(true, Ordering::Relaxed);
            tries.left -= 1;
            let error = match route.provider.send(&route.request, route.body.clone(), sink).await {
                Ok(answer) => return Came::Answer(Box::new(answer)),
                Err(error) => error,
            };
            if !error.is_possibly_billed() {
                way.tried.fetch_add(1, Ordering::Relaxed);
                way.under_way.store(false, Ordering::Relaxed);
            }
            let wait = wait_ms(&error, sent, self.jitter());
            let left = receipt.dispatch_before_ms().saturating_sub(self.inner.parts.clock.monotonic_ms());
            let too_long = wait > tries.longest_wait_ms() || i64::try_from(wait).unwrap_or(i64::MAX) >= left;
            if !error.may_be_sent_again() || tries.left <= tries.after || too_long {
                return error.into();
            }
            tracing::info!(call = %ticket.call, sent, wait_ms = wait, %error, "a model call is sent again");
            tokio::time::sleep(Duration::from_millis(wait)).await;
            sent += 1;
        }
    }

    fn settle(&self, ticket: Ticket, (ended, way): (Came, &Way), waited_ms: i64) -> Performed {
        let at = way.route.load(Ordering::Relaxed);
        let route = &ticket.routes[at];
        let (scripted, price_table) = (route.provider.is_scripted(), Some(route.price.table));
        let fallback = (at > 0).then(|| StoodIn {
            provider: route.provider_name.clone(),
            model: route.request.model.clone(),
            arguments_hash: Digest::of(&route.body),
        });
        let mut settlement = Settlement { waited_ms, scripted, price_table, fallback, ..Settlement::default() };
        let outcome = match &ended {
            Came::Answer(answer) => answered((&ticket, route), answer, &mut settlement),
            Came::Failed(error) => failed(&ticket, error, &mut settlement),
            Came::CutOff(why) => cut_off(&ticket, why, (way, &mut settlement)),
        };
        let rows = self.inner.parts.gate.settle(ticket.call.session, &ticket.holds, &settlement.amounts);
        let Ticket { call, attempt, .. } = ticket;
        Performed { event: Event::ModelAnswered { call, attempt, outcome, settlement }, rows, came: ended }
    }

    /// A number below 256, so that those who were turned away together do not come back together.
    fn jitter(&self) -> u64 {
        let mut byte = [0];
        self.inner.parts.clock.fill_random(&mut byte);
        u64::from(byte[0])
    }
}

/// What the provider asks for, or a wait that doubles.
fn wait_ms(error: &ProviderError, sent: u32, jitter: u64) -> u64 {
    match error {
        ProviderError::Rejected { retry_after_ms: Some(wait), .. } => wait.saturating_add(jitter),
        _ => FIRST_WAIT_MS.saturating_mul(1 << (sent - 1).min(10)).saturating_add(jitter),
    }
}

fn answered((ticket, route): (&Ticket, &Route), answer: &Answer, settlement: &mut Settlement) -> CallOutcome {
    let counted = route.price.of(&answer.usage);
    if is_credible(answer, &counted, &ticket.worst) {
        settlement.amounts = counted;
        settlement.cache = (!settlement.scripted)
            .then(|| CacheUse { marked_by: route.marked_by, ..route.price.cached(&answer.usage) });
    } else {
        // A provider that does not say what an answer took, or says what cannot be: it is not free for that, and cannot
        // have taken more than the most.
        tracing::warn!(call = %ticket.call, usage = %answer.usage.raw, "the provider's usage cannot be");
        settlement.amounts = ticket.worst;
        settlement.worst_case = true;
    }
    let asked = &route.request.model;
    if answer.served_model.as_ref().is_some_and(|served| served != asked) {
        tracing::warn!(call = %ticket.call, %asked, served = ?answer.served_model, "another model answered");
    }
    settlement.usage = Some(&answer.usage.raw).filter(|raw| !raw.is_null()).cloned();
    settlement.served_model.clone_from(&answer.served_model);
    let mut message = answer.message.clone();
    trust_no_more_than(&route.request.messages, &mut message);
    CallOutcome::Answered { message, stop: Some(answer.stop) }
}

/// Whether what a provider says of its usage can be: words took output, and nothing took more than the most there is,
/// unless the provider's own tools had a part in it, which read what nobody here knows.
fn is_credible(answer: &Answer, counted: &Amounts, worst: &Amounts) -> bool {
    let said = answer.message.parts.iter().any(|part| match &part.content {
        Content::Text { text } => !text.trim().is_empty(),
        Content::Use { .. } => true,
        Content::Reasoning { .. } | Content::Result { .. } | Content::Other { .. } => false,
    });
    let silent = answer.usage.total() == 0 || (said && answer.usage.all_output() == 0);
    let Usage { web_searches, others, .. } = &answer.usage;
    let other = answer.message.parts.iter().any(|part| matches!(part.content, Content::Other { .. }));
    let tools = other || *web_searches > 0 || !others.is_empty();
    !silent && (tools || counted.usd_micros <= worst.usd_micros && counted.tokens <= worst.tokens)
}

/// What a model says is worth no more than the least of what it read.
fn trust_no_more_than(read: &[std::sync::Arc<Message>], said: &mut Message) {
    let all_trusted = read.iter().flat_map(|message| &message.parts).all(|part| part.trust == Trust::Trusted);
    if !all_trusted {
        said.parts.iter_mut().for_each(|part| part.trust = Trust::Untrusted);
    }
}

/// What had been sent is possibly billed; what had not is wanted again for nothing.
fn cut_off(ticket: &Ticket, why: &str, (way, settlement): (&Way, &mut Settlement)) -> CallOutcome {
    let tried = i64::from(way.tried.load(Ordering::Relaxed));
    let why = if way.under_way.load(Ordering::Relaxed) {
        (settlement.amounts, settlement.worst_case) = (ticket.worst, true);
        format!(
            "The model was cut off while it answered, and is possibly billed: {why}. It is asked again once it may."
        )
    } else {
        settlement.amounts = Amounts { calls: tried.min(1), ..Amounts::default() };
        format!("The model was not asked: {why}. It is asked once it may.")
    };
    CallOutcome::Stopped { why }
}

fn failed(ticket: &Ticket, error: &ProviderError, settlement: &mut Settlement) -> CallOutcome {
    let sentence = error.to_string();
    if error.is_possibly_billed() {
        settlement.amounts = ticket.worst;
        settlement.worst_case = true;
    }
    match error {
        ProviderError::NotSent { retryable, .. } => {
            CallOutcome::Failed { error: sentence, retryable: *retryable, retry_after_ms: None }
        }
        ProviderError::Crowded { retry_after_ms, .. } => {
            CallOutcome::Failed { error: sentence, retryable: true, retry_after_ms: Some(*retry_after_ms) }
        }
        ProviderError::Rejected { retryable, retry_after_ms, .. } => {
            settlement.amounts = Amounts { calls: 1, ..Amounts::default() };
            let later = retry_after_ms.map(|ms| format!("; it asks to be left alone for {} s", ms.div_ceil(1000)));
            CallOutcome::Failed {
                error: sentence + &later.unwrap_or_default(),
                retryable: *retryable,
                retry_after_ms: retry_after_ms.and_then(|ms| i64::try_from(ms).ok()),
            }
        }
        ProviderError::Rubbish { .. } => {
            CallOutcome::Failed { error: sentence, retryable: false, retry_after_ms: None }
        }
        ProviderError::Unknown { .. } => CallOutcome::Unknown { error: format!("{sentence}; it is possibly billed") },
    }
}
