//! What this node's shards hold of budgets, in memory. A shard's part begins with what the store said when the shard was
//! claimed, and what is known under an older claim changes nothing of it. What must never be known here: how drawing is
//! done, and whose call it is.

use std::collections::BTreeMap;

use data::rows::HoldingDelta;
use data::store::HoldingRow;
use domain::budget::{Amounts, BudgetKey, Hold, Meter, Subject, Window};
use domain::clock::Timestamp;
use domain::id::{Epoch, Shard};

use super::{Balance, Exhausted, Limit, Short};

/// How long a window that ended is kept in memory for calls that still settle in it.
const KEPT_AFTER_END_MS: i64 = 2 * Window::Day.length_ms();

/// How long what one session may spend is kept in memory after it was last looked at; it is read again when needed.
const SESSION_KEPT_MS: i64 = 600_000;

/// Until when an account is believed to have nothing left where nobody else can give anything back.
pub(super) const FOR_GOOD: Timestamp = Timestamp(i64::MAX);

/// How often what is kept is looked through.
const SWEPT_EVERY_MS: i64 = 60_000;

/// One window of one budget.
pub(super) type Key = (BudgetKey, Timestamp);

/// What a shard holds of one window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) balance: Balance,
    /// What calls need that are about to be decided.
    pub(super) earmarked: i64,
    /// How often some of it went back: while that is under way, the store's word is not the last one.
    pub(super) backs: u64,
    /// How many of those are under way, or were lost on it.
    pub(super) going: u32,
    /// When a call last wanted some of it.
    pub(super) touched: Timestamp,
}

impl Part {
    /// What is neither used nor about to be.
    pub(super) fn spare(&self) -> i64 {
        self.balance.room().saturating_sub(self.earmarked)
    }
}

/// One window of one budget, over this node's shards.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) parts: BTreeMap<Shard, Part>,
    /// The cap that was last drawn under.
    pub(super) cap: i64,
    /// That the account had nothing left, when this was last known; and until when that is believed.
    pub(super) dry_until: Option<Timestamp>,
    /// What other nodes' shards had spent, when they were last asked.
    pub(super) spent_elsewhere: i64,
    touched: Timestamp,
}

impl Book {
    fn total(&self) -> Balance {
        self.parts.values().fold(Balance::default(), |sum, Part { balance, .. }| Balance {
            drawn: sum.drawn.saturating_add(balance.drawn),
            reserved: sum.reserved.saturating_add(balance.reserved),
            spent: sum.spent.saturating_add(balance.spent),
        })
    }
}

/// What this node's shards hold of all budgets.
#[derive(Debug, Default)]
pub struct Holdings {
    pub(super) books: BTreeMap<Key, Book>,
    shards: BTreeMap<Shard, Epoch>,
    swept: Timestamp,
}

impl Holdings {
    /// The epoch since which what is known of a shard is right.
    pub fn since(&self, shard: Shard) -> Option<Epoch> {
        self.shards.get(&shard).copied()
    }

    /// A shard was claimed: what the store said that it holds is what it holds.
    pub fn take(&mut self, shard: Shard, since: Epoch, rows: Vec<HoldingRow>) {
        for book in self.books.values_mut() {
            book.parts.remove(&shard);
        }
        self.shards.insert(shard, since);
        for HoldingRow { budget, window_start, drawn, reserved, spent, .. } in rows {
            let book = self.books.entry((budget, window_start)).or_default();
            book.touched = window_start;
            let balance = Balance { drawn, reserved, spent };
            book.parts.insert(shard, Part { balance, ..Part::default() });
        }
    }

    /// What this node holds of one window; nothing if it was never drawn.
    pub fn balance(&self, budget: &BudgetKey, window_start: Timestamp) -> Balance {
        self.books.get(&(budget.clone(), window_start)).map(Book::total).unwrap_or_default()
    }

    /// What one shard drew, besides what it had; what it holds otherwise where nothing was known of it.
    pub fn drew(&mut self, shard: Shard, limit: &Limit, granted: i64, stored: Balance) {
        let book = self.books.entry((limit.budget.clone(), limit.start)).or_default();
        book.cap = limit.cap;
        book.parts.entry(shard).and_modify(|part| part.balance.drawn += granted).or_insert_with(|| {
            // What the store says has the grant in it.
            Part { balance: stored, ..Part::default() }
        });
    }

    /// What one shard has drawn by the store's own word, where nothing of it went back since `backs`: the answer to an
    /// earlier draw may have been lost.
    pub(super) fn settled(&mut self, shard: Shard, key: &Key, (stored, backs): (i64, u64)) {
        if let Some(part) = self.books.get_mut(key).and_then(|book| book.parts.get_mut(&shard))
            && part.backs == backs
            && part.going == 0
        {
            part.balance.drawn = stored;
        }
    }

    /// How often some of a shard's part went back.
    pub(super) fn backs(&self, shard: Shard, key: &Key) -> u64 {
        self.books.get(key).and_then(|book| book.parts.get(&shard)).map_or(0, |part| part.backs)
    }

