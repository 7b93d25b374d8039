//! The door to external capabilities. `prepare` asks the gate, in memory, and says what to commit; nothing leaves.
//! `perform` sends once, and only with the receipt of the committed intent: there is no other way out. It commits
//! nothing and knows no loop.
//!
//! ```text
//! Ask ─▶ listed? ─▶ defined? ─▶ do the arguments fit? ─▶ gate ─▶ Go(Rows, Ticket) | Local | Wait | Refuse | Record
//!                                                                   │ commit ─▶ Receipt
//!                                              (Event, Rows) ◀─ perform(Ticket, &Receipt)
//! ```

mod perform;
mod refusal;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;

use control::ControlError;
use control::budget::Ready;
use control::decide::{Query, Verdict, Want};
use control::dispatch::{Cut, Dispatch};
use control::gate::Gate;
use control::grants::Used;
use control::places::Lines;
use control::registry::Registry;
use data::rows::Rows;
use domain::budget::{Amounts, Hold};
use domain::call::{Ask, CallOutcome, CapabilityAct, Facts};
use domain::capability::{CapabilityRef, Effect, Offer};
use domain::clock::Clock;
use domain::control::Scope;
use domain::decision::{DecidedAt, Refusal, Wait};
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, CallId, Digest, Name, Pos, SessionId, TraceId};
use domain::mail::Start;
use domain::principal::Principal;
use domain::provenance::Provenance;
use futures::future::join_all;
use serde_json::Value;

use self::wanted::{By, Outside, Stop, Wanted, listed};
use crate::agent;
use crate::answer;
use crate::catalog::Catalog;
use crate::internal::Internal;
use crate::supervise::{Condition, Upstreams};
use crate::upstream::Spec;

/// The door. Clones are the same door.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    /// The lines before servers.
    lines: Lines,
}

/// What came of preparing a call: what to commit, and what to do then.
#[derive(Debug)]
pub enum Prepared {
    /// Commit, then perform.
    Go(Rows, Ticket),
    /// Commit; the runtime performs it itself.
    Local(Rows, Box<LocalCall>),
    /// Commit; ask again when something changed.
    Wait(Rows, Wait),
    /// Commit; it may not.
    Refuse(Rows, Refusal),
    /// Commit; it was written down as it would have been sent, and this is what the agent is told.
    Record(Rows, CallOutcome),
}

/// The right to send one call once. It cannot be copied or stored, and is worth nothing without the receipt of the
/// record that holds its intent:
///
/// ```no_run
/// async fn send(door: gateway::Door, ticket: gateway::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket, &receipt).await;
/// }
/// ```
///
/// Without the receipt, it does not compile:
///
/// ```compile_fail,E0061
/// async fn send(door: gateway::Door, ticket: gateway::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket).await;
/// }
/// ```
///
/// nor a second time:
///
/// ```compile_fail,E0382
/// async fn send(door: gateway::Door, ticket: gateway::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket, &receipt).await;
///     door.perform(ticket, &receipt).await;
/// }
/// ```
///
/// nor with a copy:
///
/// ```compile_fail,E0599
/// async fn send(door: gateway::Door, ticket: gateway::Ticket, receipt: data::commit::Receipt) {
///     door.perform(ticket.clone(), &receipt).await;
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    intent: Box<Intent>,
    use_id: String,
    principal: Arc<Principal>,
    facts: Box<Facts>,
    capability: CapabilityRef,
    arguments: Value,
    value_usd_micros: Option<i64>,
    provenance: Option<Box<Provenance>>,
    outside: Box<Outside>,
    trace: Option<TraceId>,
    dispatch: Dispatch,
}

