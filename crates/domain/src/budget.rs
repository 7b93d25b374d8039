//! What is metered, and what a call holds while it is in flight.

mod calendar;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use calendar::{Span, UnknownZone, Zone};

use crate::clock::Timestamp;
use crate::id::{IdError, Name, SessionId};

/// What a budget counts, and in which unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Money, in micro-dollars.
    UsdMicros,
    /// Requests through either door.
    Calls,
    /// Model tokens, input and output.
    Tokens,
    /// Requests through the gateway.
    ExternalActions,
    /// Wake to sleep less waiting on doors, in milliseconds.
    ComputeMs,
}

/// How long a budget's window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From the full hour.
    Hour,
    /// From midnight.
    Day,
    /// From a session's first message, for good.
    Session,
}

impl Window {
    /// Its length in milliseconds, where clocks do not change.
    pub const fn length_ms(self) -> i64 {
        match self {
            Window::Hour => 3_600_000,
            Window::Day => 86_400_000,
            Window::Session => i64::MAX,
        }
    }

    /// When the window that holds `now` began, in UTC.
    pub const fn start(self, now: Timestamp) -> Timestamp {
        Timestamp(now.0 - now.0.rem_euclid(self.length_ms()))
    }
}

impl Meter {
    /// Every meter, and its word.
    pub const WORDS: [(Meter, &'static str); 5] = [
        (Meter::UsdMicros, "usd_micros"),
        (Meter::Calls, "calls"),
        (Meter::Tokens, "tokens"),
        (Meter::ExternalActions, "external_actions"),
        (Meter::ComputeMs, "compute_ms"),
    ];
}

impl Window {
    /// Every window, and its word.
    pub const WORDS: [(Window, &'static str); 3] =
        [(Window::Hour, "hour"), (Window::Day, "day"), (Window::Session, "session")];
}

/// Whose budget it is. Prints as `agent/NAME`, `owner/NAME`, `session/ID`, `grant/NAME` or `tool/AGENT/TOOL`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// All sessions of an agent.
    Agent(Name),
    /// All agents that a group answers for.
    Owner(Name),
    /// One session, with everything that it delegates.
    Session(SessionId),
    /// What a standing grant allows without asking, for good.
    Grant(Name),
    /// All sessions of an agent, as far as they use one of its tools.
    Tool {
        /// The agent.
        agent: Name,
        /// The tool, by the name that the agent knows it by.
        tool: Name,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Agent(name) => write!(f, "agent/{name}"),
            Subject::Owner(name) => write!(f, "owner/{name}"),
            Subject::Session(root) => write!(f, "session/{root}"),
            Subject::Grant(id) => write!(f, "grant/{id}"),
            Subject::Tool { agent, tool } => write!(f, "tool/{agent}/{tool}"),
        }
    }
}

impl FromStr for Subject {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || {
            IdError::new(text, "whose budget it is (agent/NAME, owner/NAME, session/ID, grant/NAME or tool/AGENT/TOOL)")
        };
        match text.split_once('/').ok_or_else(wrong)? {
            ("agent", name) => Ok(Subject::Agent(name.parse()?)),
            ("owner", name) => Ok(Subject::Owner(name.parse()?)),
            ("session", root) => Ok(Subject::Session(root.parse()?)),
            ("grant", id) => Ok(Subject::Grant(id.parse()?)),
            ("tool", of) => {
                let (agent, tool) = of.split_once('/').ok_or_else(wrong)?;
                Ok(Subject::Tool { agent: agent.parse()?, tool: tool.parse()? })
            }
            _ => Err(wrong()),
        }
    }
}

/// One budget: whose, of what, per what. Prints as `agent/NAME/usd_micros_per_day`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BudgetKey {
    /// Whose it is.
    #[serde(flatten)]
    pub subject: Subject,
    /// What it counts.
    pub meter: Meter,
    /// Per what.
    pub window: Window,
}

impl BudgetKey {
    /// A budget of an agent.
    pub const fn of_agent(agent: Name, meter: Meter, window: Window) -> Self {
        BudgetKey { subject: Subject::Agent(agent), meter, window }
    }
}

