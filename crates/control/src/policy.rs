//! Policy: which rules are in force for a session, and what they say to one call. The rules are Cedar: the policy that
//! comes with the product, those that people applied, and the fields of the agent's own descriptor. What must never be
//! known here: money spent, people's answers.
//!
//! ```text
//! default.cedar ─────────┐
//! kind: Policy ── applied┼─▶ document ─▶ slice: per agent revision and tool ─▶ ask(moment) ─▶ Ruled
//! descriptor ─── compile ┘                  ▲  schema ◀── shape ◀── the tool's JSON Schema
//! ```

pub mod applied;
pub mod check;
mod clause;
mod compile;
pub mod document;
pub mod moment;
mod said;
mod schema;
mod shape;
pub mod show;
mod slice;
mod slices;
pub mod suppose;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::budget::Zone;
use domain::capability::{CapabilityRef, Effect};
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{Agent, Model, OnExhausted};
use domain::expression::Expression;
use domain::id::{Digest, Name};
use domain::message::Trust;
use domain::money::UsdMicros;
use domain::obligation::{Asked, Written};
use domain::principal::{Autonomy, Principal};

use crate::budget::Caps;
use crate::consent::Obligation;
use crate::delegate::Leave;
use crate::registry::{AgentEntry, Registry};
use compile::Terms;
use document::{Document, Duty, Rule};
use slice::{Outcome, Parts, Slice, Wish};
use slices::{Key, Made, Of};

pub use moment::{Moment, Spent, Using};

/// What one revision of a descriptor allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The group that answers for the agent.
    pub owner: Name,
    /// What it may use, memory included where it has one.
    pub tools: BTreeSet<CapabilityRef>,
    /// What must hold of the arguments of those that say so.
    pub when: BTreeMap<CapabilityRef, Expression>,
    /// How often it may use those that say so, per hour.
    pub per_hour: BTreeMap<CapabilityRef, i64>,
    /// What it may spend.
    pub caps: Caps,
    /// Whose midnight and full hour begin a window.
    pub zone: Zone,
    /// What becomes of a call that no budget is left for.
    pub on_exhausted: OnExhausted,
    /// A write worth more than this, in micro-dollars, takes consent.
    pub consent_above_usd_micros: Option<i64>,
    /// Calls of these effects take consent, whatever they are worth.
    pub consent_on_effect: Vec<Effect>,
    /// Who consents, how many of them, and how long they have.
    pub consent: Obligation,
    /// How much it may do on its own, as written.
    pub autonomy: Autonomy,
}

impl Rules {
    /// What an agent's descriptor says.
    pub fn of(agent: &Agent) -> Self {
        let spec = &agent.spec;
        Rules {
            owner: agent.metadata.owner.clone(),
            tools: agent.capabilities().into_iter().collect(),
            when: spec.tools.iter().filter_map(|used| Some((used.tool.clone(), used.when.clone()?))).collect(),
            per_hour: spec.tools.iter().filter_map(|used| Some((used.tool.clone(), used.per_hour?))).collect(),
            caps: spec.budgets.caps.clone(),
            zone: spec.budgets.timezone.clone(),
            on_exhausted: spec.budgets.on_exhausted,
            consent_above_usd_micros: spec.approval.on_action_value_usd_gt.map(|UsdMicros(limit)| limit),
            consent_on_effect: spec.approval.on_effect.clone(),
            consent: Obligation::of(agent),
            autonomy: spec.autonomy.mode,
        }
    }
}

/// The rules that bind a session: what its own revision and the agent's current one both allow, so that a descriptor
/// that narrows takes effect at once and one that widens takes a new session.
#[derive(Debug, Clone)]
pub struct InForce<'a> {
    started_under: &'a AgentEntry,
    current: &'a AgentEntry,
    /// The least of what the session started with and what both revisions allow now, of everybody above it, too.
    pub autonomy: Autonomy,
    /// What it has of those, where somebody delegated to it.
    leave: Option<Arc<Leave>>,
}

impl<'a> InForce<'a> {
    /// The rules for a principal; `None` if its agent or revision is not known.
    pub fn of(registry: &'a Registry, principal: &Principal) -> Option<Self> {
        let (agent, started) = (&principal.link.agent, principal.link.revision);
        let current = registry.agent(agent)?;
        let mut autonomy = principal.autonomy;
        for link in principal.chain() {
            let now = registry.autonomy(&link.agent, registry.agent(&link.agent)?.revision)?;
            autonomy = lesser(autonomy, lesser(registry.autonomy(&link.agent, link.revision)?, now));
        }
        let leave = Leave::of(registry, principal).map(Arc::new);
        Some(InForce { started_under: registry.revision(agent, started)?, current, autonomy, leave })
    }

