//! How authority changes between two states of the control plane, in plain words of whoever answers for it: per
//! descriptor, what changes, which way it goes, and whose authority it is. What nobody can tell widens.
//!
//! ```text
//! registry, registry ─▶ descriptors that differ ─ rules per field ─▶ Change { words, widens | narrows | neither }
//!                             └ capability, server, provider, policy ─▶ with the agents that rest on it
//! ```
//!
//! All of it is pure. What must never be known here: who is asked about it.

mod fields;
mod policies;
mod rules;
mod told;

use std::collections::BTreeSet;

use domain::change::{Change, Direction};
use domain::control::Kind;
use domain::descriptor::{Agent, Descriptor};
use domain::id::{Digest, Name};
use domain::principal::Autonomy;
use serde_json::Value;

use crate::registry::{AgentEntry, Registry};

/// Everything that changes, by kind and name. Equal registries: nothing.
pub fn compare(old: &Registry, new: &Registry) -> Vec<Change> {
    let mut all = agents(old, new);
    all.extend(resting(old, new, Kind::Capability));
    all.extend(resting(old, new, Kind::McpServer));
    all.extend(resting(old, new, Kind::ModelProvider));
    all.extend(policies::compare(old, new));
    all
}

/// The protected agents whose authority is widened, and the entry that says so: their current one, or the last of one
/// that was deleted.
pub fn widened<'a>(old: &'a Registry, changes: &[Change]) -> Vec<(&'a Name, &'a AgentEntry)> {
    let widens = changes.iter().filter(|change| change.direction == Direction::Widens);
    let agents: BTreeSet<&Name> = widens.flat_map(|change| &change.agents).collect();
    agents.into_iter().filter_map(|agent| old.protected(agent)).collect()
}

/// Every field of a kind of descriptor that somebody has said the meaning of, as a path from its top. What lies at none
/// of them, and beneath none, widens.
pub fn classified(kind: Kind) -> Vec<&'static str> {
    fields::of(kind).iter().flat_map(|rule| rule.at).copied().collect()
}

fn agents(old: &Registry, new: &Registry) -> Vec<Change> {
    let names: BTreeSet<&Name> = old.agents().chain(new.agents()).map(|(name, _)| name).collect();
    let mut all = Vec::new();
    for name in names {
        let said: Vec<(Direction, String)> =
            match (old.agent(name).or_else(|| old.changes().gone(name).map(|(_, entry)| entry)), new.agent(name)) {
                (Some(before), Some(after)) if before.revision == after.revision => Vec::new(),
                (Some(before), Some(after)) => agent((old, before), (new, after)),
                (None, Some(after)) => vec![(Direction::Widens, told::new_agent(new, after))],
                (Some(_), None) if old.agent(name).is_some() => {
                    vec![(Direction::Narrows, "is deleted: nothing of it goes on".to_owned())]
                }
                (Some(_) | None, None) => Vec::new(),
            };
        let change = |(direction, text)| {
            let (of, name) = (Kind::Agent, name.clone());
            Change { of, agents: vec![name.clone()], name, direction, text }
        };
        all.extend(said.into_iter().map(change));
    }
    all
}

fn agent((old, before): (&Registry, &AgentEntry), (new, after): (&Registry, &AgentEntry)) -> Vec<(Direction, String)> {
    let both = fields::Both { old: document(&before.descriptor), new: document(&after.descriptor), registry: new };
    let mut said = rules::say(fields::of(Kind::Agent), &both);
    let name = &after.descriptor.metadata.name;
    let autonomy = |registry: &Registry, entry: &AgentEntry| registry.autonomy(name, entry.revision);
    said.extend(alone(autonomy(old, before), autonomy(new, after)));
    let ended = old.standing_of(name).filter(|(grant, _)| new.standing(grant).is_some_and(|now| now.over.is_some()));
    said.extend(ended.map(|(grant, _)| (Direction::Narrows, format!("the standing grant {grant} ends"))));
    if said.is_empty() {
        said.push((Direction::Widens, "changes in a way that nobody has said the meaning of".to_owned()));
    }
    said
}

fn document(agent: &Agent) -> Value {
    Descriptor::Agent(Box::new(agent.clone())).canonical()
}

