//! Text to tokens.

use super::ExpressionError;

/// The largest whole number that a double holds exactly, and its negative.
pub(super) const EXACT: f64 = 9_007_199_254_740_991.0;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
    End,
}

/// Longer signs come first, so that `<=` is not read as `<`.
const SIGNS: [&str; 18] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", ".", ",", "(", ")", "[", "]"];

/// The tokens of a text, each with the byte that it begins at; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        if c.is_ascii_whitespace() {
            at += 1;
        } else if c.is_ascii_digit() {
            found.push((start, number(text, &mut at)?));
        } else if c == '"' || c == '\'' {
            found.push((start, quoted(text, &mut at, c)?));
        } else if c.is_ascii_alphabetic() || c == '_' {
            at += text[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len() - at);
            found.push((start, Token::Word(text[start..at].to_owned())));
        } else if let Some(sign) = SIGNS.iter().find(|sign| text[at..].starts_with(**sign)) {
            at += sign.len();
            found.push((start, Token::Sign(sign)));
        } else {
            return Err(ExpressionError::at(start, unknown_sign(c)));
        }
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

fn unknown_sign(c: char) -> String {
    match c {
        '=' => "`=` is not known here; compare with `==`".to_owned(),
        '&' | '|' => format!("`{c}` is not known here; write `{c}{c}`"),
        c => format!("`{c}` is not known here"),
    }
}

fn number(text: &str, at: &mut usize) -> Result<Token, ExpressionError> {
    let start = *at;
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let digit_at = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') && digit_at(end + 1) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digit_at(signed) {
            end = digits(signed);
        }
    }
    *at = end;
    if matches!(bytes.get(end), Some(b) if b.is_ascii_alphanumeric() || *b == b'_') {
        return Err(ExpressionError::at(end, "a number ends here, but letters follow it"));
    }
    let value: f64 = text[start..end].parse().unwrap_or(f64::INFINITY);
    if value.abs() > EXACT {
        return Err(ExpressionError::at(start, "this number is too large to be exact"));
    }
    Ok(Token::Number(value))
}

fn quoted(text: &str, at: &mut usize, quote: char) -> Result<Token, ExpressionError> {
    let start = *at;
    let mut said = String::new();
    let mut rest = text[start + 1..].char_indices();
    while let Some((i, c)) = rest.next() {
        if c == quote {
            *at = start + 1 + i + c.len_utf8();
            return Ok(Token::Text(said));
        }
        if c != '\\' {
            said.push(c);
            continue;
        }
        said.push(match rest.next() {
            Some((_, 'n')) => '\n',
            Some((_, 't')) => '\t',
            Some((_, c @ ('\\' | '"' | '\''))) => c,
            Some(_) | None => {
                let message = r#"after `\` in a text, only n, t, `\`, `"` and `'` are known"#;
                return Err(ExpressionError::at(start + 1 + i, message));
            }
        });
    }
    Err(ExpressionError::at(start, "this text does not end: its closing quote is missing"))
}