/// A call that the runtime performs itself, the gate having been asked.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalCall {
    /// The call.
    pub call: CallId,
    /// Which attempt.
    pub attempt: u16,
    /// The use that its result answers.
    pub use_id: String,
    /// Which capability; always an internal one.
    pub capability: CapabilityRef,
    /// The effective arguments, an object.
    pub arguments: Value,
    /// What it holds of its budgets.
    pub holds: Vec<Hold>,
    /// For how long the agent remembers; `None`: until it forgets.
    pub retention_days: Option<u32>,
    /// How the session starts that it is delegated to, where it is.
    pub delegates: Option<Box<Start>>,
    /// Where its arguments came from.
    pub provenance: Option<Box<Provenance>>,
}

impl Ticket {
    /// The call.
    pub fn call(&self) -> CallId {
        self.intent.call
    }

    /// Which attempt.
    pub fn attempt(&self) -> u16 {
        self.intent.attempt
    }

    /// What it may change.
    pub fn effect(&self) -> Effect {
        self.outside.capability.spec.effect
    }

    /// The position of the control shard at which it was decided.
    pub fn control_pos(&self) -> Pos {
        self.intent.decided.control_pos
    }

    /// With the trace that the upstream is told (W3C Trace Context); without one it is told none.
    pub fn in_trace(self, trace: TraceId) -> Self {
        Ticket { trace: Some(trace), ..self }
    }
}

impl Door {
    /// A door to these upstreams, behind this gate.
    pub fn new(gate: Arc<Gate>, clock: Arc<dyn Clock>, upstreams: Upstreams) -> Self {
        let catalog = Catalog::new(upstreams, Arc::clone(&clock));
        Door(Arc::new(Inner { gate, catalog, clock, lines: Lines::default() }))
    }

    /// What an agent may use, sorted by name. Servers are started to ask for their definitions.
    pub async fn offers(&self, principal: &Principal) -> Arc<[Offer]> {
        let registry = self.0.gate.registry();
        let listed = listed(&registry, principal);
        join_all(listed.into_iter().map(|capability| self.0.catalog.offer(&registry, capability))).await.into()
    }

    /// The schemas of everything that can be used by these descriptors, as far as its servers can be asked now: what
    /// policies are checked against. Servers are started to ask.
    pub async fn definitions(&self, registry: &Registry) -> BTreeMap<CapabilityRef, Arc<Value>> {
        let outside = registry.capabilities().map(|(name, entry)| async move {
            let spec = &entry.descriptor.spec;
            let server = Spec::of(&registry.server(&spec.server)?.descriptor);
            let found = self.0.catalog.find(&server, &spec.tool).await.ok()?;
            Some((CapabilityRef::External(name.clone()), Arc::clone(&found.tool.input_schema)))
        });
        let inside = Internal::all().map(|internal| (internal.capability(), Arc::new(internal.input_schema())));
        let agents = registry.agents().map(|(name, _)| (CapabilityRef::Agent(name.clone()), Arc::new(agent::schema())));
        join_all(outside).await.into_iter().flatten().chain(inside).chain(agents).collect()
    }

    /// May this be done, and how? Nothing leaves; a server may be started to ask what its tool wants. That takes time:
    /// what is looked up in one registry is decided by it, too, and recorded as such.
    pub async fn prepare(&self, ask: &Ask<CapabilityAct>) -> Prepared {
        let (gate, registry) = (&self.0.gate, self.0.gate.registry());
        if let Some((rows, wait)) = gate.held(&registry, (ask.call, false), &ask.principal) {
            return Prepared::Wait(rows, wait);
        }
        let wanted = match self.look_up(&registry, ask).await {
            Ok(wanted) => wanted,
            Err(Stop::Unlisted(capability)) => return self.unlisted(&registry, ask, capability),
            Err(Stop::Refused(refusal)) => return refusal::refuse(&registry, ask, refusal),
        };
        // All are kept for this call until it is decided.
        let _room = match gate.ready_budget(&registry, &ask.principal, &wanted.worst).await {
            Ok(room) => room,
            Err(error) => return refusal::refuse(&registry, ask, refusal::no_budget(&error)),
        };
        let _uses = match gate.ready_tool(&registry, &ask.principal, &wanted.capability).await {
            Ok(uses) => uses,
            Err(error) => return refusal::refuse(&registry, ask, refusal::no_budget(&error)),
        };
        let _granted = match self.ready_grants(&registry, ask, &wanted).await {
            Ok(granted) => granted,
            Err(error) => return refusal::refuse(&registry, ask, refusal::no_budget(&error)),
        };
        match self.decide(&registry, ask, &wanted) {
            Verdict::Deny { rows, refusal } => Prepared::Refuse(rows, refusal),
            Verdict::Allow { rows, holds, decided, approval } => self.go(ask, wanted, rows, (holds, decided, approval)),
            Verdict::Record { rows, decided } => record(ask, wanted, rows, decided),
            Verdict::Wait { rows, wait } => Prepared::Wait(rows, wait),
        }
    }