    /// The rules for a session that would start now.
    pub(crate) fn newest(registry: &'a Registry, agent: &Name) -> Option<Self> {
        let current = registry.agent(agent)?;
        let autonomy = registry.autonomy(agent, current.revision)?;
        Some(InForce { started_under: current, current, autonomy, leave: None })
    }

    /// The agent's current revision.
    pub fn revision(&self) -> Digest {
        self.current.revision
    }

    /// The model that the session's own revision names.
    pub fn model(&self) -> &'a Model {
        &self.started_under.descriptor.spec.model
    }

    /// What becomes of a call that no budget is left for, by the current revision.
    pub fn on_exhausted(&self) -> OnExhausted {
        self.current.rules.on_exhausted
    }

    /// The group that answers for the agent.
    pub fn owner(&self) -> &'a Name {
        &self.current.rules.owner
    }

    /// Who consents, how many of them, and how long they have.
    pub fn obligation(&self) -> &'a Obligation {
        &self.current.rules.consent
    }

    /// The effects that either revision asks before, whatever a call is worth.
    fn asks_on(&self) -> Vec<Effect> {
        let both = [self.started_under, self.current].into_iter();
        let all: BTreeSet<Effect> = both.flat_map(|entry| entry.rules.consent_on_effect.iter().copied()).collect();
        all.into_iter().collect()
    }

    /// What its own revision lists.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &'a CapabilityRef> {
        self.started_under.rules.tools.iter()
    }

    /// Whether both revisions list this.
    fn lists(&self, capability: &CapabilityRef) -> (bool, bool) {
        let lists = |entry: &AgentEntry| entry.rules.tools.contains(capability);
        (lists(self.started_under), lists(self.current))
    }

    fn threshold(&self) -> Option<i64> {
        let both = [&self.started_under.rules, &self.current.rules];
        both.into_iter().filter_map(|rules| rules.consent_above_usd_micros).min()
    }

    /// The names that its model may be asked for by, each behind its provider's: as the descriptor writes it, as its
    /// pinned revision is sent, and those that a client may choose.
    fn models(&self, registry: &Registry) -> Vec<String> {
        let own = self.model();
        let entry = registry.provider(&own.provider);
        let sent_as = entry.and_then(|e| e.descriptor.spec.model_id(&own.name, own.pinned_revision.as_deref()).ok());
        let sent_as = sent_as.filter(|sent| *sent != own.name);
        let mut names: Vec<&str> = vec![&own.name];
        names.extend(sent_as);
        let others = own.allow.iter().map(String::as_str).filter(|name| *name != own.name && Some(*name) != sent_as);
        names.extend(others);
        names.into_iter().map(|name| format!("{}/{name}", own.provider)).collect()
    }

    /// What of the descriptor is in force.
    pub(crate) fn terms(&self, registry: &Registry, agent: &Name) -> Terms {
        let both = |tool: &&CapabilityRef| self.current.rules.tools.contains(*tool);
        Terms {
            agent: agent.clone(),
            tools: self.started_under.rules.tools.iter().filter(both).cloned().collect(),
            models: self.models(registry),
            asks_above: self.threshold(),
            asks_on: self.asks_on(),
            when: self.when(),
            // As every budget: by the current revision.
            per_hour: self.current.rules.per_hour.iter().map(|(tool, most)| (tool.clone(), *most)).collect(),
            leave: self.leave.as_deref().map(|leave| (leave.above.clone(), leave.may.iter().cloned().collect())),
        }
    }

    /// What both revisions say must hold of arguments, and those above that pass on what they have; each clause once.
    fn when(&self) -> Vec<(CapabilityRef, Vec<Expression>)> {
        let mut all: BTreeMap<CapabilityRef, Vec<Expression>> = BTreeMap::new();
        let both = [&self.started_under.rules, &self.current.rules].into_iter();
        let above = self.leave.iter().flat_map(|leave| &leave.when).map(|(tool, when)| (tool, when));
        for (tool, when) in both.flat_map(|rules| &rules.when).chain(above) {
            let clauses = all.entry(tool.clone()).or_default();
            for clause in when.clauses() {
                if !clauses.iter().any(|known| known.source() == clause.source()) {
                    clauses.push(clause);
                }
            }
        }
        all.into_iter().collect()
    }

    /// What a policy's words come to for this agent.
    fn owed(&self, written: &Written) -> Obligation {
        let own = self.obligation();
        let by = match &written.asked {
            Asked::Approvers => &own.by,
            Asked::Owner => self.owner(),
            Asked::Group(name) => name,
        };
        let expires_ms = written.ttl_ms.unwrap_or(own.expires_ms);
        let asked = Obligation {
            by: by.clone(),
            quorum: written.quorum,
            four_eyes: written.four_eyes,
            expires_ms,
            escalate: None,
        };
        // Its approvers are asked on its own terms, at the least.
        match written.asked {
            Asked::Approvers => {
                Obligation { escalate: own.escalate.clone(), ..asked.clone() }.and(own).unwrap_or(asked)
            }
            Asked::Owner | Asked::Group(_) => asked,
        }
    }
}

