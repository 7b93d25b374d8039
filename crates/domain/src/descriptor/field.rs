//! How a mapping is read: each of its fields is declared once, with its type, and that declaration reads it, writes it
//! and describes it in the schema, so the three cannot disagree. What must not be known here: which fields there are.
//!
//! ```text
//! Field<T> ──▶ Fields::required/optional ──▶ T::read      Node  → T, or findings
//!    │     ──▶ Writer::put               ──▶ T::write     T     → canonical JSON
//!    └ row() ─▶ Mapping::schema          ──▶ T::schema    JSON Schema
//! ```

use std::marker::PhantomData;
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::diagnostic::{Finding, MAX_FINDINGS};
use super::node::{Content, Node, shown};

/// What a descriptor can hold: read from a node, written as JSON, described by a schema.
pub(super) trait Shape: Sized {
    /// The value, or `None` and a finding.
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self>;
    /// The canonical form; reading it gives the same value.
    fn write(&self) -> Value;
    /// What is accepted.
    fn schema() -> Value;
}

/// The state of reading one file: what was found wrong, and where it is reading.
pub(super) struct Reading<'a> {
    /// The texts of the files that the descriptor refers to.
    pub(super) attachments: &'a dyn Fn(&str) -> Option<String>,
    pub(super) findings: Vec<Finding>,
    /// The fields that lead here, each with where its key was written.
    path: Vec<(String, Range<usize>)>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(attachments: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Reading { attachments, findings: Vec::new(), path: Vec::new() }
    }

    /// Notes that something is wrong; the message is led by the path of the field.
    pub(super) fn wrong(&mut self, finding: Finding) {
        if self.findings.len() == MAX_FINDINGS {
            return;
        }
        let mut path = String::new();
        for (part, _) in &self.path {
            let dot = if path.is_empty() || part.starts_with('[') { "" } else { "." };
            path = format!("{path}{dot}{part}");
        }
        let colon = if path.is_empty() { "" } else { ": " };
        self.findings.push(Finding { message: format!("{path}{colon}{}", finding.message), ..finding });
    }

    /// Notes that a value is not what it should be.
    pub(super) fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let at = if node.is_nothing() { self.key_at(node) } else { node.at.clone() };
        self.wrong(Finding::new(&at, format!("expected {what}, found {}", node.found())));
        None
    }

    /// Notes that a value is meant for later.
    pub(super) fn not_yet<T>(&mut self, at: &Range<usize>, what: &str) -> Option<T> {
        let finding = Finding::new(at, format!("`{}` is not yet supported", shown(what)));
        self.wrong(finding.help("it is a known key of the format, and does nothing today: leave it out"));
        None
    }

    /// Reads one step further in.
    pub(super) fn within<T>(&mut self, step: &str, at: &Range<usize>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push((shown(step), at.clone()));
        let read = read(self);
        self.path.pop();
        read
    }

    /// Where the key of what is being read was written, or else the node itself.
    fn key_at(&self, node: &Node) -> Range<usize> {
        self.path.last().map_or_else(|| node.at.clone(), |(_, at)| at.clone())
    }
}

/// A field of a mapping: its name, and the type it is read as.
pub(super) struct Field<T> {
    name: &'static str,
    about: &'static str,
    required: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: Shape> Field<T> {
    /// A field that may be left out.
    pub(super) const fn new(name: &'static str, about: &'static str) -> Self {
        Field { name, about, required: false, of: PhantomData }
    }

    /// A field that must be there.
    pub(super) const fn required(name: &'static str, about: &'static str) -> Self {
        Field { name, about, required: true, of: PhantomData }
    }

    /// The field as a row of its mapping's table.
    pub(super) const fn row(&self) -> Row {
        Row { name: self.name, about: self.about, required: self.required, schema: T::schema }
    }
}

/// A field without its type.
pub(super) struct Row {
    pub(super) name: &'static str,
    about: &'static str,
    required: bool,
    schema: fn() -> Value,
}

/// The table of a mapping: what it may hold, and what it will hold one day.
pub(super) struct Mapping {
    pub(super) rows: &'static [Row],
    pub(super) not_yet: &'static [&'static str],
}

