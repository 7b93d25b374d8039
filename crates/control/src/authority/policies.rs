//! How policies change: rule by rule, and whom they cover. A policy only ever takes away, so one more rule narrows, and
//! a rule that is gone, or is another, widens.

use std::collections::{BTreeMap, BTreeSet};

use domain::change::{Change, Direction};
use domain::control::Kind;
use domain::id::Name;

use crate::policy::applied::PolicyEntry;
use crate::registry::Registry;

pub(super) fn compare(old: &Registry, new: &Registry) -> Vec<Change> {
    let names: BTreeSet<&Name> = old.policies().chain(new.policies()).map(|(name, _)| name).collect();
    let mut all = Vec::new();
    for name in names {
        let (before, after) = (old.policy(name), new.policy(name));
        let revision = |policy: Option<&PolicyEntry>| policy.map(|policy| policy.entry.revision);
        if revision(before) != revision(after) {
            all.extend(one(name, (before, covered(old, new, before)), (after, covered(old, new, after))));
        }
    }
    all
}

/// The agents that there are, before or afterwards, and that a policy covers.
fn covered(old: &Registry, new: &Registry, policy: Option<&PolicyEntry>) -> BTreeSet<Name> {
    let Some(policy) = policy else { return BTreeSet::new() };
    let agents = old.agents().chain(new.agents()).map(|(name, _)| name);
    agents.filter(|agent| policy.entry.descriptor.spec.covers(agent)).cloned().collect()
}

type Side<'a> = (Option<&'a PolicyEntry>, BTreeSet<Name>);

fn one(name: &Name, (before, was): Side<'_>, (after, is): Side<'_>) -> Vec<Change> {
    let change = |direction, text: String, agents: Vec<&Name>| Change {
        of: Kind::Policy,
        name: name.clone(),
        direction,
        text,
        agents: agents.into_iter().cloned().collect(),
    };
    let (Some(old_rules), Some(new_rules)) = (rules(before), rules(after)) else {
        let text = "is another, and nobody can say what it held".to_owned();
        return vec![change(Direction::Widens, text, was.union(&is).collect())];
    };
    let mut all = Vec::new();
    let listed = |agents: &[&Name]| agents.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let (free, bound): (Vec<&Name>, Vec<&Name>) = (was.difference(&is).collect(), is.difference(&was).collect());
    let kept: Vec<&Name> = was.intersection(&is).collect();
    match (before, after) {
        (Some(_), None) => all.push(change(Direction::Widens, "is deleted: its rules hold no more".to_owned(), free)),
        (None, Some(_)) => all.push(change(Direction::Narrows, "is new: its rules hold".to_owned(), bound)),
        (Some(_), Some(_)) | (None, None) => {
            if !free.is_empty() {
                let text = format!("no longer covers {}", listed(&free));
                all.push(change(Direction::Widens, text, free));
            }
            if !bound.is_empty() {
                let text = format!("covers {}", listed(&bound));
                all.push(change(Direction::Narrows, text, bound));
            }
            let differ = differing(&old_rules, &new_rules);
            all.extend(differ.into_iter().map(|(direction, text)| change(direction, text, kept.clone())));
            if all.is_empty() {
                all.push(change(Direction::Neither, "its rules are the same".to_owned(), kept));
            }
        }
    }
    all
}

/// Its rules by their ids; `None`: this build cannot read them.
fn rules(policy: Option<&PolicyEntry>) -> Option<BTreeMap<&str, &str>> {
    let Some(policy) = policy else { return Some(BTreeMap::new()) };
    let document = policy.rules.as_ref().as_ref().ok()?;
    Some(document.rules.iter().map(|rule| (rule.id.as_str(), rule.text.as_str())).collect())
}

fn differing(old: &BTreeMap<&str, &str>, new: &BTreeMap<&str, &str>) -> Vec<(Direction, String)> {
    let mut said = Vec::new();
    for (id, text) in new {
        match old.get(id) {
            None => said.push((Direction::Narrows, format!("one more rule holds: {id}"))),
            Some(before) if before == text => {}
            Some(_) => said.push((Direction::Widens, format!("the rule {id} is another"))),
        }
    }
    let gone = old.keys().filter(|id| !new.contains_key(*id));
    said.extend(gone.map(|id| (Direction::Widens, format!("the rule {id} holds no more"))));
    said
}
