//! Changes of authority that wait for a second person: what was proposed, who may decide it, and what people said. The
//! revision that runs stays in force meanwhile. A proposal ends once: with the last yes, in the very record that brings
//! it into force; with a no; taken back by whoever made it; superseded by another change; or, when nobody answered in
//! time, as a no.
//!
//! ```text
//! apply ─ widens a protected agent? ─▶ proposed ─▶ yes, of as many as it takes ─▶ { decided, applied } in one record
//!                │ no                     ├──▶ no ─▶ rejected          └ not as it was shown ─▶ superseded
//!                ▼                        ├──▶ another change of the same ─▶ superseded
//!             applied                     └──▶ a week ─▶ rejected
//! ```
//!
//! What must never be known here: files, and how an agent runs.

mod decide;
mod state;

pub use decide::{Answer, Said, answer, withdraw};
pub(crate) use decide::{after, events};
pub use state::{Changes, Over, Proposed, Revision, Vote};

use std::collections::BTreeMap;

use domain::change::{Change, Direction, Proposal};
use domain::clock::Timestamp;
use domain::control::{Applied, ControlEvent, Kind};
use domain::id::Name;
use domain::principal::Caller;
use serde::Serialize;

use crate::authority;
use crate::error::ControlError;
use crate::identity::must_be_admin;
use crate::registry::Registry;

/// How long a proposal waits before it is rejected by itself, in milliseconds: a week.
pub const WAITS_MS: i64 = 7 * 86_400_000;

/// Whose yes a change takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// A group.
    pub group: Name,
    /// How many of its people.
    pub quorum: u16,
    /// The protected agents that it is asked about.
    pub agents: Vec<Name>,
    /// How many people of it there are, without whoever proposed it.
    pub people: usize,
}

/// Whose yes it takes to change this, by group: as many as a call of the agent takes, and never whoever proposed it.
pub fn needs(registry: &Registry, proposal: &Proposal) -> Vec<Needs> {
    let mut agents: BTreeMap<Name, (Name, u16)> = BTreeMap::new();
    for (name, entry) in authority::widened(registry, &proposal.changes) {
        agents.insert(name.clone(), (entry.rules.consent.by.clone(), entry.rules.consent.quorum.max(1)));
    }
    if author(&proposal.by).is_some() {
        // What a person proposes takes another one, whichever way it goes.
        for applied in &proposal.applies {
            if let Some((name, entry)) = registry.protected(&applied.name) {
                agents.insert(name.clone(), (entry.rules.consent.by.clone(), entry.rules.consent.quorum.max(1)));
            }
        }
    }
    let mut groups: BTreeMap<Name, (u16, Vec<Name>)> = BTreeMap::new();
    for (agent, (group, quorum)) in agents {
        let of = groups.entry(group).or_default();
        of.0 = of.0.max(quorum);
        of.1.push(agent);
    }
    let each = groups.into_iter().map(|(group, (quorum, agents))| {
        let people = people_of(registry, &group).filter(|person| Some(*person) != author(&proposal.by)).count();
        Needs { group, quorum, agents, people }
    });
    each.collect()
}

/// The people of a group, by name.
pub fn people_of<'a>(registry: &'a Registry, group: &'a Name) -> impl Iterator<Item = &'a str> {
    let of_it = registry.people().filter(move |(_, person)| person.groups.contains(group));
    of_it.map(|(name, _)| name.as_str())
}

/// The person who proposed something, if it was one.
pub(crate) fn author(by: &str) -> Option<&str> {
    by.strip_prefix("person/")
}

/// Whether a change has to wait, for whoever proposes it. A person may propose a change of a protected agent whose
/// people they are among, and nothing else; it always waits.
///
/// # Errors
/// If the caller may not propose this.
pub(crate) fn must_wait(
    registry: &Registry,
    caller: &Caller,
    (proposal, named): (&Proposal, &[Applied]),
) -> Result<bool, ControlError> {
    let Caller::Person { name: person, groups } = caller else {
        must_be_admin(caller, "apply descriptors")?;
        return Ok(!authority::widened(registry, &proposal.changes).is_empty());
    };
    let is_theirs = |name: &Name| {
        let agent = registry.protected(name).filter(|_| registry.agent(name).is_some());
        agent.is_some_and(|(_, entry)| {
            groups.contains(&entry.descriptor.metadata.owner) || groups.contains(&entry.rules.consent.by)
        })
    };
    let agents_only = named.iter().all(|one| one.kind == Kind::Agent && is_theirs(&one.name));
    if agents_only && !named.is_empty() && proposal.deletes.is_empty() {
        return Ok(true);
    }
    let reason = format!("{person} may propose a change of a protected agent of their own group, and nothing else.");
    let next = "An administrator applies the rest: leave --as out.".to_owned();
    Err(ControlError::Forbidden { reason, next })
}

/// The record of a proposal that is new; the name of one that waits already with the very same content.
pub(crate) fn proposed(registry: &Registry, proposal: Proposal, now: Timestamp) -> (Option<ControlEvent>, Name) {
    let same = |other: &Proposal| {
        (&other.applies, &other.deletes, &other.by) == (&proposal.applies, &proposal.deletes, &proposal.by)
    };
    let mut waiting = registry.changes().waiting(now);
    if let Some((name, _)) = waiting.find(|(_, other)| same(&other.proposal)) {
        return (None, name.clone());
    }
    let name: Name = format!("change-{}", registry.pos().0 + 1).parse().expect("letters and a number are a name");
    (Some(ControlEvent::ChangeProposed { name: name.clone(), proposal }), name)
}

/// The changes that widen, of those that are shown.
pub(crate) fn widening(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.direction == Direction::Widens)
}
