//! A text of Cedar, read: its rules, each with its id, what it says to a person, and the consent that it asks for.
//! Must not know where the text comes from, but for the names of its rules.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use domain::expression::Expression;
use domain::id::Name;
use domain::obligation::Written;
use miette::Diagnostic;
use serde_json::Value;

/// The most rules of one text.
const MAX_RULES: usize = 2000;

/// Whose rules these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The policy that comes with the product.
    Standard,
    /// The descriptor of an agent: its fields, as rules.
    Descriptor,
    /// A policy that a person applied.
    Applied(Name),
}

/// What becomes of a call that a rule forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It is refused.
    None,
    /// It waits for consent.
    Consent(Written),
    /// It is written down, and not sent.
    Record,
}

/// One rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// What it is called: `NAME/ID` for a rule of an applied policy.
    pub(crate) id: String,
    pub(crate) origin: Origin,
    pub(crate) permits: bool,
    pub(crate) duty: Duty,
    /// Its text.
    pub(crate) text: String,
    /// Where its text begins, in bytes.
    pub(crate) at: usize,
    /// Read, under an id of its own.
    pub(crate) policy: Policy,
    /// Every attribute that it reads, by its name.
    pub(crate) reads: BTreeSet<String>,
}

/// Something wrong with a text of Cedar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// A text of Cedar.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) rules: Vec<Arc<Rule>>,
}

impl Rule {
    /// An annotation of its text.
    pub(crate) fn says(&self, key: &str) -> Option<&str> {
        self.policy.annotation(key).filter(|said| !said.is_empty())
    }

    /// The clause of `when` that it is made of.
    pub(crate) fn clause(&self) -> Option<Expression> {
        self.says("clause").filter(|_| self.origin == Origin::Descriptor)?.parse().ok()
    }
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(origin: &Origin, cedar: &str) -> Result<Self, Vec<Finding>> {
        let set = PolicySet::from_str(cedar)
            .map_err(|errors| errors.iter().map(|error| finding(error, cedar)).collect::<Vec<_>>())?;
        if set.num_of_policies() > MAX_RULES {
            let message = format!("{} rules; at most {MAX_RULES} in one policy", set.num_of_policies());
            return Err(vec![Finding { at: 0..0, message, help: Some("make two policies of it".to_owned()) }]);
        }
        let mut findings: Vec<Finding> = set.templates().map(|template| slot(&template.to_string(), cedar)).collect();
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by_key(|policy| ordinal(policy));
        let (mut rules, mut names, mut from) = (Vec::new(), BTreeSet::new(), 0);
        for (index, policy) in policies.into_iter().enumerate() {
            let text = policy.to_string();
            let at = cedar[from..].find(&text).map_or(from, |found| from + found);
            from = (at + text.len()).min(cedar.len());
            match rule(origin, (policy, text, at), index) {
                Ok(rule) if names.insert(rule.id.clone()) => rules.push(Arc::new(rule)),
                Ok(rule) => {
                    let message = format!("a second rule with the id `{}`", rule.id);
                    findings.push(Finding { at: at..at + 1, message, help: Some("ids name one rule each".to_owned()) });
                }
                Err(found) => findings.push(found),
            }
        }
        if findings.is_empty() { Ok(Document { rules }) } else { Err(findings) }
    }
}

/// `policy7` is the eighth.
fn ordinal(policy: &Policy) -> usize {
    let id: &str = policy.id().as_ref();
    id.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(usize::MAX)
}

fn slot(text: &str, cedar: &str) -> Finding {
    let at = cedar.find(text).unwrap_or(0);
    let help = Some("write `principal == Agent::\"NAME\"`, or list it under spec.agents".to_owned());
    Finding { at: at..at + 1, message: "a rule with a slot is bound to nobody".to_owned(), help }
}

fn rule(origin: &Origin, (policy, text, at): (&Policy, String, usize), index: usize) -> Result<Rule, Finding> {
    let wrong =
        |message: String, help: &str| Err(Finding { at: at..at + text.len(), message, help: Some(help.to_owned()) });
    let named = policy.annotation("id").filter(|id| !id.is_empty());
    if let Some(id) =
        named.filter(|id| id.len() > 100 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)))
    {
        return wrong(format!("`{id}` is no id of a rule"), "use up to 100 letters, digits, `-`, `_`, `.` and `/`");
    }
    let permits = policy.effect() == Effect::Permit;
    let own = named.map_or_else(|| format!("rule-{}", index + 1), str::to_owned);
    let id = match origin {
        Origin::Standard | Origin::Descriptor => own,
        Origin::Applied(_) if permits => {
            let help = "what an agent may use, its descriptor permits; write forbid(…) unless { … }";
            return wrong("a policy forbids, and this permits".to_owned(), help);
        }
        Origin::Applied(name) => format!("{name}/{own}"),
    };
    let duty = match policy.annotation("obligation") {
        None => Duty::None,
        Some(_) if permits => return wrong("what is permitted has no obligation".to_owned(), "put it on a forbid"),
        Some("record") if *origin == Origin::Descriptor => Duty::Record,
        Some(written) => match written.parse() {
            Ok(written) => Duty::Consent(written),
            Err(error) => return wrong(error.to_string(), "such as @obligation(\"approval:finance:quorum=1:ttl=4h\")"),
        },
    };
    let reads = policy.to_json().map(|json| {
        let mut reads = BTreeSet::new();
        attributes(&json, &mut reads);
        reads
    });
    let reads = match reads {
        Ok(reads) => reads,
        Err(error) => return wrong(format!("it cannot be looked through: {error}"), "write it in a simpler way"),
    };
    // One text may be in force in several slices; ids must only differ within one.
    let policy = policy.new_id(PolicyId::new(&id));
    Ok(Rule { id, origin: origin.clone(), permits, duty, text, at, policy, reads })
}

