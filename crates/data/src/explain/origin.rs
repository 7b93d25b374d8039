//! Where each argument came from: searched for, word for word, in everything the model had before it. What is found
//! nowhere, the model made up.

use domain::id::{ApprovalId, CallId, MailId, Name};
use domain::message::{Origin, Trust};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::trace::{CapabilityCall, State, Trace, What};

/// How many values of one call are looked into.
const LOOKED_INTO: usize = 64;

/// Where one value of the arguments came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArgumentOrigin {
    /// Where it stands in the arguments (JSON Pointer, RFC 6901).
    pub path: String,
    /// The value.
    pub value: Value,
    /// Everywhere it was found, what is trusted most first; never empty.
    pub sources: Vec<Source>,
}

impl ArgumentOrigin {
    /// Whether all that it was found in may have been written by a stranger.
    pub fn only_untrusted(&self) -> bool {
        self.sources.iter().all(Source::is_untrusted)
    }
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Source {
    /// A person wrote it into the arguments when they approved.
    Edited {
        /// Who.
        person: Name,
        /// At which consent.
        approval: ApprovalId,
    },
    /// What the agent was asked says it.
    Request {
        /// Who asked, where it was a person.
        who: Option<Name>,
        /// The mail that brought it.
        mail: MailId,
    },
    /// A webhook brought it: whoever holds its secret wrote it.
    Webhook {
        /// The mail that it came by.
        mail: MailId,
    },
    /// The client that keeps the loop told it.
    Client {
        /// Whether it is its own word, and not that of a tool of its.
        trusted: bool,
    },
    /// The descriptor's instructions say it.
    Instructions,
    /// The model did not write it: the capability's schema has it as a default.
    Default,
    /// A capability returned it.
    Capability {
        /// In which call.
        call: CallId,
        /// Which.
        name: String,
        /// Whether its answers are trusted.
        trusted: bool,
    },
    /// It was recalled from memory.
    Memory {
        /// In which call.
        call: CallId,
    },
    /// It was found nowhere: the model made it.
    Model,
}

impl Source {
    /// Whether a stranger may have written it.
    fn is_untrusted(&self) -> bool {
        match self {
            Source::Webhook { .. } | Source::Capability { trusted: false, .. } | Source::Client { trusted: false } => {
                true
            }
            Source::Edited { .. }
            | Source::Request { .. }
            | Source::Client { trusted: true }
            | Source::Instructions
            | Source::Default
            | Source::Capability { trusted: true, .. }
            | Source::Memory { .. }
            | Source::Model => false,
        }
    }
}

/// Something the model had before it.
struct Heard {
    text: String,
    source: Source,
}

pub(super) fn origins(call: &CapabilityCall, trace: &Trace, instructions: &str) -> Vec<ArgumentOrigin> {
    let Some(arguments) = &call.arguments else { return Vec::new() };
    let heard = heard(call, trace, instructions);
    let edited = call.consents.iter().rev().find_map(|consent| {
        let verdict = consent.verdict.as_ref().filter(|verdict| verdict.approved)?;
        verdict.edited.as_ref().map(|_| Source::Edited { person: verdict.person.clone(), approval: verdict.approval })
    });
    let mut values = Vec::new();
    leaves(arguments, String::new(), &mut values);
    let origin = |(path, value): (String, &Value)| {
        let wanted = call.wanted.pointer(&path);
        let sources = match (&edited, wanted) {
            (_, Some(wanted)) if wanted == value => found(value, &heard),
            (Some(edited), _) => vec![edited.clone()],
            (None, None) => vec![Source::Default],
            (None, Some(_)) => found(value, &heard),
        };
        ArgumentOrigin { path, value: value.clone(), sources }
    };
    values.into_iter().take(LOOKED_INTO).map(origin).collect()
}

/// Everything said to the model before the call that wanted this one: messages, instructions, and results of calls
/// of earlier rounds.
fn heard(call: &CapabilityCall, trace: &Trace, instructions: &str) -> Vec<Heard> {
    let asking = call.asked_by.map_or(u32::MAX, |asked_by| asked_by.ordinal);
    let (mut said, mut returned) = (Vec::new(), Vec::new());
    for step in &trace.steps {
        match &step.what {
            What::Message { mail, text, trust: Trust::Untrusted, .. } => {
                returned.push(Heard { text: text.clone(), source: Source::Webhook { mail: mail.clone() } });
            }
            What::Message { from, mail, text, .. } => {
                said.push(Heard {
                    text: text.clone(),
                    source: Source::Request { who: from.clone(), mail: mail.clone() },
                });
            }
            What::Client(told) => {
                let own = told.instructions.iter().map(|text| (text, true));
                let heard = told.said.iter().map(|message| (&message.text, message.trust == Trust::Trusted));
                for (text, trusted) in own.chain(heard) {
                    let to = if trusted { &mut said } else { &mut returned };
                    to.push(Heard { text: text.clone(), source: Source::Client { trusted } });
                }
            }
            What::Model(model) if model.call.ordinal >= asking => break,
            What::Capability(earlier) if earlier.call.ordinal < asking => returned.extend(answer(earlier)),
            What::Model(_)
            | What::Capability(_)
            | What::Suspended { .. }
            | What::Resumed { .. }
            | What::Finished { .. }
            | What::Failed { .. }
            | What::Killed { .. }
            | What::Paused { .. }
            | What::Continued { .. } => {}
        }
    }
    said.push(Heard { text: instructions.to_owned(), source: Source::Instructions });
    returned.sort_by_key(|heard| heard.source.is_untrusted());
    said.extend(returned);
    said
}

fn answer(earlier: &CapabilityCall) -> Option<Heard> {
    let name = earlier.capability.as_ref().map_or_else(|| earlier.name.clone(), ToString::to_string);
    let call = earlier.call;
    if earlier.state == State::Resolved
        && let Some(domain::event::Resolution::Happened { result }) = earlier.resolution.as_ref().map(|r| &r.resolution)
    {
        return Some(Heard { text: result.clone(), source: Source::Capability { call, name, trusted: true } });
    }
    let result = earlier.result.as_ref()?;
    let structured = result.structured.as_ref().map(ToString::to_string).unwrap_or_default();
    let source = match result.origin {
        Origin::Memory => Source::Memory { call },
        _ => Source::Capability { call, name, trusted: result.trust == Trust::Trusted },
    };
    Some(Heard { text: format!("{}\n{structured}", result.text), source })
}

fn leaves<'a>(value: &'a Value, path: String, out: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                leaves(value, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| leaves(item, format!("{path}/{i}"), out));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push((path, value)),
    }
}

