//! Replay: what the rules said to recorded calls, asked again with one thing changed: a policy, an agent's descriptor,
//! what a capability is. Each call is asked about as it was recorded, by the registry of that moment, and by the same
//! registry with the change in place; nothing else differs. It asks the rules and nothing behind them: no budget, no
//! person, no readiness. Nothing is sent, and nothing is written.
//!
//! ```text
//! records ─ Recordings::note ─▶ calls ─┬─ registry as it was ─────────────▶ as recorded? ─┬─▶ Flip
//!                                      └─ registry as it was, and changed ─▶ and now? ────┘
//! ```

mod recorded;

use std::collections::{BTreeMap, BTreeSet};

use domain::budget::Window;
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::control::{ControlEvent, ControlRecord};
use domain::descriptor::{Agent, Descriptor};
use domain::id::{CallId, Name, Pos, SessionId};
use domain::principal::Principal;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::apply::applied;
use crate::error::ControlError;
use crate::gate::Gate;
use crate::policy::check::Definitions;
use crate::policy::show::Told;
use crate::policy::suppose::{Answer, Case, Circumstance, Decision, answer, suppose};
use crate::policy::{self, InForce, Moment, Spent, Whose};
use crate::provenance;
use crate::registry::Registry;
use recorded::{Act, Recorded};

pub use recorded::Recordings;

/// One call of which the rules would say something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flip {
    /// Its session.
    pub session: SessionId,
    /// The call.
    pub call: CallId,
    /// When it was decided.
    pub at: Timestamp,
    /// Whose it was.
    pub agent: Name,
    /// Of which tool; of a model, `PROVIDER/MODEL`.
    pub tool: String,
    /// With which arguments.
    pub input: Map<String, Value>,
    /// What the rules said.
    pub was: Decision,
    /// What they would say.
    pub would: Decision,
    /// The rules that say so, with their texts.
    pub rules: Vec<Told>,
    /// Why.
    pub reason: String,
    /// What to do next.
    pub next: String,
    /// Whether an earlier call of its session changes, too: it is not known whether this one would have been made.
    pub off_record: bool,
}

/// One call that cannot be asked about again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Untold {
    /// The call.
    pub call: CallId,
    /// Of which tool.
    pub tool: String,
    /// Why.
    pub why: String,
}

/// What replaying came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replayed {
    /// How many sessions were gone through.
    pub sessions: usize,
    /// How many decisions of the rules were made again.
    pub decisions: usize,
    /// Those that change, in the order of their sessions and calls.
    pub flips: Vec<Flip>,
    /// Those that could not be made again as they were recorded, nothing being changed.
    pub untold: Vec<Untold>,
    /// How many calls something else than the rules refused: a budget, arguments that do not fit.
    pub refused_otherwise: usize,
    /// What of an agent's change a model would see: its answers are not in the record then.
    pub models_see: Vec<String>,
    /// How many recorded answers of models that concerns.
    pub model_calls_not_run: usize,
}

impl Replayed {
    /// What it comes to, in one sentence.
    pub fn closing(&self) -> String {
        let decisions = self.decisions;
        match self.flips.len() {
            0 => format!("None of {decisions} decisions changes."),
            1 => format!("1 of {decisions} decisions changes; here it is."),
            flips => format!("{flips} of {decisions} decisions change; here they are."),
        }
    }
}

/// What is changed, and what is known besides the records.
pub struct Changed<'a> {
    /// The descriptors that are taken as applied: all else stays as it was.
    pub descriptors: &'a [Descriptor],
    /// What servers say of their tools now.
    pub definitions: &'a Definitions,
    /// What an agent had spent since an instant, up to another, in micro-dollars.
    pub spent: &'a (dyn Fn(&Name, Timestamp, Timestamp) -> Option<i64> + Sync),
}

/// Asks again about recorded calls.
///
/// # Errors
/// If the control plane's records cannot be read, or the change cannot be put in place.
pub async fn replay(gate: &Gate, recordings: Recordings, changed: &Changed<'_>) -> Result<Replayed, ControlError> {
    let records = gate.log().control_since(Pos(0)).await?;
    again(&records, recordings, changed)
}

