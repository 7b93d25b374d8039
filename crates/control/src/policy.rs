//! Policy: which rules are in force for a session, and what they say to one call. Until policies of their own can be
//! applied, what the descriptor does not list is denied. What must never be known here: money spent, people's answers.

use std::collections::BTreeSet;

use domain::budget::Zone;
use domain::capability::{CapabilityRef, Effect};
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{Agent, Model, OnExhausted};
use domain::id::{Digest, Name};
use domain::money::UsdMicros;
use domain::principal::{Autonomy, Principal};

use crate::budget::Caps;
use crate::consent::Obligation;
use crate::registry::{AgentEntry, Registry};

/// What one revision of a descriptor allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The group that answers for the agent.
    pub owner: Name,
    /// What it may use, memory included where it has one.
    pub tools: BTreeSet<CapabilityRef>,
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
    /// The least of what the session started with and what both revisions allow now.
    pub autonomy: Autonomy,
}

impl<'a> InForce<'a> {
    /// The rules for a principal; `None` if its agent or revision is not known.
    pub fn of(registry: &'a Registry, principal: &Principal) -> Option<Self> {
        let (agent, started) = (&principal.link.agent, principal.link.revision);
        let current = registry.agent(agent)?;
        let autonomy = [principal.autonomy, registry.autonomy(agent, started)?]
            .into_iter()
            .fold(registry.autonomy(agent, current.revision)?, lesser);
        Some(InForce { started_under: registry.revision(agent, started)?, current, autonomy })
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

    /// Whether either revision asks before every call of this effect.
    fn asks_on(&self, effect: Effect) -> bool {
        [self.started_under, self.current].into_iter().any(|entry| entry.rules.consent_on_effect.contains(&effect))
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
}

/// What the rules say to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It may.
    Allow,
    /// It may, once a person consents, for this reason.
    Consent(String),
    /// It is written down and not sent: the agent is in shadow.
    Record,
    /// It may not.
    Deny(Refusal),
}

/// A ruling, and the name of the rule that made it.
pub type Ruled = (Ruling, &'static str);

/// The hash of the policy set in force: until policies can be applied, of the empty one.
pub fn policy_set() -> Digest {
    Digest::of_json(&serde_json::Value::Array(Vec::new()))
}

/// Rules on the use of a capability worth `value` micro-dollars, where that is known.
pub fn rule(in_force: &InForce<'_>, agent: &Name, used: (&CapabilityRef, Effect), value: Option<i64>) -> Ruled {
    let (capability, effect) = used;
    if in_force.lists(capability) != (true, true) {
        return (Ruling::Deny(not_listed(in_force, agent, capability)), "tools-listed");
    }
    let writes = effect.changes_something();
    if writes && in_force.autonomy == Autonomy::Shadow {
        return (Ruling::Record, "shadow-records-writes");
    }
    if matches!(capability, CapabilityRef::Internal(_)) {
        return (Ruling::Allow, "internal-stays-inside");
    }
    match in_force.autonomy {
        Autonomy::Supervised if writes => {
            let reason = format!("{agent} is supervised: every {effect} asks a person first.");
            return (Ruling::Consent(reason), "supervised-asks-before-writes");
        }
        Autonomy::Shadow | Autonomy::Supervised | Autonomy::Autonomous => {}
    }
    if in_force.asks_on(effect) {
        let reason = match effect {
            Effect::Irreversible => format!("It cannot be undone, and {agent} asks before whatever cannot be."),
            Effect::Read | Effect::Idempotent | Effect::Write => format!("{agent} asks before every {effect}."),
        };
        return (Ruling::Consent(reason), "effect-asks");
    }
    match in_force.threshold().and_then(|threshold| above(threshold, value, writes)) {
        Some(reason) => (Ruling::Consent(reason), "value-above-threshold"),
        None => (Ruling::Allow, "tools-listed"),
    }
}

/// Rules on the use of a model: an agent has its own and no other.
pub fn rule_model(
    registry: &Registry,
    in_force: &InForce<'_>,
    agent: &Name,
    (provider, model): (&Name, &str),
) -> Ruled {
    let own = in_force.model();
    // The door may name it as the descriptor does, or by the id that its pinned revision is sent as.
    let entry = registry.provider(&own.provider);
    let sent_as = entry.and_then(|e| e.descriptor.spec.model_id(&own.name, own.pinned_revision.as_deref()).ok());
    if *provider == own.provider
        && (model == own.name || Some(model) == sent_as || own.allow.iter().any(|name| name == model))
    {
        return (Ruling::Allow, "own-model");
    }
    let reason = format!("{model} at {provider} is not the model of the agent {agent}.");
    let next = "A person may change spec.model, apply the descriptor and start a new session.".to_owned();
    (Ruling::Deny(Refusal { by: RefusedBy::Policy, reason, next }), "own-model")
}

/// Why a value counts as above a threshold, if it does. A write whose value nobody knows is above every threshold;
/// a read carries none unless it is declared.
fn above(threshold: i64, value: Option<i64>, writes: bool) -> Option<String> {
    let limit = UsdMicros(threshold);
    match value {
        Some(value) if (0..=threshold).contains(&value) => None,
        Some(value) if value > threshold => {
            Some(format!("It is worth {}, above the {limit} that the agent may act on alone.", UsdMicros(value)))
        }
        Some(_) => writes.then(|| format!("Its value is negative, which counts as above the limit of {limit}.")),
        None => writes.then(|| format!("Nobody knows what it is worth, which counts as above the limit of {limit}.")),
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

fn lesser(a: Autonomy, b: Autonomy) -> Autonomy {
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