fn found(value: &Value, heard: &[Heard]) -> Vec<Source> {
    let ways = ways_to_write(value);
    let mut sources: Vec<Source> = Vec::new();
    for Heard { text, source } in heard {
        if ways.iter().any(|way| mentions(text, way)) && !sources.contains(source) {
            sources.push(source.clone());
        }
    }
    if sources.is_empty() { vec![Source::Model] } else { sources }
}

/// How a value may stand in a text: a number as `4180`, `4180.00`, `4,180` or `4,180.00`. A yes, a no or nothing is
/// too common a word to prove anything.
fn ways_to_write(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => {
            let quoted = Value::String(text.clone()).to_string();
            let escaped = quoted[1..quoted.len() - 1].to_owned();
            if escaped == *text { vec![escaped] } else { vec![text.clone(), escaped] }
        }
        Value::Number(number) => {
            let mut ways = vec![domain::canonical::to_string(value)];
            if let Some(float) = number.as_f64().filter(|float| float.abs() < 1e15) {
                let cents = format!("{float:.2}");
                if cents.parse() == Ok(float) {
                    ways.extend([grouped(&cents), cents]);
                }
                if float.fract() == 0.0 {
                    ways.push(grouped(&format!("{float:.0}")));
                }
            }
            ways.dedup();
            ways
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Vec::new(),
    }
}

fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_once('.').map_or((number, String::new()), |(w, r)| (w, format!(".{r}")));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}{rest}")
}

/// Whether a text has this word for word, and not as a piece of a longer word or number.
fn mentions(text: &str, needle: &str) -> bool {
    let bounded = |edge: Option<char>, outside: &mut dyn Iterator<Item = char>| {
        let (near, far) = (outside.next(), outside.next());
        let number_goes_on = edge.is_some_and(|c| c.is_ascii_digit())
            && near.is_some_and(|c| c == '.' || c == ',')
            && far.is_some_and(|c| c.is_ascii_digit());
        let word_goes_on = edge.is_some_and(char::is_alphanumeric) && near.is_some_and(char::is_alphanumeric);
        !number_goes_on && !word_goes_on
    };
    text.match_indices(needle).any(|(start, _)| {
        let after = &text[start + needle.len()..];
        bounded(needle.chars().next(), &mut text[..start].chars().rev())
            && bounded(needle.chars().next_back(), &mut after.chars())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{mentions, ways_to_write};

    #[test]
    fn a_number_is_found_however_people_write_it_but_not_inside_another() {
        let found = |text: &str| ways_to_write(&json!(4180)).iter().any(|way| mentions(text, way));
        for text in ["pay 4180 now", "USD 4,180.00.", "{\"amount\":4180.00}", "4180"] {
            assert!(found(text), "{text}");
        }
        for text in ["14180", "4180.50", "41801", "4,180,000", "INV4180"] {
            assert!(!found(text), "{text}");
        }
        assert!(ways_to_write(&json!(4180.5)).iter().any(|way| mentions("4,180.50 USD", way)));
    }

    #[test]
    fn a_word_is_found_whole() {
        assert!(mentions("write to ap@example.com, please", "ap@example.com"));
        assert!(!mentions("map", "ap"));
        assert!(ways_to_write(&json!("")).is_empty());
        assert!(ways_to_write(&json!(true)).is_empty());
    }
}
