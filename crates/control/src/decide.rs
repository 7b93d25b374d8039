//! The one question: may it? Identity and kill switch first, then policy, then budget, then approval. The answer is a
//! value with everything that must be committed with it. Pure: what it needs is in memory, and it sends nothing.

mod covered;
mod ruled;

use data::rows::{InboxChange, InboxItem, InboxKey, Rows};
use domain::approval::{Poll, Reminder};
use domain::budget::{Amounts, Hold};
use domain::call::{ApprovalRequest, Binding, Facts};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, Refusal, RefusedBy, Wait, WaitFor};
use domain::event::Event;
use domain::id::{ApprovalId, CallId, Digest, Name, Shard};
use domain::principal::Principal;
use domain::provenance::Provenance;
use serde_json::Value;

use self::covered::{granted, under_grant};
use self::ruled::ruled;
use crate::budget::ask::{self, Answer};
use crate::budget::{Exhausted, FIRST_LOOK_MS, Holdings, Limit, Short, asks_again_at, limit_of_tool, limits};
use crate::consent::{Consent, Need, Obligation, Signer, consent};
use crate::grants::{self, Covers, Used};
use crate::identity::{self, Frozen};
use crate::policy::{InForce, Ruled, Ruling};
use crate::readiness::{self, Checks, Condition};
use crate::registry::Registry;

/// What is wanted.
#[derive(Debug, Clone)]
pub enum Want<'a> {
    /// A model's answer.
    Model {
        /// Of which provider.
        provider: &'a Name,
        /// Which model.
        model: &'a str,
        /// The most it can come to.
        worst: Amounts,
    },
    /// The use of a capability.
    Capability {
        /// Which.
        capability: &'a CapabilityRef,
        /// What it may change.
        effect: Effect,
        /// The effective arguments: after defaults, as they would be sent.
        arguments: &'a Value,
        /// Of the canonical effective arguments.
        arguments_hash: Digest,
        /// Of the capability's definition and input schema.
        schema_hash: Digest,
        /// The JSON Schema of its arguments, where it is at hand: what policies read them by.
        input_schema: Option<&'a Value>,
        /// What it is worth, in micro-dollars; `None`: unknown, negative or not a number.
        value_usd_micros: Option<i64>,
        /// The most it can come to.
        worst: Amounts,
        /// Where its arguments came from; `None`: nobody looked.
        provenance: Option<&'a Provenance>,
    },
}

/// One question to the gate.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The call this would be.
    pub call: CallId,
    /// 1 for the first attempt.
    pub attempt: u16,
    /// Who wants it.
    pub principal: &'a Principal,
    /// What the session knows that bears on it.
    pub facts: &'a Facts,
    /// What is wanted.
    pub want: Want<'a>,
}

/// The gate's answer, with what to commit beside it.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It may; `rows` hold its worst case.
    Allow {
        /// Holdings; the inbox item that its consent closes.
        rows: Rows,
        /// What it holds until it is settled.
        holds: Vec<Hold>,
        /// Under what it was allowed.
        decided: DecidedAt,
        /// The consent that it uses up.
        approval: Option<ApprovalId>,
    },
    /// Shadow: write down what would have been sent, and do not send it.
    Record {
        /// A request for consent that this makes void.
        rows: Rows,
        /// Under what it was decided.
        decided: DecidedAt,
    },
    /// Not yet.
    Wait {
        /// That it waits, and what is put before people.
        rows: Rows,
        /// What for.
        wait: Wait,
    },
    /// It may not.
    Deny {
        /// That it was refused; a request for consent that this makes void.
        rows: Rows,
        /// Why.
        refusal: Refusal,
    },
}

/// Why what was decided does not hold any more.
#[derive(Debug, Clone, PartialEq)]
pub enum Overtaken {
    /// Something of the principal was frozen: the call is wanted again once it is let go on.
    Frozen(Frozen),
    /// It would be refused now, or must be decided anew.
    Refused(Refusal),
}

impl From<Refusal> for Overtaken {
    fn from(refusal: Refusal) -> Self {
        Overtaken::Refused(refusal)
    }
}

/// Everything that a decision is made from.
pub struct Scene<'a> {
    /// Who and what there is.
    pub registry: &'a Registry,
    /// What has been spent; an answer that allows changes it at once.
    pub holdings: &'a mut Holdings,
    /// The shard of whoever asks.
    pub shard: Shard,
    /// Knows what people really said.
    pub signer: &'a Signer,
    /// What only the machine around it knows.
    pub checks: &'a Checks,
    /// When.
    pub now: Timestamp,
}

