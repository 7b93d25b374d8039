//! Texts as lists of tokens that compare equal where a person would say that they are the same: words in any case,
//! numbers however they are written, addresses as a whole, days in any notation. No meaning is guessed.

use serde_json::Value;

/// The longest text that is taken apart, in bytes; what is behind it was not heard.
const MAX_TEXT: usize = 256 * 1024;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// One thing that a text says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token {
    /// A word, in small letters.
    Word(Box<str>),
    /// A number, without signs of currency, thousands and trailing zeros.
    Number(Box<str>),
    /// Something with a dot, a slash, an underscore or an @ in it: an address, a path, a file's name. It is compared as
    /// a whole, so that no part of it passes for another.
    Address(Box<str>),
    /// A day; without a year it is that day of any year.
    Day(Day),
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day {
    /// The year, where it was said.
    pub year: Option<u16>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Day {
    /// Whether both may mean the same day.
    pub fn fits(self, other: Day) -> bool {
        let years = self.year.zip(other.year).is_none_or(|(one, two)| one == two);
        years && (self.month, self.day) == (other.month, other.day)
    }
}

/// What a text says, in order.
pub fn tokens(text: &str) -> Vec<Token> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    let lower = text.to_lowercase();
    let chunks: Vec<&str> = chunks(&lower);
    let mut said = Vec::with_capacity(chunks.len());
    let mut at = 0;
    while at < chunks.len() {
        if let Some((day, taken)) = day(&chunks[at..]) {
            said.push(Token::Day(day));
            at += taken;
            continue;
        }
        chunk(chunks[at], &mut said);
        at += 1;
    }
    said
}

/// What one value of arguments or of an answer says. An instant is its day: what hour of a day is agent's business.
pub fn value_tokens(value: &Value) -> Vec<Token> {
    match value {
        Value::String(text) => match instant(text) {
            Some(day) => vec![Token::Day(day)],
            None => tokens(text),
        },
        Value::Number(number) => {
            let written = number.to_string();
            vec![number_of(&written).unwrap_or(Token::Word(written.into()))]
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Vec::new(),
    }
}

/// The addresses in a text by which somebody can be reached or paid: of pages, mailboxes and accounts.
pub fn addresses(said: &[Token]) -> impl Iterator<Item = &Token> {
    said.iter().filter(|token| match token {
        Token::Address(text) => text.contains('@') || has_host(text),
        Token::Word(word) => is_account(word),
        Token::Number(_) | Token::Day(_) => false,
    })
}

/// Whether it begins with what may be a host: `name.tld`, before any path.
fn has_host(text: &str) -> bool {
    let host = text.split(['/', ':', '?', '#']).next().unwrap_or(text);
    host.rsplit_once('.').is_some_and(|(name, end)| {
        !name.is_empty() && end.len() >= 2 && end.chars().all(char::is_alphabetic) && !host.contains('_')
    })
}

/// Whether it has the form of an IBAN (ISO 13616).
fn is_account(word: &str) -> bool {
    let bytes = word.as_bytes();
    (14..=34).contains(&bytes.len())
        && bytes[..2].iter().all(u8::is_ascii_alphabetic)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
}

fn chunks(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let ends = |at: usize, c: char| match c {
        // Within a number it is a sign of thousands.
        ',' => !(at > 0 && digit(at - 1) && (1..=3).all(|next| digit(at + next)) && !digit(at + 4)),
        '"' | '“' | '”' | '‘' | '’' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | ';' | '—' | '…' => {
            true
        }
        _ => c.is_whitespace(),
    };
    let mut found = Vec::new();
    let mut from = 0;
    for (at, c) in text.char_indices().filter(|(at, c)| ends(*at, *c)) {
        found.push(&text[from..at]);
        from = at + c.len_utf8();
    }
    found.push(&text[from..]);
    found.into_iter().map(trimmed).filter(|chunk| !chunk.is_empty()).collect()
}

fn trimmed(chunk: &str) -> &str {
    let marks = |c: char| matches!(c, '.' | ',' | ':' | ';' | '!' | '?' | '\'' | '*' | '_' | '#' | '~' | '=' | '-');
    chunk.trim_matches(marks)
}

fn chunk(chunk: &str, said: &mut Vec<Token>) {
    if let Some(number) = number_of(chunk) {
        said.push(number);
    } else if is_address(chunk) {
        said.push(Token::Address(bare(chunk).into()));
    } else {
        let words = chunk.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        said.extend(words.map(|word| number_of(word).unwrap_or_else(|| Token::Word(word.into()))));
    }
}

/// A number, whatever it is written like. More digits than a sum of money has are a name, and zeros before it, too.
fn number_of(chunk: &str) -> Option<Token> {
    let bare = chunk.trim_start_matches(['$', '€', '£', '+']).trim_end_matches(['$', '€', '£', '%']);
    let digits: String = bare.chars().filter(|c| *c != ',').collect();
    let (whole, rest) = digits.split_once('.').unwrap_or((&digits, ""));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let named = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || whole.len() > 15 || named || rest.len() > 15 || !plain(whole) || !plain(rest) {
        return None;
    }
    let digits = if rest.is_empty() { digits.as_str() } else { digits.trim_end_matches('0').trim_end_matches('.') };
    Some(Token::Number(digits.trim_end_matches('.').into()))
}

fn is_address(chunk: &str) -> bool {
    let dotted = || {
        let mut parts = chunk.split('.').peekable();
        let mut before = parts.next().unwrap_or_default();
        parts.any(|part| {
            let word = |text: &str| text.chars().last().is_some_and(char::is_alphanumeric);
            let run: String = part.chars().take_while(|c| c.is_alphanumeric()).collect();
            let is = word(before) && run.chars().any(char::is_alphabetic);
            before = part;
            is
        })
    };
    chunk.contains(['@', '/', '\\', '_']) || dotted()
}

/// An address without what may be left out of it.
fn bare(chunk: &str) -> &str {
    let rest = ["mailto:", "https://", "http://"].iter().find_map(|scheme| chunk.strip_prefix(scheme)).unwrap_or(chunk);
    rest.strip_prefix("www.").unwrap_or(rest).trim_end_matches('/')
}

/// The day that a text as a whole is an instant of (ISO 8601).
fn instant(text: &str) -> Option<Day> {
    let text = text.trim();
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let is_time = time.len() <= 20 && time.chars().all(|c| c.is_ascii_digit() || ":.+-Z".contains(c));
    iso(date).filter(|_| is_time)
}

fn iso(chunk: &str) -> Option<Day> {
    let mut parts = chunk.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    (year.len() == 4 && parts.next().is_none()).then_some(())?;
    valid(Some(year.parse().ok()?), month.parse().ok()?, day.parse().ok()?)
}

fn valid(year: Option<u16>, month: u8, day: u8) -> Option<Day> {
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Day { year, month, day })
}

