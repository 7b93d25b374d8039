//! What a script can read of a conversation: what it was asked last, and what its uses since then came to.

use domain::message::{Content, Message, Role};
use serde_json::Value;

use crate::provider::Request;

/// The conversation since a person last spoke.
pub(super) struct Conversation<'a> {
    request: &'a Request,
    /// What the person said.
    pub(super) task: String,
    /// Every use since, in order, with what it came to.
    pub(super) done: Vec<Done<'a>>,
}

/// A use and what it came to.
pub(super) struct Done<'a> {
    pub(super) capability: &'a str,
    pub(super) arguments: &'a Value,
    /// What the model reads.
    pub(super) text: &'a str,
    /// Whether it failed or was refused.
    pub(super) error: bool,
    structured: Option<&'a Value>,
}

impl Done<'_> {
    /// The result as JSON; null if it failed or was not JSON.
    pub(super) fn json(&self) -> Value {
        if self.error {
            return Value::Null;
        }
        self.structured.cloned().unwrap_or_else(|| serde_json::from_str(self.text).unwrap_or_default())
    }
}

impl<'a> Conversation<'a> {
    pub(super) fn read(request: &'a Request) -> Self {
        let messages = &request.messages;
        let asked = messages.iter().rposition(|message| message.role == Role::Person).unwrap_or(0);
        let task = messages.get(asked).map(|message| message.words()).unwrap_or_default();
        let since = messages.get(asked..).unwrap_or_default();
        let uses = since.iter().flat_map(|message| &message.parts).filter_map(|part| match &part.content {
            Content::Use { use_id, capability, arguments, .. } => Some((use_id, capability, arguments)),
            _ => None,
        });
        let done = uses.filter_map(|(use_id, capability, arguments)| {
            let (text, error, structured) = since.iter().find_map(|message| result_of(message, use_id))?;
            Some(Done { capability, arguments, text, error, structured })
        });
        Conversation { request, task, done: done.collect() }
    }

    /// Whether this capability is offered.
    pub(super) fn may(&self, capability: &str) -> bool {
        self.request.tools.iter().any(|tool| tool.name == capability)
    }

    /// The uses of one capability.
    pub(super) fn of(&self, capability: &str) -> impl Iterator<Item = &Done<'a>> {
        self.done.iter().filter(move |done| done.capability == capability)
    }

    /// What the schema of an argument says of it, in words.
    pub(super) fn described(&self, capability: &str, argument: &str) -> Option<&str> {
        let tool = self.request.tools.iter().find(|tool| tool.name == capability)?;
        tool.input_schema["properties"][argument]["description"].as_str()
    }

    /// The first argument that a capability needs.
    pub(super) fn first_argument(&self, capability: &str) -> String {
        let tool = self.request.tools.iter().find(|tool| tool.name == capability);
        let schema = tool.map(|tool| &tool.input_schema);
        let required = schema.and_then(|schema| schema["required"][0].as_str());
        let first = || schema?["properties"].as_object()?.keys().next().map(String::as_str);
        required.or_else(first).unwrap_or("text").to_owned()
    }

    /// The companies that the books are of, as the tool's own schema says, and of these the ones that the task names,
    /// where it names any.
    pub(super) fn companies(&self, capability: &str) -> Vec<String> {
        let described = self.described(capability, "company").and_then(|text| text.split_once(':'));
        let known: Vec<String> = described.map(|(_, names)| words(names)).unwrap_or_default();
        let known: Vec<String> = known.into_iter().filter(|word| word != "or" && word != "and").collect();
        let asked = words(&self.task);
        let named: Vec<String> = known.iter().filter(|company| asked.contains(company)).cloned().collect();
        if named.is_empty() { known } else { named }
    }

    /// The words of the task that satisfy this.
    pub(super) fn named(&self, is: impl Fn(&str) -> bool) -> Vec<String> {
        let parts =
            self.task.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '?' | '!' | '(' | ')' | '"'));
        parts.map(|word| word.trim_matches(['.', ':', '\'']).to_owned()).filter(|word| is(word)).collect()
    }
}

fn result_of<'a>(message: &'a Message, wanted: &str) -> Option<(&'a str, bool, Option<&'a Value>)> {
    message.parts.iter().find_map(|part| match &part.content {
        Content::Result { use_id, text, structured, error, .. } if use_id == wanted => {
            Some((text.as_str(), *error, structured.as_ref()))
        }
        _ => None,
    })
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '-');
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Whether this is an id such as `INV-2041` or `V-101`.
pub(super) fn is_id(word: &str, prefix: &str) -> bool {
    word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether this is a day such as `2026-10-31`.
pub(super) fn is_day(word: &str) -> bool {
    word.len() == 10
        && word.bytes().enumerate().all(|(i, c)| if i == 4 || i == 7 { c == b'-' } else { c.is_ascii_digit() })
}

/// Dollars of a tool's answer in whole cents.
pub(super) fn cents(value: &Value) -> i64 {
    (value.as_f64().unwrap_or(0.0) * 100.0).round() as i64
}

/// Cents as people write dollars.
pub(super) fn dollars(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02} USD", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// Cents as a tool's argument.
pub(super) fn amount(cents: i64) -> Value {
    Value::from(cents as f64 / 100.0)
}

/// `1 invoice`, `2 invoices`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
