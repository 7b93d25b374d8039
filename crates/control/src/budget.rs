//! Budget: what a call may cost is held before it is sent and settled after it ended, in the windows it was held in.
//! All of it in memory, by the shard's only writer; the same numbers go into the session's commit as deltas.
//!
//! ```text
//! drawn ≤ cap      what this shard may use of the window
//!   − reserved     calls in flight, each at its worst case
//!   − spent        calls that ended, at what they really came to
//!   = room
//! ```
//!
//! Two shortages differ: *exhausted* (spent: a refusal) and *tied up* (held by calls in flight: a short wait).
//! What must never be known here: who asks, and why.

use std::collections::{BTreeMap, HashMap};

use data::rows::HoldingDelta;
use domain::budget::{Amounts, BudgetKey, Hold, Meter, Window};
use domain::clock::Timestamp;
use domain::decision::{Refusal, RefusedBy};
use domain::id::{Epoch, Name, Shard};
use domain::money::UsdMicros;

/// How long a call waits for reservations in flight before it asks again for the first time.
pub const FIRST_LOOK_MS: i64 = 2_000;

/// How long it waits at most between two looks: what ties its budget up may be a write that only a person can settle.
pub const LONGEST_LOOK_MS: i64 = 300_000;

/// How long a window that ended is kept in memory for calls that still settle in it.
const KEPT_AFTER_END_MS: i64 = 2 * Window::Day.length_ms();

/// An agent's caps, each in its meter's unit.
pub type Caps = BTreeMap<(Meter, Window), i64>;

/// What one shard holds of one window of one budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// What it may use.
    pub drawn: i64,
    /// What calls in flight hold.
    pub reserved: i64,
    /// What ended calls came to.
    pub spent: i64,
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

/// A budget is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// Which budget.
    pub budget: BudgetKey,
    /// Its cap.
    pub cap: i64,
    /// What ended calls came to.
    pub spent: i64,
    /// What this call may come to.
    pub wanted: i64,
    /// When the window ends.
    pub ends: Timestamp,
}

impl Exhausted {
    /// In words that nobody mistakes for "try again".
    pub fn refusal(&self) -> Refusal {
        let Exhausted { budget, cap, spent, wanted, ends } = self;
        let amount = |amount: &i64| amount_text(budget.meter, *amount);
        let over = match budget.meter {
            Meter::ComputeMs => String::new(),
            Meter::Calls | Meter::ExternalActions => format!(", and this call is {} more", amount(wanted)),
            Meter::UsdMicros | Meter::Tokens => format!(", and this call could come to {}", amount(wanted)),
        };
        let (spent, cap) = (amount(spent), amount(cap));
        let reason = format!(
            "The budget {budget} is used up: {spent} of {cap} are spent{over}. Nothing of it comes back before the \
             window ends at {ends}."
        );
        let next = format!(
            "Do not try again, and do not try another way: every further call is refused until then. A person may \
             raise spec.budgets.{} and apply the descriptor.",
            descriptor_key(budget.meter, budget.window)
        );
        Refusal { by: RefusedBy::Budget, reason, next }
    }
}

fn amount_text(meter: Meter, amount: i64) -> String {
    match meter {
        Meter::UsdMicros => UsdMicros(amount).to_string(),
        Meter::Calls => format!("{amount} calls"),
        Meter::Tokens => format!("{amount} tokens"),
        Meter::ExternalActions => format!("{amount} external actions"),
        Meter::ComputeMs => format!("{:.1} minutes", amount as f64 / 60_000.0),
    }
}

fn descriptor_key(meter: Meter, window: Window) -> String {
    let meter = match meter {
        Meter::UsdMicros => "usd",
        Meter::Calls => "calls",
        Meter::Tokens => "tokens",
        Meter::ExternalActions => "external_actions",
        Meter::ComputeMs => "compute_minutes",
    };
    let window = match window {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Session => "session",
    };
    format!("{meter}_per_{window}")
}

/// What one shard holds of all budgets.
#[derive(Debug, Default)]
pub struct Holdings {
    balances: HashMap<(BudgetKey, Timestamp), Balance>,
}

impl Holdings {
    /// The holdings that the store kept.
    pub fn restored(rows: impl IntoIterator<Item = (BudgetKey, Timestamp, Balance)>) -> Self {
        let mut held = Holdings::default();
        for (budget, window, kept) in rows {
            let balance = held.balances.entry((budget, window)).or_default();
            balance.drawn = balance.drawn.saturating_add(kept.drawn);
            balance.reserved = balance.reserved.saturating_add(kept.reserved);
            balance.spent = balance.spent.saturating_add(kept.spent);
        }
        held
    }

    /// What is held of one window; nothing if it was never drawn.
    pub fn balance(&self, budget: &BudgetKey, window_start: Timestamp) -> Balance {
        self.balances.get(&(budget.clone(), window_start)).copied().unwrap_or_default()
    }

