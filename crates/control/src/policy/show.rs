//! Everything that is in force for one agent, as Cedar: for people to read. Must not know any call.

use domain::id::{Digest, Name};
use serde::Serialize;

use super::check::Definitions;
use super::compile::Terms;
use super::document::{Document, Duty, Finding, Origin, Rule};
use super::shape::fields;
use super::{InForce, applied, compile};
use crate::registry::Registry;

/// One text of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text {
    /// Where it comes from: `default`, `descriptor`, or the name of a policy.
    pub from: String,
    /// The text, comments included.
    pub cedar: String,
    /// Its rules.
    pub rules: Vec<Told>,
    /// What is wrong with it, where this build cannot read it: whoever it covers is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// What it is called in records.
    pub id: String,
    /// Where it comes from: `the default policy`, `the descriptor`, or which policy.
    pub from: String,
    /// Its text.
    pub text: String,
    /// What becomes of a call that it decides about: `permit`, `forbid`, `ask` or `record`.
    pub does: &'static str,
}

/// Everything in force for one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The hash that its decisions and consents are bound to, beside its revision.
    pub policy_set: Digest,
    /// Its current revision.
    pub revision: Digest,
    /// The product's own, the applied ones by name, the descriptor's.
    pub texts: Vec<Text>,
}

/// What is in force for a new session of an agent; `None`: there is no such agent.
pub fn in_force(registry: &Registry, definitions: &Definitions, agent: &Name) -> Option<Shown> {
    let in_force = InForce::newest(registry, agent)?;
    let mut texts = vec![text("default", applied::STANDARD, applied::standard())];
    for (name, policy) in registry.covering(agent) {
        let rules = policy.rules.as_ref().as_ref().map_err(Vec::as_slice);
        texts.push(text(name.as_str(), &policy.entry.descriptor.spec.cedar, rules));
    }
    let own = own(&in_force.terms(registry, agent), definitions);
    let read = Document::read(&Origin::Descriptor, &own);
    texts.push(text("descriptor", &own, read.as_ref().map_err(Vec::as_slice)));
    Some(Shown { policy_set: registry.policy_set(agent), revision: in_force.revision(), texts })
}

/// The descriptor's fields as Cedar, `when` of each tool included; a clause that no rule can be made of is a comment.
fn own(terms: &Terms, definitions: &Definitions) -> String {
    let mut out = compile::text(terms);
    for (tool, _) in &terms.when {
        let input = definitions.get(tool).map(|schema| fields(schema)).unwrap_or_default();
        match compile::when(terms, tool, &input) {
            Ok(rules) => out.push_str(&format!("\n{rules}")),
            Err((rule, why)) => out.push_str(&format!("\n// {rule} refuses every use: {}.\n", why.replace('\n', " "))),
        }
    }
    out
}

fn text(from: &str, cedar: &str, read: Result<&Document, &[Finding]>) -> Text {
    let rules = read.iter().flat_map(|document| &document.rules).map(|rule| told(rule)).collect();
    let broken = read.err().map(|findings| findings.first().map_or(String::new(), |first| first.message.clone()));
    Text { from: from.to_owned(), cedar: cedar.to_owned(), rules, broken }
}

pub(crate) fn told(rule: &Rule) -> Told {
    let does = match rule.duty {
        Duty::None if rule.permits => "permit",
        Duty::None => "forbid",
        Duty::Consent(_) => "ask",
        Duty::Record => "record",
    };
    let from = match &rule.origin {
        Origin::Standard => "the default policy".to_owned(),
        Origin::Descriptor => "the descriptor".to_owned(),
        Origin::Applied(name) => format!("the policy {name}"),
    };
    Told { id: rule.id.clone(), from, text: rule.text.clone(), does }
}
