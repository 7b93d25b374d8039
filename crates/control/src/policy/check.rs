//! Whether policies can come into force: each of their rules is validated, strictly, against every tool that there is.
//! Must not know files; what is wrong is said by its byte in the policy's Cedar.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use domain::capability::{CapabilityRef, Effect};
use domain::descriptor::{INTERNAL, INTERNAL_WRITES, Policy};
use domain::id::Name;
use serde_json::Value;

use super::applied::PolicyEntry;
use super::document::{Document, Finding, Origin, Rule, finding};
use super::schema::{self, Tool};
use super::shape::{Fields, fields};
use super::{InForce, compile, slice};
use crate::readiness::Condition;
use crate::registry::Registry;

/// The JSON Schemas of tools' arguments, as far as their servers said them.
pub type Definitions = BTreeMap<CapabilityRef, Arc<Value>>;

/// Something wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which policy.
    pub policy: Name,
    /// What, and where in its Cedar.
    pub finding: Finding,
}

/// What is wrong with a policy as a text of Cedar, whatever tools there are.
pub fn reads(policy: &Policy) -> Vec<Wrong> {
    let name = &policy.metadata.name;
    let read = Document::read(&Origin::Applied(name.clone()), &policy.spec.cedar);
    let findings = read.err().unwrap_or_default();
    findings.into_iter().map(|finding| Wrong { policy: name.clone(), finding }).collect()
}

/// The policies in force that fit the tools now and would not fit any more, each with what would be wrong with it first;
/// what servers say of the tools may differ between the two.
pub fn broken(now: &Registry, next: &Registry, [said, would_say]: [&Definitions; 2]) -> Vec<Wrong> {
    let both = next.policies().filter_map(|(name, after)| {
        let before = now.policy(name).filter(|before| before.entry.revision == after.entry.revision)?;
        Some((before, after))
    });
    let broken = both.filter_map(|(before, after)| {
        let wrong = policy(next, would_say, &after.entry.descriptor).into_iter().next()?;
        policy(now, said, &before.entry.descriptor).is_empty().then_some(wrong)
    });
    broken.collect()
}

/// How a policy in force fares: rules that bear on nothing that is there, and rules that do not fit what is.
pub fn conditions(registry: &Registry, definitions: &Definitions, of: &PolicyEntry) -> Vec<Condition> {
    let document = match of.rules.as_ref() {
        Ok(document) => document,
        Err(findings) => {
            let why = findings.first().map_or("nothing is said", |finding| finding.message.as_str());
            return vec![lacks(format!("This build cannot read it, so whoever it covers is refused: {why}."))];
        }
    };
    let tools: Vec<(CapabilityRef, Effect)> = tools(registry).collect();
    // Whether it fits what nobody has looked up yet cannot be told.
    let of_server = |tool: &CapabilityRef| matches!(tool, CapabilityRef::External(_));
    let known = tools.iter().all(|(tool, _)| !of_server(tool) || definitions.contains_key(tool));
    let wrong = if known { policy(registry, definitions, &of.entry.descriptor) } else { Vec::new() };
    let misfits = wrong.iter().map(|wrong| {
        lacks(format!("It does not fit, so calls that it bears on are refused: {}.", wrong.finding.message))
    });
    let idle = document.rules.iter().filter_map(|rule| idle(rule, &tools)).map(lacks);
    let all: Vec<Condition> = misfits.chain(idle).collect();
    if all.is_empty() { vec![has(format!("{} can be read.", of.about()))] } else { all }
}

/// That a rule reads what nothing that it bears on has, where nothing is there that it bears on.
fn idle(rule: &Rule, tools: &[(CapabilityRef, Effect)]) -> Option<String> {
    let bears = slice::bears_on_models(&rule.policy)
        || tools.iter().any(|(tool, effect)| slice::bears_on(&rule.policy, tool, *effect));
    if bears {
        return None;
    }
    let unknown: Vec<String> =
        rule.reads.iter().filter(|name| !schema::knows(name)).map(|name| format!("`{name}`")).collect();
    let reads = match unknown.as_slice() {
        [] => return None,
        names => names.join(", "),
    };
    Some(format!(
        "The rule {} reads {reads}, and no capability is there that it bears on: nobody could check it, and a call that it bears \
         on one day and that has no such argument is refused.",
        rule.id
    ))
}

