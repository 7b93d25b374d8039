//! What a session heard, by whom it was said: the person or trigger that asks, capabilities that are trusted, everybody
//! else. Built up message by message, in order, from nothing but the session's own records; the same records give the
//! same. It must not know what follows from it: that is `control::provenance`.

mod token;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

pub use token::{Day, Token, addresses, tokens, value_tokens};
pub use words::Words;

use crate::message::{Content, Message, Origin, Part, Role, Trust};
use crate::provenance::Vouches;

/// How many values of answers are kept that vouch for themselves.
const MAX_FIELDS: usize = 50_000;

/// How many names of one record count.
const MAX_NAMES: usize = 8;

/// How many uses are remembered whose answer has not come.
const MAX_ASKED: usize = 256;

/// A value that an answer vouches for.
#[derive(Debug, Clone)]
struct Field {
    /// Whether it does so whatever was asked.
    always: bool,
    /// What a request would name its record by.
    names: Arc<[Vec<Token>]>,
}

/// What a session heard.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Words of persons and triggers.
    pub request: Words,
    /// Answers of trusted capabilities.
    pub trusted: Words,
    /// What a stranger may have written.
    pub untrusted: Words,
    /// What was recalled.
    pub memory: Words,
    /// Whether anything came that a stranger may have written.
    pub tainted: bool,
    /// The labels of everything that came.
    pub labels: BTreeSet<String>,
    /// Values of untrusted answers that vouch for themselves, by the argument that they may fill.
    fields: HashMap<(String, Vec<Token>), Vec<Field>>,
    kept: usize,
    /// What was asked of capabilities that have not answered, by the use's id.
    asked: HashMap<String, Vec<Vec<Token>>>,
}

/// How an answer vouches for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouched {
    /// Whether the request names the record that the value is of.
    pub named: bool,
}

impl Heard {
    /// Hears a message of the conversation.
    pub fn hear(&mut self, message: &Message) {
        for part in &message.parts {
            self.labels.extend(part.labels.iter().cloned());
            match (message.role, &part.content) {
                (Role::Agent, Content::Use { use_id, arguments, .. }) => self.uses(use_id, arguments),
                (_, Content::Result { use_id, .. }) => {
                    let asked = self.asked.remove(use_id).unwrap_or_default();
                    self.answer(part, asked);
                }
                (Role::Person, Content::Text { text }) => self.person(part, text),
                (Role::Agent, _) => self.tainted |= part.trust == Trust::Untrusted,
                (Role::Person | Role::Capability, Content::Other { raw }) => self.stranger(&raw.to_string()),
                (Role::Capability, Content::Text { text }) => self.stranger(text),
                (Role::Person | Role::Capability, Content::Reasoning { .. } | Content::Use { .. }) => {}
            }
        }
    }

    /// Hears the answer to a call with these arguments, where it is no part of the conversation.
    pub fn hear_answer(&mut self, part: &Part, arguments: &Value) {
        self.labels.extend(part.labels.iter().cloned());
        self.answer(part, leaves(arguments));
    }

    fn person(&mut self, part: &Part, text: &str) {
        match (part.origin, part.trust) {
            (Origin::Person | Origin::Descriptor, Trust::Trusted) => self.request.add(text),
            // The runtime's own words are about others' words and vouch for none.
            (Origin::Runtime | Origin::Model | Origin::Agent, Trust::Trusted) => {}
            (Origin::Capability, Trust::Trusted) => self.trusted.add(text),
            (Origin::Memory, Trust::Trusted) => self.memory.add(text),
            (Origin::Webhook, _) | (_, Trust::Untrusted) => self.stranger(text),
        }
    }

    fn stranger(&mut self, text: &str) {
        self.tainted = true;
        self.untrusted.add(text);
    }

    fn uses(&mut self, use_id: &str, arguments: &Value) {
        if self.asked.len() < MAX_ASKED {
            self.asked.insert(use_id.to_owned(), leaves(arguments));
        }
    }

