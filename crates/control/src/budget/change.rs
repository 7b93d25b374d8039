//! What people set and add: caps of an agent or an owner group, and more for one window. Both are records of the control
//! shard, with who and why. Also how a budget stands, for people to read. What must never be known here: how a shard
//! draws.

use data::store::HeadFilter;
use domain::budget::{BudgetKey, Meter, Subject, Window, Zone};
use domain::call::Raise;
use domain::clock::Timestamp;
use domain::control::{CapChange, ControlEvent};
use domain::id::{Name, SessionId};
use domain::principal::Caller;
use serde::Serialize;

use super::limits::{of_agent, of_owner, of_tools, per_session};
use super::words::field;
use super::{Limit, amount_text};
use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{must_be_admin, must_be_person_of, named};
use crate::registry::{Raised, Registry};

/// How one window of a budget stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Whose.
    pub subject: String,
    /// What it counts.
    pub meter: Meter,
    /// Per what.
    pub per: Window,
    /// The most, with what was added for this window.
    pub cap: i64,
    /// Of that, what was added.
    pub added: Vec<Added>,
    /// Drawn by shards.
    pub drawn: i64,
    /// Held by calls in flight.
    pub held: i64,
    /// Spent.
    pub spent: i64,
    /// What nobody holds or has spent.
    pub left: i64,
    /// When the window began.
    pub since: Timestamp,
    /// When it ends; nothing for a session's.
    pub until: Option<Timestamp>,
}

/// More that was allowed for one window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Added {
    /// How much, in the meter's unit.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Whose budget a text names: `agent/NAME`, `owner/NAME`, `session/ID`, or a name that only one of them has.
///
/// # Errors
/// If it names nobody here, or an agent and a group alike.
pub fn subject_of(registry: &Registry, text: &str) -> Result<Subject, ControlError> {
    let invalid = |reason: String, next: &str| ControlError::Invalid { reason, next: next.to_owned() };
    if text.contains('/') {
        let how = "Say agent/NAME, owner/NAME or session/ID.";
        return text.parse().map_err(|_| invalid(format!("`{text}` is nobody's budget."), how));
    }
    if let Ok(session) = text.parse::<SessionId>() {
        return Ok(Subject::Session(session));
    }
    let name: Name = text.parse().map_err(|_| invalid(format!("`{text}` is no name."), "Say whose budget it is."))?;
    let owner = Subject::Owner(name.clone());
    let owns = registry.agents().any(|(_, entry)| entry.rules.owner == name) || registry.caps_set(&owner).is_some();
    match (registry.agent(&name).is_some(), owns) {
        (true, false) => Ok(Subject::Agent(name)),
        (false, true) => Ok(owner),
        (true, true) => {
            let how = format!("Say agent/{name} or owner/{name}.");
            Err(invalid(format!("{name} is an agent and an owner group."), &how))
        }
        (false, false) => Err(ControlError::NotFound {
            reason: format!("There is no agent {name}, and no agent has the owner {name}."),
            next: format!("List them with `ostler get agents`; for a group that owns nothing yet, say owner/{name}."),
        }),
    }
}

/// A cap by the word that a descriptor has for it, such as `usd_per_day`; `None` lifts it.
///
/// # Errors
/// If there is no such word, or the amount is none.
pub fn cap_change(word: &str, cap: Option<f64>) -> Result<CapChange, ControlError> {
    let all = Meter::WORDS.iter().flat_map(|(meter, _)| Window::WORDS.map(|(window, _)| (*meter, window)));
    let Some((meter, window)) = all.into_iter().find(|(meter, window)| field(*meter, *window) == word) else {
        return Err(ControlError::Invalid {
            reason: format!("`{word}` is no cap."),
            next: "They are called as under spec.budgets of a descriptor: usd_per_day, tokens_per_hour, …".to_owned(),
        });
    };
    Ok(CapChange { meter, window, cap: cap.map(|cap| units(meter, cap)).transpose()? })
}

/// The meter by the word that people have for it.
///
/// # Errors
/// If there is no such word.
pub fn meter_of(word: &str) -> Result<Meter, ControlError> {
    let of = |meter| field(meter, Window::Day).trim_end_matches("_per_day").to_owned();
    let found = Meter::WORDS.iter().map(|(meter, _)| *meter).find(|meter| of(*meter) == word);
    found.ok_or_else(|| ControlError::Invalid {
        reason: format!("`{word}` is nothing that a budget counts."),
        next: "Say usd, calls, tokens, external_actions or compute_minutes.".to_owned(),
    })
}

/// An amount as people say it, in the meter's unit: dollars, minutes, or a number.
///
/// # Errors
/// If it is negative, too large, or no number.
pub fn units(meter: Meter, amount: f64) -> Result<i64, ControlError> {
    let unit = match meter {
        Meter::UsdMicros => 1e6,
        Meter::ComputeMs => 60_000.0,
        Meter::Calls | Meter::Tokens | Meter::ExternalActions => 1.0,
    };
    let units = (amount * unit).round();
    if (0.0..=1e15).contains(&units) {
        return Ok(units as i64);
    }
    Err(ControlError::Invalid {
        reason: format!("{amount} is no amount that can be spent."),
        next: "Say 0 or more.".to_owned(),
    })
}

