//! Rust text taken apart: code on one side, comments and literals on the other. Enough of a lexer to count with, not
//! a parser: it knows strings, raw strings, characters, lifetimes and nested comments, and no grammar.

/// A string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Where it starts, from 1.
    pub line: usize,
    /// What is between its quotes, as written.
    pub text: String,
}

/// Text taken apart.
#[derive(Debug, Clone, Default)]
pub struct Scanned {
    /// The same lines and columns, with comments, literals and all that is not ASCII blanked.
    pub code: String,
    /// The string literals, in order.
    pub literals: Vec<Literal>,
}

impl Scanned {
    /// The line of a position in `code`, from 1.
    pub fn line_at(&self, position: usize) -> usize {
        line_at(self.code.as_bytes(), position)
    }

    /// Where `pattern` stands in the code, whole.
    pub fn find_all(&self, pattern: &str) -> Vec<usize> {
        whole(&self.code, pattern).collect()
    }
}

/// Where `word` stands in `text`, and not merely as a part of a longer one.
pub(crate) fn whole<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let joined = move |at: usize| at > 0 && at < bytes.len() && is_word(bytes[at - 1]) && is_word(bytes[at]);
    let places = text.match_indices(word).map(|(at, _)| at);
    places.filter(move |at| !joined(*at) && !joined(at + word.len()))
}

/// Whether a byte can be part of a name.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The line of a position, from 1.
pub(crate) fn line_at(text: &[u8], position: usize) -> usize {
    1 + text[..position].iter().filter(|byte| **byte == b'\n').count()
}

enum Piece {
    Code,
    Blank,
    Text { from: usize, to: usize },
}

/// Takes `text` apart.
pub fn scan(text: &str) -> Scanned {
    let bytes = text.as_bytes();
    let (mut code, mut literals, mut at) = (Vec::with_capacity(bytes.len()), Vec::new(), 0);
    while at < bytes.len() {
        let (piece, end) = piece(bytes, at);
        let keeps = matches!(piece, Piece::Code);
        let blank = |byte: &u8| if (keeps && byte.is_ascii()) || *byte == b'\n' { *byte } else { b' ' };
        code.extend(bytes[at..end].iter().map(blank));
        if let Piece::Text { from, to } = piece {
            let text = String::from_utf8_lossy(&bytes[from..to]).into_owned();
            literals.push(Literal { line: line_at(bytes, at), text });
        }
        at = end;
    }
    Scanned { code: String::from_utf8(code).expect("every byte is ASCII"), literals }
}

fn piece(bytes: &[u8], at: usize) -> (Piece, usize) {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
            (Piece::Blank, end)
        }
        [b'/', b'*', ..] => (Piece::Blank, comment_end(bytes, at)),
        [b'"', ..] => {
            let end = quoted_end(bytes, at + 1);
            (Piece::Text { from: at + 1, to: end.saturating_sub(1).max(at + 1) }, end)
        }
        [b'\'', ..] => character(bytes, at),
        [first, ..] if is_word(*first) => {
            let word = rest.iter().take_while(|byte| is_word(**byte)).count();
            raw_string(bytes, at, word).unwrap_or((Piece::Code, at + word))
        }
        _ => (Piece::Code, at + 1),
    }
}

fn comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    bytes.len()
}

fn quoted_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character, or else a lifetime's quote.
fn character(bytes: &[u8], at: usize) -> (Piece, usize) {
    let rest = &bytes[at + 1..];
    let close = if rest.first() == Some(&b'\\') {
        rest.iter().skip(2).position(|byte| *byte == b'\'').map(|length| length + 2)
    } else {
        let width = rest.iter().skip(1).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count() + 1;
        (rest.get(width) == Some(&b'\'')).then_some(width)
    };
    close.map_or((Piece::Code, at + 1), |length| (Piece::Blank, at + 1 + length + 1))
}

/// A raw string, if the word at `at` is the prefix of one.
fn raw_string(bytes: &[u8], at: usize, word: usize) -> Option<(Piece, usize)> {
    if !matches!(&bytes[at..at + word], b"r" | b"br" | b"cr") {
        return None;
    }
    let hashes = bytes[at + word..].iter().take_while(|byte| **byte == b'#').count();
    let from = at + word + hashes + 1;
    if bytes.get(from - 1) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'#'; hashes + 1];
    closing[0] = b'"';
    let length = bytes[from..].windows(hashes + 1).position(|window| window == closing);
    let to = length.map_or(bytes.len(), |length| from + length);
    Some((Piece::Text { from, to }, (to + hashes + 1).min(bytes.len())))
}
