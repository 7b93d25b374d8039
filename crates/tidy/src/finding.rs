//! What a rule found, and what kept it from looking. It knows no rule.

use std::fmt;

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, in one word: what an exception names.
    pub rule: &'static str,
    /// Relative to the root, with `/`.
    pub path: String,
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub said: String,
}

impl Finding {
    /// A finding at a line, or at 0 for the whole file.
    pub fn new(rule: &'static str, path: &str, line: usize, said: impl Into<String>) -> Self {
        Finding { rule, path: path.to_owned(), line, said: said.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {} [{}]", self.path, self.said, self.rule),
            line => write!(f, "{}:{line}: {} [{}]", self.path, self.said, self.rule),
        }
    }
}

/// Why the tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// A file or directory that cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// `cargo metadata` did not answer with what it documents.
    #[error("cargo metadata: {0}")]
    Metadata(String),
}
