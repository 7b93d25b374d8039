//! The policies that were applied, read, and which of them cover an agent. The hash of those is what a consent is
//! bound to. Must not know what they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use domain::descriptor::Policy;
use domain::id::{Digest, Name};
use serde_json::json;

use super::document::{Document, Finding, Origin};
use crate::registry::Entry;

/// The policy that comes with the product, as its file says it.
pub const STANDARD: &str = include_str!("../../policies/default.cedar");

static READ: LazyLock<Result<Document, Vec<Finding>>> = LazyLock::new(|| Document::read(&Origin::Standard, STANDARD));

/// The policy that comes with the product; the error is a build that should not have left the house.
pub(crate) fn standard() -> Result<&'static Document, &'static [Finding]> {
    READ.as_ref().map_err(Vec::as_slice)
}

/// A policy that was applied.
#[derive(Debug, Clone)]
pub struct PolicyEntry {
    /// Its descriptor, and who applied it.
    pub entry: Entry<Policy>,
    /// Its rules; what is wrong with it where this build cannot read it. Whoever it covers is refused then.
    pub(crate) rules: Arc<Result<Document, Vec<Finding>>>,
}

impl PolicyEntry {
    /// What it is, in a few words.
    pub fn about(&self) -> String {
        let agents = &self.entry.descriptor.spec.agents;
        let covered = match agents.as_slice() {
            [] => "every agent".to_owned(),
            some => some.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
        };
        match &*self.rules {
            Ok(document) if document.rules.len() == 1 => format!("1 rule for {covered}"),
            Ok(document) => format!("{} rules for {covered}", document.rules.len()),
            Err(_) => format!("rules that this build cannot read, for {covered}"),
        }
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    all: BTreeMap<Name, PolicyEntry>,
    /// The hash for every agent that some policy names.
    sets: BTreeMap<Name, Digest>,
    /// The hash for everybody else.
    others: Digest,
}

impl Default for Policies {
    fn default() -> Self {
        let all = BTreeMap::new();
        let others = set(std::iter::empty());
        Policies { all, sets: BTreeMap::new(), others }
    }
}

impl Policies {
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Name, &PolicyEntry)> {
        self.all.iter()
    }

    pub(crate) fn get(&self, name: &Name) -> Option<&PolicyEntry> {
        self.all.get(name)
    }

    /// Those that cover an agent, by name.
    pub(crate) fn covering<'a>(&'a self, agent: &'a Name) -> impl Iterator<Item = (&'a Name, &'a PolicyEntry)> {
        self.all.iter().filter(|(_, policy)| policy.entry.descriptor.spec.covers(agent))
    }

    /// The hash of everything that covers an agent, but for its own descriptor.
    pub(crate) fn set(&self, agent: &Name) -> Digest {
        self.sets.get(agent).copied().unwrap_or(self.others)
    }

    pub(crate) fn insert(&mut self, name: &Name, entry: Entry<Policy>) {
        let rules = Arc::new(Document::read(&Origin::Applied(name.clone()), &entry.descriptor.spec.cedar));
        self.all.insert(name.clone(), PolicyEntry { entry, rules });
        self.hash();
    }

    pub(crate) fn remove(&mut self, name: &Name) {
        self.all.remove(name);
        self.hash();
    }

    fn hash(&mut self) {
        let named = self.all.values().flat_map(|policy| &policy.entry.descriptor.spec.agents);
        let named: BTreeSet<Name> = named.cloned().collect();
        self.others = set(self.all.iter().filter(|(_, policy)| policy.entry.descriptor.spec.agents.is_empty()));
        self.sets = named.into_iter().map(|agent| (agent.clone(), set(self.covering(&agent)))).collect();
    }
}

fn set<'a>(policies: impl Iterator<Item = (&'a Name, &'a PolicyEntry)>) -> Digest {
    let each = policies.map(|(name, policy)| json!([name, policy.entry.revision.to_string()]));
    Digest::of_json(
        &json!({"default": Digest::of(STANDARD.as_bytes()).to_string(), "policies": each.collect::<Vec<_>>()}),
    )
}