/// The same, by the control plane's records.
///
/// # Errors
/// As [`replay`].
pub fn again(
    records: &[ControlRecord],
    recordings: Recordings,
    changed: &Changed<'_>,
) -> Result<Replayed, ControlError> {
    let worlds = worlds(records, recordings.calls.values().map(|call| call.decided.control_pos), changed)?;
    let sessions: BTreeSet<SessionId> = recordings.calls.keys().map(|call| call.session).collect();
    let mut out = Replayed { sessions: sessions.len(), ..Replayed::default() };
    let mut parted: BTreeSet<SessionId> = BTreeSet::new();
    for call in recordings.calls.values() {
        let Some((before, after)) = worlds.get(&call.decided.control_pos) else { continue };
        let Some(was) = call.was else {
            out.refused_otherwise += 1;
            continue;
        };
        let principal = principal(call, after, changed);
        if let Act::Model { .. } = &call.act {
            let seen = models_see(before, &call.principal, changed);
            if !seen.is_empty() {
                out.model_calls_not_run += 1;
                out.models_see = seen;
                parted.insert(call.call.session);
                continue;
            }
        }
        let now = asked(after, &principal, call, changed);
        let then = asked(before, &call.principal, call, changed);
        match told(was, then, now) {
            Err(why) => out.untold.push(Untold { call: call.call, tool: tool(call), why }),
            Ok(now) => {
                out.decisions += 1;
                if now.decision != was {
                    let off_record = !parted.insert(call.call.session);
                    out.flips.push(flip(call, was, now, off_record));
                }
            }
        }
    }
    Ok(out)
}

/// What the rules that were in force said to one recorded call, with their texts and what would have let it pass; `None`
/// where no rule was asked, or they cannot be made to say again what is recorded.
///
/// # Errors
/// As [`replay`].
pub async fn explained(
    gate: &Gate,
    recordings: &Recordings,
    call: CallId,
    changed: &Changed<'_>,
) -> Result<Option<Answer>, ControlError> {
    let Some(recorded) = recordings.calls.get(&call) else { return Ok(None) };
    let Some(was) = recorded.was.filter(|_| matches!(recorded.act, Act::Tool { .. })) else { return Ok(None) };
    let records = gate.log().control_since(Pos(0)).await?;
    let worlds = worlds(&records, std::iter::once(recorded.decided.control_pos), changed)?;
    let Some((registry, _)) = worlds.into_values().next() else { return Ok(None) };
    let answer = asked_so(&registry, &recorded.principal, recorded, (changed, true)).ok();
    Ok(answer.filter(|answer| answer.decision == was))
}

/// Whether the rules that were in force then say what is recorded; only then is what they say now worth anything.
fn told(was: Decision, then: Result<Answer, String>, now: Result<Answer, String>) -> Result<Answer, String> {
    let (then, now) = (then?, now?);
    if then.decision != was {
        let (was, then) = (was.word(), then.decision.word());
        return Err(format!("the record says {was}, and asked again with nothing changed the rules say {then}"));
    }
    Ok(now)
}

/// The registries in which these positions were decided, each as it was and with the change in place.
fn worlds(
    records: &[ControlRecord],
    positions: impl Iterator<Item = Pos>,
    changed: &Changed<'_>,
) -> Result<BTreeMap<Pos, (Registry, Registry)>, ControlError> {
    let resources = changed.descriptors.iter().map(applied).collect();
    let event = ControlEvent::Applied { resources, by: String::new(), reason: String::new() };
    let (mut registry, mut left) = (Registry::default(), records);
    let mut worlds = BTreeMap::new();
    for pos in positions.collect::<BTreeSet<_>>() {
        let upto = left.partition_point(|record| record.pos <= pos);
        registry = registry.after(&left[..upto])?;
        left = &left[upto..];
        let change = ControlRecord { pos, at: Timestamp::default(), event: event.clone() };
        let next = registry.after(&[change])?;
        worlds.insert(pos, (registry.clone(), next));
    }
    Ok(worlds)
}

/// The descriptor that a principal's agent is given, where it is given another.
fn given<'a>(agent: &Name, changed: &Changed<'a>) -> Option<&'a Agent> {
    changed.descriptors.iter().find_map(|descriptor| match descriptor {
        Descriptor::Agent(given) if given.metadata.name == *agent => Some(&**given),
        Descriptor::Agent(_)
        | Descriptor::Capability(_)
        | Descriptor::McpServer(_)
        | Descriptor::ModelProvider(_)
        | Descriptor::Policy(_) => None,
    })
}

/// Who asks: a session of an agent that is given another descriptor is one of that revision.
fn principal(call: &Recorded, after: &Registry, changed: &Changed<'_>) -> Principal {
    let mut principal = (*call.principal).clone();
    let agent = &principal.link.agent;
    if given(agent, changed).is_some()
        && let Some(entry) = after.agent(agent)
    {
        let autonomy = after.autonomy(agent, entry.revision).unwrap_or(principal.autonomy);
        principal.link.revision = entry.revision;
        principal.autonomy = autonomy;
    }
    principal
}

/// What of the change its model would see.
fn models_see(before: &Registry, principal: &Principal, changed: &Changed<'_>) -> Vec<String> {
    let link = &principal.link;
    let (Some(new), Some(old)) = (given(&link.agent, changed), before.revision(&link.agent, link.revision)) else {
        return Vec::new();
    };
    let (new, old) = (&new.spec, &old.descriptor.spec);
    let names = |spec: &domain::descriptor::AgentSpec| -> BTreeSet<CapabilityRef> {
        spec.tools.iter().map(|used| used.tool.clone()).collect()
    };
    let seen = [
        ("instructions", new.instructions.text() != old.instructions.text()),
        ("model", new.model != old.model),
        ("memory", new.memory != old.memory),
        ("tools", names(new) != names(old)),
    ];
    seen.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what.to_owned()).collect()
}