    /// The gate says why what is not listed may not be used; nothing was looked up or started for it.
    fn unlisted(&self, registry: &Registry, ask: &Ask<CapabilityAct>, capability: CapabilityRef) -> Prepared {
        match self.decide(registry, ask, &Wanted::unseen(capability.clone())) {
            Verdict::Deny { rows, refusal } => Prepared::Refuse(rows, refusal),
            // Whatever the gate makes of it, nobody has looked at it, so it does not pass.
            Verdict::Allow { rows, .. } | Verdict::Record { rows, .. } | Verdict::Wait { rows, .. } => {
                self.undo(&rows);
                let refusal = refusal::not_listed(capability.name().as_str(), &[]);
                refusal::refuse(registry, ask, refusal)
            }
        }
    }

    fn decide(&self, registry: &Registry, ask: &Ask<CapabilityAct>, wanted: &Wanted) -> Verdict {
        let arguments = Value::Object(wanted.arguments.clone());
        let want = Want::Capability {
            capability: &wanted.capability,
            effect: wanted.effect,
            arguments: &arguments,
            arguments_hash: Digest::of_json(&arguments),
            schema_hash: wanted.schema,
            input_schema: wanted.input_schema.as_deref(),
            value_usd_micros: wanted.value_usd_micros,
            worst: wanted.worst,
            provenance: wanted.provenance.as_deref(),
        };
        let (call, attempt, principal, facts) = (ask.call, ask.attempt, &*ask.principal, &ask.facts);
        self.0.gate.decide(registry, &Query { call, attempt, principal, facts, want })
    }

    /// What is left of the grants that the call may go under is kept for it.
    async fn ready_grants(
        &self,
        registry: &Registry,
        ask: &Ask<CapabilityAct>,
        wanted: &Wanted,
    ) -> Result<Vec<Ready<'_>>, ControlError> {
        let arguments = Value::Object(wanted.arguments.clone());
        let (capability, value_usd_micros) = (&wanted.capability, wanted.value_usd_micros);
        let used = Used { capability, arguments: &arguments, value_usd_micros };
        self.0.gate.ready_grants(registry, &ask.principal, used).await
    }

    /// The position of the control shard that decisions are made at now.
    pub fn control_pos(&self) -> Pos {
        self.0.gate.registry().pos()
    }

    /// Sees to it that what is known is as new as a position of the control shard, if that can be read.
    pub async fn catch_up(&self, pos: Pos) {
        if self.control_pos() < pos
            && let Err(error) = self.0.gate.refresh().await
        {
            tracing::warn!(%error, "the control plane's record cannot be read now");
        }
    }

    /// Whether exactly this is frozen, by what is known now.
    pub fn is_frozen(&self, scope: &Scope) -> bool {
        self.0.gate.registry().frozen(scope).is_some()
    }

    /// Cuts off what a session that is suspended has under way: it is wanted again, or in doubt.
    pub fn cut_off(&self, session: SessionId, by: &str) {
        self.0.gate.cut(session, &Cut::Suspended { by: by.to_owned() });
    }

    /// Settles what a call held with what it came to.
    pub fn settle(&self, session: SessionId, holds: &[Hold], amounts: &Amounts) -> Rows {
        self.0.gate.settle(session, holds, amounts)
    }

    /// Gives back what a call held: it surely was not sent.
    pub fn release(&self, session: SessionId, holds: &[Hold]) -> Rows {
        self.settle(session, holds, &Amounts::default())
    }

    /// How the servers that were needed so far are, by name.
    pub fn servers(&self) -> Vec<(Name, Condition)> {
        self.0.catalog.upstreams().conditions()
    }

    /// Closes every connection and ends every child process. A call that comes later opens them again.
    pub async fn stop(&self) {
        self.0.catalog.upstreams().stop().await;
    }

    /// Takes back what the gate holds for rows that were never committed.
    pub fn undo(&self, rows: &Rows) {
        self.0.gate.undo(rows);
    }
}

