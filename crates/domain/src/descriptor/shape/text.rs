//! Texts, words, names, expressions. Texts are taken as they are written: `no` and `2026-02-14` are texts; a number or
//! a truth value where a text belongs must be quoted.

use serde_json::{Value, json};

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Reading, Shape};
use crate::descriptor::node::{Content, Node, Plain, shown};
use crate::expression::{Expression, MAX_LENGTH};
use crate::id::Name;

/// The text of a node, where it is one.
pub(in crate::descriptor) fn text<'n>(node: &'n Node, what: &str, reading: &mut Reading<'_>) -> Option<&'n str> {
    match &node.content {
        Content::Quoted(text) => Some(text),
        Content::Plain(text) => match Plain::of(text) {
            Plain::Text => Some(text),
            Plain::Null => reading.expected(node, what),
            Plain::Bool(_) | Plain::Number => {
                let finding = Finding::new(&node.at, format!("expected {what}, found {}", node.found()));
                reading.wrong(finding.help(format!("put it in quotes: \"{}\"", shown(text))));
                None
            }
        },
        Content::List(_) | Content::Map(_) => reading.expected(node, what),
    }
}

/// A text of 1 to `MAX` characters.
pub(in crate::descriptor) struct Text<const MAX: usize>(pub(in crate::descriptor) String);

impl<const MAX: usize> Shape for Text<MAX> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let text = text(node, "a text", reading)?;
        let length = text.chars().count();
        if text.trim().is_empty() {
            reading.wrong(Finding::new(&node.at, "this text is empty"));
            None
        } else if length > MAX {
            reading
                .wrong(Finding::new(&node.at, format!("this text has {length} characters; at most {MAX} are taken")));
            None
        } else {
            Some(Text(text.to_owned()))
        }
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "\\S", "maxLength": MAX})
    }
}

/// What a [`Word`] looks like, as ECMA-262 writes it.
pub(in crate::descriptor) const WORD_PATTERN: &str = r"^[^\s\u0000-\u001f\u007f-\u009f]+$";

/// One word of 1 to 200 characters: no white space, no control characters. Ids that others gave out.
pub(in crate::descriptor) struct Word(pub(in crate::descriptor) String);

impl Word {
    pub(in crate::descriptor) fn fits(text: &str) -> bool {
        (1..=200).contains(&text.chars().count()) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    }
}

impl Shape for Word {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let what = "a word of 1 to 200 characters without spaces";
        let text = text(node, what, reading)?;
        if Word::fits(text) { Some(Word(text.to_owned())) } else { reading.expected(node, what) }
    }

    fn write(&self) -> Value {
        self.0.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": WORD_PATTERN, "maxLength": 200})
    }
}

impl Shape for Name {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "a name", reading)?;
        if let Ok(name) = written.parse() {
            return Some(name);
        }
        let message = format!("`{}` is not a name", shown(written));
        let rule = "1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit";
        let finding = Finding::new(&node.at, message);
        reading.wrong(match corrected(written) {
            Some(near) => Finding { nearest: Some(near.clone()), ..finding.help(format!("such as `{near}`: {rule}")) },
            None => finding.help(rule),
        });
        None
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"})
    }
}

/// The name that somebody who wrote this may have meant.
fn corrected(written: &str) -> Option<String> {
    let dashed = written.trim().to_lowercase().replace(['_', ' ', '.', '/'], "-");
    let near: String = dashed.chars().take(63).collect();
    near.trim_matches('-').parse::<Name>().ok().map(|name| name.to_string())
}

/// Reads an expression whose paths begin with one of `roots`.
pub(in crate::descriptor) fn read_expression(
    node: &Node,
    roots: &[&str],
    reading: &mut Reading<'_>,
) -> Option<Expression> {
    let what = format!("an expression over {}", roots.join(", "));
    // A bare number is an expression too; quoting it would only be in the way.
    let written = match &node.content {
        Content::Plain(text) | Content::Quoted(text) if !node.is_nothing() => text,
        Content::Plain(_) | Content::Quoted(_) | Content::List(_) | Content::Map(_) => {
            return reading.expected(node, &what);
        }
    };
    match Expression::parse(written, roots) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let finding =
                Finding::new(&node.at, format!("{} (at byte {} of the expression)", error.message, error.offset));
            reading.wrong(finding.help(format!("such as `{}.amount_usd`", roots.first().unwrap_or(&"args"))));
            None
        }
    }
}

/// The schema of an expression.
pub(in crate::descriptor) fn expression_schema() -> Value {
    json!({"type": ["string", "number", "boolean"], "maxLength": MAX_LENGTH})
}

/// An expression over `input`: the JSON object that a session is started with.
pub(in crate::descriptor) struct OverInput(pub(in crate::descriptor) Expression);

impl Shape for OverInput {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        read_expression(node, &["input"], reading).map(OverInput)
    }

    fn write(&self) -> Value {
        self.0.source().into()
    }

    fn schema() -> Value {
        expression_schema()
    }
}