/// May it?
pub fn decide(scene: &mut Scene<'_>, query: &Query<'_>) -> Verdict {
    let mut decided = decided_by(scene.registry, query);
    let in_force = match standing(scene.registry, query.principal) {
        Ok(in_force) => in_force,
        Err(refusal) => return deny(query, decided, refusal),
    };
    if let Some(wait) = frozen(scene.registry, query.principal) {
        return waits(query, wait, Rows::default());
    }
    let need = match permitted(scene, query, &in_force, &mut decided) {
        Ok(need) => need,
        Err(Stopped::Record) => return Verdict::Record { rows: voided(query, "it is recorded, not sent"), decided },
        Err(Stopped::Deny(refusal)) => return deny(query, decided, refusal),
        Err(Stopped::Unseen(request)) => return waits(query, waits_for(&request, scene.now), Rows::default()),
    };
    let limits = limits_of(scene, query);
    // A person is not asked for what cannot be paid; calls in flight are no reason not to ask.
    if let Err(Short::Exhausted(spent)) = scene.holdings.check(scene.shard, &limits, query.want.worst()) {
        return exhausted(scene, query, &in_force, (spent, decided));
    }
    let standing = granted(scene, query, need.as_ref(), &decided);
    if let Some(Covers { name, .. }) = &standing {
        decided.policy_ids.push(grants::rule(name));
    }
    let need = need.as_ref().filter(|_| standing.is_none());
    let (rows, approval) = match consented(scene, query, &in_force, need, &decided) {
        Ok(granted) => granted,
        Err(answer) => return *answer,
    };
    reserve(scene, query, (&in_force, &limits, standing), (rows, approval, decided))
}

/// The budgets that bind a call: its principal's, and its tool's.
fn limits_of(scene: &Scene<'_>, query: &Query<'_>) -> Vec<Limit> {
    let mut all = limits(scene.registry, query.principal, scene.now);
    if let Want::Capability { capability, .. } = &query.want {
        all.extend(limit_of_tool(scene.registry, &query.principal.link.agent, capability, scene.now));
    }
    all
}

/// Whether what was decided would be decided again, by the same rule and under the same consent. What it holds of its
/// budgets it holds already. Anything else, more room included, is for a new question: this call was not asked about.
pub fn still(scene: &Scene<'_>, query: &Query<'_>, decided: &DecidedAt) -> Result<(), Overtaken> {
    let in_force = standing(scene.registry, query.principal)?;
    if let Some(frozen) = identity::frozen(scene.registry, query.principal) {
        return Err(Overtaken::Frozen(frozen));
    }
    let mut again = decided_by(scene.registry, query);
    let need = match permitted(scene, query, &in_force, &mut again) {
        Ok(Some(need)) if under_grant(scene, query, &again, decided) => {
            return match &query.facts.verdict {
                None => Ok(()),
                Some(_) => Err(overtaken(RefusedBy::Approval, format!("People answered {} meanwhile.", need.call))),
            };
        }
        Ok(need) if again.policy_ids == decided.policy_ids => need,
        Err(Stopped::Deny(refusal)) => return Err(refusal.into()),
        Ok(_) | Err(Stopped::Record | Stopped::Unseen(_)) => {
            let reason = format!("What the agent {} may do on its own changed.", query.principal.link.agent);
            return Err(overtaken(RefusedBy::Policy, reason));
        }
    };
    let Some(need) = need else { return Ok(()) };
    match consent(scene.registry, scene.signer, query.facts, &need, scene.now) {
        Consent::Granted(_) => Ok(()),
        Consent::Denied { reason, next } => Err(Refusal { by: RefusedBy::Approval, reason, next }.into()),
        Consent::Anew { changed, .. } => {
            Err(overtaken(RefusedBy::Approval, format!("The consent to it is void, because {changed}.")))
        }
        Consent::Ask(_) | Consent::Pending(_) => {
            Err(overtaken(RefusedBy::Approval, "Nobody has consented to it.".to_owned()))
        }
    }
}

fn overtaken(by: RefusedBy, reason: String) -> Overtaken {
    Refusal { by, reason, next: "Nothing was sent. Ask again: it is decided anew.".to_owned() }.into()
}