impl Mapping {
    /// Opens a node as this mapping: notes keys that are unknown, not yet supported or missing.
    pub(super) fn open<'n>(&self, node: &'n Node, reading: &mut Reading<'_>) -> Option<Fields<'n>> {
        let Content::Map(entries) = &node.content else {
            return reading.expected(node, &format!("a mapping with {}", self.names().join(", ")));
        };
        for entry in entries {
            let key = entry.key.as_str();
            if self.not_yet.contains(&key) {
                let _: Option<()> = reading.not_yet(&entry.key_at, key);
            } else if !self.rows.iter().any(|row| row.name == key) {
                let finding = Finding::new(&entry.key_at, format!("unknown field `{}`", shown(key)));
                reading.wrong(finding.among(key, &self.names()));
            }
        }
        for row in self.rows.iter().filter(|row| row.required && node.get(row.name).is_none()) {
            let at = reading.key_at(node);
            reading.wrong(Finding::new(&at, format!("`{}` is missing", row.name)).help(row.about));
        }
        Some(Fields { node })
    }

    fn names(&self) -> Vec<&'static str> {
        self.rows.iter().map(|row| row.name).collect()
    }

    /// The schema of this mapping.
    pub(super) fn schema(&self) -> Value {
        let mut properties = Map::new();
        for row in self.rows {
            let mut schema = (row.schema)();
            if let Value::Object(map) = &mut schema {
                map.insert("description".to_owned(), row.about.into());
            }
            properties.insert(row.name.to_owned(), schema);
        }
        let required: Vec<_> = self.rows.iter().filter(|row| row.required).map(|row| row.name).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }
}

/// A mapping that was opened.
pub(super) struct Fields<'n> {
    node: &'n Node,
}

impl<'n> Fields<'n> {
    /// A field that must be there; its absence was noted on opening.
    pub(super) fn required<T: Shape>(&self, field: &Field<T>, reading: &mut Reading<'_>) -> Option<T> {
        self.optional(field, reading).flatten()
    }

    /// A field that may be left out: `Some(None)` where it is, `None` where what is there is wrong.
    pub(super) fn optional<T: Shape>(&self, field: &Field<T>, reading: &mut Reading<'_>) -> Option<Option<T>> {
        let Content::Map(entries) = &self.node.content else { return Some(None) };
        let Some(entry) = entries.iter().find(|entry| entry.key == field.name) else { return Some(None) };
        reading.within(field.name, &entry.key_at, |reading| T::read(&entry.value, reading)).map(Some)
    }

    /// Notes that a field does not go with the others.
    pub(super) fn senseless<T, R>(
        &self,
        field: &Field<T>,
        why: &str,
        help: &str,
        reading: &mut Reading<'_>,
    ) -> Option<R> {
        reading.wrong(Finding::new(&self.at(field), format!("`{}` {why}", field.name)).help(help));
        None
    }

    /// Where a field's key was written, or else the mapping.
    pub(super) fn at<T>(&self, field: &Field<T>) -> Range<usize> {
        let Content::Map(entries) = &self.node.content else { return self.node.at.clone() };
        let entry = entries.iter().find(|entry| entry.key == field.name);
        entry.map_or_else(|| self.node.at.clone(), |entry| entry.key_at.clone())
    }
}

/// Writes a mapping's canonical form.
#[derive(Default)]
pub(super) struct Writer(Map<String, Value>);

impl Writer {
    pub(super) fn put<T: Shape>(mut self, field: &Field<T>, value: &T) -> Self {
        self.0.insert(field.name.to_owned(), value.write());
        self
    }

    pub(super) fn put_some<T: Shape>(self, field: &Field<T>, value: Option<&T>) -> Self {
        match value {
            Some(value) => self.put(field, value),
            None => self,
        }
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }
}