fn tool(call: &Recorded) -> String {
    match &call.act {
        Act::Model { provider, model } => format!("{provider}/{model}"),
        Act::Tool { capability: Ok(CapabilityRef::External(name)), .. } => name.to_string(),
        Act::Tool { capability: Ok(internal), .. } => internal.to_string(),
        Act::Tool { capability: Err(name), .. } => name.clone(),
    }
}

/// What the rules of a registry say to a call.
fn asked(registry: &Registry, principal: &Principal, call: &Recorded, changed: &Changed<'_>) -> Result<Answer, String> {
    asked_so(registry, principal, call, (changed, false))
}

/// The same, in full where that is wanted.
fn asked_so(
    registry: &Registry,
    principal: &Principal,
    call: &Recorded,
    (changed, in_full): (&Changed<'_>, bool),
) -> Result<Answer, String> {
    let agent = &principal.link.agent;
    let Some(in_force) = InForce::of(registry, principal) else {
        return Err(format!("the agent {agent} or its revision was not known then"));
    };
    let spent = registry
        .agent(agent)
        .and_then(|entry| (changed.spent)(agent, entry.rules.zone.span(Window::Day, call.at).start, call.at));
    match &call.act {
        Act::Model { provider, model } => {
            let whose = Whose { registry, agent, in_force: &in_force };
            Ok(answer(&policy::rule_model(
                &whose,
                &moment(registry, principal, call, (&in_force, spent)),
                (provider, model),
            )))
        }
        Act::Tool { capability, arguments } => {
            let tool = match capability {
                Ok(capability) => capability.clone(),
                Err(name) => named(&in_force, name)?,
            };
            let case = case(registry, principal, call, (&tool, arguments));
            let under = Circumstance { in_force, now: call.at, spent_today: spent };
            let supposed = suppose(registry, changed.definitions, &case, under);
            let supposed = supposed.map_err(|error| error.to_string())?;
            Ok(if in_full { supposed.explained() } else { supposed.answered() })
        }
    }
}

/// The tool of this name, listed or not.
fn named(in_force: &InForce<'_>, name: &str) -> Result<CapabilityRef, String> {
    let listed = in_force.tools().find(|tool| tool.name().as_str() == name).cloned();
    let external = || name.parse().map(CapabilityRef::External).map_err(|_| format!("{name:?} is no tool's name"));
    listed.map_or_else(external, Ok)
}

fn case(
    registry: &Registry,
    principal: &Principal,
    call: &Recorded,
    (tool, arguments): (&CapabilityRef, &Map<String, Value>),
) -> Case {
    let looked = || {
        let heard = call.heard.as_deref()?;
        let entry = registry.revision(&principal.link.agent, principal.link.revision)?;
        let spec = match tool {
            CapabilityRef::External(name) => registry.capability(name).map(|entry| &entry.descriptor.spec),
            CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => None,
        };
        Some(provenance::of(heard, entry.words(), spec, &Value::Object(arguments.clone())))
    };
    Case {
        agent: principal.link.agent.clone(),
        tool: tool.to_string(),
        input: arguments.clone(),
        value_usd: None,
        at: None,
        autonomy: None,
        on_behalf_of: principal.on_behalf_of.clone(),
        depth: principal.parents.len(),
        spent_today_usd: 0.0,
        approved_by: Vec::new(),
        provenance: call.provenance.clone().or_else(looked).unwrap_or_default(),
    }
}

fn moment<'a>(
    registry: &'a Registry,
    principal: &'a Principal,
    call: &Recorded,
    (in_force, spent): (&InForce<'_>, Option<i64>),
) -> Moment<'a> {
    let on_behalf_of = principal.on_behalf_of.as_ref();
    let person = on_behalf_of.and_then(|person| registry.person(person));
    Moment {
        now: call.at,
        autonomy: in_force.autonomy,
        mode: principal.mode(),
        depth: principal.parents.len(),
        on_behalf_of,
        groups: person.map_or(&[][..], |person| &person.groups),
        spent_today: Spent::Known(spent),
        provenance: None,
        using: None,
    }
}

fn flip(call: &Recorded, was: Decision, now: Answer, off_record: bool) -> Flip {
    let input = match &call.act {
        Act::Model { .. } => Map::new(),
        Act::Tool { arguments, .. } => arguments.clone(),
    };
    Flip {
        session: call.call.session,
        call: call.call,
        at: call.at,
        agent: call.principal.link.agent.clone(),
        tool: tool(call),
        input,
        was,
        would: now.decision,
        rules: now.rules,
        reason: now.reason,
        next: now.next,
        off_record,
    }
}
