//! Days and amounts as the demo's files write them: `2026-09-15` and `4180.00`.

use std::fmt;
use std::iter::Sum;

use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A calendar day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars", inline, with = "String", description = "A day such as 2026-09-15")]
#[schemars(extend("format" = "date"))]
#[serde(try_from = "String", into = "String")]
pub(super) struct Day(i64);

impl Day {
    /// Days from `earlier` to this day; negative if it lies after.
    pub(super) fn since(self, earlier: Day) -> i64 {
        self.0 - earlier.0
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_day(&text).ok_or_else(|| format!("`{text}` is not a day: write it as 2026-09-15"))
    }
}

fn parse_day(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let found = Day(days_from_civil(year, month, day));
    // Printing it again is the proof that month and day exist.
    (parts.next().is_none() && found.to_string() == text).then_some(found)
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

/// `2026-09-15`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Days since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let (era, day_of_era) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = (month_from_march + 2) % 12 + 1;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// An amount in cents; a number of dollars in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars", inline, with = "f64", description = "US dollars")]
#[serde(try_from = "String", into = "f64")]
pub(super) struct Cents(pub(super) i64);

impl TryFrom<String> for Cents {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('.')
            .filter(|(whole, rest)| !whole.is_empty() && rest.len() == 2 && digits(whole) && digits(rest))
            .and_then(|(whole, rest)| format!("{whole}{rest}").parse().ok())
            .map(Cents)
            .ok_or_else(|| format!("`{text}` is not an amount: write it as 4180.00"))
    }
}

impl From<Cents> for f64 {
    fn from(cents: Cents) -> Self {
        cents.0 as f64 / 100.0
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Cents>>(amounts: I) -> Self {
        Cents(amounts.map(|cents| cents.0).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cents, Day};

    fn day(text: &str) -> Result<Day, String> {
        Day::try_from(text.to_owned())
    }

    #[test]
    fn days_are_counted_across_months_and_leap_years() {
        assert_eq!(day("1970-01-01").unwrap(), Day(0));
        assert_eq!(day("2026-10-01").unwrap().since(day("2026-09-30").unwrap()), 1);
        assert_eq!(day("2028-03-01").unwrap().since(day("2028-02-28").unwrap()), 2);
        assert_eq!(day("2026-01-01").unwrap().since(day("2026-12-31").unwrap()), -364);
    }

    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        for text in
            ["2026-02-29", "2026-13-01", "2026-00-10", "26-09-01", "2026-9-1", "2026-09-01-01", "+026-01-01", ""]
        {
            assert!(day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_to_the_cent_and_answered_in_dollars() {
        let amount = Cents::try_from("4180.07".to_owned()).unwrap();
        assert_eq!(amount, Cents(418_007));
        assert_eq!(serde_json::to_string(&amount).unwrap(), "4180.07");
        for text in ["4180", "4180.1", "4,180.00", ".50", "-1.00", "1.0x"] {
            assert!(Cents::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