fn word_of<T: PartialEq>(words: &[(T, &'static str)], of: &T) -> &'static str {
    words.iter().find(|(each, _)| each == of).map_or("", |(_, word)| word)
}

fn of_word<T: Copy>(words: &[(T, &'static str)], word: &str) -> Option<T> {
    words.iter().find(|(_, each)| *each == word).map(|(of, _)| *of)
}

impl fmt::Display for BudgetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BudgetKey { subject, meter, window } = self;
        write!(f, "{subject}/{}_per_{}", word_of(&Meter::WORDS, meter), word_of(&Window::WORDS, window))
    }
}

impl FromStr for BudgetKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(text, "a budget (agent/NAME/METER_per_WINDOW)");
        let (subject, what) = text.rsplit_once('/').ok_or_else(wrong)?;
        let (meter, window) = what.split_once("_per_").ok_or_else(wrong)?;
        let meter = of_word(&Meter::WORDS, meter).ok_or_else(wrong)?;
        let window = of_word(&Window::WORDS, window).ok_or_else(wrong)?;
        Ok(BudgetKey { subject: subject.parse().map_err(|_| wrong())?, meter, window })
    }
}

/// An amount held in one window of one budget, in the meter's unit. Prints as `BUDGET@START=AMOUNT`, the start in
/// milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which budget.
    pub budget: BudgetKey,
    /// When the window began.
    pub window_start: Timestamp,
    /// How much.
    pub amount: i64,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}={}", self.budget, self.window_start.0, self.amount)
    }
}

impl FromStr for Hold {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(text, "a hold (BUDGET@START=AMOUNT)");
        let (budget, held) = text.split_once('@').ok_or_else(wrong)?;
        let (start, amount) = held.split_once('=').ok_or_else(wrong)?;
        let window_start = Timestamp(start.parse().map_err(|_| wrong())?);
        Ok(Hold { budget: budget.parse()?, window_start, amount: amount.parse().map_err(|_| wrong())? })
    }
}

/// What a call came to, on every meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Micro-dollars.
    pub usd_micros: i64,
    /// Requests through a door.
    pub calls: i64,
    /// Model tokens, input and output.
    pub tokens: i64,
    /// Requests through the gateway.
    pub external_actions: i64,
    /// Milliseconds of the runtime's own work.
    pub compute_ms: i64,
}

impl Amounts {
    /// The amount on one meter.
    pub const fn on(&self, meter: Meter) -> i64 {
        match meter {
            Meter::UsdMicros => self.usd_micros,
            Meter::Calls => self.calls,
            Meter::Tokens => self.tokens,
            Meter::ExternalActions => self.external_actions,
            Meter::ComputeMs => self.compute_ms,
        }
    }

    /// Meter by meter, the sum; saturates.
    #[must_use]
    pub const fn plus(&self, other: &Amounts) -> Amounts {
        Amounts {
            usd_micros: self.usd_micros.saturating_add(other.usd_micros),
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            external_actions: self.external_actions.saturating_add(other.external_actions),
            compute_ms: self.compute_ms.saturating_add(other.compute_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BudgetKey, Hold, Meter, Subject, Window};
    use crate::clock::Timestamp;
    use crate::id::SessionId;

    fn subjects() -> [Subject; 5] {
        let name = || "finance-day".parse().unwrap();
        [
            Subject::Agent(name()),
            Subject::Owner(name()),
            Subject::Session(SessionId::from_u128(7)),
            Subject::Grant(name()),
            Subject::Tool { agent: name(), tool: "email-draft".parse().unwrap() },
        ]
    }

    #[test]
    fn a_hold_prints_and_parses_back() {
        for subject in subjects() {
            for (meter, _) in Meter::WORDS {
                for (window, _) in Window::WORDS {
                    let budget = BudgetKey { subject: subject.clone(), meter, window };
                    let hold = Hold { budget, window_start: Timestamp(1_795_305_600_000), amount: 59_936 };
                    assert_eq!(hold.to_string().parse(), Ok(hold));
                }
            }
        }
        for wrong in [
            "",
            "agent/a/calls_per_hour@1",
            "agent/a/calls_per_year@1=2",
            "agent/a/calls_per_hour@1=x",
            "team/a/calls_per_hour@1=2",
            "tool/a/calls_per_hour@1=2",
            "calls_per_hour@1=2",
        ] {
            assert!(wrong.parse::<Hold>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_stores_have_of_an_agents_budget_is_read_for_ever() {
        let key = BudgetKey::of_agent("a".parse().unwrap(), Meter::UsdMicros, Window::Day);
        assert_eq!("agent/a/usd_micros_per_day".parse(), Ok(key.clone()));
        let kept = r#"{"agent":"a","meter":"usd_micros","window":"day"}"#;
        assert_eq!(serde_json::from_str::<BudgetKey>(kept).unwrap(), key);
        assert_eq!(serde_json::to_string(&key).unwrap(), kept);
        for subject in subjects() {
            let key = BudgetKey { subject, meter: Meter::Tokens, window: Window::Hour };
            let written = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<BudgetKey>(&written).unwrap(), key, "{written}");
        }
    }
}
