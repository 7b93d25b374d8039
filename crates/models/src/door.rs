//! The door to language models. `prepare` asks the gate, and nothing leaves; `perform` sends once what a receipt
//! proves to be durably intended, and says what it came to. It never commits, and knows no reasoning loop.
//!
//! ```text
//! Ask ──▶ plan (revision, provider, pin, price) ──▶ gate ──▶ Go(rows, Ticket) │ Wait │ Refuse
//! Ticket, Receipt ──▶ perform: recheck ▸ a place ▸ send, again or to the next model while nothing was said
//!                                                                  ──▶ ModelAnswered, rows
//! ```

mod client;
mod perform;
mod plan;
mod session;

pub use client::ClientAct;
pub use perform::{Came, Performed};
pub use session::{Brief, Limits};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use control::places::Lines;
use control::{Dispatch, Gate, Query, Registry, Verdict, Want};
use data::rows::Rows;
use domain::budget::{Amounts, Hold};
use domain::call::{Ask, CallOutcome, Facts, ModelAct, Settlement};
use domain::clock::Clock;
use domain::decision::{DecidedAt, Refusal, RefusedBy, Wait};
use domain::event::{Event, Intent};
use domain::id::{CallId, Digest, Name};
use domain::principal::Principal;

use crate::http;
use crate::provider::Provider;
use client::{Wanted, lend};
use plan::{Plan, Route};

/// Where the secret of a name is found.
pub type Secrets = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a door is made of.
#[derive(Clone)]
pub struct Parts {
    /// Who is asked.
    pub gate: Arc<Gate>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where keys are found.
    pub secrets: Secrets,
    /// How long the demo's script waits before every few words.
    pub pace: Duration,
    /// Scripts besides `demo`, by name.
    pub scripts: BTreeMap<Name, Arc<dyn Provider>>,
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    client: Result<reqwest::Client, String>,
    /// The lines before providers.
    lines: Lines,
}

/// What the door says to an ask.
#[derive(Debug)]
pub enum Prepared {
    /// It may: commit the rows, then perform the ticket with the receipt.
    Go(Rows, Ticket),
    /// Not yet: commit the rows, and ask again when mail comes, or at the wait's `until`.
    Wait(Rows, Wait),
    /// It may not: commit the rows.
    Refuse(Rows, Refusal),
}

/// The right to send one attempt at one call, once: it can neither be copied nor stored.
///
/// With the receipt of its intent, it is sent:
///
/// ```no_run
/// async fn send(door: models::Door, ticket: models::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket, &receipt, &|_| {}).await;
/// }
/// ```
///
/// Without one, it does not compile:
///
/// ```compile_fail,E0061
/// async fn send(door: models::Door, ticket: models::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket, &|_| {}).await;
/// }
/// ```
///
/// nor a second time:
///
/// ```compile_fail,E0382
/// async fn send(door: models::Door, ticket: models::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket, &receipt, &|_| {}).await;
///     door.perform(ticket, &receipt, &|_| {}).await;
/// }
/// ```
///
/// nor with a copy:
///
/// ```compile_fail,E0599
/// async fn send(door: models::Door, ticket: models::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket.clone(), &receipt, &|_| {}).await;
/// }
/// ```
///
/// and nobody outside the log can make a receipt:
///
/// ```compile_fail,E0451
/// fn forge(real: data::commit::Receipt) -> data::commit::Receipt {
///     data::commit::Receipt { pos: domain::id::Pos(7), ..real }
/// }
/// ```
#[must_use = "its holds stay reserved until it is performed, or its rows are undone"]
pub struct Ticket {
    call: CallId,
    attempt: u16,
    principal: Arc<Principal>,
    holds: Vec<Hold>,
    worst: Amounts,
    decided: Box<DecidedAt>,
    /// Who is asked, the first first; never empty.
    routes: Vec<Route>,
    dispatch: Dispatch,
}

impl Ticket {
    /// The call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Which attempt at it.
    pub fn attempt(&self) -> u16 {
        self.attempt
    }

