//! Expressions: one small subset of CEL (Common Expression Language, cel-spec `doc/langdef.md`): paths, literals,
//! lists, comparisons, `in`, `&& || !`, `startsWith`, `endsWith`, `+ - *`. Parsed and checked once, evaluated over
//! JSON, bounded in length and depth. What must not be known here: where an expression is written, what it decides.
//!
//! A path that is not there is an error and never a default: whoever asks treats an error as *unknown*.

mod evaluate;
mod parse;
mod token;
mod written;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use evaluate::{EvaluateError, Evaluated};

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 1000;

/// A valid expression, with the text it was read from. Serialized as that text.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    source: Box<str>,
    tree: Tree,
}

/// An expression that could not be read: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// The byte at which it is wrong.
    pub offset: usize,
    /// What is wrong, in one sentence.
    pub message: String,
}

impl ExpressionError {
    fn at(offset: usize, message: impl Into<String>) -> Self {
        ExpressionError { offset, message: message.into() }
    }
}

impl Expression {
    /// Reads an expression in which paths may begin with these names only.
    ///
    /// # Errors
    /// Says at which byte it is not an expression of the subset, or names something else.
    pub fn parse(text: &str, roots: &[&str]) -> Result<Self, ExpressionError> {
        let expression: Expression = text.parse()?;
        match expression.tree.foreign_root(roots) {
            None => Ok(expression),
            Some((offset, name)) => {
                let known = roots.iter().map(|root| format!("`{root}`")).collect::<Vec<_>>().join(", ");
                Err(ExpressionError::at(offset, format!("`{name}` is not known here; paths begin with {known}")))
            }
        }
    }

    /// The text it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it is made of.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What it joins by `&&`, each as an expression of its own: it is true where all of them are.
    pub fn clauses(&self) -> Vec<Expression> {
        let mut all = Vec::new();
        self.tree.clauses(&mut all);
        all
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        Ok(Expression { source: text.into(), tree: parse::parse(text)? })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Serialize for Expression {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What an expression is made of. Prints as an expression that reads back as the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Words.
    Text(Box<str>),
    /// A list that is written out.
    List(Vec<Tree>),
    /// A path's first name, and where it stands.
    Root(usize, Box<str>),
    /// A field of something.
    Field(Box<Tree>, Box<str>),
    /// An item of a list, or a field of a mapping.
    Index(Box<Tree>, Box<Tree>),
    /// `!`.
    Not(Box<Tree>),
    /// `-` before something.
    Negate(Box<Tree>),
    /// Two, joined.
    Binary(Operator, Box<Tree>, Box<Tree>),
}

/// What joins two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `||`.
    Or,
    /// `&&`.
    And,
    /// `==`.
    Equal,
    /// `!=`.
    Unequal,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `in`.
    In,
    /// `+`.
    Plus,
    /// `-`.
    Minus,
    /// `*`.
    Times,
    /// `TEXT.startsWith(TEXT)`.
    StartsWith,
    /// `TEXT.endsWith(TEXT)`.
    EndsWith,
}

impl Tree {
    fn clauses(&self, into: &mut Vec<Expression>) {
        match self {
            Tree::Binary(Operator::And, left, right) => {
                left.clauses(into);
                right.clauses(into);
            }
            clause => into.push(Expression { source: clause.to_string().into(), tree: clause.clone() }),
        }
    }

    /// The first path that begins with none of these names.
    fn foreign_root(&self, roots: &[&str]) -> Option<(usize, &str)> {
        match self {
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => None,
            Tree::Root(offset, name) => (!roots.contains(&&**name)).then_some((*offset, &**name)),
            Tree::List(items) => items.iter().find_map(|item| item.foreign_root(roots)),
            Tree::Field(of, _) | Tree::Not(of) | Tree::Negate(of) => of.foreign_root(roots),
            Tree::Index(left, right) | Tree::Binary(_, left, right) => {
                left.foreign_root(roots).or_else(|| right.foreign_root(roots))
            }
        }
    }
}
