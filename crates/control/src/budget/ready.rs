//! Drawing: before a call is decided, its shard holds what the call may need, if that can be had at all; so that
//! deciding stays in memory. What one shard lacks, others of this node give back; what lies idle goes back by itself.
//! What must never be known here: whether the call may be made.

use std::time::Duration;

use data::commit::Wish;
use data::store::Drawn;
use domain::budget::{Amounts, Meter};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::id::{Name, Shard};
use domain::principal::Principal;

use super::holdings::{Book, FOR_GOOD, Key, wanted};
use super::{Balance, Limit, limit_of_tool, limits};
use crate::error::ControlError;
use crate::gate::Gate;
use crate::registry::Registry;

/// Where there are several shards, a draw takes this many times what is needed, for the calls to come,
const AHEAD: i64 = 8;

/// but no more than this part of what is left: near the cap, parts grow small.
const SHARE: i64 = 32;

/// How long an account that had nothing left is not asked again, where other nodes may give something back.
const DRY_MS: i64 = 1_000;

/// How long a part must lie idle before it goes back.
const IDLE_MS: i64 = 5_000;

/// How often idle parts are looked for.
const IDLE_LOOK: Duration = Duration::from_secs(5);

/// How much compute time is drawn ahead, in milliseconds: nobody knows beforehand what is needed.
const COMPUTE_AHEAD_MS: i64 = 60_000;

/// What a call that is about to be decided needs is kept for it until this is dropped.
#[must_use = "what the call needs may be another's once this is dropped"]
pub struct Ready<'a> {
    gate: &'a Gate,
    shard: Shard,
    marked: Vec<(Key, i64)>,
}

impl std::fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("shard", &self.shard).field("marked", &self.marked).finish_non_exhaustive()
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        let mut holdings = self.gate.holdings();
        for (key, amount) in &self.marked {
            if let Some(part) = holdings.books.get_mut(key).and_then(|book| book.parts.get_mut(&self.shard)) {
                part.earmarked = part.earmarked.saturating_sub(*amount).max(0);
            }
        }
    }
}

