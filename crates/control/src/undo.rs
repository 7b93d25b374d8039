//! Undo: what a session did outside, and how each of it is undone. A plan is read off the session's trace, the newest
//! effect first, and off the trace of the session that undid some of it already; nothing is kept beside them, so no
//! effect is undone twice. What must never be known here: how a call is made.

use data::trace::{CapabilityCall, State, Trace, What};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::id::{CallId, Digest, Name, SessionId};
use domain::principal::Caller;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::ControlError;
use crate::identity::must_be_person_of;
use crate::registry::Registry;

/// What undoes a session, call by call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The session whose effects they are.
    pub session: SessionId,
    /// Its agent.
    pub agent: Name,
    /// Each effect, the newest first.
    pub steps: Vec<Step>,
    /// What it is: a confirmation is to exactly this.
    pub plan_sha256: Digest,
}

/// One effect, and how it is undone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The call that had it.
    pub call: CallId,
    /// When.
    pub at: Timestamp,
    /// Of which capability.
    pub capability: Name,
    /// With which arguments.
    pub arguments: Value,
    /// How it stands.
    pub state: Stands,
    /// The call that undoes it, where there is one.
    pub by: Option<By>,
    /// Why it cannot be undone, where it cannot.
    pub why: String,
}

/// The call that undoes another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct By {
    /// Of which capability.
    pub capability: Name,
    /// With which arguments.
    pub arguments: Value,
}

/// How an effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stands {
    /// It can be undone.
    ToDo,
    /// It was undone.
    Undone,
    /// It is being undone, and waits.
    Waits,
    /// It cannot be undone.
    Cannot,
}

/// What a capability's descriptor makes of undoing it, before anything happens: in words, for whoever consents.
pub fn foretold(registry: &Registry, agent: &Name, (capability, effect): (&Name, Option<Effect>)) -> String {
    if effect == Some(Effect::Read) {
        return "It changes nothing.".to_owned();
    }
    let undo = registry.capability(capability).and_then(|entry| entry.descriptor.spec.undo.as_ref());
    match (undo, effect) {
        (Some(undo), _) => match may_use(registry, agent, &undo.by) {
            true => format!("It can be undone, by {}: `ostler undo` does it.", undo.by),
            false => format!("It cannot be undone: {agent} may not use {}, which would.", undo.by),
        },
        (None, Some(Effect::Irreversible)) => "It cannot be undone.".to_owned(),
        (None, Some(Effect::Read | Effect::Idempotent | Effect::Write)) => {
            "Ostler cannot undo it: its capability names no `undo`.".to_owned()
        }
        (None, None) => "Nobody knows whether it can be undone.".to_owned(),
    }
}

fn may_use(registry: &Registry, agent: &Name, capability: &Name) -> bool {
    let entry = registry.agent(agent);
    let tools = entry.map(|entry| entry.descriptor.capabilities()).unwrap_or_default();
    tools.contains(&CapabilityRef::External(capability.clone())) && registry.capability(capability).is_some()
}

/// The person that a caller is, if they may have what this agent did undone: one of those who consent to its calls.
///
/// # Errors
/// If they may not.
pub fn may_confirm<'a>(registry: &Registry, caller: &'a Caller, agent: &Name) -> Result<&'a Name, ControlError> {
    let entry = registry.agent(agent).ok_or_else(|| ControlError::NotFound {
        reason: format!("There is no agent {agent} any more."),
        next: "Apply it again: its calls are undone in its name.".to_owned(),
    })?;
    must_be_person_of(caller, &entry.rules.consent.by, &format!("undo what {agent} did"))
}

/// How everything that a session did is undone. `already`: the session that undid some of it.
pub fn plan(registry: &Registry, trace: &Trace, already: Option<&Trace>) -> Plan {
    let mut past: Vec<(Name, Digest, State)> = already.map(made).unwrap_or_default();
    let mut steps: Vec<Step> = effects(trace).map(|(call, at)| step(registry, trace, (call, at))).collect();
    steps.reverse();
    for step in steps.iter_mut().filter(|step| step.state == Stands::ToDo) {
        let Some(by) = &step.by else { continue };
        let wanted = (&by.capability, Digest::of_json(&by.arguments));
        let made = past.iter().position(|(name, arguments, _)| (name, *arguments) == wanted);
        // Two effects that are undone by the same call take it twice: each is used up once.
        match made.map(|index| past.swap_remove(index)) {
            Some((_, _, state)) if is_done(state) => step.state = Stands::Undone,
            Some(_) => step.state = Stands::Waits,
            None => {}
        }
    }
    let told =
        json!([trace.session, steps.iter().map(|step| json!([step.call, step.state, step.by])).collect::<Vec<_>>()]);
    Plan { session: trace.session, agent: trace.agent.clone(), steps, plan_sha256: Digest::of_json(&told) }
}

