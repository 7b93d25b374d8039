//! Time and randomness, passed in: the only file in the house that reads either.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This instant and `ms` later; saturates.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; negative if it lies after.
    pub const fn since_ms(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T07:54:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

/// An instant that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant with its offset, such as 2026-12-01T09:00Z or 2026-12-01T10:00+01:00")]
pub struct NotAnInstant(String);

/// RFC 3339; seconds may be left out.
impl FromStr for Timestamp {
    type Err = NotAnInstant;
    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        let read = text.parse::<jiff::Timestamp>().map_err(|_| NotAnInstant(text.chars().take(60).collect()))?;
        Ok(Timestamp(read.as_millisecond()))
    }
}

/// The units of a length of time, each in milliseconds.
pub const UNITS: [(&str, i64); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

/// A length of time in milliseconds: a whole number that is not 0, and `s`, `m`, `h` or `d`.
pub fn length_ms(text: &str) -> Option<i64> {
    UNITS.iter().find_map(|(unit, ms)| {
        let digits = text.strip_suffix(unit)?;
        let count = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<i64>().ok()? } else { 0 };
        count.checked_mul(*ms).filter(|ms| *ms > 0)
    })
}

/// Year, month and day of a count of days since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Where time and randomness come from: the machine, or a simulation.
pub trait Clock: Send + Sync + 'static {
    /// The time of day. It may jump; whoever needs order takes the shard's monotone time from a record.
    fn now(&self) -> Timestamp;

    /// Milliseconds of a clock that never goes back; only differences mean anything.
    fn monotonic_ms(&self) -> i64;

    /// Fills `bytes` with randomness fit for keys.
    fn fill_random(&self, bytes: &mut [u8]);

    /// 128 random bits.
    fn random_u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill_random(&mut bytes);
        u128::from_be_bytes(bytes)
    }
}

/// The machine's own clock and random generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    fn monotonic_ms(&self) -> i64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = START.get_or_init(std::time::Instant::now);
        i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        use ring::rand::SecureRandom;
        ring::rand::SystemRandom::new().fill(bytes).expect("the operating system gives randomness");
    }
}

/// Measures how long something took, finer than milliseconds. For benchmarks: nothing that is decided or recorded
/// depends on one.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn start() -> Self {
        Stopwatch(std::time::Instant::now())
    }

    /// How long ago it was started.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, length_ms};

    #[test]
    fn an_instant_is_read_with_its_offset() {
        for text in ["2026-11-22T08:00Z", "2026-11-22T08:00:00Z", "2026-11-22T09:00+01:00", "2026-11-22T08:00:00.000Z"]
        {
            assert_eq!(text.parse(), Ok(Timestamp(1_795_334_400_000)), "{text}");
        }
        for text in ["2026-11-22T08:00", "2026-11-22", "tomorrow", "", "2026-13-01T00:00Z"] {
            assert!(text.parse::<Timestamp>().unwrap_err().to_string().contains("such as"), "{text}");
        }
    }

    #[test]
    fn a_length_of_time_has_a_number_and_a_unit() {
        assert_eq!(
            (length_ms("90s"), length_ms("2h"), length_ms("1d")),
            (Some(90_000), Some(7_200_000), Some(86_400_000))
        );
        for wrong in ["", "h", "0s", "2", "-2h", "1.5h", "2 h", "2w", "99999999999999999999d"] {
            assert_eq!(length_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_timestamp_prints_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_400_123).to_string(), "2000-02-29T00:00:00.123Z");
        assert_eq!(Timestamp(1_795_334_400_000).to_string(), "2026-11-22T08:00:00.000Z");
    }
}
