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

use super::document::{Document, Finding, Origin, finding};
use super::schema::{self, Tool};
use super::shape::{Fields, fields};
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
    let inside = INTERNAL.iter().filter_map(|name| {
        let effect = if INTERNAL_WRITES.contains(name) { Effect::Write } else { Effect::Read };
        Some((CapabilityRef::Internal(name.parse().ok()?), effect))
    });
    let outside = registry
        .capabilities()
        .map(|(name, entry)| (CapabilityRef::External(name.clone()), entry.descriptor.spec.effect));
    let agents = registry.agents().map(|(name, _)| (CapabilityRef::Agent(name.clone()), Effect::Read));
    let all: Vec<(CapabilityRef, Effect)> = outside.chain(inside).chain(agents).collect();
    let typed: Vec<Option<Fields>> =
        all.iter().map(|(capability, _)| definitions.get(capability).map(|schema| fields(schema))).collect();
    let tools = all.iter().zip(&typed);
    schema::text(tools.map(|((capability, effect), input)| Tool { capability, effect: *effect, input: input.as_ref() }))
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
