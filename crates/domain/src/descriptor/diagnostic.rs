//! What is wrong with what a person wrote: where, why, and what they may have meant. Renders as text that points at
//! the line. What must not be known here: what a descriptor is.

use std::fmt;
use std::ops::Range;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::{Deserialize, Serialize};

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// The first byte in the file.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// What is wrong, beginning with the field where there is one.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The nearest valid word, where one is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

impl Diagnostic {
    pub(super) fn new(file: &str, text: &str, finding: Finding) -> Self {
        let (line, column) = position(text, finding.at.start);
        Diagnostic {
            file: file.to_owned(),
            line,
            column,
            offset: finding.at.start,
            length: finding.at.len(),
            message: finding.message,
            help: finding.help,
            nearest: finding.nearest,
        }
    }

    /// A report for people, with the lines of `source` that it is about. No colour.
    pub fn render(&self, source: &str) -> String {
        self.render_with(source, GraphicalTheme::unicode_nocolor())
    }

    /// The same, with colour.
    pub fn render_in_colour(&self, source: &str) -> String {
        self.render_with(source, GraphicalTheme::unicode())
    }

    fn render_with(&self, source: &str, theme: GraphicalTheme) -> String {
        let report = Report { diagnostic: self, text: NamedSource::new(&self.file, source.to_owned()) };
        let mut out = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
        match handler.render_report(&mut out, &report) {
            Ok(()) => out,
            Err(fmt::Error) => self.to_string(),
        }
    }
}

/// One line: `FILE:LINE:COLUMN: message (help)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl std::error::Error for Diagnostic {}

/// Line and column of a byte, both from 1; the column counts characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The most findings that are kept of one file: a person reads the first few, and each costs a walk over the text.
pub(super) const MAX_FINDINGS: usize = 100;

/// Something wrong, before it is known in which file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) nearest: Option<String>,
}

impl Finding {
    pub(super) fn new(at: &Range<usize>, message: impl Into<String>) -> Self {
        Finding { at: at.clone(), message: message.into(), help: None, nearest: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which of `known` comes nearest to what was written, or lists them where none is near.
    pub(super) fn among(mut self, written: &str, known: &[&str]) -> Self {
        self.nearest = nearest(written, known);
        self.help = Some(match &self.nearest {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        });
        self
    }
}

/// The known word that a misspelt one most likely stands for.
fn nearest(written: &str, known: &[&str]) -> Option<String> {
    // Beyond this length it is no misspelling, and comparing would cost the square of it.
    if written.len() > 80 {
        return None;
    }
    let lower = written.to_lowercase().replace('-', "_");
    let score = |word: &str| strsim::jaro_winkler(&lower, &word.to_lowercase().replace('-', "_"));
    let scored = known.iter().map(|word| (score(word), *word));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.75).then(|| best.1.to_owned())
}

/// A diagnostic together with its source, as miette wants it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .diagnostic.message)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    text: NamedSource<String>,
}

impl miette::Diagnostic for Report<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        // A span that leaves the text would hide the whole source.
        let size = self.text.inner().len();
        let start = self.diagnostic.offset.min(size);
        let length = self.diagnostic.length.min(size - start);
        Some(Box::new(std::iter::once(LabeledSpan::new(Some("here".to_owned()), start, length))))
    }
}