    fn answer(&mut self, part: &Part, asked: Vec<Vec<Token>>) {
        let Content::Result { text, structured, vouches, .. } = &part.content else { return };
        // An answer does not vouch for what it was asked with, if nobody else did.
        let own: Vec<_> = asked.into_iter().filter(|value| !self.known(value)).collect();
        match (part.origin, part.trust) {
            (Origin::Runtime | Origin::Model | Origin::Agent, Trust::Trusted) => {}
            (Origin::Person | Origin::Descriptor, Trust::Trusted) => self.request.add_but(&tokens(text), &own),
            (Origin::Memory, trust) => {
                self.memory.add(text);
                match trust {
                    Trust::Trusted => self.trusted.add_but(&tokens(text), &own),
                    Trust::Untrusted => self.stranger(text),
                }
            }
            (Origin::Capability | Origin::Webhook, Trust::Trusted) => {
                self.trusted.add_but(&tokens(text), &own);
                for value in structured.iter().flat_map(|value| [keys(value), leaves(value)]).flatten() {
                    self.trusted.add_but(&value, &own);
                }
            }
            (_, Trust::Untrusted) => {
                self.stranger(text);
                if let (Some(structured), Some(vouches)) = (structured, vouches) {
                    let mut found = Found { vouches, own: &own, heard: self };
                    found.walk(structured, &mut String::new(), &Arc::from([]));
                }
            }
        }
    }

    fn known(&self, value: &[Token]) -> bool {
        self.request.say(value) || self.trusted.say(value)
    }

    fn keep(&mut self, argument: &str, value: Vec<Token>, field: Field) {
        if self.kept < MAX_FIELDS && !value.is_empty() {
            self.kept += 1;
            self.fields.entry((argument.to_owned(), value)).or_default().push(field);
        }
    }

    /// How a part of an answer vouches for a value in an argument, where one does.
    pub fn vouched(&self, argument: &str, value: &[Token]) -> Option<Vouched> {
        let named = |field: &Field| field.names.iter().any(|name| self.request.say(name));
        let fields: Vec<&Field> = match value {
            [Token::Day(day)] => self
                .fields
                .iter()
                .filter(|((of, value), _)| {
                    of == argument && matches!(value.as_slice(), [Token::Day(one)] if one.fits(*day))
                })
                .flat_map(|(_, fields)| fields)
                .collect(),
            _ => self.fields.get(&(argument.to_owned(), value.to_vec())).into_iter().flatten().collect(),
        };
        let is_named = fields.iter().any(|field| named(field));
        (is_named || fields.iter().any(|field| field.always)).then_some(Vouched { named: is_named })
    }
}

/// What all texts and numbers of a value say.
fn leaves(value: &Value) -> Vec<Vec<Token>> {
    let said = match value {
        Value::Array(items) => return items.iter().flat_map(leaves).collect(),
        Value::Object(map) => return map.values().flat_map(leaves).collect(),
        Value::Null | Value::Bool(_) => return Vec::new(),
        Value::String(_) | Value::Number(_) => value_tokens(value),
    };
    if said.is_empty() { Vec::new() } else { vec![said] }
}

/// What the keys of a value say: a mapping by name names what it maps.
fn keys(value: &Value) -> Vec<Vec<Token>> {
    match value {
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        Value::Object(map) => map.keys().map(|key| tokens(key)).chain(map.values().flat_map(keys)).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => Vec::new(),
    }
}

/// Looking for what an answer vouches for.
struct Found<'a> {
    vouches: &'a Vouches,
    own: &'a [Vec<Token>],
    heard: &'a mut Heard,
}

impl Found<'_> {
    fn walk(&mut self, value: &Value, path: &mut String, names: &Arc<[Vec<Token>]>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, path, names)),
            Value::Object(map) => {
                let length = path.len();
                let mut own = Vec::new();
                for (key, item) in map {
                    if self.vouches.named_by.contains(&joined(path, key)) {
                        own.extend(leaves(item));
                    }
                }
                own.truncate(MAX_NAMES);
                let names = if own.is_empty() { names.clone() } else { own.into() };
                for (key, item) in map {
                    *path = joined(path, key);
                    self.walk(item, path, &names);
                    path.truncate(length);
                }
            }
            Value::String(_) | Value::Number(_) => self.leaf(value, path, names),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn leaf(&mut self, value: &Value, path: &str, names: &Arc<[Vec<Token>]>) {
        let said = value_tokens(value);
        if self.own.contains(&said) {
            return;
        }
        for argument in self.vouches.fields.get(path).into_iter().flatten() {
            self.heard.keep(argument, said.clone(), Field { always: true, names: names.clone() });
        }
        for argument in self.vouches.when_named.get(path).into_iter().flatten() {
            let field = Field { always: false, names: names.clone() };
            // What a named record's text points to is what the request points to.
            for address in addresses(&said).filter(|_| said.len() > 1) {
                self.heard.keep(argument, vec![address.clone()], field.clone());
            }
            self.heard.keep(argument, said.clone(), field);
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
