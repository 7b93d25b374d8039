//! The most that a fleet can spend today, and why: for each agent the least of what its caps, its owner's caps and the
//! prices of what it may use leave; summed by owner group. Where nothing bounds an agent, that is what is said first.
//! What must never be known here: prices; whoever asks brings what the dearest use of each agent costs.

use std::collections::BTreeMap;

use domain::budget::{Meter, Window};
use domain::clock::Timestamp;
use domain::id::Name;
use domain::money::UsdMicros;
use serde::Serialize;

use super::change::{Shown, show};
use super::limits::{compute_usd_micros, day_ends};
use super::words::field;
use crate::error::ControlError;
use crate::gate::Gate;

const HOUR_MS: i64 = 3_600_000;

/// What is known of an agent's prices.
pub struct Prices {
    /// The most that so many model tokens can cost, in micro-dollars.
    pub tokens: Box<dyn Fn(i64) -> i64 + Send + Sync>,
    /// Why its model answers nothing, where no price of it is known.
    pub unpriced: Option<String>,
    /// The most that one use of its external capabilities costs, in micro-dollars.
    pub action: i64,
    /// What an hour of its compute time costs, in micro-dollars.
    pub compute: i64,
    /// What it spent today, by the log.
    pub spent: i64,
}

/// The most that a fleet can spend today.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// What nothing bounds; empty if there is no such agent.
    pub unbounded: Vec<Name>,
    /// The most, in micro-dollars, with what is spent; nothing where an agent is unbounded.
    pub most_usd_micros: Option<i64>,
    /// Of that, what is spent already.
    pub spent_usd_micros: i64,
    /// By owner group.
    pub owners: Vec<OfOwner>,
    /// By agent.
    pub agents: Vec<OfAgent>,
    /// As of when.
    pub at: Timestamp,
}

/// The most that an owner group's agents can spend together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfOwner {
    /// The group.
    pub owner: Name,
    /// The most that may yet be spent, in micro-dollars; nothing where nothing bounds it.
    pub still_usd_micros: Option<i64>,
    /// What is spent today.
    pub spent_usd_micros: i64,
    /// What bounds it.
    pub why: String,
}

/// The most that an agent can spend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfAgent {
    /// The agent.
    pub agent: Name,
    /// Its owner group.
    pub owner: Name,
    /// The most that it may yet spend, in micro-dollars; nothing where nothing bounds it.
    pub still_usd_micros: Option<i64>,
    /// Of that, what calls in flight hold.
    pub held_usd_micros: i64,
    /// What it spent today.
    pub spent_usd_micros: i64,
    /// What bounds it.
    pub why: String,
}

/// Proves it, as of now.
///
/// # Errors
/// If the books cannot be read.
pub async fn prove(gate: &Gate, prices: impl Fn(&Name) -> Prices + Send) -> Result<Proof, ControlError> {
    let (registry, now) = (gate.registry(), gate.now());
    let shown = show(gate, None).await?;
    let mut agents = Vec::new();
    for (agent, entry) in registry.agents() {
        let subject = format!("agent/{agent}");
        let own: Vec<&Shown> = shown.iter().filter(|each| each.subject == subject).collect();
        let ends = day_ends(&entry.rules.zone, now);
        agents.push(of_agent((agent, &entry.rules.owner), &own, &prices(agent), ends.since_ms(now)));
    }
    let mut by_owner: BTreeMap<Name, Vec<&OfAgent>> = BTreeMap::new();
    for each in &agents {
        by_owner.entry(each.owner.clone()).or_default().push(each);
    }
    let owners: Vec<OfOwner> = by_owner
        .into_iter()
        .map(|(owner, agents)| {
            let subject = format!("owner/{owner}");
            let own: Vec<&Shown> = shown.iter().filter(|each| each.subject == subject).collect();
            let zone = registry.caps_set(&domain::budget::Subject::Owner(owner.clone())).map(|set| set.zone.clone());
            let ends = day_ends(&zone.unwrap_or_default(), now);
            of_owner(owner, &agents, &own, ends.since_ms(now))
        })
        .collect();
    let bounded = |owner: &Name| owners.iter().any(|each| each.owner == *owner && each.still_usd_micros.is_some());
    let unbounded = agents.iter().filter(|each| each.still_usd_micros.is_none() && !bounded(&each.owner));
    let unbounded = unbounded.map(|each| each.agent.clone()).collect();
    let spent = owners.iter().fold(0_i64, |sum, each| sum.saturating_add(each.spent_usd_micros));
    let still = owners.iter().try_fold(0_i64, |sum, each| Some(sum.saturating_add(each.still_usd_micros?)));
    let most = still.map(|still| still.saturating_add(spent));
    Ok(Proof { unbounded, most_usd_micros: most, spent_usd_micros: spent, owners, agents, at: now })
}

