//! What was proposed and what became of it, and the revisions that agents had: a fold of the control shard.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::change::{Closed, Proposal, Target};
use domain::clock::Timestamp;
use domain::control::ControlEvent;
use domain::id::{Digest, Name};
use serde::Serialize;

use crate::registry::AgentEntry;

/// A change that waits, or is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposed {
    /// What. Once it is over, without the descriptors themselves.
    pub proposal: Arc<Proposal>,
    /// When it was proposed.
    pub at: Timestamp,
    /// Who said yes so far, in order.
    pub yes: Vec<Vote>,
    /// How it ended.
    pub over: Option<Over>,
}

/// A person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vote {
    /// Who.
    pub person: Name,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How a proposal ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Over {
    /// It is in force.
    Approved {
        /// When.
        at: Timestamp,
    },
    /// Somebody said no.
    Rejected {
        /// Who.
        by: Name,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Whoever proposed it took it back.
    Withdrawn {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// What it was made from is not so any more.
    Superseded {
        /// What changed.
        why: String,
        /// When.
        at: Timestamp,
    },
}

/// A revision of an agent, as it came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// The hash of its descriptor.
    pub revision: Digest,
    /// Since when.
    pub at: Timestamp,
    /// Who applied it.
    pub by: String,
    /// Why, where they said so.
    pub reason: String,
}

impl Proposed {
    /// How it ended, in a sentence, if nobody can decide it any more.
    pub fn over_by(&self, now: Timestamp) -> Option<String> {
        let said = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
        match &self.over {
            Some(Over::Approved { at }) => Some(format!("it came into force at {at}")),
            Some(Over::Rejected { by, reason, at }) => Some(format!("{by} said no at {at}{}", said(reason))),
            Some(Over::Withdrawn { by, reason, at }) => Some(format!("{by} took it back at {at}{}", said(reason))),
            Some(Over::Superseded { why, at }) => Some(format!("it was superseded at {at}: {why}")),
            None if now >= self.proposal.expires_at => {
                Some(format!("nobody had answered by {}, which counts as no", self.proposal.expires_at))
            }
            None => None,
        }
    }

    fn end(&mut self, over: Over) {
        if self.over.is_none() {
            self.over = Some(over);
            // What is over is told, not applied: its descriptors would be kept for nothing.
            let bare = Proposal { applies: Vec::new(), deletes: Vec::new(), ..(*self.proposal).clone() };
            self.proposal = Arc::new(bare);
        }
    }
}

/// Every change that was proposed, and every revision that an agent had.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    proposed: BTreeMap<Name, Proposed>,
    history: BTreeMap<Name, Vec<Revision>>,
    /// Protected agents that were deleted, as they were last: whoever takes the name next is compared with them.
    gone: BTreeMap<Name, AgentEntry>,
}

impl Changes {
    /// One of them.
    pub fn get(&self, name: &Name) -> Option<&Proposed> {
        self.proposed.get(name)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&Name, &Proposed)> {
        self.proposed.iter()
    }

    /// Those that wait.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = (&Name, &Proposed)> {
        self.proposed.iter().filter(move |(_, one)| one.over_by(now).is_none())
    }

    /// The revisions that an agent had, the first first; one that came back stands there again.
    pub fn history(&self, agent: &Name) -> &[Revision] {
        self.history.get(agent).map_or(&[], Vec::as_slice)
    }

    /// The last revision of a protected agent that was deleted.
    pub fn gone(&self, name: &Name) -> Option<(&Name, &AgentEntry)> {
        self.gone.get_key_value(name)
    }

    pub(crate) fn applied(&mut self, name: &Name, entry: &AgentEntry, reason: &str) {
        self.gone.remove(name);
        let (revision, at, by, reason) = (entry.revision, entry.at, entry.by.clone(), reason.to_owned());
        self.history.entry(name.clone()).or_default().push(Revision { revision, at, by, reason });
    }

    pub(crate) fn deleted(&mut self, name: &Name, entry: AgentEntry) {
        if entry.descriptor.metadata.protected {
            self.gone.insert(name.clone(), entry);
        }
    }

    pub(crate) fn fold(&mut self, event: &ControlEvent, at: Timestamp) {
        if let ControlEvent::ChangeProposed { name, proposal } = event {
            let proposed = Proposed { proposal: Arc::new(proposal.clone()), at, yes: Vec::new(), over: None };
            self.proposed.insert(name.clone(), proposed);
        } else if let ControlEvent::ChangeDecided { name, person, approved, reason, in_force } = event
            && let Some(proposed) = self.proposed.get_mut(name)
        {
            let (person, reason) = (person.clone(), reason.clone());
            if !approved {
                return proposed.end(Over::Rejected { by: person, reason, at });
            }
            proposed.yes.push(Vote { person, reason, at });
            if *in_force {
                proposed.end(Over::Approved { at });
            }
        } else if let ControlEvent::ChangeClosed { name, how, by, reason } = event
            && let Some(proposed) = self.proposed.get_mut(name)
        {
            let (by, reason) = (by.clone(), reason.clone());
            proposed.end(match how {
                Closed::Withdrawn => Over::Withdrawn { by, reason, at },
                Closed::Superseded => Over::Superseded { why: reason, at },
            });
        }
    }

    /// Ends those that were made from what is not so any more.
    pub(crate) fn supersede(&mut self, current: impl Fn(&Target) -> Option<Digest>, by: &str, at: Timestamp) {
        for proposed in self.proposed.values_mut().filter(|proposed| proposed.over.is_none()) {
            let other = proposed.proposal.base.iter().find(|base| current(&base.target) != base.revision);
            if let Some(base) = other {
                let why = format!("{by} changed {} {} meanwhile", base.target.of, base.target.name);
                proposed.end(Over::Superseded { why, at });
            }
        }
    }
}