impl Door {
    fn go(
        &self,
        ask: &Ask<CapabilityAct>,
        wanted: Wanted,
        mut rows: Rows,
        (holds, decided, approval): (Vec<Hold>, DecidedAt, Option<ApprovalId>),
    ) -> Prepared {
        let intent = intent_of(ask, &wanted, holds, decided);
        let Wanted { capability, effect, arguments, value_usd_micros, provenance, by, .. } = wanted;
        let arguments = Value::Object(arguments);
        rows.events.push(Event::CallRequested {
            intent: intent.clone(),
            capability: capability.clone(),
            arguments: arguments.clone(),
            effect,
            value_usd_micros,
            approval,
            provenance: provenance.clone(),
        });
        let use_id = ask.act.use_id.clone();
        match by {
            By::Server(outside) => {
                // What was heard was looked at: who goes on hearing does not copy it for a call under way.
                let facts = Facts { heard: Arc::default(), ..ask.facts.clone() };
                let (intent, facts) = (Box::new(intent), Box::new(facts));
                let (principal, trace) = (Arc::clone(&ask.principal), None);
                let dispatch = self.0.gate.dispatch(&principal);
                Prepared::Go(
                    rows,
                    Ticket {
                        intent,
                        use_id,
                        principal,
                        facts,
                        capability,
                        arguments,
                        value_usd_micros,
                        provenance,
                        outside,
                        trace,
                        dispatch,
                    },
                )
            }
            By::Runtime { retention_days, delegates } => {
                let local = LocalCall {
                    call: intent.call,
                    attempt: intent.attempt,
                    use_id,
                    capability,
                    arguments,
                    holds: intent.holds,
                    retention_days,
                    delegates,
                    provenance,
                };
                Prepared::Local(rows, Box::new(local))
            }
        }
    }
}

fn intent_of(ask: &Ask<CapabilityAct>, wanted: &Wanted, holds: Vec<Hold>, decided: DecidedAt) -> Intent {
    Intent {
        call: ask.call,
        attempt: ask.attempt,
        arguments_hash: Digest::of_json(&Value::Object(wanted.arguments.clone())),
        schema_hash: wanted.schema,
        decided,
        worst: wanted.worst,
        holds,
        idempotency_key: ask.call.to_string(),
    }
}

fn record(ask: &Ask<CapabilityAct>, wanted: Wanted, mut rows: Rows, decided: DecidedAt) -> Prepared {
    let intent = intent_of(ask, &wanted, Vec::new(), decided);
    let Wanted { capability, effect, arguments, value_usd_micros, .. } = wanted;
    let arguments = Value::Object(arguments);
    let message = answer::recorded(ask.act.use_id.clone(), &capability, &arguments);
    let outcome = CallOutcome::Answered { message, stop: None };
    let told = outcome.clone();
    rows.events.push(Event::CallRecorded { intent, capability, arguments, effect, value_usd_micros, outcome });
    Prepared::Record(rows, told)
}