impl Gate {
    /// Draws what a decision about this principal, by this registry, needs, and keeps it for that.
    pub async fn ready_budget(
        &self,
        registry: &Registry,
        principal: &Principal,
        worst: &Amounts,
    ) -> Result<Ready<'_>, ControlError> {
        self.ready_limits(principal, limits(registry, principal, self.now()), worst).await
    }

    /// The same of what bounds how often a tool may be used.
    ///
    /// # Errors
    /// If the books cannot be read.
    pub async fn ready_tool(
        &self,
        registry: &Registry,
        principal: &Principal,
        tool: &CapabilityRef,
    ) -> Result<Ready<'_>, ControlError> {
        let limit = limit_of_tool(registry, &principal.link.agent, tool, self.now());
        self.ready_limits(principal, limit.into_iter().collect(), &Amounts::default()).await
    }

    /// The same for limits that are known.
    pub(crate) async fn ready_limits(
        &self,
        principal: &Principal,
        limits: Vec<Limit>,
        worst: &Amounts,
    ) -> Result<Ready<'_>, ControlError> {
        let shard = self.log().shard_of(principal.link.session);
        let mut ready = Ready { gate: self, shard, marked: Vec::new() };
        for limit in limits {
            let amount = wanted(&limit, worst);
            if amount <= 0 {
                continue;
            }
            if !self.mark(&mut ready, &limit, amount) {
                let _one_at_a_time = self.drawing(shard).lock().await;
                self.draw_for(&limit, shard, amount).await?;
                // Whatever came of it: what is there is the call's to ask for.
                self.mark(&mut ready, &limit, amount);
            }
        }
        Ok(ready)
    }

    /// Keeps what is needed for the call, if it is there or cannot be had; `false`: it should be drawn first.
    fn mark(&self, ready: &mut Ready<'_>, limit: &Limit, amount: i64) -> bool {
        let now = self.now();
        let mut holdings = self.holdings_of(ready.shard);
        let key = (limit.budget.clone(), limit.start);
        let Some(book) = holdings.books.get_mut(&key) else { return false };
        let (cap, dry) = (book.cap, book.dry_until.is_some_and(|until| now < until));
        let Some(part) = book.parts.get_mut(&ready.shard) else { return false };
        part.touched = now;
        if cap != limit.cap || (part.spare() < amount && !dry) {
            return false;
        }
        if part.spare() >= amount {
            part.earmarked = part.earmarked.saturating_add(amount);
            ready.marked.push((key, amount));
        }
        true
    }

    /// Draws from the account; where it has too little, first after what this node's shards can spare went back.
    async fn draw_for(&self, limit: &Limit, shard: Shard, amount: i64) -> Result<(), ControlError> {
        let key = (limit.budget.clone(), limit.start);
        let (spare, known, lower) = {
            let holdings = self.holdings_of(shard);
            let book = holdings.books.get(&key);
            let part = book.and_then(|book| book.parts.get(&shard));
            let known = part.is_some() && book.is_some_and(|book| book.cap == limit.cap);
            (part.map_or(0, |part| part.spare()), known, book.is_some_and(|book| book.cap > limit.cap))
        };
        if known && spare >= amount {
            return Ok(());
        }
        // Under a lower cap nothing may be used that was drawn under the higher one.
        let (need, back) = match lower {
            true => (amount.saturating_sub(spare.min(0)), self.spare(&key, |_, _, spare| spare)),
            false => (amount.saturating_sub(spare).max(0), Vec::new()),
        };
        let first = self.drawn(limit, Wish { back, ..self.wish(limit, shard, need) }).await?;
        if first.fenced || first.granted >= need {
            return Ok(());
        }
        let left = need - first.granted;
        let back = self.spare(&key, |of, _, spare| if of == shard { 0 } else { spare });
        let again = self.drawn(limit, Wish { back, ..self.wish(limit, shard, left) }).await?;
        if again.granted < left {
            self.is_dry(limit).await?;
        }
        Ok(())
    }

    fn wish(&self, limit: &Limit, shard: Shard, need: i64) -> Wish {
        let alone = self.log().shards() == 1;
        let least = if limit.budget.meter == Meter::ComputeMs { COMPUTE_AHEAD_MS } else { 0 };
        let (ahead, share) = if alone { (i64::MAX, 1) } else { (need.saturating_mul(AHEAD).max(least), SHARE) };
        let (budget, window_start, cap) = (limit.budget.clone(), limit.start, limit.cap);
        Wish { shard, budget, window_start, cap, need, ahead, share, back: Vec::new() }
    }

    /// One draw, with what it changes here. What is given back is nobody's while it is on its way.
    async fn drawn(&self, limit: &Limit, wish: Wish) -> Result<Drawn, ControlError> {
        let key = (limit.budget.clone(), limit.start);
        let (shard, back) = (wish.shard, wish.back.clone());
        let backs = self.holdings_of(shard).backs(shard, &key);
        let drawn = self.log().draw(wish).await?;
        let mut holdings = self.holdings_of(shard);
        if let Some(book) = holdings.books.get_mut(&key) {
            book.cap = limit.cap;
            book.dry_until = None;
            restore(book, &back, &drawn.gave);
        }
        if !drawn.fenced {
            let Drawn { granted, drawn, reserved, spent, .. } = drawn;
            holdings.drew(shard, limit, granted, Balance { drawn, reserved, spent });
            if !back.iter().any(|(from, _)| *from == shard) {
                holdings.settled(shard, &key, (drawn, backs));
            }
        }
        let now = self.now();
        if let Some(part) = holdings.books.get_mut(&key).and_then(|book| book.parts.get_mut(&shard)) {
            part.touched = now;
        }
        holdings.sweep(now);
        Ok(drawn)
    }

    /// Takes what shards can spare of a window off their parts.
    fn spare(&self, key: &Key, how_much: impl Fn(Shard, Timestamp, i64) -> i64) -> Vec<(Shard, i64)> {
        let mut holdings = self.holdings();
        let Some(book) = holdings.books.get_mut(key) else { return Vec::new() };
        let each = book.parts.iter_mut().filter_map(|(shard, part)| {
            let amount = how_much(*shard, part.touched, part.spare());
            part.balance.drawn -= amount.max(0);
            part.backs += u64::from(amount > 0);
            part.going += u32::from(amount > 0);
            (amount > 0).then_some((*shard, amount))
        });
        each.collect()
    }

    /// The account has nothing left. Whether that is because it is spent, other nodes know, too.
    async fn is_dry(&self, limit: &Limit) -> Result<(), ControlError> {
        let shards = self.log().shards();
        let all_here = (0..shards).all(|shard| self.log().owned_since(Shard(shard)).is_some());
        let key = (limit.budget.clone(), limit.start);
        let standing = if all_here { None } else { self.log().standing(std::slice::from_ref(&key)).await?.pop() };
        let now = self.now();
        let mut holdings = self.holdings();
        let here = holdings.balance(&key.0, key.1).spent;
        if let Some(book) = holdings.books.get_mut(&key) {
            book.spent_elsewhere = standing.map_or(0, |standing| standing.spent.saturating_sub(here).max(0));
            let one = shards == 1;
            book.dry_until = Some(if one { FOR_GOOD } else { now.plus_ms(DRY_MS) });
        }
        Ok(())
    }

    /// Gives back what lies idle, so that other nodes can have it; where there is one shard, there is nobody to have it.
    pub async fn return_idle(&self) -> Result<(), ControlError> {
        if self.log().shards() == 1 {
            return Ok(());
        }
        let now = self.now();
        let keys: Vec<(Key, i64)> = {
            let holdings = self.holdings();
            holdings.books.iter().map(|(key, book)| (key.clone(), book.cap)).collect()
        };
        for ((budget, start), cap) in keys {
            let idle = |_, touched: Timestamp, spare| if now.since_ms(touched) >= IDLE_MS { spare } else { 0 };
            let back = self.spare(&(budget.clone(), start), idle);
            let Some((shard, _)) = back.first().copied() else { continue };
            let limit = Limit { budget, start, ends: start, cap, aside: 0 };
            let wish = Wish { ahead: 0, back: back.clone(), ..self.wish(&limit, shard, 0) };
            let drawn = self.log().draw(wish).await?;
            if let Some(book) = self.holdings().books.get_mut(&(limit.budget, start)) {
                restore(book, &back, &drawn.gave);
            }
        }
        Ok(())
    }

    /// An agent's budgets of the windows that run, each with its cap and what this node holds of it.
    pub fn balances(&self, agent: &Name) -> Vec<(Limit, Balance)> {
        let all = super::limits::of_agent(&self.registry(), agent, self.now());
        let holdings = self.holdings_of_all();
        all.into_iter()
            .map(|limit| (holdings.balance(&limit.budget, limit.start), limit))
            .map(|(b, l)| (l, b))
            .collect()
    }
}

/// What could not be given back stays where it was; nothing of it is under way any more.
fn restore(book: &mut Book, back: &[(Shard, i64)], gave: &[Shard]) {
    for (shard, _) in back {
        if let Some(part) = book.parts.get_mut(shard) {
            part.going = part.going.saturating_sub(1);
        }
    }
    for (shard, amount) in back.iter().filter(|(shard, _)| !gave.contains(shard)) {
        if let Some(part) = book.parts.get_mut(shard) {
            part.balance.drawn += amount;
        }
    }
}

/// Gives idle parts back, again and again, until whoever spawned this ends it.
pub async fn follow(gate: std::sync::Arc<Gate>) {
    loop {
        tokio::time::sleep(IDLE_LOOK).await;
        if let Err(error) = gate.return_idle().await {
            tracing::warn!(%error, "idle parts of budgets could not be given back");
        }
    }
}
