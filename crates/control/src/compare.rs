//! Compare: what an agent would have done in a case beside what a person did, field by field. Pure. What must never
//! be known here: where either of them was recorded, and what follows from it.

use std::collections::BTreeSet;

use domain::id::{Digest, Name, SessionId};
use domain::money::UsdMicros;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The column that names what the person used; empty, they used nothing.
pub const TOOL: &str = "tool";
/// The column that holds what the person answered.
pub const ANSWER: &str = "answer";

/// Amounts this close, in micro-dollars, are the same: half a cent.
const SAME_MONEY_USD_MICROS: i64 = 5_000;

/// One case as the agent went through it in shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowCase {
    /// The case's key.
    pub case: String,
    /// The session that worked on it.
    pub session: SessionId,
    /// Under which revision.
    pub revision: Digest,
    /// The writes it would have sent, in order.
    pub calls: Vec<RecordedCall>,
    /// What it answered in the end.
    pub answer: Option<String>,
    /// Why it did not come to an end, where it did not.
    pub unfinished: Option<String>,
}

/// A write that was recorded and not sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The capability's name.
    pub tool: Name,
    /// The effective arguments.
    pub arguments: Value,
}

/// One field in which they differ, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// Which: `tool`, `answer`, or `TOOL.ARGUMENT`.
    pub field: String,
    /// What the person did.
    pub person: String,
    /// What the agent would have done.
    pub agent: String,
}

/// What stands where one of them used nothing.
const NOT_USED: &str = "not used";

impl FieldDifference {
    /// Whether the agent would have sent a write that the person did not: the worst way to differ.
    pub fn is_critical(&self) -> bool {
        self.field == TOOL && self.person == NOT_USED
    }
}

/// The columns that some recorded call has an argument for: only these can be compared.
pub fn comparable<'a>(columns: impl Iterator<Item = &'a String>, cases: &[ShadowCase]) -> BTreeSet<String> {
    let calls = || cases.iter().flat_map(|case| &case.calls);
    let known =
        |column: &str| matches!(column, TOOL | ANSWER) || calls().any(|call| at(&call.arguments, column).is_some());
    columns.filter(|column| known(column)).cloned().collect()
}

/// How what a person did in one case differs from what the agent would have done; empty: it does not.
pub fn differences(deeds: &[Value], case: &ShadowCase, columns: &BTreeSet<String>) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    let mut left: Vec<&RecordedCall> = case.calls.iter().collect();
    for deed in deeds {
        let answered = written(deed, ANSWER);
        if let Some(person) = answered.filter(|_| columns.contains(ANSWER)) {
            let agent = case.answer.clone().unwrap_or_default();
            if !same_words(person, &agent) {
                found.push(FieldDifference { field: ANSWER.to_owned(), person: person.to_owned(), agent });
            }
        }
        let Some(tool) = written(deed, TOOL) else { continue };
        let alike = left.iter().enumerate().filter(|(_, call)| same_id(call.tool.as_str(), tool));
        let closest = alike.map(|(i, call)| (i, of_call(deed, call, columns))).min_by_key(|(_, differ)| differ.len());
        match closest {
            Some((i, differ)) => {
                found.extend(differ);
                left.remove(i);
            }
            None => found.push(whole_call(tool.to_owned(), NOT_USED.to_owned())),
        }
    }
    found.extend(
        left.into_iter().map(|call| whole_call(NOT_USED.to_owned(), format!("{} {}", call.tool, call.arguments))),
    );
    found
}

fn of_call(deed: &Value, call: &RecordedCall, columns: &BTreeSet<String>) -> Vec<FieldDifference> {
    let arguments = columns.iter().filter(|column| !matches!(column.as_str(), TOOL | ANSWER));
    let each = arguments.filter_map(|column| {
        let person = written(deed, column)?;
        let agent = at(&call.arguments, column);
        if agent.is_some_and(|agent| same(column, person, agent)) {
            return None;
        }
        let agent = agent.map_or_else(|| "nothing".to_owned(), text);
        Some(FieldDifference { field: format!("{}.{column}", call.tool), person: person.to_owned(), agent })
    });
    each.collect()
}

fn whole_call(person: String, agent: String) -> FieldDifference {
    FieldDifference { field: TOOL.to_owned(), person, agent }
}

/// What a cell says; `None` where the person left it empty, which compares with nothing.
fn written<'a>(deed: &'a Value, column: &str) -> Option<&'a str> {
    deed.get(column).and_then(Value::as_str).map(str::trim).filter(|cell| !cell.is_empty())
}

/// An argument by its path: `to`, or `recipient.name`.
fn at<'a>(arguments: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(arguments, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// Whether two values of a column are the same, by what the column's name says it holds.
fn same(column: &str, person: &str, agent: &Value) -> bool {
    let is = |names: &[&str]| names.iter().any(|name| column == *name || column.ends_with(&format!("_{name}")));
    let agent_text = text(agent);
    if is(&["usd", "eur", "gbp", "amount", "price", "total"]) {
        let (a, b) = (money(person), money(&agent_text));
        return a.zip(b).is_some_and(|(a, b)| (a.0 - b.0).abs() <= SAME_MONEY_USD_MICROS);
    }
    if is(&["date", "day", "on", "at"])
        && let (Some(a), Some(b)) = (iso_day(person), iso_day(&agent_text))
    {
        return a == b;
    }
    if is(&["id", "no", "number", "iban", "invoice", "vendor"]) {
        return same_id(person, &agent_text);
    }
    match (person.parse::<f64>(), agent.as_f64()) {
        (Ok(a), Some(b)) => a == b,
        _ => same_words(person, &agent_text),
    }
}

/// An amount as people write it: `1,234.50`, `1.234,50`, `$ 12`; `None` if it is none, or negative.
fn money(text: &str) -> Option<UsdMicros> {
    let kept: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-')).collect();
    let marks: Vec<(usize, char)> = kept.char_indices().filter(|(_, c)| matches!(c, '.' | ',')).collect();
    let one_kind = marks.windows(2).all(|pair| pair[0].1 == pair[1].1);
    let decimal = match marks.as_slice() {
        [] => None,
        // A lone comma with three digits behind it groups thousands; a lone point never does.
        [(i, ',')] if kept.len() - i == 4 => None,
        [_, .., _] if one_kind => None,
        [.., (i, _)] => Some(*i),
    };
    let digit = |(i, c): (usize, char)| match c {
        '.' | ',' => (Some(i) == decimal).then_some('.'),
        other => Some(other),
    };
    let number: String = kept.char_indices().filter_map(digit).collect();
    UsdMicros::from_dollars(number.parse().ok()?)
}

/// The day of `2026-11-22` or `2026-11-22T08:00:00Z`.
fn iso_day(text: &str) -> Option<&str> {
    let day = text.get(..10)?;
    let fits = day.bytes().enumerate().all(|(i, c)| if i == 4 || i == 7 { c == b'-' } else { c.is_ascii_digit() });
    fits.then_some(day)
}

fn same_id(a: &str, b: &str) -> bool {
    let plain =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    plain(a) == plain(b)
}

fn same_words(a: &str, b: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(a) == words(b)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