/// Sets what an agent or an owner group may spend; what is not named stays as it was.
///
/// # Errors
/// If the caller is no administrator, or it makes no sense.
pub async fn set(
    gate: &Gate,
    caller: &Caller,
    subject: &Subject,
    (caps, timezone): (Vec<CapChange>, Option<Zone>),
) -> Result<(), ControlError> {
    must_be_admin(caller, "set budgets")?;
    let invalid =
        |reason: &str, next: &str| Err(ControlError::Invalid { reason: reason.to_owned(), next: next.to_owned() });
    if caps.is_empty() && timezone.is_none() {
        return invalid("Nothing was said to be set.", "Say what, such as --usd-per-day 40.");
    }
    if caps.iter().any(|change| change.cap.is_some_and(|cap| cap < 0)) {
        return invalid("A cap is not below zero.", "0 lets nothing through; `none` lifts the cap.");
    }
    match subject {
        Subject::Tool { .. } => {
            return invalid("How often a tool may be used is its descriptor's to say.", "Write `per_hour` beside it.");
        }
        Subject::Grant(_) => return invalid("A grant's cap is its own.", "Give another one: `ostler grant add`."),
        Subject::Session(_) => {
            return invalid("A session's caps are its agent's.", "Set what one session may spend for the agent.");
        }
        Subject::Owner(_) if caps.iter().any(|change| change.window == Window::Session) => {
            return invalid("What one session may spend is an agent's to say.", "Set it for the agent.");
        }
        Subject::Agent(_) if timezone.is_some() => {
            return invalid("An agent's time zone is its descriptor's.", "Write spec.budgets.timezone and apply it.");
        }
        Subject::Owner(_) | Subject::Agent(_) => {}
    }
    let by = named(caller);
    gate.commit(&by, |registry| {
        if let Subject::Agent(agent) = subject {
            known(registry, agent)?;
        }
        let (subject, caps, timezone, by) = (subject.clone(), caps.clone(), timezone.clone(), by.clone());
        Ok((vec![ControlEvent::BudgetSet { subject, caps, timezone, by }], ()))
    })
    .await
}

/// What is added to a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct More {
    /// Of what.
    pub meter: Meter,
    /// In which window; `None`: in each that bounds it.
    pub window: Option<Window>,
    /// How much, in the meter's unit.
    pub amount: i64,
    /// Why.
    pub reason: String,
}

/// Allows more in the windows that run.
///
/// # Errors
/// If the caller may not, nothing bounds it, or it makes no sense.
pub async fn topup(gate: &Gate, caller: &Caller, subject: &Subject, more: &More) -> Result<Vec<Raise>, ControlError> {
    let invalid =
        |reason: &str, next: &str| Err(ControlError::Invalid { reason: reason.to_owned(), next: next.to_owned() });
    if more.reason.trim().is_empty() {
        return invalid("More of a budget is not allowed without a reason.", "Say why: --reason TEXT.");
    }
    if more.amount <= 0 {
        return invalid("What is added is more than nothing.", "Lower a cap with `ostler budget set`.");
    }
    let agent = agent_of(gate, subject).await?;
    let by = named(caller);
    gate.commit(&by, |registry| {
        may_add(registry, caller, subject, agent.as_ref())?;
        let bounds = bounds(registry, subject, agent.as_ref(), gate.now());
        let of_it = |limit: &&Limit| {
            limit.budget.meter == more.meter && more.window.is_none_or(|window| window == limit.budget.window)
        };
        let raises: Vec<Raise> = bounds.iter().filter(of_it).map(|limit| raise(limit, more.amount)).collect();
        if raises.is_empty() {
            return Err(unbounded(subject, more));
        }
        let event = |raise: &Raise| {
            let (Raise { budget, window_start, amount }, reason, by) = (raise.clone(), more.reason.clone(), by.clone());
            ControlEvent::BudgetRaised { budget, window_start, amount, reason, by, approval: None }
        };
        Ok((raises.iter().map(event).collect(), raises))
    })
    .await
}

fn raise(limit: &Limit, amount: i64) -> Raise {
    Raise { budget: limit.budget.clone(), window_start: limit.start, amount }
}

fn unbounded(subject: &Subject, more: &More) -> ControlError {
    let what = amount_text(more.meter, more.amount);
    let of = match more.window {
        Some(window) => field(more.meter, window),
        None => field(more.meter, Window::Day).trim_end_matches("_per_day").to_owned(),
    };
    ControlError::Conflict {
        reason: format!("No budget of {subject} bounds {of}, so {what} more would change nothing."),
        next: format!("See what bounds it: `ostler budget show {subject}`."),
    }
}