fn is_done(state: State) -> bool {
    matches!(state, State::Answered | State::Resolved)
}

/// The calls that were made to undo something, and are not over without having done so.
fn made(trace: &Trace) -> Vec<(Name, Digest, State)> {
    let calls = trace.steps.iter().filter_map(|step| match &step.what {
        What::Capability(call) => Some(&**call),
        _ => None,
    });
    let open = |call: &&CapabilityCall| {
        let failed = call.result.as_ref().is_some_and(|result| result.error);
        !failed && !matches!(call.state, State::Failed | State::Refused | State::Abandoned | State::Dropped)
    };
    let each = calls.filter(open).filter_map(|call| {
        let name: Name = call.name.parse().ok()?;
        Some((name, Digest::of_json(&call.wanted), call.state))
    });
    each.collect()
}

/// The calls of a session that changed something outside, or may have.
fn effects(trace: &Trace) -> impl Iterator<Item = (&CapabilityCall, Timestamp)> {
    let calls = trace.steps.iter().filter_map(|step| match &step.what {
        What::Capability(call) => Some((&**call, step.at)),
        _ => None,
    });
    calls.filter(|(call, _)| {
        let outside = matches!(call.capability, Some(CapabilityRef::External(_)));
        let failed = call.result.as_ref().is_some_and(|result| result.error);
        let happened = matches!(call.state, State::Answered | State::Resolved | State::InDoubt | State::InFlight);
        outside && happened && !failed && call.effect != Some(Effect::Read)
    })
}

fn step(registry: &Registry, trace: &Trace, (call, at): (&CapabilityCall, Timestamp)) -> Step {
    let arguments = call.arguments.as_ref().unwrap_or(&call.wanted).clone();
    let capability = call.capability.as_ref().map_or_else(|| trace.agent.clone(), |it| it.name().clone());
    let found = undone_by(registry, trace, (call, &capability, &arguments));
    let (state, by, why) = match found {
        Ok(by) => (Stands::ToDo, Some(by), String::new()),
        Err(why) => (Stands::Cannot, None, why),
    };
    Step { call: call.call, at, capability, arguments, state, by, why }
}

fn undone_by(
    registry: &Registry,
    trace: &Trace,
    (call, capability, arguments): (&CapabilityCall, &Name, &Value),
) -> Result<By, String> {
    if matches!(call.state, State::InDoubt | State::InFlight) {
        return Err(format!("nobody knows yet what came of it: `ostler resolve {}`", call.call));
    }
    let entry = registry.capability(capability).ok_or_else(|| format!("{capability} is not there any more"))?;
    let Some(undo) = &entry.descriptor.spec.undo else {
        let irreversible = call.effect.unwrap_or(Effect::Irreversible) == Effect::Irreversible;
        let why = if irreversible { "it is irreversible" } else { "its capability names no `undo`" };
        return Err(why.to_owned());
    };
    if !may_use(registry, &trace.agent, &undo.by) {
        return Err(format!("{} may not use {}, which would undo it", trace.agent, undo.by));
    }
    let result = result_of(call);
    let mut with = Map::new();
    for (name, expression) in &undo.args {
        let value = expression.json(&[("args", arguments), ("result", &result)]);
        with.insert(name.clone(), value.map_err(|error| format!("{name}: {expression} cannot be told: {error}"))?);
    }
    Ok(By { capability: undo.by.clone(), arguments: Value::Object(with) })
}

/// What a call answered, as an expression reads it: its structured result, or its text where that is JSON.
fn result_of(call: &CapabilityCall) -> Value {
    let Some(result) = &call.result else { return Value::Null };
    let parsed = || serde_json::from_str(&result.text).unwrap_or_else(|_| json!({ "text": result.text }));
    result.structured.clone().unwrap_or_else(parsed)
}
