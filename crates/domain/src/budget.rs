//! What is metered, and what a call holds while it is in flight.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{IdError, Name};

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

/// How long a budget's window is. Windows are UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From the full hour.
    Hour,
    /// From midnight UTC.
    Day,
}

impl Window {
    /// Its length in milliseconds.
    pub const fn length_ms(self) -> i64 {
        match self {
            Window::Hour => 3_600_000,
            Window::Day => 86_400_000,
        }
    }

    /// When the window that holds `now` began.
    pub const fn start(self, now: Timestamp) -> Timestamp {
        Timestamp(now.0 - now.0.rem_euclid(self.length_ms()))
    }
}

/// One budget: whose, of what, per what. Prints as `agent/NAME/usd_micros_per_day`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BudgetKey {
    /// The agent it belongs to.
    pub agent: Name,
    /// What it counts.
    pub meter: Meter,
    /// Per what.
    pub window: Window,
}

impl fmt::Display for BudgetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meter = match self.meter {
            Meter::UsdMicros => "usd_micros",
            Meter::Calls => "calls",
            Meter::Tokens => "tokens",
            Meter::ExternalActions => "external_actions",
            Meter::ComputeMs => "compute_ms",
        };
        let window = match self.window {
            Window::Hour => "hour",
            Window::Day => "day",
        };
        write!(f, "agent/{}/{meter}_per_{window}", self.agent)
    }
}

impl FromStr for BudgetKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(text, "a budget (agent/NAME/METER_per_WINDOW)");
        let (agent, what) = text.strip_prefix("agent/").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let (meter, window) = what.split_once("_per_").ok_or_else(wrong)?;
        let meter = match meter {
            "usd_micros" => Meter::UsdMicros,
            "calls" => Meter::Calls,
            "tokens" => Meter::Tokens,
            "external_actions" => Meter::ExternalActions,
            "compute_ms" => Meter::ComputeMs,
            _ => return Err(wrong()),
        };
        let window = match window {
            "hour" => Window::Hour,
            "day" => Window::Day,
            _ => return Err(wrong()),
        };
        Ok(BudgetKey { agent: agent.parse()?, meter, window })
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
    use super::{BudgetKey, Hold, Meter, Window};
    use crate::clock::Timestamp;

    #[test]
    fn a_hold_prints_and_parses_back() {
        let meters = [Meter::UsdMicros, Meter::Calls, Meter::Tokens, Meter::ExternalActions, Meter::ComputeMs];
        for (meter, window) in meters.into_iter().flat_map(|meter| [(meter, Window::Hour), (meter, Window::Day)]) {
            let budget = BudgetKey { agent: "finance-day".parse().unwrap(), meter, window };
            let hold = Hold { budget, window_start: Timestamp(1_795_305_600_000), amount: 59_936 };
            assert_eq!(hold.to_string().parse(), Ok(hold));
        }
        for wrong in ["", "agent/a/calls_per_hour@1", "agent/a/calls_per_year@1=2", "agent/a/calls_per_hour@1=x"] {
            assert!(wrong.parse::<Hold>().is_err(), "{wrong}");
        }
    }
}
