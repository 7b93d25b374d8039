//! How long files and functions are. Comments and tests count: whoever reads has to pass them too.

use crate::finding::Finding;
use crate::function::functions;
use crate::tree::Tree;

const RULE: &str = "sizes";
/// Half of the files are shorter than this.
pub const HALF: usize = 200;
/// Nine in ten are shorter than this.
pub const NINE_IN_TEN: usize = 400;
/// None is longer than this.
pub const LONGEST: usize = 600;
/// From `fn` to the closing brace.
pub const FUNCTION_LINES: usize = 60;
/// `self` not counted.
pub const PARAMETERS: usize = 5;
/// The one page that everybody reads.
const ARCHITECTURE: (&str, usize) = ("ARCHITECTURE.md", 200);

/// The lengths of all Rust files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lengths {
    /// How many files.
    pub files: usize,
    /// Lines in all of them.
    pub lines: usize,
    /// The length in the middle.
    pub median: usize,
    /// Nine in ten are no longer.
    pub ninetieth: usize,
    /// The longest file and its lines.
    pub longest: (String, usize),
}

/// Measures.
pub fn lengths(tree: &Tree) -> Lengths {
    let mut all: Vec<(usize, &str)> = tree.rust().map(|(file, _)| (file.lines(), file.path.as_str())).collect();
    all.sort_unstable();
    let at = |hundredths: usize| all.get((all.len() * hundredths).div_ceil(100).saturating_sub(1));
    Lengths {
        files: all.len(),
        lines: all.iter().map(|(lines, _)| lines).sum(),
        median: at(50).map_or(0, |(lines, _)| *lines),
        ninetieth: at(90).map_or(0, |(lines, _)| *lines),
        longest: all.last().map(|(lines, path)| ((*path).to_owned(), *lines)).unwrap_or_default(),
    }
}

/// Files and functions that are too long, and functions with too many parameters.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lengths = lengths(tree);
    if lengths.median >= HALF {
        let said = format!("the median file has {} lines; half have to stay under {HALF}", lengths.median);
        findings.push(Finding::new(RULE, "crates", 0, said));
    }
    if lengths.ninetieth >= NINE_IN_TEN {
        let said = format!("the ninth file in ten has {} lines; it has to stay under {NINE_IN_TEN}", lengths.ninetieth);
        findings.push(Finding::new(RULE, "crates", 0, said));
    }
    for page in tree.files.iter().filter(|file| file.path == ARCHITECTURE.0 && file.lines() > ARCHITECTURE.1) {
        let said = format!("{} lines; at most {}: who reads it once?", page.lines(), ARCHITECTURE.1);
        findings.push(Finding::new(RULE, &page.path, 0, said));
    }
    for (file, source) in tree.rust() {
        if file.lines() > LONGEST {
            findings.push(Finding::new(RULE, &file.path, 0, format!("{} lines; at most {LONGEST}", file.lines())));
        }
        for function in functions(source) {
            if function.lines > FUNCTION_LINES {
                let said = format!("`{}` has {} lines; at most {FUNCTION_LINES}", function.name, function.lines);
                findings.push(Finding::new(RULE, &file.path, function.line, said));
            }
            if function.parameters > PARAMETERS {
                let said = format!("`{}` has {} parameters; at most {PARAMETERS}", function.name, function.parameters);
                findings.push(Finding::new(RULE, &file.path, function.line, said));
            }
        }
    }
    findings
}
