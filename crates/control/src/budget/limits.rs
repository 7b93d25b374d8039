//! Which budgets bind a principal now: its agent's, its owner group's, its session's, and those of everybody above it
//! that delegated. Where a descriptor and a person both set a cap, the lower one holds. What must never be known here: what
//! was spent.

use std::collections::BTreeSet;

use domain::budget::{BudgetKey, Meter, Span, Subject, Window, Zone};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::id::Name;
use domain::principal::{Link, Principal};

use super::Caps;
use crate::delegate;
use crate::registry::Registry;

/// How much compute time that costs money is kept aside of a budget in money, in milliseconds: of all sessions together,
/// so much may be worked before any of it is charged.
const COMPUTE_ASIDE_MS: i64 = 60_000;

/// What so much compute time costs at this price for an hour, rounded up to the next micro-dollar.
pub fn compute_usd_micros(per_hour: i64, compute_ms: i64) -> i64 {
    let cost = i128::from(per_hour.max(0)) * i128::from(compute_ms.max(0));
    let hour = i128::from(Window::Hour.length_ms());
    i64::try_from((cost + hour - 1) / hour).unwrap_or(i64::MAX)
}

/// One window of one budget that binds a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Which budget.
    pub budget: BudgetKey,
    /// When the window began.
    pub start: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// The most that may be spent in it, with what people added for this window.
    pub cap: i64,
    /// What no call may take: compute time that costs money is charged after it was worked.
    pub aside: i64,
}

/// The budgets that bind a principal now.
pub fn limits(registry: &Registry, principal: &Principal, now: Timestamp) -> Vec<Limit> {
    let (mut all, mut seen): (Vec<Limit>, BTreeSet<Subject>) = Default::default();
    // What is spent below counts on everybody above, on each once.
    for link in principal.chain().collect::<Vec<_>>().into_iter().rev() {
        let Some(entry) = registry.agent(&link.agent) else { continue };
        if seen.insert(Subject::Agent(link.agent.clone())) {
            all.extend(of_agent(registry, &link.agent, now));
        }
        if seen.insert(Subject::Owner(entry.rules.owner.clone())) {
            all.extend(of_owner(registry, &entry.rules.owner, now));
        }
    }
    let mut above: Option<(&Link, Caps)> = None;
    for link in principal.chain() {
        let Some(entry) = registry.agent(&link.agent) else { continue };
        let mut caps = agent_caps(registry, &link.agent, &entry.rules.caps);
        if let Some(share) = above.as_ref().and_then(|(above, caps)| shared(registry, above, caps, &link.agent)) {
            let key = (Meter::UsdMicros, Window::Session);
            caps.entry(key).and_modify(|lower| *lower = (*lower).min(share)).or_insert(share);
        }
        let session = Subject::Session(link.session);
        let bounds = bounds(registry, (&session, registry.dearest_compute()), &caps, &Zone::UTC, now);
        all.extend(bounds.filter(is_of_session));
        above = Some((link, caps));
    }
    all
}

/// What of an agent's money another may spend that it delegates to: the part that its descriptor says (`budget_share`) of
/// its least budget in money.
fn shared(registry: &Registry, above: &Link, caps: &Caps, below: &Name) -> Option<i64> {
    let each = delegate::both(registry, above)?.map(|agent| agent.delegates_to(below)?.budget_share);
    let share = each.into_iter().flatten().min()?;
    let least = caps.iter().filter(|((meter, _), _)| *meter == Meter::UsdMicros).map(|(_, cap)| *cap).min();
    let part = i128::from(least.unwrap_or(0)) * i128::from(share) / 1_000_000;
    Some(i64::try_from(part).unwrap_or(i64::MAX))
}

