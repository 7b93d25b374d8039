//! The functions of a file, with their lines and parameters. It reads code that `scan` has blanked, by its brackets.

use crate::scan::{Scanned, is_word, line_at};

/// One function that has a body or a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where `fn` stands, from 1.
    pub line: usize,
    /// From `fn` to the closing brace, both included.
    pub lines: usize,
    /// `self` is not counted.
    pub parameters: usize,
    /// Whether it has a body.
    pub body: bool,
}

/// All functions of a file, those inside others too.
pub fn functions(source: &Scanned) -> Vec<Function> {
    source.find_all("fn").into_iter().filter_map(|at| function(source.code.as_bytes(), at)).collect()
}

fn function(code: &[u8], start: usize) -> Option<Function> {
    let at = skip_space(code, start + 2);
    let named = |byte: &&u8| is_word(**byte) || **byte == b'$';
    let length = code[at..].iter().take_while(named).count();
    if length == 0 {
        return None; // a type, as in `f: fn(u8) -> u8`
    }
    let name = String::from_utf8_lossy(&code[at..at + length]).into_owned();
    let mut open = skip_space(code, at + length);
    if code.get(open) == Some(&b'<') {
        open = skip_space(code, closing(code, open)? + 1);
    }
    if code.get(open) != Some(&b'(') {
        return None;
    }
    let close = closing(code, open)?;
    let parameters = parameters(&code[open + 1..close]);
    let (end, body) = end_of(code, close + 1)?;
    let line = line_at(code, start);
    Some(Function { name, line, lines: line_at(code, end) - line + 1, parameters, body })
}

fn skip_space(code: &[u8], at: usize) -> usize {
    at + code[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// How a byte moves the depth of brackets; the `>` of an arrow moves nothing.
fn step(code: &[u8], at: usize) -> i32 {
    match code[at] {
        b'(' | b'[' | b'{' | b'<' => 1,
        b'>' if at > 0 && matches!(code[at - 1], b'-' | b'=') => 0,
        b')' | b']' | b'}' | b'>' => -1,
        _ => 0,
    }
}

/// Where the bracket opened at `open` is closed. For types and signatures; bodies have comparisons in them.
fn closing(code: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0;
    (open..code.len()).find(|at| {
        depth += step(code, *at);
        depth == 0
    })
}

fn parameters(list: &[u8]) -> usize {
    let (mut depth, mut from, mut count) = (0, 0, 0);
    for at in 0..=list.len() {
        let ends = at == list.len() || (depth == 0 && list[at] == b',');
        if ends {
            let one = String::from_utf8_lossy(&list[from..at]);
            let pattern = one.split(':').next().unwrap_or_default();
            let is_self = pattern.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "self");
            count += usize::from(!one.trim().is_empty() && !is_self);
            from = at + 1;
        } else {
            depth += step(list, at);
        }
    }
    count
}

/// The end of what follows the parameters, and whether it is a body.
fn end_of(code: &[u8], from: usize) -> Option<(usize, bool)> {
    let mut depth = 0;
    for at in from..code.len() {
        match code[at] {
            b';' if depth == 0 => return Some((at, false)),
            b'{' if depth == 0 => return closing_brace(code, at).map(|end| (end, true)),
            _ => depth += step(code, at),
        }
    }
    None
}

fn closing_brace(code: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0;
    (open..code.len()).find(|at| {
        depth += match code[*at] {
            b'{' => 1,
            b'}' => -1,
            _ => 0,
        };
        depth == 0
    })
}
