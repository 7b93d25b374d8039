//! How one field of a descriptor is compared: which way more of it goes, and how that is said. What must never be known
//! here: which fields there are.

use std::collections::{BTreeMap, BTreeSet};

use domain::change::Direction;
use domain::clock::length_ms;
use serde_json::Value;

use super::fields::Both;

/// What changes, each with the way that it goes; `None`: it cannot be told.
pub(super) type Said = Option<Vec<(Direction, String)>>;

/// What is said of some fields.
pub(super) struct Rule {
    /// Their paths. What lies beneath one belongs to it.
    pub(super) at: &'static [&'static str],
    /// How they are compared.
    pub(super) how: How,
}

/// How fields are compared.
pub(super) enum How {
    /// A number or a length of time of which more is wider. Absent: without bound, which is said in a word of its own.
    Most(&'static str, Unit, &'static str),
    /// The same; absent: this number.
    MostOf(&'static str, Unit, f64),
    /// One of which more is narrower. Absent: this number.
    Least(&'static str, Unit, f64),
    /// A list of which more is wider: what is said of one that is new, and of one that is gone.
    More(&'static str, &'static str),
    /// A list of which more is narrower.
    Fewer(&'static str, &'static str),
    /// A word of a ladder, from the narrowest to the widest.
    Ladder(&'static str, &'static [&'static str]),
    /// Something that bounds it where it is there: what is said of it.
    Bound(&'static str),
    /// Something that lets it do more where it is there.
    Allows(&'static str),
    /// Whatever changes there is another authority.
    Other(&'static str),
    /// It bears on nothing that may happen.
    Neither(&'static str),
    /// Something of its own; `None`: it cannot be told.
    Own(fn(&Both<'_>) -> Said),
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Usd,
    Count,
    /// A length of time, written like `4h`.
    Time,
}

/// What changes between two documents, in the order of the rules; then what no rule speaks of.
pub(super) fn say(rules: &[Rule], both: &Both<'_>) -> Vec<(Direction, String)> {
    let (old, new) = (leaves(&both.old), leaves(&both.new));
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut differ: BTreeSet<&String> = paths.into_iter().filter(|path| old.get(*path) != new.get(*path)).collect();
    let mut said = Vec::new();
    for rule in rules {
        let mine: Vec<&String> = differ.iter().copied().filter(|path| rule.speaks_of(path)).collect();
        if mine.is_empty() {
            continue;
        }
        let told = rule.how.say(rule.at, both);
        for path in &mine {
            differ.remove(*path);
        }
        match told {
            Some(told) => said.extend(told),
            None => said.extend(mine.into_iter().map(|path| unknown(path, &old, &new))),
        }
    }
    said.extend(differ.into_iter().map(|path| unknown(path, &old, &new)));
    said
}

fn unknown(path: &str, old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> (Direction, String) {
    let value = |all: &BTreeMap<String, Value>| all.get(path).map_or_else(|| "nothing".to_owned(), plain);
    (Direction::Widens, format!("{path}: {} -> {} (counts as widening)", value(old), value(new)))
}

impl Rule {
    fn speaks_of(&self, path: &str) -> bool {
        self.at.iter().any(|at| path == *at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('.')))
    }
}

impl How {
    fn say(&self, at: &[&str], both: &Both<'_>) -> Said {
        let differs = |path: &&&str| lookup(&both.old, path) != lookup(&both.new, path);
        let path = at.iter().find(differs)?;
        let (old, new) = (lookup(&both.old, path), lookup(&both.new, path));
        match self {
            How::Most(words, unit, none) => {
                let bound = |value: &Value| if value.is_null() { Some(f64::INFINITY) } else { number(value) };
                let shown = |value: &Value| if value.is_null() { (*none).to_owned() } else { figure(*unit, value) };
                amount(words, (bound(old)?, bound(new)?), (shown(old), shown(new)), Direction::Widens)
            }
            How::MostOf(words, unit, absent) => within(words, *unit, *absent, (old, new), Direction::Widens),
            How::Least(words, unit, absent) => within(words, *unit, *absent, (old, new), Direction::Narrows),
            How::More(gained, lost) => listed((gained, Direction::Widens), (lost, Direction::Narrows), (old, new)),
            How::Fewer(gained, lost) => listed((gained, Direction::Narrows), (lost, Direction::Widens), (old, new)),
            How::Ladder(words, steps) => {
                let step = |value: &Value| steps.iter().position(|step| value.as_str() == Some(step));
                let direction = if step(new)? > step(old)? { Direction::Widens } else { Direction::Narrows };
                Some(vec![(direction, format!("{words}: {} -> {}", plain(old), plain(new)))])
            }
            How::Bound(words) => Some(vec![there(words, (old, new), Direction::Narrows)]),
            How::Allows(words) => Some(vec![there(words, (old, new), Direction::Widens)]),
            How::Other(words) => Some(vec![(Direction::Widens, moved(words, old, new))]),
            How::Neither(words) => Some(vec![(Direction::Neither, moved(words, old, new))]),
            How::Own(own) => own(both),
        }
    }
}

fn moved(words: &str, old: &Value, new: &Value) -> String {
    let shown = |value: &Value| if value.is_null() { "none".to_owned() } else { plain(value) };
    format!("{words}: {} -> {}", shown(old), shown(new))
}

/// Something that is there now, is gone, or is another: another one is wider, whatever it does.
fn there(words: &str, (old, new): (&Value, &Value), when_there: Direction) -> (Direction, String) {
    let otherwise = if when_there == Direction::Widens { Direction::Narrows } else { Direction::Widens };
    match (old.is_null(), new.is_null()) {
        (true, _) => (when_there, format!("{words}: now {}", plain(new))),
        (_, true) => (otherwise, format!("{words}: no more, was {}", plain(old))),
        (false, false) => (Direction::Widens, moved(words, old, new)),
    }
}

fn within(words: &str, unit: Unit, absent: f64, (old, new): (&Value, &Value), more: Direction) -> Said {
    let bound = |value: &Value| if value.is_null() { Some(absent) } else { number(value) };
    let shown = |value: &Value| if value.is_null() { counted(unit, absent) } else { figure(unit, value) };
    amount(words, (bound(old)?, bound(new)?), (shown(old), shown(new)), more)
}

fn amount(words: &str, (old, new): (f64, f64), (was, is): (String, String), more: Direction) -> Said {
    let less = if more == Direction::Widens { Direction::Narrows } else { Direction::Widens };
    let direction = match new.partial_cmp(&old)? {
        std::cmp::Ordering::Greater => more,
        std::cmp::Ordering::Less => less,
        std::cmp::Ordering::Equal => Direction::Neither,
    };
    // "40 -> 400 USD": the unit once.
    let was = is.rsplit_once(' ').and_then(|(_, unit)| was.strip_suffix(&format!(" {unit}"))).unwrap_or(&was);
    Some(vec![(direction, format!("{words}: {was} -> {is}"))])
}

fn listed(
    (gained, wider): (&str, Direction),
    (lost, narrower): (&str, Direction),
    (old, new): (&Value, &Value),
) -> Said {
    let (old, new) = (words(old)?, words(new)?);
    let more = new.difference(&old).map(|word| (wider, format!("{gained} {word}")));
    let mut said: Vec<_> = more.chain(old.difference(&new).map(|word| (narrower, format!("{lost} {word}")))).collect();
    if said.is_empty() {
        said.push((Direction::Neither, "the same, in another order".to_owned()));
    }
    Some(said)
}

fn words(value: &Value) -> Option<BTreeSet<String>> {
    match value {
        Value::Null => Some(BTreeSet::new()),
        Value::Array(items) => Some(items.iter().map(plain).collect()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

/// Every value of a document by its path; a list is one value.
pub(super) fn leaves(document: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(value, &format!("{path}{dot}{name}"), out);
                }
            }
            value => {
                out.insert(path.to_owned(), value.clone());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(document, "", &mut out);
    out
}

/// The value at a path; null where there is none.
pub(super) fn lookup<'a>(document: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(document, |value, name| value.get(name).unwrap_or(&Value::Null))
}

pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str().and_then(length_ms).map(|ms| ms as f64))
}

fn figure(unit: Unit, value: &Value) -> String {
    match (unit, value.as_f64()) {
        (Unit::Usd | Unit::Count, Some(number)) => counted(unit, number),
        (Unit::Time, _) | (_, None) => plain(value),
    }
}

/// `1,000 USD`.
fn counted(unit: Unit, number: f64) -> String {
    let text = format!("{number}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    let usd = if unit == Unit::Usd { " USD" } else { "" };
    format!("{grouped}{fraction}{usd}")
}

/// A value in one line, as it was written.
pub(super) fn plain(value: &Value) -> String {
    const MOST: usize = 120;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).chain(['…']).collect() }
}