/// A bound, and what it is.
type Bound = (i64, String);

fn of_agent((agent, owner): (&Name, &Name), own: &[&Shown], prices: &Prices, left_ms: i64) -> OfAgent {
    let money = own.iter().filter(|each| each.meter == Meter::UsdMicros).map(|each| by_cap(each, left_ms));
    let bounds = money.chain(by_price(own, prices, left_ms)).min_by_key(|(still, _)| *still);
    let held = own.iter().filter(|each| each.meter == Meter::UsdMicros).map(|each| each.held).max().unwrap_or(0);
    let nothing = "nothing: neither a cap in money, nor caps on tokens, external actions and whatever else has a price"
        .to_owned();
    let (still, why) = bounds.map_or((None, nothing), |(still, why)| (Some(still), why));
    OfAgent {
        agent: agent.clone(),
        owner: owner.clone(),
        still_usd_micros: still,
        held_usd_micros: held,
        spent_usd_micros: prices.spent,
        why,
    }
}

fn of_owner(owner: Name, agents: &[&OfAgent], own: &[&Shown], left_ms: i64) -> OfOwner {
    let sum = agents.iter().try_fold(0_i64, |sum, each| Some(sum.saturating_add(each.still_usd_micros?)));
    let agents_sum = sum.map(|sum| (sum, "the sum of its agents".to_owned()));
    let money = own.iter().filter(|each| each.meter == Meter::UsdMicros).map(|each| by_cap(each, left_ms));
    let least = money.chain(agents_sum).min_by_key(|(still, _)| *still);
    let (still, why) = least.map_or((None, "nothing".to_owned()), |(still, why)| (Some(still), why));
    let spent_usd_micros = agents.iter().fold(0_i64, |sum, each| sum.saturating_add(each.spent_usd_micros));
    OfOwner { owner, still_usd_micros: still, spent_usd_micros, why }
}

/// What a cap leaves until the day ends: an hour's as often as an hour begins until then.
fn by_cap(shown: &Shown, left_ms: i64) -> Bound {
    let (still, hours) = until_tonight(shown, left_ms);
    let name = field(shown.meter, shown.per);
    let cap = UsdMicros(shown.cap);
    let spent = UsdMicros(shown.spent);
    match shown.per {
        Window::Hour => (still, format!("{name} {cap}, {spent} of it spent, and {hours} more hours begin today")),
        Window::Day | Window::Session => (still, format!("{name} {cap}, {spent} of it spent")),
    }
}

fn until_tonight(shown: &Shown, left_ms: i64) -> (i64, i64) {
    let now = shown.cap.saturating_sub(shown.spent).max(0);
    let hours = match (shown.per, shown.until) {
        (Window::Hour, Some(until)) => {
            let in_this_hour = until.since_ms(shown.since).min(HOUR_MS);
            // The hour that runs ends before the day does; every full hour after it begins anew.
            (left_ms.saturating_sub(1) / in_this_hour.max(1)).max(0)
        }
        (Window::Hour | Window::Day | Window::Session, _) => 0,
    };
    (now.saturating_add(shown.cap.saturating_mul(hours)), hours)
}

/// What caps on tokens and external actions leave at the dearest price of each.
fn by_price(own: &[&Shown], prices: &Prices, left_ms: i64) -> Option<Bound> {
    let least = |meters: &[Meter]| {
        let of = own.iter().filter(|each| meters.contains(&each.meter));
        of.map(|each| (until_tonight(each, left_ms).0, field(each.meter, each.per))).min()
    };
    let (tokens, by_tokens) = match (&prices.unpriced, least(&[Meter::Tokens])) {
        (Some(why), _) => (0, why.clone()),
        (None, _) if (prices.tokens)(1_000_000) == 0 => (0, "its model is free".to_owned()),
        (None, Some((left, name))) => {
            ((prices.tokens)(left), format!("{name} leaves {left}, at its model's dearest price"))
        }
        (None, None) => return None,
    };
    let (actions, by_actions) = match least(&[Meter::ExternalActions, Meter::Calls]) {
        _ if prices.action == 0 => (0, "its capabilities cost nothing".to_owned()),
        Some((left, name)) => {
            let price = UsdMicros(prices.action);
            (left.saturating_mul(prices.action), format!("{name} leaves {left}, at {price} or less"))
        }
        None => return None,
    };
    let (compute, by_compute) = match least(&[Meter::ComputeMs]) {
        _ if prices.compute == 0 => (0, String::new()),
        Some((left, name)) => {
            let price = UsdMicros(prices.compute);
            (compute_usd_micros(prices.compute, left), format!("; {name} leaves {left} ms, at {price} an hour"))
        }
        None => return None,
    };
    let sum = tokens.saturating_add(actions).saturating_add(compute);
    Some((sum, format!("{by_tokens}; {by_actions}{by_compute}")))
}
