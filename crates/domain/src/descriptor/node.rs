//! A value with its place: what YAML and JSON have in common, before it means anything.

use std::ops::Range;

use serde_json::Value;

/// A value and the bytes it was written at.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Range<usize>,
    pub(super) content: Content,
    /// How many nodes it consists of, itself included.
    pub(super) size: usize,
}

/// What a node holds. A plain scalar is kept as it was written: whoever reads it knows what it should be.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Written without quotes.
    Plain(String),
    /// Written in quotes, or as a block.
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Range<usize>,
    pub(super) value: Node,
}

/// What a plain scalar means in the core schema of YAML 1.2.2 (§10.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number,
    Text,
}

impl Node {
    pub(super) fn new(at: Range<usize>, content: Content) -> Self {
        let inner: usize = match &content {
            Content::Plain(_) | Content::Quoted(_) => 0,
            Content::List(items) => items.iter().map(|item| item.size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size).sum(),
        };
        Node { at, content, size: inner + 1 }
    }

    /// A JSON value as a node; it has no place.
    pub(super) fn of_json(json: &Value) -> Self {
        let content = match json {
            Value::Null => Content::Plain(String::new()),
            Value::Bool(truth) => Content::Plain(truth.to_string()),
            Value::Number(number) => Content::Plain(number.to_string()),
            Value::String(text) => Content::Quoted(text.clone()),
            Value::Array(items) => Content::List(items.iter().map(Node::of_json).collect()),
            Value::Object(map) => Content::Map(
                map.iter()
                    .map(|(key, value)| Entry { key: key.clone(), key_at: 0..0, value: Node::of_json(value) })
                    .collect(),
            ),
        };
        Node::new(0..0, content)
    }

    /// The value of a mapping's key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            Content::Plain(_) | Content::Quoted(_) | Content::List(_) => None,
        }
    }

    /// The text of a scalar, however it was written.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Quoted(text) => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Whether nothing was written where a value belongs.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.content, Content::Plain(text) if Plain::of(text) == Plain::Null)
    }

    /// What stands here, for a sentence that begins with "found".
    pub(super) fn found(&self) -> String {
        match &self.content {
            Content::Plain(text) => match Plain::of(text) {
                Plain::Null => "nothing".to_owned(),
                Plain::Bool(_) | Plain::Number | Plain::Text => format!("`{}`", shown(text)),
            },
            Content::Quoted(text) => format!("the text \"{}\"", shown(text)),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        }
    }
}

impl Plain {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
            "true" | "True" | "TRUE" => Plain::Bool(true),
            "false" | "False" | "FALSE" => Plain::Bool(false),
            text if is_number(text) => Plain::Number,
            _ => Plain::Text,
        }
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        }
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    digits(whole)
        && digits(rest)
        && !(whole.is_empty() && rest.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

/// What a person wrote, fit to be shown back: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut out: String =
        text.chars().take(60).flat_map(|c| if c.is_control() { '·'.into() } else { Some(c) }).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