    /// What the gate was asked, to be asked again.
    fn query<'a>(&'a self, facts: &'a Facts) -> Query<'a> {
        let first = &self.routes[0];
        let want = Want::Model { provider: &first.provider_name, model: &first.model_name, worst: self.worst };
        Query { call: self.call, attempt: self.attempt, principal: &self.principal, facts, want }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("call", &self.call).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl Door {
    /// A door.
    pub fn new(parts: Parts) -> Self {
        Door { inner: Arc::new(Inner { parts, client: http::client(), lines: Lines::default() }) }
    }

    /// Asks for a model's answer. Nothing leaves.
    pub async fn prepare(&self, ask: &Ask<ModelAct>) -> Prepared {
        self.prepare_wanted(&lend(ask, Wanted::Own(&ask.act))).await
    }

    async fn prepare_wanted(&self, ask: &Ask<Wanted<'_>>) -> Prepared {
        // One registry from here to the answer: what is looked up in it is decided by it, and recorded as such.
        let (gate, registry) = (&self.inner.parts.gate, self.inner.parts.gate.registry());
        if let Some((rows, wait)) = gate.held(&registry, (ask.call, true), &ask.principal) {
            return Prepared::Wait(rows, wait);
        }
        let plan = match self.plan(&registry, ask) {
            Ok(plan) => plan,
            Err(refusal) => return refuse(&registry, ask, refusal),
        };
        // Kept for this call until it is decided.
        let _room = match gate.ready_budget(&registry, &ask.principal, &plan.worst).await {
            Ok(room) => room,
            Err(error) => return refuse(&registry, ask, unreadable(&error.to_string())),
        };
        let first = &plan.routes[0];
        let want = Want::Model { provider: &first.provider_name, model: &first.model_name, worst: plan.worst };
        let query = Query { call: ask.call, attempt: ask.attempt, principal: &ask.principal, facts: &ask.facts, want };
        match gate.decide(&registry, &query) {
            Verdict::Allow { rows, holds, decided, .. } => self.go(ask, plan, (rows, holds, decided)),
            Verdict::Wait { rows, wait } => Prepared::Wait(rows, wait),
            Verdict::Deny { rows, refusal } => Prepared::Refuse(rows, refusal),
            // Thinking is no write: the gate has no reason to answer this.
            Verdict::Record { .. } => {
                let reason = "A model call cannot be recorded instead of sent.".to_owned();
                let next = "Tell the operator: this is a defect.".to_owned();
                refuse(&registry, ask, Refusal { by: RefusedBy::Policy, reason, next })
            }
        }
    }

    /// Settles an attempt that nobody knows the outcome of, after a crash, at its worst case: the event that ends it,
    /// "possibly billed", and what it changes of the holdings. The next attempt may follow.
    pub fn in_doubt(&self, call: CallId, attempt: u16, (holds, amounts): (&[Hold], Amounts)) -> Rows {
        let mut rows = self.inner.parts.gate.settle(call.session, holds, &amounts);
        let error = "The runtime stopped while the model answered; the call is possibly billed.".to_owned();
        let settlement = Settlement { amounts, worst_case: true, ..Settlement::default() };
        let outcome = CallOutcome::Unknown { error };
        rows.events.push(Event::ModelAnswered { call, attempt, outcome, settlement });
        rows
    }

    fn go(
        &self,
        ask: &Ask<Wanted<'_>>,
        plan: Plan,
        (mut rows, holds, decided): (Rows, Vec<Hold>, DecidedAt),
    ) -> Prepared {
        let first = &plan.routes[0];
        let intent = Intent {
            call: ask.call,
            attempt: ask.attempt,
            arguments_hash: Digest::of(&first.body),
            schema_hash: plan.offers_hash,
            decided: decided.clone(),
            worst: plan.worst,
            holds: holds.clone(),
            idempotency_key: ask.call.to_string(),
        };
        rows.events.push(Event::ModelRequested {
            intent,
            provider: first.provider_name.clone(),
            model: first.request.model.clone(),
            messages: u32::try_from(ask.act.messages()).unwrap_or(u32::MAX),
            max_output_tokens: first.request.max_output_tokens,
            scripted: first.provider.is_scripted(),
        });
        let ticket = Ticket {
            call: ask.call,
            attempt: ask.attempt,
            principal: Arc::clone(&ask.principal),
            holds,
            worst: plan.worst,
            decided: Box::new(decided),
            dispatch: self.inner.parts.gate.dispatch(&ask.principal),
            routes: plan.routes,
        };
        Prepared::Go(rows, ticket)
    }
}

/// A refusal of the door's own: what it needs is not there.
fn refuse(registry: &Registry, ask: &Ask<Wanted<'_>>, refusal: Refusal) -> Prepared {
    let decided = control::decide::unruled(registry, &ask.principal.link.agent);
    let (call, refused) = (ask.call, refusal.clone());
    let event = Event::CallRefused { call, model: true, capability: None, refusal: refused, decided };
    Prepared::Refuse(Rows::of(event), refusal)
}

fn unreadable(error: &str) -> Refusal {
    Refusal {
        by: RefusedBy::Budget,
        reason: format!("The budget's books cannot be read now: {error}."),
        next: "Nothing was sent. Look at the server's log, then send a new message.".to_owned(),
    }
}
