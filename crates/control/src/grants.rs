//! Standing grants: what people let an agent do without asking each time. A record of the control shard, with an end and
//! a cap; what it was used for is held and counted like any budget, so it is never over its cap, whichever shard counts.
//! It ends with its agent's revision, with a freeze of its agent or of whoever gave it, and when somebody revokes it.
//! What must never be known here: why a call needs consent.

pub mod propose;

use domain::budget::{Amounts, BudgetKey, Meter, Subject, Window};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::control::{ControlEvent, Scope, StandingGrant};
use domain::id::Name;
use domain::principal::{Caller, Principal};
use serde::Serialize;
use serde_json::Value;

use crate::budget::change::{Shown, stand};
use crate::budget::{Limit, Ready};
use crate::consent::Obligation;
use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{must_be_person_of, named};
use crate::registry::Registry;

/// The longest that a grant may hold, in milliseconds: 90 days.
pub const LONGEST_MS: i64 = 90 * 86_400_000;

/// A standing grant, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// What.
    #[serde(flatten)]
    pub grant: StandingGrant,
    /// Who gave it, in order.
    pub by: Vec<Name>,
    /// When it was given first.
    pub at: Timestamp,
    /// Why it holds no more.
    pub over: Option<String>,
}

impl Standing {
    /// Whether a freeze ends it.
    pub(crate) fn ends_with(&self, frozen: &Scope) -> bool {
        match frozen {
            Scope::All => true,
            Scope::Agent { agent } => *agent == self.grant.agent,
            Scope::Revision { revision } => *revision == self.grant.revision,
            Scope::Person { person } => self.by.contains(person),
            Scope::Session { .. } => false,
        }
    }

    /// How many people gave it that count: they are still of the group, and it is not on their own behalf.
    fn people(&self, registry: &Registry, group: &Name, not: Option<&Name>) -> usize {
        let counts = |person: &&Name| {
            Some(*person) != not && registry.person(person).is_some_and(|person| person.groups.contains(group))
        };
        self.by.iter().filter(counts).count()
    }

    /// Why it does not hold, if it does not.
    pub fn lacks(&self, registry: &Registry, of: &Obligation, not: Option<&Name>, now: Timestamp) -> Option<String> {
        if let Some(over) = &self.over {
            return Some(over.clone());
        }
        if now >= self.grant.until {
            return Some(format!("it ended at {}", self.grant.until));
        }
        let people = self.people(registry, &of.by, not);
        let needed = usize::from(of.quorum.max(1));
        (people < needed).then(|| format!("{people} of the {needed} people of {} that it takes gave it", of.by))
    }
}

/// A call, as far as a grant looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// Of which capability.
    pub capability: &'a CapabilityRef,
    /// With which arguments.
    pub arguments: &'a Value,
    /// Worth how much, in micro-dollars.
    pub value_usd_micros: Option<i64>,
}

impl Used<'_> {
    /// What of a grant it uses up; `None`: it is worth nobody knows what.
    fn amounts(&self, grant: &StandingGrant) -> Option<Amounts> {
        let value = self.value_usd_micros.filter(|value| *value >= 0);
        match grant.usd_micros.or(grant.each_usd_micros) {
            Some(_) => Some(Amounts { usd_micros: value?, calls: 1, ..Amounts::default() }),
            None => Some(Amounts { calls: 1, ..Amounts::default() }),
        }
    }

    /// Whether a grant is about calls like this one; what cannot be told is not.
    fn is_of(&self, grant: &StandingGrant) -> bool {
        let small = grant.each_usd_micros.is_none_or(|most| self.value_usd_micros.is_some_and(|value| value <= most));
        let told = grant.when.as_ref().is_none_or(|when| when.truth(&[("args", self.arguments)]) == Ok(true));
        *self.capability == grant.capability && small && told && self.amounts(grant).is_some()
    }
}

/// A grant that a call may go under: its name, what it bounds, and what the call uses up of it.
pub(crate) struct Covers<'a> {
    pub(crate) name: &'a Name,
    pub(crate) limits: Vec<Limit>,
    pub(crate) amounts: Amounts,
}