    /// Windows of which less is drawn than the cap allows: budget, window and cap.
    pub fn undrawn(&self, agent: &Name, caps: &Caps, now: Timestamp) -> Vec<(BudgetKey, Timestamp, i64)> {
        let each = caps.iter().map(|(&(meter, window), &cap)| {
            let budget = BudgetKey::of_agent(agent.clone(), meter, window);
            (budget, window.start(now), cap)
        });
        each.filter(|(budget, start, cap)| self.balance(budget, *start).drawn < *cap).collect()
    }

    /// Notes what the store says is drawn in total, and forgets windows that are long over.
    pub fn drawn(&mut self, budget: &BudgetKey, window_start: Timestamp, total: i64) {
        let balance = self.balances.entry((budget.clone(), window_start)).or_default();
        balance.drawn = balance.drawn.max(total);
        self.balances.retain(|(old, start), balance| {
            let over = start.plus_ms(old.window.length_ms() + KEPT_AFTER_END_MS);
            over > window_start || balance.reserved != 0
        });
    }

    /// Whether every budget has room for `worst`. Spent compute time refuses too, though no call holds any.
    pub fn check(&self, agent: &Name, caps: &Caps, worst: &Amounts, now: Timestamp) -> Result<(), Short> {
        let mut tied_up = None;
        for (&(meter, window), &cap) in caps {
            let budget = BudgetKey::of_agent(agent.clone(), meter, window);
            let wanted = if meter == Meter::ComputeMs { worst.compute_ms.max(1) } else { worst.on(meter) };
            if wanted <= 0 {
                continue;
            }
            let start = window.start(now);
            let Balance { drawn, reserved, spent } = self.balance(&budget, start);
            let ends = start.plus_ms(window.length_ms());
            if spent.saturating_add(wanted) > cap {
                return Err(Short::Exhausted(Exhausted { budget, cap, spent, wanted, ends }));
            }
            if spent.saturating_add(reserved).saturating_add(wanted) > drawn.min(cap) && tied_up.is_none() {
                tied_up = Some(Short::TiedUp { budget, ends });
            }
        }
        tied_up.map_or(Ok(()), Err)
    }

    /// Holds `worst` of every budget it touches, if all of them have room.
    pub fn reserve(
        &mut self,
        agent: &Name,
        caps: &Caps,
        worst: &Amounts,
        now: Timestamp,
    ) -> Result<(Vec<Hold>, Vec<HoldingDelta>), Short> {
        self.check(agent, caps, worst, now)?;
        let (mut holds, mut deltas) = (Vec::new(), Vec::new());
        for &(meter, window) in caps.keys() {
            let amount = worst.on(meter);
            if amount <= 0 || meter == Meter::ComputeMs {
                continue;
            }
            let (budget, window_start) = (BudgetKey::of_agent(agent.clone(), meter, window), window.start(now));
            deltas.push(HoldingDelta {
                shard: Shard(0),
                since: Epoch(0),
                budget: budget.clone(),
                window_start,
                reserved: amount,
                spent: 0,
            });
            holds.push(Hold { budget, window_start, amount });
        }
        self.add(&deltas, 1);
        Ok((holds, deltas))
    }

    /// Releases what a call held and adds what it came to, in the holds' own windows, even where that is more.
    pub fn settle(&mut self, holds: &[Hold], amounts: &Amounts) -> Vec<HoldingDelta> {
        let deltas: Vec<_> = holds
            .iter()
            .map(|hold| HoldingDelta {
                shard: Shard(0),
                since: Epoch(0),
                budget: hold.budget.clone(),
                window_start: hold.window_start,
                reserved: -hold.amount,
                spent: amounts.on(hold.budget.meter).max(0),
            })
            .collect();
        self.add(&deltas, 1);
        deltas
    }

    /// Adds what was spent without a hold: compute time.
    pub fn charge(&mut self, agent: &Name, caps: &Caps, amounts: &Amounts, now: Timestamp) -> Vec<HoldingDelta> {
        let each = caps.keys().map(|&(meter, window)| HoldingDelta {
            shard: Shard(0),
            since: Epoch(0),
            budget: BudgetKey::of_agent(agent.clone(), meter, window),
            window_start: window.start(now),
            reserved: 0,
            spent: amounts.on(meter),
        });
        let deltas: Vec<_> = each.filter(|delta| delta.spent > 0).collect();
        self.add(&deltas, 1);
        deltas
    }

    /// Takes deltas back that were never committed.
    pub fn undo(&mut self, deltas: &[HoldingDelta]) {
        self.add(deltas, -1);
    }

    fn add(&mut self, deltas: &[HoldingDelta], sign: i64) {
        for delta in deltas {
            let balance = self.balances.entry((delta.budget.clone(), delta.window_start)).or_default();
            balance.reserved = balance.reserved.saturating_add(sign * delta.reserved);
            balance.spent = balance.spent.saturating_add(sign * delta.spent);
        }
    }
}
