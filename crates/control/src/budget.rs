//! Budget: what a call may cost is held before it is sent and settled after it ended, in the windows it was held in.
//! All of it in memory, by the shard's only writer; the same numbers go into the session's commit as deltas.
//!
//! ```text
//! account(cap, drawn)    one per budget and window, in the store
//!    │  drawn ahead in small parts, given back when another shard lacks it, when it lies idle, when a shard moves
//!    ▼
//! holding: drawn         what one shard may use of the window
//!    − reserved          calls in flight, each at its worst case
//!    − spent             calls that ended, at what they really came to
//!    = room
//! ```
//!
//! Two shortages differ: *exhausted* (spent: refused, waited out or asked about, as the descriptor says) and *tied up*
//! (held by calls in flight, or by other shards: a short wait).
//! What must never be known here: who asks, and why.

pub mod ask;
pub mod change;
mod holdings;
mod limits;
pub mod prove;
mod ready;
mod words;

use std::collections::BTreeMap;

use domain::budget::{BudgetKey, Meter, Window};
use domain::clock::Timestamp;

pub use holdings::Holdings;
pub use limits::{Limit, compute_usd_micros, limits, of_agent as limits_of_agent, of_tool as limit_of_tool};
pub use ready::{Ready, follow};
pub use words::{Exhausted, amount_text};

/// How long a call waits for reservations in flight before it asks again for the first time.
pub const FIRST_LOOK_MS: i64 = 2_000;

/// How long it waits at most between two looks: what ties its budget up may be a write that only a person can settle.
pub const LONGEST_LOOK_MS: i64 = 300_000;

/// Caps, each in its meter's unit.
pub type Caps = BTreeMap<(Meter, Window), i64>;

/// What is held of one window of one budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// What may be used.
    pub drawn: i64,
    /// What calls in flight hold.
    pub reserved: i64,
    /// What ended calls came to.
    pub spent: i64,
}

impl Balance {
    /// What is drawn and not used.
    pub fn room(&self) -> i64 {
        self.drawn.saturating_sub(self.reserved).saturating_sub(self.spent)
    }
}

/// There is no room, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Short {
    /// Spent: waiting for calls in flight would not help.
    Exhausted(Exhausted),
    /// Calls in flight hold what is left.
    TiedUp {
        /// Which budget.
        budget: BudgetKey,
        /// When the window ends.
        ends: Timestamp,
    },
}

/// When a call that waits for calls in flight asks again: the later the longer it has waited, for each look is a
/// record; at the latest when the window ends.
pub fn asks_again_at(now: Timestamp, waiting_since: Option<Timestamp>, ends: Timestamp) -> Timestamp {
    let waited_ms = waiting_since.map_or(0, |since| now.since_ms(since));
    now.plus_ms(waited_ms.clamp(FIRST_LOOK_MS, LONGEST_LOOK_MS)).min(ends)
}