/// The grants that hold for a call, whether or not anything of them is left.
pub(crate) fn covering<'a>(
    registry: &'a Registry,
    principal: &Principal,
    used: Used<'_>,
    now: Timestamp,
) -> impl Iterator<Item = Covers<'a>> {
    let of = registry.agent(&principal.link.agent).map(|entry| (entry.revision, entry.rules.consent.clone()));
    let not = principal.on_behalf_of.clone();
    registry.standing_of(&principal.link.agent).filter_map(move |(name, standing)| {
        let (revision, of) = of.as_ref()?;
        let grant = &standing.grant;
        let not = not.as_ref().filter(|_| of.four_eyes);
        let holds = grant.revision == *revision && standing.lacks(registry, of, not, now).is_none();
        let amounts = used.amounts(grant).filter(|_| holds && used.is_of(grant))?;
        Some(Covers { name, limits: limits(name, grant), amounts })
    })
}

/// What a grant bounds: the same books as budgets are in.
pub fn limits(name: &Name, grant: &StandingGrant) -> Vec<Limit> {
    let limit = |meter, cap: Option<i64>| {
        let budget = BudgetKey { subject: Subject::Grant(name.clone()), meter, window: Window::Session };
        cap.map(|cap| Limit { budget, start: Timestamp(0), ends: grant.until, cap, aside: 0 })
    };
    let all = [limit(Meter::UsdMicros, grant.usd_micros), limit(Meter::Calls, grant.times)];
    all.into_iter().flatten().collect()
}

/// What the name of a grant is behind, where a decision was made under it.
pub(crate) const RULE_OF_GRANTS: &str = "standing-grant/";

/// How a decision names the grant that it was made under.
pub(crate) fn rule(name: &Name) -> String {
    format!("{RULE_OF_GRANTS}{name}")
}

impl Gate {
    /// Draws what a call would use of the grants that hold for it, and keeps it for that.
    ///
    /// # Errors
    /// If the books cannot be read.
    pub async fn ready_grants(
        &self,
        registry: &Registry,
        principal: &Principal,
        used: Used<'_>,
    ) -> Result<Vec<Ready<'_>>, ControlError> {
        let mut all = Vec::new();
        for Covers { limits, amounts, .. } in covering(registry, principal, used, self.now()).collect::<Vec<_>>() {
            all.push(self.ready_limits(principal, limits, &amounts).await?);
        }
        Ok(all)
    }
}

/// What a person wants to let an agent do.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The grant, without its revision.
    pub grant: StandingGrant,
    /// Its name, where it is not to be given one.
    pub name: Option<Name>,
}

fn invalid<T>(reason: &str, next: &str) -> Result<T, ControlError> {
    Err(ControlError::Invalid { reason: reason.to_owned(), next: next.to_owned() })
}

fn sensible(grant: &StandingGrant, now: Timestamp) -> Result<(), ControlError> {
    if grant.usd_micros.is_none() && grant.times.is_none() {
        return invalid("A standing grant has a cap.", "Say how many times, or up to how many dollars in all.");
    }
    if [grant.usd_micros, grant.times, grant.each_usd_micros].into_iter().flatten().any(|cap| cap <= 0) {
        return invalid("A cap is more than nothing.", "Say how many times, or up to how many dollars.");
    }
    if grant.until <= now || grant.until.since_ms(now) > LONGEST_MS {
        return invalid("A standing grant ends, within 90 days.", "Say until when, such as 24h.");
    }
    if grant.reason.trim().is_empty() {
        return invalid("A standing grant is not given without a reason.", "Say why: --reason TEXT.");
    }
    Ok(())
}