/// What the rules say to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It may.
    Allow,
    /// It may, once people consent.
    Consent {
        /// Why they are asked.
        reason: String,
        /// Whose consent it takes.
        obligation: Obligation,
    },
    /// It is written down and not sent: the agent is in shadow.
    Record,
    /// It may not.
    Deny(Refusal),
}

/// A ruling, and the rules that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// What they say.
    pub ruling: Ruling,
    /// Their ids, in the order in which they are told.
    pub ids: Vec<String>,
}

impl Ruled {
    fn denied(id: &str, refusal: Refusal) -> Self {
        Ruled { ruling: Ruling::Deny(refusal), ids: vec![id.to_owned()] }
    }
}

/// Of whom a rule is asked.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Everything there is.
    pub registry: &'a Registry,
    /// Who acts.
    pub agent: &'a Name,
    /// What binds its session.
    pub in_force: &'a InForce<'a>,
}

/// What its definition says of a tool that is to be used.
#[derive(Debug, Clone, Copy)]
pub struct Defined<'a> {
    /// The hash of the definition.
    pub hash: Digest,
    /// The JSON Schema of its arguments, where it is at hand.
    pub input_schema: Option<&'a serde_json::Value>,
}

/// What the rules say to the use of a capability.
pub fn rule(whose: &Whose<'_>, defined: &Defined<'_>, moment: &Moment<'_>, using: &Using<'_>) -> Ruled {
    let Whose { agent, in_force, .. } = whose;
    if in_force.lists(using.capability) != (true, true) {
        return Ruled::denied("tools-listed", not_listed(in_force, agent, using.capability));
    }
    let made = slice_of_tool(whose, defined, (using.capability, using.effect));
    ruled(whose, &made, moment, || not_listed(in_force, agent, using.capability))
}

/// What the rules say to the use of a model: an agent has its own and no other.
pub fn rule_model(whose: &Whose<'_>, moment: &Moment<'_>, (provider, model): (&Name, &str)) -> Ruled {
    let other = || {
        let reason = format!("{model} at {provider} is not the model of the agent {}.", whose.agent);
        let next = "A person may change spec.model, apply the descriptor and start a new session.".to_owned();
        Refusal { by: RefusedBy::Policy, reason, next }
    };
    let id = format!("{provider}/{model}");
    if !whose.in_force.models(whose.registry).contains(&id) {
        return Ruled::denied("own-model", other());
    }
    let made = slice_of_model(whose, provider, &id);
    ruled(whose, &made, moment, other)
}

pub(crate) fn slice_of_tool(whose: &Whose<'_>, defined: &Defined<'_>, used: (&CapabilityRef, Effect)) -> Made {
    let Whose { registry, .. } = whose;
    let (capability, effect) = used;
    let described = match capability {
        CapabilityRef::External(name) => registry.capability(name),
        CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => None,
    };
    let typed = slices::typed(defined.hash, defined.input_schema);
    // What nobody described has no arguments that a rule could read.
    let hash = if typed.is_some() { defined.hash } else { Digest::of(b"not described") };
    let of = Of::Tool(capability.clone(), effect, hash, described.map(|entry| entry.revision));
    let server = described.map(|entry| {
        let spec = &entry.descriptor.spec;
        (&spec.server, &spec.labels[..], spec.output_trust == Trust::Trusted)
    });
    let wish = Wish::Tool { capability, effect, input: typed.unwrap_or_default(), server };
    slices::kept(key(whose, of), || made(whose, wish))
}

fn slice_of_model(whose: &Whose<'_>, provider: &Name, id: &str) -> Made {
    let entry = whose.registry.provider(provider).map(|entry| entry.revision);
    let of = Of::Model(provider.clone(), id.to_owned(), entry);
    slices::kept(key(whose, of), || made(whose, Wish::Model { provider, id }))
}

