//! A choice between words; yes or no.

use serde_json::{Value, json};

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Reading, Shape};
use crate::descriptor::node::{Content, Node, Plain, shown};

/// A type whose values are words.
pub(in crate::descriptor) trait Choice: Sized + Copy + PartialEq + 'static {
    /// Each word and what it means.
    const ALL: &'static [(&'static str, Self)];
    /// Words that will mean something one day.
    const NOT_YET: &'static [&'static str] = &[];
}

/// A choice as a field.
pub(in crate::descriptor) struct Chosen<C>(pub(in crate::descriptor) C);

impl<C: Choice> Shape for Chosen<C> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let words: Vec<_> = C::ALL.iter().map(|(word, _)| *word).collect();
        let Some(written) = node.scalar().filter(|_| !node.is_nothing()) else {
            return reading.expected(node, &format!("one of {}", words.join(", ")));
        };
        if let Some((_, chosen)) = C::ALL.iter().find(|(word, _)| *word == written) {
            return Some(Chosen(*chosen));
        }
        if C::NOT_YET.contains(&written) {
            return reading.not_yet(&node.at, written);
        }
        let finding = Finding::new(&node.at, format!("`{}` is not one of {}", shown(written), words.join(", ")));
        reading.wrong(finding.among(written, &words));
        None
    }

    fn write(&self) -> Value {
        C::ALL.iter().find(|(_, one)| *one == self.0).map_or(Value::Null, |(word, _)| (*word).into())
    }

    fn schema() -> Value {
        let words: Vec<_> = C::ALL.iter().map(|(word, _)| *word).collect();
        json!({"type": "string", "enum": words})
    }
}

/// Yes or no, written `true` or `false`.
pub(in crate::descriptor) struct Truth(pub(in crate::descriptor) bool);

impl Shape for Truth {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let plain = match &node.content {
            Content::Plain(text) => Plain::of(text),
            Content::Quoted(_) | Content::List(_) | Content::Map(_) => Plain::Text,
        };
        match plain {
            Plain::Bool(truth) => Some(Truth(truth)),
            Plain::Null | Plain::Number | Plain::Text => reading.expected(node, "true or false"),
        }
    }

    fn write(&self) -> Value {
        self.0.into()
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}
