//! When a budget's windows begin and end: full hours and midnights of a time zone, UTC unless another is named. A day
//! on which clocks change is as long as people there find it. It must not know what is counted.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{RoundMode, ToSpan, Unit, ZonedRound};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Window;
use crate::clock::Timestamp;

/// The time zone that windows are reckoned in: an IANA name such as `Europe/Madrid`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone(Option<TimeZone>);

/// A text that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone: an IANA name such as Europe/Madrid or America/New_York")]
pub struct UnknownZone(String);

/// One window: from its start until its end, which is the start of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start: Timestamp,
    /// When the next begins; [`Timestamp`] of `i64::MAX` for one that never ends.
    pub end: Timestamp,
}

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone(None);

    /// The window that holds `now`. A session is one window without an end.
    pub fn span(&self, window: Window, now: Timestamp) -> Span {
        if window == Window::Session {
            return Span { start: Timestamp(0), end: Timestamp(i64::MAX) };
        }
        self.local(window, now).unwrap_or_else(|| {
            let start = window.start(now);
            Span { start, end: start.plus_ms(window.length_ms()) }
        })
    }

    /// The span by this zone's clocks; `None` in UTC, and for instants that no calendar holds.
    fn local(&self, window: Window, now: Timestamp) -> Option<Span> {
        let zoned = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned(self.0.clone()?);
        let (start, end) = match window {
            Window::Day => {
                let start = zoned.start_of_day().ok()?;
                let end = start.checked_add(1.day()).ok()?.start_of_day().ok()?;
                (start, end)
            }
            Window::Hour => {
                let start = zoned.round(ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc)).ok()?;
                let end = start.checked_add(1.hour()).ok()?;
                (start, end)
            }
            Window::Session => return None,
        };
        Some(Span {
            start: Timestamp(start.timestamp().as_millisecond()),
            end: Timestamp(end.timestamp().as_millisecond()),
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC"))
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == "UTC" {
            return Ok(Zone::UTC);
        }
        let shown: String = name.chars().take(64).filter(|c| !c.is_control()).collect();
        TimeZone::get(name).map(|zone| Zone(Some(zone))).map_err(|_| UnknownZone(shown))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, Zone};
    use crate::budget::Window;
    use crate::clock::Timestamp;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn span(start: &str, end: &str) -> Span {
        Span { start: at(start), end: at(end) }
    }

    #[test]
    fn windows_are_utc_unless_a_zone_is_named() {
        let now = at("2026-03-28T23:30:15Z");
        assert_eq!(Zone::UTC.span(Window::Hour, now), span("2026-03-28T23:00:00Z", "2026-03-29T00:00:00Z"));
        assert_eq!(Zone::UTC.span(Window::Day, now), span("2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z"));
        assert_eq!("UTC".parse::<Zone>().unwrap(), Zone::default());
        assert_eq!(Zone::UTC.to_string(), "UTC");
    }

    #[test]
    fn a_day_on_which_clocks_change_is_as_long_as_people_find_it() {
        let madrid: Zone = "Europe/Madrid".parse().unwrap();
        assert_eq!(
            madrid.span(Window::Day, at("2026-03-28T23:30:15Z")),
            span("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            "23 hours"
        );
        assert_eq!(
            madrid.span(Window::Day, at("2026-10-25T12:00:00Z")),
            span("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            "25 hours"
        );
        let repeated = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"].map(|now| madrid.span(Window::Hour, at(now)));
        assert_eq!(repeated[0].end, repeated[1].start, "2 o'clock comes twice, and is two windows");
    }

    #[test]
    fn an_hour_begins_when_the_clocks_of_the_zone_show_a_full_one() {
        let kolkata: Zone = "Asia/Kolkata".parse().unwrap();
        let now = at("2026-11-22T10:15:00Z");
        assert_eq!(kolkata.span(Window::Hour, now), span("2026-11-22T09:30:00Z", "2026-11-22T10:30:00Z"));
        assert_eq!(kolkata.to_string(), "Asia/Kolkata");
        assert!("Europe/Madird".parse::<Zone>().is_err());
    }

    #[test]
    fn a_session_is_one_window_without_an_end() {
        let Span { start, end } = Zone::UTC.span(Window::Session, at("2026-11-22T10:15:00Z"));
        assert_eq!((start, end), (Timestamp(0), Timestamp(i64::MAX)));
    }
}