fn may_add(registry: &Registry, caller: &Caller, subject: &Subject, agent: Option<&Name>) -> Result<(), ControlError> {
    match (caller, agent) {
        (Caller::Admin, _) => Ok(()),
        (Caller::Person { .. } | Caller::Agent { .. }, None) => must_be_admin(caller, "add to an owner's budget"),
        (Caller::Person { .. } | Caller::Agent { .. }, Some(agent)) => {
            let owner = known(registry, agent)?.rules.owner.clone();
            must_be_person_of(caller, &owner, &format!("add to the budget of {subject}")).map(|_| ())
        }
    }
}

fn known<'a>(registry: &'a Registry, agent: &Name) -> Result<&'a crate::registry::AgentEntry, ControlError> {
    registry.agent(agent).ok_or_else(|| ControlError::NotFound {
        reason: format!("There is no agent {agent}."),
        next: "List them with `ostler get agents`.".to_owned(),
    })
}

/// The agent whose budget it is, or whose session; `None` for an owner's.
async fn agent_of(gate: &Gate, subject: &Subject) -> Result<Option<Name>, ControlError> {
    match subject {
        Subject::Owner(_) | Subject::Grant(_) => Ok(None),
        Subject::Agent(agent) | Subject::Tool { agent, .. } => Ok(Some(agent.clone())),
        Subject::Session(session) => {
            let filter = HeadFilter { session: Some(*session), ..HeadFilter::default() };
            match gate.log().heads(filter).await?.pop() {
                Some((_, head, _)) => Ok(Some(head.agent)),
                None => Err(ControlError::NotFound {
                    reason: format!("There is no session {session}."),
                    next: "List them with `ostler ps`.".to_owned(),
                }),
            }
        }
    }
}

fn bounds(registry: &Registry, subject: &Subject, agent: Option<&Name>, now: Timestamp) -> Vec<Limit> {
    match (subject, agent) {
        (Subject::Agent(agent), _) => {
            let mut all = of_agent(registry, agent, now);
            all.extend(of_tools(registry, agent, now));
            all
        }
        (Subject::Tool { agent, .. }, _) => {
            let of_it = |limit: &Limit| limit.budget.subject == *subject;
            of_tools(registry, agent, now).into_iter().filter(of_it).collect()
        }
        (Subject::Owner(owner), _) => of_owner(registry, owner, now),
        (Subject::Session(_), None) | (Subject::Grant(_), _) => Vec::new(),
        (Subject::Session(_), Some(agent)) => {
            let each = per_session(registry, agent).into_iter().map(|((meter, window), cap)| {
                let budget = BudgetKey { subject: subject.clone(), meter, window };
                let (start, ends) = (Timestamp(0), Timestamp(i64::MAX));
                let cap = cap.saturating_add(registry.raised(&budget, start));
                Limit { budget, start, ends, cap, aside: 0 }
            });
            each.collect()
        }
    }
}

/// How budgets stand: one subject's, or those of every owner group and agent.
///
/// # Errors
/// If there is no such subject, or the books cannot be read.
pub async fn show(gate: &Gate, subject: Option<&Subject>) -> Result<Vec<Shown>, ControlError> {
    let (registry, now) = (gate.registry(), gate.now());
    let mut limits = Vec::new();
    match subject {
        Some(subject) => {
            let agent = agent_of(gate, subject).await?;
            if let Some(agent) = &agent {
                known(&registry, agent)?;
            }
            limits.extend(bounds(&registry, subject, agent.as_ref(), now));
        }
        None => {
            let owners = registry.all_caps_set().map(|(subject, _)| subject).filter(|s| matches!(s, Subject::Owner(_)));
            limits.extend(owners.flat_map(|owner| bounds(&registry, owner, None, now)));
            let agents = registry.agents().map(|(agent, _)| Subject::Agent(agent.clone()));
            limits.extend(agents.flat_map(|agent| bounds(&registry, &agent, None, now)));
        }
    }
    stand(gate, &registry, limits).await
}

pub(crate) async fn stand(gate: &Gate, registry: &Registry, limits: Vec<Limit>) -> Result<Vec<Shown>, ControlError> {
    let keys: Vec<_> = limits.iter().map(|limit| (limit.budget.clone(), limit.start)).collect();
    let standing = gate.log().standing(&keys).await?;
    let each = limits.into_iter().zip(standing).map(|(limit, standing)| {
        let added = registry.raises(&limit.budget, limit.start).iter();
        let added = added.map(|Raised { amount, reason, by, at, .. }| Added {
            amount: *amount,
            reason: reason.clone(),
            by: by.clone(),
            at: *at,
        });
        let used = standing.spent.saturating_add(standing.reserved);
        Shown {
            subject: limit.budget.subject.to_string(),
            meter: limit.budget.meter,
            per: limit.budget.window,
            cap: limit.cap,
            added: added.collect(),
            drawn: standing.drawn,
            held: standing.reserved,
            spent: standing.spent,
            left: limit.cap.saturating_sub(used).max(0),
            since: limit.start,
            until: (limit.budget.window != Window::Session).then_some(limit.ends),
        }
    });
    Ok(each.collect())
}
