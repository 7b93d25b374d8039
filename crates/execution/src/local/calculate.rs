//! Exact arithmetic for a model that cannot count: fractions of whole numbers, so that `0.1 + 0.2` is `0.3` and no cent
//! is lost. `+ - * /`, decimals and parentheses.

use serde_json::Value;

/// The longest expression, in bytes.
const LONGEST: usize = 1000;
/// How deep parentheses may go.
const DEEPEST: u32 = 50;
/// How many digits an answer has after the point when it does not come out even.
const DIGITS: u32 = 10;

/// The value of `{"expression": "2 + 3 * 4"}`, as text.
pub(super) fn perform(arguments: &Value) -> Result<String, String> {
    let text = arguments.get("expression").and_then(Value::as_str).ok_or("`expression` must be a string")?;
    if text.len() > LONGEST {
        return Err(format!("the expression has {} bytes; {LONGEST} are the most", text.len()));
    }
    let mut parser = Parser { text: text.as_bytes(), at: 0, depth: 0 };
    let value = parser.sum()?;
    match parser.peek() {
        None => Ok(value.to_string()),
        Some(_) => Err(parser.unexpected()),
    }
}

/// A fraction in lowest terms; the denominator is above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    over: i128,
    under: i128,
}

const TOO_LARGE: &str = "the numbers grow too large to compute exactly";

impl Fraction {
    fn new(over: i128, under: i128) -> Result<Self, String> {
        if under == 0 {
            return Err("something is divided by zero".to_owned());
        }
        let by = gcd(over.unsigned_abs(), under.unsigned_abs()).max(1);
        let by = i128::try_from(by).ok().and_then(|by| by.checked_mul(under.signum())).ok_or(TOO_LARGE)?;
        let divided = |number: i128| number.checked_div(by).ok_or(TOO_LARGE);
        Ok(Fraction { over: divided(over)?, under: divided(under)? })
    }

    fn plus(self, other: Self) -> Result<Self, String> {
        let left = self.over.checked_mul(other.under).ok_or(TOO_LARGE)?;
        let right = other.over.checked_mul(self.under).ok_or(TOO_LARGE)?;
        let under = self.under.checked_mul(other.under).ok_or(TOO_LARGE)?;
        Self::new(left.checked_add(right).ok_or(TOO_LARGE)?, under)
    }

    fn times(self, other: Self) -> Result<Self, String> {
        let over = self.over.checked_mul(other.over).ok_or(TOO_LARGE)?;
        Self::new(over, self.under.checked_mul(other.under).ok_or(TOO_LARGE)?)
    }

    fn negative(self) -> Result<Self, String> {
        Ok(Fraction { over: self.over.checked_neg().ok_or(TOO_LARGE)?, ..self })
    }

    fn inverse(self) -> Result<Self, String> {
        Self::new(self.under, self.over)
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.over < 0 { "-" } else { "" };
        let (over, under) = (self.over.unsigned_abs(), self.under.unsigned_abs());
        let (whole, mut rest) = (over / under, over % under);
        let mut digits = String::new();
        for _ in 0..DIGITS {
            if rest == 0 {
                break;
            }
            let Some(next) = rest.checked_mul(10) else { break };
            digits.push(char::from(b'0' + u8::try_from(next / under).unwrap_or(0)));
            rest = next % under;
        }
        let point = if digits.is_empty() { "" } else { "." };
        let more = if rest == 0 { "" } else { " (cut off)" };
        write!(f, "{sign}{whole}{point}{digits}{more}")
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn unexpected(&self) -> String {
        let rest = String::from_utf8_lossy(&self.text[self.at.min(self.text.len())..]).into_owned();
        let rest: String = rest.chars().take(20).collect();
        let what = if rest.is_empty() { "it ends too early".to_owned() } else { format!("{rest:?} is not expected") };
        format!(
            "the expression cannot be read: {what} at character {}; write numbers, + - * / and parentheses",
            self.at + 1
        )
    }

    fn sum(&mut self) -> Result<Fraction, String> {
        let mut value = self.product()?;
        while let Some(sign @ (b'+' | b'-')) = self.peek() {
            self.at += 1;
            let next = self.product()?;
            value = value.plus(if sign == b'-' { next.negative()? } else { next })?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Fraction, String> {
        let mut value = self.factor()?;
        while let Some(sign @ (b'*' | b'/')) = self.peek() {
            self.at += 1;
            let next = self.factor()?;
            value = value.times(if sign == b'/' { next.inverse()? } else { next })?;
        }
        Ok(value)
    }

    fn factor(&mut self) -> Result<Fraction, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("parentheses and signs are nested more than {DEEPEST} deep"));
        }
        let value = match self.peek() {
            Some(b'-') => {
                self.at += 1;
                self.factor()?.negative()?
            }
            Some(b'(') => {
                self.at += 1;
                let value = self.sum()?;
                if self.peek() != Some(b')') {
                    return Err(self.unexpected());
                }
                self.at += 1;
                value
            }
            _ => self.number()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn number(&mut self) -> Result<Fraction, String> {
        let (mut over, mut under, mut digits, mut after_point) = (0_i128, 1_i128, 0, false);
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'0'..=b'9' => {
                    over = over
                        .checked_mul(10)
                        .and_then(|over| over.checked_add(i128::from(byte - b'0')))
                        .ok_or(TOO_LARGE)?;
                    under = if after_point { under.checked_mul(10).ok_or(TOO_LARGE)? } else { under };
                    digits += 1;
                }
                b'.' if !after_point => after_point = true,
                _ => break,
            }
            self.at += 1;
        }
        if digits == 0 { Err(self.unexpected()) } else { Fraction::new(over, under) }
    }
}

#[cfg(test)]
mod tests {
    use super::perform;
    use serde_json::json;

    fn value(expression: &str) -> Result<String, String> {
        perform(&json!({ "expression": expression }))
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(value("0.1 + 0.2").unwrap(), "0.3");
        assert_eq!(value("(1040.50 - 3 * 12.25) * 1.21").unwrap(), "1214.5375");
        assert_eq!(value("-2*-(3+4)/7").unwrap(), "2");
        assert_eq!(value("1/3").unwrap(), "0.3333333333 (cut off)");
    }

    const LEAST: &str = "-(-170141183460469231731687303715884105727-1)";
    const OVER_LEAST: &str = "1/(-170141183460469231731687303715884105727-1)";

    #[test]
    fn what_cannot_be_computed_says_why() {
        for wrong in
            ["", "1 +", "(1", "1)", "a", "1..2", "1/0", "1/(2-2)", LEAST, OVER_LEAST, &"(".repeat(80), &"9".repeat(60)]
        {
            assert!(value(wrong).is_err(), "{wrong}");
        }
    }
}