/// A day at the head of chunks, and how many of them say it: `2025-01-11`, `january 11th 2025`, `11th of january`.
fn day(chunks: &[&str]) -> Option<(Day, usize)> {
    let first = chunks.first()?;
    let date = first.split_once('t').map_or(*first, |(date, _)| date);
    if let Some(day) = iso(date) {
        return Some((day, 1));
    }
    let year = |at: usize| {
        chunks.get(at).filter(|year| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok()
    };
    if let Some(month) = month(first) {
        let day = ordinal(chunks.get(1)?)?;
        let year = year(2);
        return Some((valid(year, month, day)?, 2 + usize::from(year.is_some())));
    }
    let day = ordinal(first)?;
    let at = if chunks.get(1) == Some(&"of") { 2 } else { 1 };
    let month = month(chunks.get(at)?)?;
    let year = year(at + 1);
    Some((valid(year, month, day)?, at + 1 + usize::from(year.is_some())))
}

fn month(chunk: &str) -> Option<u8> {
    let is = |name: &&str| {
        *name == chunk
            || (chunk.len() == 3 && name.starts_with(chunk))
            || (chunk, **name == *"september") == ("sept", true)
    };
    MONTHS.iter().position(is).and_then(|index| u8::try_from(index + 1).ok())
}

fn ordinal(chunk: &str) -> Option<u8> {
    let end = chunk.find(|c: char| !c.is_ascii_digit()).unwrap_or(chunk.len());
    let (digits, rest) = chunk.split_at(end);
    let day = digits.parse().ok().filter(|day| (1..=31).contains(day))?;
    matches!(rest, "" | "st" | "nd" | "rd" | "th").then_some(day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Day, Token, addresses, tokens, value_tokens};

    fn word(text: &str) -> Token {
        Token::Word(text.into())
    }

    fn number(text: &str) -> Token {
        Token::Number(text.into())
    }

    fn address(text: &str) -> Token {
        Token::Address(text.into())
    }

    fn day(year: Option<u16>, month: u8, day: u8) -> Token {
        Token::Day(Day { year, month, day })
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for written in ["1200", "1,200", "1200.00", "$1,200.00", "1200.0,"] {
            assert_eq!(tokens(written), [number("1200")], "{written}");
        }
        assert_eq!(value_tokens(&json!(98.7)), tokens("98.70"));
        assert_eq!(value_tokens(&json!(10.0)), tokens("10"));
        assert_eq!(tokens("0042"), [word("0042")], "a name of digits is no number");
        assert_eq!(tokens("12345678901234567"), [word("12345678901234567")]);
    }

    #[test]
    fn an_address_is_compared_as_a_whole() {
        assert_eq!(
            tokens("see https://www.Shop.example/a/, or mail a.b@shop.example."),
            [word("see"), address("shop.example/a"), word("or"), word("mail"), address("a.b@shop.example"),]
        );
        assert_eq!(tokens("'bill-december.txt'"), [address("bill-december.txt")]);
        let text = tokens("pay DE89370400440532013000 at www.shop.example or bob@shop.example, not read_me or v1.2");
        let found: Vec<_> = addresses(&text).cloned().collect();
        assert_eq!(found, [word("de89370400440532013000"), address("shop.example"), address("bob@shop.example")]);
    }

    #[test]
    fn a_day_is_the_same_in_any_notation() {
        let said = day(Some(2025), 1, 11);
        for written in
            ["2025-01-11", "January 11th 2025", "jan 11, 2025", "the 11th of January, 2025", "11 January 2025"]
        {
            assert!(tokens(written).contains(&said), "{written}: {:?}", tokens(written));
        }
        assert_eq!(tokens("May 10th to May 13th"), [day(None, 5, 10), word("to"), day(None, 5, 13)]);
        assert_eq!(value_tokens(&json!("2025-01-11 10:00")), std::slice::from_ref(&said));
        assert_eq!(value_tokens(&json!("2025-01-11T10:00:00Z")), [said]);
        assert!(Day { year: None, month: 5, day: 1 }.fits(Day { year: Some(2024), month: 5, day: 1 }));
        assert_eq!(tokens("on June 13"), [word("on"), day(None, 6, 13)], "its 13 is no number of its own");
        assert_eq!(tokens("may I"), [word("may"), word("i")]);
    }

    #[test]
    fn any_text_is_taken_apart_without_a_panic() {
        for text in ["", ",", "1,", ",,,1,000,0", "é,漢字\u{202e}", "....", "a@", "-", "--1", "9999-99-99", "may 99"]
        {
            let _ = tokens(text);
            let _ = value_tokens(&json!(text));
        }
    }
}