/// Lets an agent do something without asking each time. Where consent takes several people, it holds once as many gave
/// it; its name comes back.
///
/// # Errors
/// If the caller may not consent for this agent, or it makes no sense.
pub async fn give(gate: &Gate, caller: &Caller, wish: &Wish) -> Result<Name, ControlError> {
    sensible(&wish.grant, gate.now())?;
    gate.commit(&named(caller), |registry| {
        let agent = &wish.grant.agent;
        let entry = registry.agent(agent).ok_or_else(|| ControlError::NotFound {
            reason: format!("There is no agent {agent}."),
            next: "List them with `ostler get agents`.".to_owned(),
        })?;
        let person = must_be_person_of(caller, &entry.rules.consent.by, "give a standing grant")?.clone();
        let capability = &wish.grant.capability;
        if !entry.rules.tools.contains(capability) {
            return invalid(&format!("{agent} does not use {capability}."), "See its tools: `ostler get agent NAME`.");
        }
        let given = format!("grant-{}", registry.pos().0 + 1);
        let name = wish.name.clone().unwrap_or_else(|| given.parse().expect("letters and a number are a name"));
        if registry.standing(&name).is_some() {
            let reason = format!("There is a standing grant {name} already.");
            return Err(ControlError::Conflict { reason, next: "Choose another name.".to_owned() });
        }
        let grant = StandingGrant { revision: entry.revision, ..wish.grant.clone() };
        Ok((vec![ControlEvent::GrantGiven { name: name.clone(), grant, person }], name))
    })
    .await
}

/// Lets it, too. Nothing happens if the caller did already.
///
/// # Errors
/// If the caller may not, or there is no such grant.
pub async fn second(gate: &Gate, caller: &Caller, name: &Name) -> Result<(), ControlError> {
    gate.commit(&named(caller), |registry| {
        let standing = known(registry, name)?;
        let person = may_end(registry, caller, standing)?.clone();
        if let Some(over) = &standing.over {
            let reason = format!("{name} holds no more: {over}.");
            return Err(ControlError::Conflict { reason, next: "Give another one.".to_owned() });
        }
        if standing.by.contains(&person) {
            return Ok((Vec::new(), ()));
        }
        Ok((vec![ControlEvent::GrantSeconded { name: name.clone(), person }], ()))
    })
    .await
}

/// Ends a grant: no call that is decided after this returns goes under it.
///
/// # Errors
/// If the caller may not, or there is no such grant.
pub async fn revoke(gate: &Gate, caller: &Caller, name: &Name, reason: &str) -> Result<(), ControlError> {
    let by = named(caller);
    gate.commit(&by, |registry| {
        let standing = known(registry, name)?;
        if !matches!(caller, Caller::Admin) {
            may_end(registry, caller, standing)?;
        }
        let event = ControlEvent::GrantRevoked { name: name.clone(), by: by.clone(), reason: reason.to_owned() };
        Ok((standing.over.is_none().then_some(event).into_iter().collect(), ()))
    })
    .await
}

fn known<'a>(registry: &'a Registry, name: &Name) -> Result<&'a Standing, ControlError> {
    registry.standing(name).ok_or_else(|| ControlError::NotFound {
        reason: format!("There is no standing grant {name}."),
        next: "List them with `ostler grant list`.".to_owned(),
    })
}

/// The person that a caller is, if they consent for this grant's agent.
fn may_end<'a>(registry: &Registry, caller: &'a Caller, standing: &Standing) -> Result<&'a Name, ControlError> {
    let agent = &standing.grant.agent;
    let group = registry.agent(agent).map(|entry| &entry.rules.consent.by);
    let gone = || ControlError::NotFound {
        reason: format!("There is no agent {agent}."),
        next: "List them with `ostler get agents`.".to_owned(),
    };
    must_be_person_of(caller, group.ok_or_else(gone)?, "speak for a standing grant")
}

/// A grant, as people read it.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// What it is.
    #[serde(flatten)]
    pub standing: Standing,
    /// Why it does not hold now; nothing where it does.
    pub lacks: Option<String>,
    /// What was used of it.
    pub used: Vec<Shown>,
}

/// Every standing grant, with what was used of it.
///
/// # Errors
/// If the books cannot be read.
pub async fn list(gate: &Gate) -> Result<Vec<Listed>, ControlError> {
    let (registry, now) = (gate.registry(), gate.now());
    let mut all = Vec::new();
    for (name, standing) in registry.all_standing() {
        let lacks = match registry.agent(&standing.grant.agent) {
            Some(entry) => standing.lacks(&registry, &entry.rules.consent, None, now),
            None => Some("its agent is gone".to_owned()),
        };
        let used = stand(gate, &registry, limits(name, &standing.grant)).await?;
        all.push(Listed { name: name.clone(), standing: standing.clone(), lacks, used });
    }
    Ok(all)
}