/// An agent's own budgets, per hour and per day.
pub fn of_agent(registry: &Registry, agent: &Name, now: Timestamp) -> Vec<Limit> {
    let Some(entry) = registry.agent(agent) else { return Vec::new() };
    let caps = agent_caps(registry, agent, &entry.rules.caps);
    let subject = Subject::Agent(agent.clone());
    let price = entry.descriptor.spec.compute_usd_per_hour.0;
    let all = bounds(registry, (&subject, price), &caps, &entry.rules.zone, now);
    all.filter(|limit| !is_of_session(limit)).collect()
}

/// How often an agent may use a tool in the hour that runs, where its descriptor says so.
pub fn of_tool(registry: &Registry, agent: &Name, tool: &CapabilityRef, now: Timestamp) -> Option<Limit> {
    let rules = &registry.agent(agent)?.rules;
    let per_hour = *rules.per_hour.get(tool)?;
    let subject = Subject::Tool { agent: agent.clone(), tool: tool.name().clone() };
    let budget = BudgetKey { subject, meter: Meter::Calls, window: Window::Hour };
    let Span { start, end } = rules.zone.span(Window::Hour, now);
    let cap = per_hour.saturating_add(registry.raised(&budget, start));
    Some(Limit { budget, start, ends: end, cap, aside: 0 })
}

/// The same of each of its tools.
pub(super) fn of_tools(registry: &Registry, agent: &Name, now: Timestamp) -> Vec<Limit> {
    let rules = registry.agent(agent).map(|entry| &entry.rules);
    let tools = rules.into_iter().flat_map(|rules| rules.per_hour.keys());
    tools.filter_map(|tool| of_tool(registry, agent, tool, now)).collect()
}

/// An owner group's budgets.
pub(super) fn of_owner(registry: &Registry, owner: &Name, now: Timestamp) -> Vec<Limit> {
    let subject = Subject::Owner(owner.clone());
    let Some(set) = registry.caps_set(&subject) else { return Vec::new() };
    bounds(registry, (&subject, registry.dearest_compute()), &set.caps, &set.zone, now).collect()
}

/// The most that one session of an agent may spend.
pub(super) fn per_session(registry: &Registry, agent: &Name) -> Caps {
    let Some(entry) = registry.agent(agent) else { return Caps::new() };
    let mut caps = agent_caps(registry, agent, &entry.rules.caps);
    caps.retain(|(_, window), _| *window == Window::Session);
    caps
}

/// When the day that runs ends, by this zone's clocks.
pub(super) fn day_ends(zone: &Zone, now: Timestamp) -> Timestamp {
    zone.span(Window::Day, now).end
}

fn is_of_session(limit: &Limit) -> bool {
    limit.budget.window == Window::Session
}

/// What the descriptor says and what people set: the lower where both do.
fn agent_caps(registry: &Registry, agent: &Name, descriptor: &Caps) -> Caps {
    let mut caps = descriptor.clone();
    if let Some(set) = registry.caps_set(&Subject::Agent(agent.clone())) {
        for (key, cap) in &set.caps {
            caps.entry(*key).and_modify(|lower| *lower = (*lower).min(*cap)).or_insert(*cap);
        }
    }
    caps
}

fn bounds<'a>(
    registry: &'a Registry,
    (subject, compute_per_hour): (&'a Subject, i64),
    caps: &'a Caps,
    zone: &'a Zone,
    now: Timestamp,
) -> impl Iterator<Item = Limit> + 'a {
    let spans = Window::WORDS.map(|(window, _)| (window, zone.span(window, now)));
    caps.iter().map(move |(&(meter, window), &cap): (&(Meter, Window), &i64)| {
        let found = spans.iter().find(|(each, _)| *each == window);
        let Span { start, end } = found.map_or_else(|| zone.span(window, now), |(_, span)| *span);
        let budget = BudgetKey { subject: subject.clone(), meter, window };
        let cap = cap.saturating_add(registry.raised(&budget, start));
        let aside = if meter == Meter::UsdMicros { compute_usd_micros(compute_per_hour, COMPUTE_ASIDE_MS) } else { 0 };
        Limit { budget, start, ends: end, cap, aside }
    })
}
