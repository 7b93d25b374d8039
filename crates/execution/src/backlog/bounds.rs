//! What may be queued: each bound has a name, is checked before anything is posted, and says at once that it is full.
//! Only messages count. What people decide and timers never do.

use std::sync::Arc;

use domain::id::{SessionId, Shard};

use super::Backlog;
use crate::mailbox::Full;

/// When to come back to a mailbox or a queue that is full, in milliseconds: a turn or two later.
const SOON_MS: i64 = 1_000;

/// When to come back to a node that has more to do than it can keep in mind, in milliseconds.
const LATER_MS: i64 = 5_000;

/// A bound and where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// Its name.
    pub bound: &'static str,
    /// The agent that it is a bound of; empty: of the node.
    pub agent: String,
    /// How much of it is in use.
    pub now: u64,
    /// How much that may be.
    pub limit: u64,
}

/// A place in a queue, from before a message is posted until it is known to be in the table or not.
#[derive(Debug)]
pub(crate) struct Place {
    session: SessionId,
    agent: Arc<str>,
}

impl Backlog {
    /// Takes a place for a message that is going to be posted, if every bound has room.
    pub(crate) fn reserve(&mut self, session: SessionId, shard: Shard, agent: &str, queue: u64) -> Result<Place, Full> {
        let known = self.sessions.get(&session);
        if self.overflowed || known.is_none() && self.is_full() {
            return Err(Full { bound: "the node's backlog", retry_after_ms: LATER_MS });
        }
        if known.is_some_and(|entry| entry.mail + entry.posting >= self.bounds.mailbox) {
            return Err(Full { bound: "the session's mailbox", retry_after_ms: SOON_MS });
        }
        let lane = known.map_or_else(|| self.agents.get(agent), |entry| self.agents.get(&entry.agent));
        if lane.is_some_and(|lane| lane.mail + lane.posting >= queue) {
            return Err(Full { bound: "the agent's queue", retry_after_ms: SOON_MS });
        }
        let entry = self.entry(session, shard, agent);
        entry.posting += 1;
        let agent = entry.agent.clone();
        self.agent(&agent).posting += 1;
        Ok(Place { session, agent })
    }

    /// That a place is no longer needed: the message is in the table, and was told of, or it is not.
    pub(crate) fn give_back(&mut self, place: &Place) {
        self.agent(&place.agent).posting -= 1;
        if let Some(entry) = self.sessions.get_mut(&place.session) {
            entry.posting -= 1;
        }
        self.drop_if_idle(place.session);
    }

    /// That a session took messages: durably.
    pub(crate) fn taken(&mut self, session: SessionId, messages: u32) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let taken = messages.min(entry.mail);
        entry.mail -= taken;
        let agent = entry.agent.clone();
        self.agent(&agent).mail -= u64::from(taken);
    }

    /// How many messages wait for the agent of a session that has some; `None`: it has none.
    pub(crate) fn queued(&self, session: SessionId) -> Option<u64> {
        let entry = self.sessions.get(&session).filter(|entry| entry.mail > 0)?;
        self.agents.get(&entry.agent).map(|agent| agent.mail)
    }

    /// Whether no more sessions with mail can be kept in mind.
    pub(crate) fn is_full(&self) -> bool {
        self.sessions.len() - self.left_alone >= self.bounds.backlog
    }

    /// Whether the table has mail that was not kept in mind, and there is room for it again.
    pub(crate) fn wants_a_look(&self) -> bool {
        self.overflowed && self.sessions.len() - self.left_alone <= self.bounds.backlog / 2
    }

    /// That all that is due is about to be looked at.
    pub(crate) fn looking(&mut self) {
        self.overflowed = false;
    }

    /// Whether there is mail that only the table knows.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Every bound of the node, and those of agents with work.
    pub(crate) fn gauges(&self, limits: impl Fn(&str) -> (u64, u64)) -> Vec<Gauge> {
        let of_node = |bound, now: usize, limit: usize| Gauge {
            bound,
            agent: String::new(),
            now: now as u64,
            limit: limit as u64,
        };
        let fullest = self.sessions.values().map(|entry| entry.mail + entry.posting).max().unwrap_or_default();
        let mut all = vec![
            of_node("awake", self.awake, self.bounds.awake),
            of_node("kept", self.kept, self.bounds.kept),
            of_node("backlog", self.sessions.len() - self.left_alone, self.bounds.backlog),
            of_node("mailbox", fullest as usize, self.bounds.mailbox as usize),
        ];
        for (name, agent) in self.agents.iter().filter(|(name, _)| !name.is_empty()) {
            let (active, queue) = limits(name);
            let of_agent = |bound, now, limit| Gauge { bound, agent: name.to_string(), now, limit };
            all.push(of_agent("active", agent.awake as u64, active));
            all.push(of_agent("queue", agent.mail + agent.posting, queue));
        }
        all
    }
}
