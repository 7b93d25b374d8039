//! Words that a person types, read into what they mean or refused with what may be typed instead.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use domain::control::ControlEvent;
use domain::event::Event;
use domain::principal::Autonomy;
use domain::session::Phase;
use serde::de::DeserializeOwned;

/// By what cost is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// By agent.
    Agent,
    /// By model.
    Model,
    /// By capability.
    Tool,
    /// By session.
    Session,
    /// By who owns the agent.
    Owner,
}

impl By {
    /// As the server takes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            By::Agent => "agent",
            By::Model => "model",
            By::Tool => "tool",
            By::Session => "session",
            By::Owner => "owner",
        }
    }
}

/// A length of time back from now, `30m`, `24h`, `7d`, or a day, `2026-11-01`.
#[derive(Debug, Clone)]
pub(crate) struct Since(String);

impl Since {
    /// As the server takes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Since {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix(['m', 'h', 'd']).and_then(|number| number.parse::<u32>().ok());
        let day = format!("{text}T00:00Z").parse::<domain::clock::Timestamp>().is_ok();
        let known = number.is_some() || day;
        known.then(|| Since(text.to_owned())).ok_or_else(|| "write 30m, 24h, 7d or 2026-11-01".to_owned())
    }
}

/// A length of time: `90s`, `10m`, `1h`.
pub(super) fn length(text: &str) -> Result<Duration, String> {
    let ms = domain::clock::length_ms(text).and_then(|ms| u64::try_from(ms).ok());
    ms.map(Duration::from_millis).ok_or_else(|| "write 90s, 10m or 1h".to_owned())
}

/// A session's phase.
pub(super) fn phase(text: &str) -> Result<Phase, String> {
    named(text, "ready, running, suspended, finished, failed or killed")
}

/// How much an agent may do on its own.
pub(super) fn autonomy(text: &str) -> Result<Autonomy, String> {
    named(text, "shadow, supervised or autonomous")
}

/// A cursor of the feed.
pub(super) fn cursor(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let word = !text.is_empty() && text.bytes().all(plain);
    word.then(|| text.to_owned()).ok_or_else(|| "write the cursor of an event, or now".to_owned())
}

/// Kinds of events, between commas.
pub(super) fn kinds(text: &str) -> Result<String, String> {
    let known = || Event::KINDS.iter().chain(ControlEvent::KINDS);
    match text.split(',').find(|kind| !known().any(|one| one == kind)) {
        None => Ok(text.to_owned()),
        Some(_) => Err(format!("kinds are {}", known().copied().collect::<Vec<_>>().join(", "))),
    }
}

/// A key's id.
pub(super) fn key_id(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| text.to_owned()).ok_or_else(|| "a key's id has letters and digits: see `ostler key list`".to_owned())
}

/// A word of the domain, as it is written everywhere else.
fn named<T: DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("write {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_and_a_unit() {
        assert!(Since::from_str("30m").is_ok() && Since::from_str("7d").is_ok());
        assert!(Since::from_str("2026-11-01").is_ok());
        for wrong in ["", "h", "24", "-1h", "1y", "1h&by=x"] {
            assert_eq!(Since::from_str(wrong).unwrap_err(), "write 30m, 24h, 7d or 2026-11-01", "{wrong}");
        }
    }

    #[test]
    fn kinds_of_events_are_read_or_listed() {
        assert_eq!(kinds("finished,applied"), Ok("finished,applied".to_owned()));
        assert!(kinds("finished,gone").unwrap_err().starts_with("kinds are session_started, "));
        assert!(cursor("AQ-_9").is_ok() && cursor("a&follow=true").is_err() && cursor("").is_err());
    }

    #[test]
    fn words_of_the_domain_are_read_or_listed() {
        assert_eq!(length("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(length("10"), Err("write 90s, 10m or 1h".to_owned()));
        assert_eq!(phase("suspended"), Ok(Phase::Suspended));
        assert_eq!(phase("asleep"), Err("write ready, running, suspended, finished, failed or killed".to_owned()));
        assert_eq!(autonomy("autonomous"), Ok(Autonomy::Autonomous));
    }
}
