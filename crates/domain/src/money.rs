//! Money as whole micro-dollars. Arithmetic saturates or says that it cannot; it never wraps and never rounds down a cost.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdMicros(pub i64);

impl UsdMicros {
    /// No money.
    pub const ZERO: UsdMicros = UsdMicros(0);

    /// Dollars as a person or a tool wrote them, rounded up to the next micro-dollar; `None` if negative,
    /// not a number, or too large to hold.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let micros = dollars * 1e6;
        // 1e-3 of a micro-dollar: absorbs the binary error of decimal input such as 4180.10.
        let whole = (micros - 1e-3).ceil().max(0.0);
        (micros >= 0.0 && whole < 9.0e15).then_some(UsdMicros(whole as i64))
    }

    /// In dollars, for display and for protocols that want a number.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The sum; saturates.
    #[must_use]
    pub const fn plus(self, other: UsdMicros) -> Self {
        UsdMicros(self.0.saturating_add(other.0))
    }
}

/// `$12.34`, and as many further digits as the amount has.
impl fmt::Display for UsdMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        let digits = format!("{rest:06}");
        let kept = digits.trim_end_matches('0').len().max(2);
        write!(f, "{sign}${whole}.{}", &digits[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::UsdMicros;

    #[test]
    fn dollars_become_whole_micros_rounded_up() {
        assert_eq!(UsdMicros::from_dollars(4180.10), Some(UsdMicros(4_180_100_000)));
        assert_eq!(UsdMicros::from_dollars(0.000_000_4), Some(UsdMicros(1)));
        assert_eq!(UsdMicros::from_dollars(-1.0), None);
        assert_eq!(UsdMicros::from_dollars(f64::NAN), None);
        assert_eq!(UsdMicros::from_dollars(f64::INFINITY), None);
    }

    #[test]
    fn money_prints_cents_and_more_where_there_is_more() {
        assert_eq!(UsdMicros(4_180_000_000).to_string(), "$4180.00");
        assert_eq!(UsdMicros(2_300).to_string(), "$0.0023");
    }
}