/// What is wrong with `when` of an agent's tools, as far as their servers said what they take.
pub fn when(registry: &Registry, definitions: &Definitions, agent: &Name) -> Vec<Condition> {
    let Some(in_force) = InForce::newest(registry, agent) else { return Vec::new() };
    let terms = in_force.terms(registry, agent);
    let each = terms.when.iter().filter_map(|(tool, _)| {
        let input = fields(definitions.get(tool)?);
        let (rule, why) = compile::when(&terms, tool, &input).err()?;
        Some(Condition {
            ok: false,
            reason: format!("Every use of {tool} is refused by {rule}: {why}."),
            next: format!("Change `when` of {tool} under spec.tools, and apply the descriptor."),
        })
    });
    each.collect()
}

fn has(reason: String) -> Condition {
    Condition { ok: true, reason, next: String::new() }
}

fn lacks(reason: String) -> Condition {
    let next = "ostler policy schema   # what a rule can read, tool by tool; then ostler apply -f FILE".to_owned();
    Condition { ok: false, reason, next }
}

/// What is wrong with a policy, where there are these tools.
pub fn policy(registry: &Registry, definitions: &Definitions, policy: &Policy) -> Vec<Wrong> {
    let (name, cedar) = (&policy.metadata.name, &*policy.spec.cedar);
    let wrong = |finding: Finding| Wrong { policy: name.clone(), finding };
    let document = match Document::read(&Origin::Applied(name.clone()), cedar) {
        Ok(document) => document,
        Err(findings) => return findings.into_iter().map(wrong).collect(),
    };
    let text = vocabulary(registry, definitions);
    let read = (Schema::from_cedarschema_str(&text), PolicySet::from_str(cedar));
    let ((schema, _), set) = match read {
        (Ok(schema), Ok(set)) => (schema, set),
        (Err(error), _) => return vec![wrong(whole(cedar, format!("the tools' types cannot be written: {error}")))],
        (_, Err(error)) => return vec![wrong(whole(cedar, error.to_string()))],
    };
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    result.validation_errors().map(|error| wrong(hinted(finding(error, cedar), &document))).collect()
}

/// The typed schema of everything that a policy can speak of now, as Cedar.
pub fn vocabulary(registry: &Registry, definitions: &Definitions) -> String {
    let all: Vec<(CapabilityRef, Effect)> = tools(registry).collect();
    let typed: Vec<Option<Fields>> =
        all.iter().map(|(capability, _)| definitions.get(capability).map(|schema| fields(schema))).collect();
    let tools = all.iter().zip(&typed);
    schema::text(tools.map(|((capability, effect), input)| Tool { capability, effect: *effect, input: input.as_ref() }))
}

/// Every tool that there is, and what it may change.
fn tools(registry: &Registry) -> impl Iterator<Item = (CapabilityRef, Effect)> {
    let inside = INTERNAL.iter().filter_map(|name| {
        let effect = if INTERNAL_WRITES.contains(name) { Effect::Write } else { Effect::Read };
        Some((CapabilityRef::Internal(name.parse().ok()?), effect))
    });
    let outside = registry
        .capabilities()
        .map(|(name, entry)| (CapabilityRef::External(name.clone()), entry.descriptor.spec.effect));
    let agents = registry.agents().map(|(name, _)| (CapabilityRef::Agent(name.clone()), Effect::Read));
    outside.chain(inside).chain(agents)
}

fn whole(cedar: &str, message: String) -> Finding {
    Finding { at: 0..cedar.len(), message, help: None }
}

/// A word more where Cedar's own is not enough: what is wrong is led by the rule that it is in.
fn hinted(found: Finding, document: &Document) -> Finding {
    let rule = document.rules.iter().rev().find(|rule| rule.at <= found.at.start);
    let message = match rule {
        Some(rule) => format!("{}: {}", rule.id, said(&found.message)),
        None => said(&found.message),
    };
    let any_action = rule.is_some_and(|rule| rule.policy.action_constraint() == cedar_policy::ActionConstraint::Any);
    let help = found.help.or_else(|| {
        if any_action && message.contains("context") {
            Some("write `action in Action::\"Use\"`: asking a model has no arguments and no value".to_owned())
        } else {
            Some("`ostler policy schema` shows what a rule can read".to_owned())
        }
    });
    Finding { message, help, ..found }
}

/// Without the numbers that Cedar gives to rules.
fn said(message: &str) -> String {
    match message.split_once("`, ") {
        Some((head, rest)) if head.starts_with("for policy `") => rest.to_owned(),
        Some(_) | None => message.to_owned(),
    }
}
