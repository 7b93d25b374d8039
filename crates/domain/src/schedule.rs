//! Schedules: a cron expression of five fields in a time zone, and the instants at which it falls due. What must not
//! be known here: what is started then. The zones are those compiled in, so every machine counts alike.
//!
//! Where clocks change (croner, after Vixie cron): an expression that names its hours falls due once, at the first of
//! two equal hours, or right after a gap that swallowed it; one with `*` or a step in its hours goes on counting.

use std::fmt;
use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 200;

/// When something falls due, again and again.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Arc<Cron>,
    source: Box<str>,
    zone: TimeZone,
    zone_name: Option<Box<str>>,
}

/// What cannot be a schedule, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Its five fields.
    #[error("`{shown}` is not a cron expression: {reason}")]
    Cron {
        /// The beginning of what was written.
        shown: String,
        /// What is wrong.
        reason: String,
    },
    /// Its time zone.
    #[error("`{0}` is not a time zone")]
    Zone(String),
    /// It never falls due.
    #[error("`{0}` never falls due")]
    Never(String),
}

/// Equal as written.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.zone_name == other.zone_name
    }
}

/// From when on a schedule is searched for its first instant, to see that there is one: 2024 was a leap year.
const SOME_LEAP_YEAR: Timestamp = Timestamp(1_704_067_200_000);

impl Schedule {
    /// Reads five fields (minute, hour, day of month, month, day of week), in an IANA time zone or else in UTC.
    ///
    /// # Errors
    /// What is no cron expression, no time zone, or never falls due, such as 30 February.
    pub fn parse(cron: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let shown: String = cron.chars().take(60).collect();
        let wrong = |reason: &str| ScheduleError::Cron { shown: shown.clone(), reason: reason.to_owned() };
        let fields = cron.split_whitespace().count();
        if cron.len() > MAX_LENGTH {
            return Err(wrong("it is too long"));
        }
        if fields != 5 {
            return Err(wrong(&format!(
                "it has {fields} fields, not five: minute hour day-of-month month day-of-week"
            )));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).map_err(|error| wrong(&error.to_string()))?;
        let time_zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.chars().take(60).collect()))?,
        };
        let schedule =
            Schedule { cron: Arc::new(parsed), source: cron.into(), zone: time_zone, zone_name: zone.map(Into::into) };
        match schedule.after(SOME_LEAP_YEAR) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(shown)),
        }
    }

    /// The first instant after this one at which it falls due; `None` beyond what calendars hold.
    pub fn after(&self, instant: Timestamp) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_millisecond(instant.0).ok()?.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        let next = Timestamp(next.timestamp().as_second().checked_mul(1000)?);
        (next > instant).then_some(next)
    }

    /// The next few instants after this one.
    pub fn next(&self, instant: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.after(instant), |last| self.after(*last)).take(count).collect()
    }

    /// The five fields, as they were written.
    pub fn cron(&self) -> &str {
        &self.source
    }

    /// The time zone, where one was written; else UTC.
    pub fn zone(&self) -> Option<&str> {
        self.zone_name.as_deref()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.zone().unwrap_or("UTC"))
    }
}