/// The wait of a principal that something is frozen of.
pub fn frozen(registry: &Registry, principal: &Principal) -> Option<Wait> {
    let Frozen { scope, .. } = identity::frozen(registry, principal)?;
    Some(Wait { why: WaitFor::Frozen { scope }, until: None })
}

fn decided_by(registry: &Registry, query: &Query<'_>) -> DecidedAt {
    unruled(registry, &query.principal.link.agent)
}

/// Under what something is decided that no rule is asked about.
pub fn unruled(registry: &Registry, agent: &Name) -> DecidedAt {
    DecidedAt { control_pos: registry.pos(), policy_set: registry.policy_set(agent), policy_ids: Vec::new() }
}

/// Identity: the rules that bind a principal, if it still stands.
fn standing<'a>(registry: &'a Registry, principal: &Principal) -> Result<InForce<'a>, Refusal> {
    identity::stands(registry, principal)?;
    InForce::of(registry, principal).ok_or_else(|| Refusal {
        by: RefusedBy::Identity,
        reason: format!("The agent {} is not known here.", principal.link.agent),
        next: "Apply its descriptor: `ostler apply -f FILE`.".to_owned(),
    })
}

/// Why a call does not get as far as its budget.
enum Stopped {
    Record,
    Deny(Refusal),
    /// People were asked, and nobody can look at its definition now: it goes on waiting for them.
    Unseen(Box<ApprovalRequest>),
}

/// Policy: whether the rules permit it, and what consent it needs.
fn permitted<'a>(
    scene: &Scene<'_>,
    query: &'a Query<'_>,
    in_force: &InForce<'a>,
    decided: &mut DecidedAt,
) -> Result<Option<Need<'a>>, Stopped> {
    let Ruled { ruling, ids } = ruled(scene, query, in_force);
    decided.policy_ids = ids;
    let asks = match ruling {
        Ruling::Deny(refusal) => return Err(unseen(query).map_or(Stopped::Deny(refusal), Stopped::Unseen)),
        Ruling::Record => return Err(Stopped::Record),
        Ruling::Allow => None,
        Ruling::Consent { reason, obligation } => Some((reason, obligation)),
    };
    let conditions = match &query.want {
        Want::Model { .. } => readiness::model(scene.registry, scene.checks, in_force.model()),
        Want::Capability { capability, .. } => readiness::capability(scene.registry, scene.checks, capability),
    };
    if let Some(Condition { reason, next, .. }) = readiness::missing(conditions) {
        return Err(Stopped::Deny(Refusal { by: RefusedBy::Readiness, reason, next }));
    }
    Ok(asks.and_then(|asks| need(query, in_force, decided.policy_set, asks)))
}

/// The request that people still think about, where the definition of what they were asked about is not at hand.
fn unseen(query: &Query<'_>) -> Option<Box<ApprovalRequest>> {
    match &query.want {
        Want::Capability { input_schema: None, .. } => query.facts.asked().cloned().map(Box::new),
        Want::Capability { .. } | Want::Model { .. } => None,
    }
}

/// What a consent to this call is bound to.
fn binding(query: &Query<'_>, in_force: &InForce<'_>, policy_set: Digest) -> Option<Binding> {
    let Want::Capability { arguments_hash, schema_hash, .. } = &query.want else { return None };
    let revision = in_force.revision();
    Some(Binding { arguments: *arguments_hash, schema: *schema_hash, policy_set, revision })
}

/// The consent that this call needs. A model call never needs any.
fn need<'a>(
    query: &'a Query<'_>,
    in_force: &InForce<'_>,
    policy_set: Digest,
    (reason, of): (String, Obligation),
) -> Option<Need<'a>> {
    let Want::Capability { capability, arguments, value_usd_micros, provenance, .. } = &query.want else {
        return None;
    };
    Some(Need {
        call: query.call,
        capability,
        arguments,
        binding: binding(query, in_force, policy_set)?,
        value_usd_micros: *value_usd_micros,
        reason,
        provenance: *provenance,
        of,
        on_behalf_of: query.principal.on_behalf_of.as_ref(),
    })
}