/// The names of all attributes that are read, wherever they stand. `context.input` as a whole reads all of it.
fn attributes(json: &Value, into: &mut BTreeSet<String>) {
    match json {
        Value::Object(map) => {
            for (key, value) in map {
                if (key == "." || key == "has")
                    && let Some(attribute) = value.get("attr")
                {
                    match attribute {
                        Value::String(name) => into.extend([name.clone()]),
                        Value::Array(path) => into.extend(path.iter().filter_map(Value::as_str).map(str::to_owned)),
                        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
                    }
                    if let Some(of) = value.get("left") {
                        within(of, into);
                    }
                } else {
                    attributes(value, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| attributes(item, into)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    // A whole record stands somewhere: every field of it is read.
    if let Some(name) = json.get(".").and_then(|access| access.get("attr")).and_then(Value::as_str)
        && matches!(name, "input" | "provenance")
    {
        into.insert(format!("{name}.*"));
    }
}

/// What an attribute is read of: a record of which only that field is read.
fn within(of: &Value, into: &mut BTreeSet<String>) {
    match of.get(".") {
        Some(access) => {
            into.extend(access.get("attr").and_then(Value::as_str).map(str::to_owned));
            if let Some(of) = access.get("left") {
                within(of, into);
            }
        }
        None => attributes(of, into),
    }
}

/// What Cedar says is wrong, and where.
pub(crate) fn finding(error: &(impl Diagnostic + std::fmt::Display), cedar: &str) -> Finding {
    let span = error.labels().and_then(|mut labels| labels.next());
    let at = span.map_or(0..0, |span| span.offset()..(span.offset() + span.len()).min(cedar.len()));
    let help = error.help().map(|help| help.to_string());
    Finding { at, message: error.to_string(), help }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(cedar: &str) -> Result<Document, Vec<Finding>> {
        Document::read(&Origin::Applied("house".parse().unwrap()), cedar)
    }

    #[test]
    fn rules_have_names_texts_and_places() {
        let text = "// why\n@id(\"big\")\nforbid(principal, action, resource) when { context.value_usd_micros > 5 };\n\n\
                    forbid(principal, action, resource) when { context.input.to == \"x\" };";
        let Document { rules } = applied(text).unwrap();
        assert_eq!(rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["house/big", "house/rule-2"]);
        assert_eq!(rules.iter().map(|rule| rule.at).collect::<Vec<_>>(), [7, text.rfind("forbid").unwrap()]);
        assert!(rules[1].reads.contains("to") && rules[1].reads.contains("input"), "{:?}", rules[1].reads);
        assert!(!rules[1].reads.contains("input.*"));
    }

    #[test]
    fn a_record_as_a_whole_is_read_as_a_whole() {
        let whole = applied("forbid(principal, action, resource) when { context.input == {to: \"x\"} };").unwrap();
        assert!(whole.rules[0].reads.contains("input.*"), "{:?}", whole.rules[0].reads);
        let has = applied("forbid(principal, action, resource) when { context.input has to };").unwrap();
        assert!(has.rules[0].reads.contains("to") && !has.rules[0].reads.contains("input.*"));
    }

    #[test]
    fn what_is_wrong_says_where_and_what_to_do() {
        for (cedar, at, message) in [
            ("forbid(principal, action, resource) when { context.x > };", 55, "unexpected token"),
            ("permit(principal, action, resource);", 0, "a policy forbids"),
            ("@obligation(\"call me\")\nforbid(principal, action, resource);", 0, "does not begin with `approval:`"),
            ("@obligation(\"record\")\nforbid(principal, action, resource);", 0, "does not begin with `approval:`"),
            ("@id(\"a b\")\nforbid(principal, action, resource);", 0, "no id of a rule"),
            ("forbid(principal == ?principal, action, resource);", 0, "slot"),
            (
                "@id(\"a\")\nforbid(principal, action, resource);\n@id(\"a\")\nforbid(principal, action, resource);",
                46,
                "a second rule",
            ),
        ] {
            let findings = applied(cedar).unwrap_err();
            assert!(findings[0].message.contains(message), "{cedar}: {findings:?}");
            assert_eq!(findings[0].at.start, at, "{cedar}: {findings:?}");
        }
    }
}