fn key(whose: &Whose<'_>, of: Of) -> Key {
    let Whose { registry, agent, in_force } = whose;
    let revisions = [in_force.started_under.revision, in_force.current.revision];
    let leave = in_force.leave.as_deref();
    let above = leave.map(|leave| leave.above.iter().cloned().zip(leave.revisions.iter().copied()).collect());
    Key {
        agent: (*agent).clone(),
        revisions,
        policies: registry.policy_set(agent),
        above: above.unwrap_or_default(),
        of,
    }
}

/// Every text that is in force for an agent's use of a tool and can be read.
fn documents(whose: &Whose<'_>, tool: &CapabilityRef, schema: &serde_json::Value) -> Vec<Document> {
    let Whose { registry, agent, in_force } = whose;
    let terms = in_force.terms(registry, agent);
    let when = compile::when(&terms, tool, &shape::fields(schema)).unwrap_or_default();
    let own = Document::read(&document::Origin::Descriptor, &format!("{}\n{when}", compile::text(&terms))).ok();
    let covering = registry.covering(agent).filter_map(|(_, policy)| policy.rules.as_ref().as_ref().ok());
    applied::standard().into_iter().chain(covering).cloned().chain(own).collect()
}

fn made(whose: &Whose<'_>, wish: Wish<'_>) -> Result<Slice, (Option<String>, String)> {
    let Whose { registry, agent, in_force } = whose;
    let documents = applied::standard().map_err(|findings| ("default", findings));
    let covering = registry.covering(agent).map(|(name, policy)| match &*policy.rules {
        Ok(document) => Ok(document),
        Err(findings) => Err((name.as_str(), findings.as_slice())),
    });
    let documents = std::iter::once(documents).chain(covering).collect();
    let (terms, owner, revision) = (&in_force.terms(registry, agent), in_force.owner(), in_force.revision());
    Slice::build(&Parts { terms, owner, revision, documents, wish })
}

fn ruled(whose: &Whose<'_>, made: &Made, moment: &Moment<'_>, unpermitted: impl Fn() -> Refusal) -> Ruled {
    let outcome = match &**made {
        Ok(slice) => slice.ask(moment),
        Err((rule, why)) => Outcome::Unjudged(rule.clone(), why.clone()),
    };
    let ids = |rules: &[Arc<Rule>]| rules.iter().map(|rule| rule.id.clone()).collect();
    match outcome {
        Outcome::Permitted(rules) => Ruled { ruling: Ruling::Allow, ids: ids(&rules) },
        Outcome::Unpermitted => {
            Ruled::denied(if moment.using.is_some() { "tools-listed" } else { "own-model" }, unpermitted())
        }
        Outcome::Unjudged(rule, why) => {
            Ruled::denied(rule.as_deref().unwrap_or("unjudged"), said::unjudged(&rule, &why))
        }
        Outcome::Forbidden(rules) => Ruled { ids: ids(&rules), ruling: forbidden(whose, moment, &rules) },
    }
}

fn forbidden(whose: &Whose<'_>, moment: &Moment<'_>, rules: &[Arc<Rule>]) -> Ruling {
    match slice::duty(rules) {
        Duty::None => Ruling::Deny(said::refusal(whose.agent, moment, rules)),
        Duty::Record => Ruling::Record,
        Duty::Consent(_) => {
            let mut each = rules.iter().filter_map(|rule| match &rule.duty {
                Duty::Consent(written) => Some(whose.in_force.owed(written)),
                Duty::None | Duty::Record => None,
            });
            let reason = said::reason(whose.agent, moment, rules);
            let first = each.next();
            match each.fold(first, |all, next| all.and_then(|all| all.and(&next))) {
                Some(obligation) => Ruling::Consent { reason, obligation },
                None => Ruling::Deny(said::disagree(&reason, rules)),
            }
        }
    }
}

fn not_listed(in_force: &InForce<'_>, agent: &Name, capability: &CapabilityRef) -> Refusal {
    let since = match in_force.lists(capability) {
        (true, _) => " any more",
        (false, true) => " in the revision that this session started under",
        (false, false) => "",
    };
    Refusal {
        by: RefusedBy::Policy,
        reason: format!("{capability} is not among the tools of the agent {agent}{since}."),
        next: format!(
            "Do without it. A person may add `- {capability}` under spec.tools, apply the descriptor and start a new \
             session."
        ),
    }
}

pub(crate) fn lesser(a: Autonomy, b: Autonomy) -> Autonomy {
    if rank(a) <= rank(b) { a } else { b }
}

/// How much an agent may do on its own, as a number: more is more.
pub fn rank(autonomy: Autonomy) -> u8 {
    match autonomy {
        Autonomy::Shadow => 0,
        Autonomy::Supervised => 1,
        Autonomy::Autonomous => 2,
    }
}
