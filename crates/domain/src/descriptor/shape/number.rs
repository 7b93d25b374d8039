//! Whole numbers, money, shares, lengths of time: read from their decimal digits, never through a binary fraction.

use serde_json::{Value, json};

use crate::clock::{UNITS, length_ms};
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Reading, Shape};
use crate::descriptor::node::{Content, Node, Plain};
use crate::money::UsdMicros;

/// The most money a descriptor can say, in dollars.
const MAX_USD: i64 = 1_000_000_000;
/// The longest time a descriptor can say, in milliseconds: ten years.
const MAX_MS: i64 = 3650 * 86_400_000;

/// The digits of a plain number, scaled: `12.5` with 6 places is 12 500 000. `None` where digits would be lost.
fn scaled(text: &str, places: i64) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{rest}");
    if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i16 = exponent.parse().ok()?;
    let zeros = places + i64::from(exponent) - rest.len() as i64;
    let significant = digits.trim_start_matches('0');
    let amount: i64 = if significant.is_empty() {
        0
    } else if zeros >= 0 {
        significant.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(u32::try_from(zeros).ok()?)?)?
    } else {
        let (kept, lost) =
            significant.split_at_checked(significant.len().checked_sub(zeros.unsigned_abs() as usize)?)?;
        if kept.is_empty() || lost.contains(|c| c != '0') {
            return None;
        }
        kept.parse().ok()?
    };
    Some(if text.starts_with('-') { -amount } else { amount })
}

/// The digits of a node that is a number, scaled; `None` and a finding otherwise.
fn number(node: &Node, places: i64, what: &str, reading: &mut Reading<'_>) -> Option<i64> {
    let scaled = match &node.content {
        Content::Plain(text) if Plain::of(text) == Plain::Number => scaled(text, places),
        Content::Quoted(text) if scaled(text, places).is_some() => {
            let finding = Finding::new(&node.at, format!("expected {what}, found {}", node.found()));
            reading.wrong(finding.help(format!("write it without quotes: {text}")));
            return None;
        }
        Content::Plain(_) | Content::Quoted(_) | Content::List(_) | Content::Map(_) => None,
    };
    if scaled.is_none() { reading.expected(node, what) } else { scaled }
}

/// A whole number within bounds.
pub(in crate::descriptor) struct Whole<const MIN: i64, const MAX: i64>(pub(in crate::descriptor) i64);

impl<const MIN: i64, const MAX: i64> Shape for Whole<MIN, MAX> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let what = format!("a whole number from {MIN} to {MAX}");
        let number = number(node, 0, &what, reading)?;
        if (MIN..=MAX).contains(&number) { Some(Whole(number)) } else { reading.expected(node, &what) }
    }

    fn write(&self) -> Value {
        self.0.into()
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

impl Shape for UsdMicros {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let what = format!("US dollars from 0 to {MAX_USD} with at most 6 decimals");
        let micros = number(node, 6, &what, reading)?;
        if (0..=MAX_USD * 1_000_000).contains(&micros) {
            Some(UsdMicros(micros))
        } else {
            reading.expected(node, &what)
        }
    }

    fn write(&self) -> Value {
        if self.0 % 1_000_000 == 0 { (self.0 / 1_000_000).into() } else { self.dollars().into() }
    }

    fn schema() -> Value {
        json!({"type": "number", "minimum": 0, "maximum": MAX_USD})
    }
}

/// A share between 0 and 1, with at most 6 decimals.
pub(in crate::descriptor) struct Share(pub(in crate::descriptor) f64);

impl Shape for Share {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let what = "a share from 0 to 1 with at most 6 decimals, such as 0.95";
        let millionths = number(node, 6, what, reading)?;
        let fits = (0..=1_000_000).contains(&millionths);
        if fits { Some(Share(millionths as f64 / 1e6)) } else { reading.expected(node, what) }
    }

    fn write(&self) -> Value {
        self.0.into()
    }

    fn schema() -> Value {
        json!({"type": "number", "minimum": 0, "maximum": 1})
    }
}

/// A length of time: a whole number and `s`, `m`, `h` or `d`. In milliseconds.
pub(in crate::descriptor) struct Millis(pub(in crate::descriptor) i64);

impl Shape for Millis {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let what = "a length of time such as 30s, 15m, 4h or 2d, at most 3650d";
        let Some(written) = node.scalar() else { return reading.expected(node, what) };
        match length_ms(written) {
            Some(ms) if (1..=MAX_MS).contains(&ms) => Some(Millis(ms)),
            Some(_) | None => reading.expected(node, what),
        }
    }

    fn write(&self) -> Value {
        let whole = UNITS.iter().find(|(_, ms)| self.0 % ms == 0);
        whole.map_or_else(|| Value::Null, |(unit, ms)| format!("{}{unit}", self.0 / ms).into())
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^0*[1-9][0-9]*[smhd]$"})
    }
}