/// How much it does alone: what is granted counts, not only what the descriptor says.
fn alone(old: Option<Autonomy>, new: Option<Autonomy>) -> Option<(Direction, String)> {
    let rank = |autonomy: Option<Autonomy>| match autonomy {
        None | Some(Autonomy::Shadow) => 0,
        Some(Autonomy::Supervised) => 1,
        Some(Autonomy::Autonomous) => 2,
    };
    let text = match (rank(old), rank(new)) {
        (0, 1) => "no longer in shadow: its writes are sent, each with a person's consent",
        (0, 2) => "no longer in shadow: its writes are sent under its own approval rules",
        (1, 2) => "no longer supervised: its own approval rules say when a person is asked",
        (1 | 2, 0) => "goes to shadow: its writes are written down and not sent",
        (2, 1) => "is supervised: every write asks a person",
        _ => return None,
    };
    let direction = if rank(new) > rank(old) { Direction::Widens } else { Direction::Narrows };
    Some((direction, text.to_owned()))
}

/// The descriptors of one kind that agents rest on.
fn resting(old: &Registry, new: &Registry, kind: Kind) -> Vec<Change> {
    let (before, after) = (named(old, kind), named(new, kind));
    let names: BTreeSet<&Name> = before.iter().chain(&after).map(|(name, _)| name).collect();
    let mut all = Vec::new();
    for name in names {
        let of = |all: &[(Name, Digest)]| all.iter().find(|(other, _)| other == name).map(|(_, revision)| *revision);
        if of(&before) == of(&after) {
            continue;
        }
        let agents = users(new, kind, name);
        let said = match (content(old, kind, name), content(new, kind, name)) {
            (Some(old), Some(new_content)) => {
                let both = fields::Both { old, new: new_content, registry: new };
                rules::say(fields::of(kind), &both)
            }
            (None, Some(_)) => {
                let direction = if agents.is_empty() { Direction::Neither } else { Direction::Widens };
                vec![(direction, told::new_resource(new, kind, name))]
            }
            (Some(_), None) => vec![(Direction::Narrows, "is deleted: it cannot be used any more".to_owned())],
            (None, None) => Vec::new(),
        };
        let change =
            |(direction, text)| Change { of: kind, name: name.clone(), direction, text, agents: agents.clone() };
        all.extend(said.into_iter().map(change));
    }
    all
}

fn named(registry: &Registry, kind: Kind) -> Vec<(Name, Digest)> {
    match kind {
        Kind::Capability => registry.capabilities().map(|(name, entry)| (name.clone(), entry.revision)).collect(),
        Kind::McpServer => registry.servers().map(|(name, entry)| (name.clone(), entry.revision)).collect(),
        Kind::ModelProvider => registry.providers().map(|(name, entry)| (name.clone(), entry.revision)).collect(),
        Kind::Agent | Kind::Policy => Vec::new(),
    }
}

fn content(registry: &Registry, kind: Kind, name: &Name) -> Option<Value> {
    let descriptor = match kind {
        Kind::Capability => Descriptor::Capability((*registry.capability(name)?.descriptor).clone()),
        Kind::McpServer => Descriptor::McpServer((*registry.server(name)?.descriptor).clone()),
        Kind::ModelProvider => Descriptor::ModelProvider((*registry.provider(name)?.descriptor).clone()),
        Kind::Agent | Kind::Policy => return None,
    };
    Some(descriptor.canonical())
}

/// The agents that rest on a descriptor, by name.
fn users(registry: &Registry, kind: Kind, name: &Name) -> Vec<Name> {
    let uses = |agent: &Agent| {
        let tools = agent.capabilities();
        match kind {
            Kind::Capability => tools.iter().any(|tool| told::external(tool) == Some(name)),
            Kind::McpServer => tools.iter().any(|tool| {
                let capability = told::external(tool).and_then(|tool| registry.capability(tool));
                capability.is_some_and(|entry| entry.descriptor.spec.server == *name)
            }),
            Kind::ModelProvider => {
                let model = &agent.spec.model;
                model.provider == *name || model.fallbacks.iter().any(|next| next.provider == *name)
            }
            Kind::Agent | Kind::Policy => false,
        }
    };
    let all = registry.agents().filter(|(_, entry)| uses(&entry.descriptor));
    all.map(|(name, _)| name.clone()).collect()
}