/// Approval: the rows and the consent that a call may go on with, or the answer that it gets instead.
fn consented(
    scene: &Scene<'_>,
    query: &Query<'_>,
    in_force: &InForce<'_>,
    need: Option<&Need<'_>>,
    decided: &DecidedAt,
) -> Result<(Rows, Option<ApprovalId>), Box<Verdict>> {
    let Some(need) = need else {
        return unneeded(scene, query, in_force, decided);
    };
    let answer = match consent(scene.registry, scene.signer, query.facts, need, scene.now) {
        Consent::Granted(approval) => return Ok((closing(approval), Some(approval))),
        Consent::Ask(request) => ask(query, request, Rows::default(), decided),
        Consent::Anew { withdrawn, changed, request } => {
            let mut rows = Rows::of(Event::ApprovalWithdrawn { approval: withdrawn, reason: changed });
            rows.merge(closing(withdrawn));
            ask(query, request, rows, decided)
        }
        Consent::Pending(request) => waits(query, waits_for(&request, scene.now), reminded(query, &request, scene.now)),
        Consent::Denied { reason, next } => {
            deny(query, decided.clone(), Refusal { by: RefusedBy::Approval, reason, next })
        }
    };
    Err(Box::new(answer))
}

/// A call that needs no consent (any more). A person's no still counts; their yes goes with the call that it was for,
/// as long as nothing that it was bound to has changed.
fn unneeded(
    scene: &Scene<'_>,
    query: &Query<'_>,
    in_force: &InForce<'_>,
    decided: &DecidedAt,
) -> Result<(Rows, Option<ApprovalId>), Box<Verdict>> {
    let (Some(asked), Some(verdict)) = (&query.facts.approval, &query.facts.verdict) else {
        return Ok((voided(query, "consent is not needed any more"), None));
    };
    if !verdict.approved {
        let reason = format!("{} of {} said no: {}", verdict.person, asked.by, verdict.reason);
        let next = "Do not try the same again; go on without it.".to_owned();
        let refusal = Refusal { by: RefusedBy::Approval, reason, next };
        return Err(Box::new(deny(query, decided.clone(), refusal)));
    }
    let bound = Binding { arguments: asked.meant_by(verdict), ..asked.binding };
    let same = binding(query, in_force, decided.policy_set) == Some(bound);
    let genuine = query.facts.said().all(|verdict| scene.signer.signed(asked, verdict));
    let enough = Poll::of(asked, query.facts.said()).is_enough();
    let approval = (same && genuine && enough).then_some(asked.approval);
    Ok((closing(asked.approval), approval))
}

/// Budget, the second half: holds the worst case, now that everything else is settled.
fn reserve(
    scene: &mut Scene<'_>,
    query: &Query<'_>,
    (in_force, limits, standing): (&InForce<'_>, &[Limit], Option<Covers<'_>>),
    (mut rows, approval, decided): (Rows, Option<ApprovalId>, DecidedAt),
) -> Verdict {
    match scene.holdings.reserve(scene.shard, limits, query.want.worst()) {
        Ok((mut holds, mut deltas)) => {
            if let Some(Covers { limits, amounts, .. }) = standing {
                let Ok((of_grant, used)) = scene.holdings.reserve(scene.shard, &limits, &amounts) else {
                    // Nothing of it was used since it was looked at: this is the one who decides.
                    scene.holdings.undo(&deltas);
                    let why =
                        WaitFor::TiedUp { budget: limits.first().map_or(String::new(), |l| l.budget.to_string()) };
                    return waits(query, Wait { why, until: Some(scene.now.plus_ms(FIRST_LOOK_MS)) }, rows);
                };
                holds.extend(of_grant);
                deltas.extend(used);
            }
            rows.merge(ask::over(query.facts));
            rows.holdings.extend(deltas);
            Verdict::Allow { rows, holds, decided, approval }
        }
        Err(Short::Exhausted(spent)) => exhausted(scene, query, in_force, (spent, decided)),
        Err(Short::TiedUp { budget, ends }) => {
            let until = asks_again_at(scene.now, query.facts.waiting_since, ends);
            let wait = Wait { why: WaitFor::TiedUp { budget: budget.to_string() }, until: Some(until) };
            waits(query, wait, rows)
        }
    }
}