    /// Whether every budget has room for `worst`. Spent compute time refuses too, though no call holds any.
    pub fn check(&self, shard: Shard, limits: &[Limit], worst: &Amounts) -> Result<(), Short> {
        let mut tied_up = None;
        for limit in limits {
            let wanted = wanted(limit, worst);
            if wanted <= 0 {
                continue;
            }
            let book = self.books.get(&(limit.budget.clone(), limit.start));
            let all = book.map(Book::total).unwrap_or_default();
            let part = book.and_then(|book| book.parts.get(&shard)).copied().unwrap_or_default().balance;
            let Limit { budget, start, ends, cap, .. } = limit.clone();
            let spent = all.spent.saturating_add(book.map_or(0, |book| book.spent_elsewhere));
            if spent.saturating_add(wanted) > cap {
                return Err(Short::Exhausted(Exhausted { budget, start, cap, spent, wanted, ends }));
            }
            let in_use = spent.saturating_add(all.reserved).saturating_add(wanted);
            if (part.room() < wanted || in_use > cap) && tied_up.is_none() {
                tied_up = Some(Short::TiedUp { budget, ends });
            }
        }
        tied_up.map_or(Ok(()), Err)
    }

    /// Holds `worst` of every budget it touches, if all of them have room.
    pub fn reserve(
        &mut self,
        shard: Shard,
        limits: &[Limit],
        worst: &Amounts,
    ) -> Result<(Vec<Hold>, Vec<HoldingDelta>), Short> {
        self.check(shard, limits, worst)?;
        let (mut holds, mut deltas) = (Vec::new(), Vec::new());
        for limit in limits {
            let amount = counted(&limit.budget, worst);
            if amount <= 0 || limit.budget.meter == Meter::ComputeMs {
                continue;
            }
            let (budget, window_start) = (limit.budget.clone(), limit.start);
            deltas.push(self.delta(shard, (budget.clone(), window_start), amount, 0));
            holds.push(Hold { budget, window_start, amount });
        }
        self.add(&deltas, 1);
        Ok((holds, deltas))
    }

    /// Releases what a call held and adds what it came to, in the holds' own windows, even where that is more.
    pub fn settle(&mut self, shard: Shard, holds: &[Hold], amounts: &Amounts) -> Vec<HoldingDelta> {
        let each = holds.iter().map(|hold| {
            let key = (hold.budget.clone(), hold.window_start);
            let came_to = match hold.budget.subject {
                // What a grant or the use of a tool counts is what was let go, not what it cost.
                Subject::Grant(_) | Subject::Tool { .. } if amounts.calls > 0 => hold.amount,
                Subject::Grant(_) | Subject::Tool { .. } => 0,
                Subject::Agent(_) | Subject::Owner(_) | Subject::Session(_) => amounts.on(hold.budget.meter).max(0),
            };
            self.delta(shard, key, -hold.amount, came_to)
        });
        let deltas: Vec<_> = each.collect();
        self.add(&deltas, 1);
        deltas
    }

    /// Adds what was spent without a hold: compute time.
    pub fn charge(&mut self, shard: Shard, limits: &[Limit], amounts: &Amounts) -> Vec<HoldingDelta> {
        let each = limits.iter().map(|limit| {
            let key = (limit.budget.clone(), limit.start);
            self.delta(shard, key, 0, amounts.on(limit.budget.meter))
        });
        let deltas: Vec<_> = each.filter(|delta| delta.spent > 0).collect();
        self.add(&deltas, 1);
        deltas
    }

    /// Takes deltas back that were never committed.
    pub fn undo(&mut self, deltas: &[HoldingDelta]) {
        self.add(deltas, -1);
    }

    fn delta(&self, shard: Shard, (budget, window_start): Key, reserved: i64, spent: i64) -> HoldingDelta {
        let since = self.since(shard).unwrap_or(Epoch(0));
        HoldingDelta { shard, since, budget, window_start, reserved, spent }
    }

    fn add(&mut self, deltas: &[HoldingDelta], sign: i64) {
        for delta in deltas {
            if self.since(delta.shard).unwrap_or(Epoch(0)) != delta.since {
                continue;
            }
            let Some(book) = self.books.get_mut(&(delta.budget.clone(), delta.window_start)) else { continue };
            // Of a window that nothing is known of, the store will say.
            let Some(part) = book.parts.get_mut(&delta.shard) else { continue };
            part.balance.reserved = part.balance.reserved.saturating_add(sign * delta.reserved);
            part.balance.spent = part.balance.spent.saturating_add(sign * delta.spent);
            if sign * delta.reserved < 0 && book.dry_until != Some(FOR_GOOD) {
                book.dry_until = None;
            }
        }
    }

    /// Forgets windows that are long over, and sessions that nothing was heard of, once in a while.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        if now.since_ms(self.swept) < SWEPT_EVERY_MS {
            return;
        }
        self.swept = now;
        self.books.retain(|(budget, start), book| {
            let touched = book.parts.values().map(|part| part.touched).max().unwrap_or_default().max(book.touched);
            let over = match budget.window {
                Window::Session => now.since_ms(touched) > SESSION_KEPT_MS,
                Window::Hour | Window::Day => now.since_ms(*start) > Window::Day.length_ms() + KEPT_AFTER_END_MS,
            };
            !over || book.parts.values().any(|part| part.balance.reserved != 0 || part.earmarked != 0)
        });
    }
}

/// What a call needs of a budget to begin: of compute time, that some is left; of money, also what is kept aside for it.
pub(super) fn wanted(limit: &Limit, worst: &Amounts) -> i64 {
    let meter = limit.budget.meter;
    let own = if meter == Meter::ComputeMs { worst.compute_ms.max(1) } else { counted(&limit.budget, worst) };
    own.saturating_add(limit.aside)
}

/// What a call counts in a budget: in a tool's, one use of it, even where nothing leaves the runtime.
fn counted(budget: &BudgetKey, worst: &Amounts) -> i64 {
    match budget.subject {
        Subject::Tool { .. } => 1,
        Subject::Agent(_) | Subject::Owner(_) | Subject::Session(_) | Subject::Grant(_) => worst.on(budget.meter),
    }
}