/// A budget is spent: what the descriptor says becomes of the call.
fn exhausted(
    scene: &Scene<'_>,
    query: &Query<'_>,
    in_force: &InForce<'_>,
    (spent, decided): (Exhausted, DecidedAt),
) -> Verdict {
    match ask::answer(scene, query, in_force, (&spent, &decided)) {
        Answer::Refuse(refusal) => deny(query, decided, refusal),
        Answer::Wait(wait) => waits(query, wait, Rows::default()),
        Answer::Ask(request) => {
            let rows = voided(query, "the budget is used up");
            // Nobody is reminded of it: what it asks for is over with its window.
            let until = Some(request.expires_at);
            let wait = Wait { why: WaitFor::Approval { approval: request.approval }, until };
            let Verdict::Wait { mut rows, wait } = waits(query, wait, rows) else {
                return deny(query, decided, spent.refusal());
            };
            // Behind the wait: with it a model call is open, and what is asked of it can be kept.
            rows.merge(ask::over(query.facts));
            rows.merge(asking(query, *request, &decided));
            Verdict::Wait { rows, wait }
        }
    }
}

impl Want<'_> {
    fn worst(&self) -> &Amounts {
        match self {
            Want::Model { worst, .. } | Want::Capability { worst, .. } => worst,
        }
    }

    /// What a standing grant is asked about; it is about no model.
    fn used(&self) -> Option<Used<'_>> {
        match self {
            Want::Model { .. } => None,
            Want::Capability { capability, arguments, value_usd_micros, .. } => {
                Some(Used { capability, arguments, value_usd_micros: *value_usd_micros })
            }
        }
    }

    fn is_model(&self) -> bool {
        matches!(self, Want::Model { .. })
    }
}

fn deny(query: &Query<'_>, decided: DecidedAt, refusal: Refusal) -> Verdict {
    let mut rows = voided(query, &refusal.reason);
    rows.merge(ask::over(query.facts));
    let capability = match &query.want {
        Want::Model { .. } => None,
        Want::Capability { capability, .. } => Some(capability.name().to_string()),
    };
    let (call, model) = (query.call, query.want.is_model());
    rows.events.push(Event::CallRefused { call, model, capability, refusal: refusal.clone(), decided });
    Verdict::Deny { rows, refusal }
}

fn waits(query: &Query<'_>, wait: Wait, mut rows: Rows) -> Verdict {
    rows.events.push(Event::CallWaits { call: query.call, model: query.want.is_model(), wait: wait.clone() });
    Verdict::Wait { rows, wait }
}

fn ask(query: &Query<'_>, request: ApprovalRequest, mut rows: Rows, decided: &DecidedAt) -> Verdict {
    let wait = waits_for(&request, request.asked_at);
    rows.merge(ask::over(query.facts));
    rows.merge(asking(query, request, decided));
    waits(query, wait, rows)
}

/// What is put before people, and that it is.
fn asking(query: &Query<'_>, request: ApprovalRequest, decided: &DecidedAt) -> Rows {
    let mut rows = Rows::default();
    rows.inbox.push(InboxChange::Open(InboxItem {
        key: InboxKey::Approval { approval: request.approval },
        session: query.call.session,
        agent: query.principal.link.agent.clone(),
        group: request.by.clone(),
        since: request.asked_at,
        expires: Some(request.expires_at),
    }));
    rows.events.push(Event::ApprovalRequested { request, decided: decided.clone() });
    rows
}

fn waits_for(request: &ApprovalRequest, now: Timestamp) -> Wait {
    Wait { why: WaitFor::Approval { approval: request.approval }, until: Some(request.changes_after(now)) }
}

/// What people are told of a request that still waits.
fn reminded(query: &Query<'_>, request: &ApprovalRequest, now: Timestamp) -> Rows {
    let due = request.reminders_due(now, &query.facts.reminded).into_iter();
    let events = due.map(|what| {
        let escalated = request.terms.escalate.as_ref().filter(|_| what == Reminder::Escalated);
        let to = escalated.map_or(&request.by, |escalation| &escalation.to).clone();
        Event::ApprovalReminded { approval: request.approval, what, to }
    });
    Rows { events: events.collect(), ..Rows::default() }
}

fn closing(approval: ApprovalId) -> Rows {
    Rows { inbox: vec![InboxChange::Close(InboxKey::Approval { approval })], ..Rows::default() }
}

/// The end of a request for consent that is overtaken: withdrawn, unless somebody answered it, and off the inbox.
fn voided(query: &Query<'_>, reason: &str) -> Rows {
    let Some(request) = query.facts.approval.as_ref() else {
        return Rows::default();
    };
    let mut rows = closing(request.approval);
    if query.facts.asked().is_some() {
        let withdrawn = Event::ApprovalWithdrawn { approval: request.approval, reason: reason.to_owned() };
        rows.events.push(withdrawn);
    }
    rows
}
