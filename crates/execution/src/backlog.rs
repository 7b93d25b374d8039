//! Who has mail, and whose turn it is. Pure: no clock, no task, no store; the scheduler tells it what happened and
//! asks it who is next. It must not know what mail means.
//!
//! ```text
//!   decisions ───────────────────────────────▶ ┐ awake, and `kept` more
//!   agent a: S1 S2 S3 ─┐ active                │
//!   agent b: S4        ├─ round robin ───────▶ ├─▶ tasks
//!   agent c: S5 S6    ─┘                       ┘ awake
//!      ▲ one session of a partition at a time
//! ```

mod bounds;
#[cfg(test)]
mod tests;
mod turnstile;

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};
use std::sync::Arc;

use data::store::DueRow;
use domain::clock::Timestamp;
use domain::id::{SessionId, Shard};
use domain::mail::MailClass;

pub use bounds::Gauge;
pub(crate) use bounds::Place;
use turnstile::Turnstiles;

use crate::poke::Poke;

/// Named bounds of the execution plane: see `docs/guide.md`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Sessions at work at once.
    pub awake: usize,
    /// More of them, for what people decided.
    pub kept: usize,
    /// Sessions with mail that are known here; the rest stays in the table.
    pub backlog: usize,
    /// Messages to one session that it has not taken.
    pub mailbox: u32,
}

/// A session's turn.
#[derive(Debug)]
pub(crate) struct Go {
    pub session: SessionId,
    pub poke: Arc<Poke>,
    /// Whether there may be mail, and not only a client that asks.
    pub mail: bool,
}

/// How a session came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rested {
    /// How often it was poked when it last looked for mail, and found none.
    pub seen: u64,
    /// How often clients had asked when it last looked for what they ask.
    pub asked: u64,
    /// The number of its partition, where it has one.
    pub partition: Option<u64>,
    /// Whether it is unfinished: ready, running or suspended.
    pub unfinished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not in its agent's line: it waits for its partition, or somebody is posting to it.
    Idle,
    /// In its agent's line.
    Queued,
    /// A task works on it. `kept`: in a place that is kept for decisions.
    Awake { kept: bool },
    /// It could not be worked on; when to try again, in monotonic milliseconds.
    Parked(i64),
    /// It is left alone until the next start.
    LeftAlone,
}

#[derive(Debug)]
struct Entry {
    shard: Shard,
    agent: Arc<str>,
    partition: Option<u64>,
    /// Where its mail is in the order of its partition.
    place: turnstile::Place,
    state: State,
    /// Whether a person decided something that no task is known to have heard of.
    decided: bool,
    /// Whether it may take messages: nobody else of its partition is unfinished.
    admitted: bool,
    /// Whether it waits at its partition's turnstile.
    waiting: bool,
    poke: Arc<Poke>,
    /// Whether it has work that no task is known to have heard of, besides what clients ask.
    has_mail: bool,
    /// Messages not taken, as far as is known.
    mail: u32,
    /// Messages that are being posted.
    posting: u32,
    /// The look that saw it last, and how many messages that look saw.
    seen_by: (u64, u32),
}

#[derive(Debug, Default)]
struct Agent {
    line: VecDeque<SessionId>,
    /// Whether its turn comes round.
    in_ring: bool,
    awake: usize,
    mail: u64,
    posting: u64,
}

/// Who has mail, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Backlog {
    bounds: Bounds,
    sessions: BTreeMap<SessionId, Entry>,
    agents: BTreeMap<Arc<str>, Agent>,
    ring: VecDeque<Arc<str>>,
    decided: VecDeque<SessionId>,
    parked: BTreeSet<(i64, SessionId)>,
    turnstiles: Turnstiles,
    awake: usize,
    kept: usize,
    left_alone: usize,
    overflowed: bool,
}

impl Entry {
    fn new(shard: Shard, agent: Arc<str>) -> Self {
        Entry {
            shard,
            agent,
            partition: None,
            place: (Timestamp(0), 0),
            state: State::Idle,
            decided: false,
            admitted: false,
            waiting: false,
            poke: Arc::default(),
            has_mail: false,
            mail: 0,
            posting: 0,
            seen_by: (0, 0),
        }
    }

    /// One more message, unless the look that found it found no more than were known; answers how many more that is.
    fn count(&mut self, look: Option<u64>) -> u32 {
        let before = self.mail;
        match look {
            None => self.mail += 1,
            Some(look) => {
                let seen = if self.seen_by.0 == look { self.seen_by.1 + 1 } else { 1 };
                self.seen_by = (look, seen);
                self.mail = self.mail.max(seen);
            }
        }
        self.mail - before
    }
}

impl Backlog {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Backlog {
            bounds,
            sessions: BTreeMap::new(),
            agents: BTreeMap::new(),
            ring: VecDeque::new(),
            decided: VecDeque::new(),
            parked: BTreeSet::new(),
            turnstiles: Turnstiles::default(),
            awake: 0,
            kept: 0,
            left_alone: 0,
            overflowed: false,
        }
    }

    /// That mail is due. `look`: which look at the table found it; the same mail is found again by the next.
    pub(crate) fn arrived(&mut self, row: &DueRow, look: Option<u64>) {
        let full = self.is_full() && row.class != MailClass::Decision;
        if full && !self.sessions.contains_key(&row.session) {
            self.overflowed = true;
            return;
        }
        let entry = self.entry(row.session, row.shard, &row.agent);
        if !row.was_due() {
            entry.poke.is_due(row.due);
        }
        entry.has_mail = true;
        match row.class {
            MailClass::Decision => self.decide(row.session),
            // Only one that is unfinished waits for anything: it needs no turnstile.
            MailClass::Wake => self.line_up(row.session),
            MailClass::Message => {
                // It says where the session belongs.
                entry.partition = row.partition;
                if entry.mail == 0 && !entry.waiting {
                    entry.place = row.place();
                }
                let (more, agent) = (entry.count(look), entry.agent.clone());
                self.agent(&agent).mail += u64::from(more);
                self.let_in(row.session);
            }
        }
    }

    /// That a client asks for something of a session: for that, a place was taken.
    pub(crate) fn asked(&mut self, session: SessionId, shard: Shard, agent: &str) {
        let entry = self.entry(session, shard, agent);
        entry.poke.ask();
        if !matches!(entry.state, State::Awake { .. }) {
            self.line_up(session);
        }
    }

    /// Whether a session is left alone until the next start.
    pub(crate) fn is_left_alone(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|entry| entry.state == State::LeftAlone)
    }

    /// That a session is unfinished, and nobody works on it.
    pub(crate) fn recover(&mut self, session: SessionId, shard: Shard, agent: &str, partition: Option<u64>) {
        if let Some(partition) = partition {
            self.turnstiles.is_unfinished(partition, session);
        }
        let entry = self.entry(session, shard, agent);
        entry.partition = entry.partition.or(partition);
        (entry.admitted, entry.has_mail) = (true, true);
        // One at work goes on by itself: what is unfinished about it is what it works on.
        if entry.state == State::Idle {
            self.line_up(session);
        }
    }

    /// Whose turn it is, if there is room. `active`: how many of an agent's sessions may work at once.
    pub(crate) fn next(&mut self, active: impl Fn(&str) -> usize) -> Option<Go> {
        let room = self.awake < self.bounds.awake;
        while (room || self.kept < self.bounds.kept)
            && let Some(session) = self.decided.pop_front()
        {
            let waits = self.sessions.get(&session).filter(|entry| entry.decided);
            if waits.is_some_and(|entry| matches!(entry.state, State::Idle | State::Queued)) {
                return Some(self.wake(session, !room));
            }
        }
        if !room {
            return None;
        }
        while let Some(name) = self.ring.pop_front() {
            let agent = self.agent(&name);
            if agent.awake >= active(&name).max(1) {
                // Its turn comes round again when one of its sessions ends.
                agent.in_ring = false;
                continue;
            }
            let Some(session) = agent.line.pop_front() else {
                agent.in_ring = false;
                self.tidy(&name);
                continue;
            };
            self.ring.push_back(name);
            if self.sessions.get(&session).is_some_and(|entry| entry.state == State::Queued) {
                return Some(self.wake(session, false));
            }
        }
        None
    }

    /// That a session's task ended, having found no more mail that it may take.
    pub(crate) fn rested(&mut self, session: SessionId, rested: Rested) {
        let Some(entry) = self.fell_asleep(session) else { return };
        entry.state = State::Idle;
        entry.partition = rested.partition.or(entry.partition);
        let (news, barred) = (entry.poke.count() > rested.seen, !entry.admitted);
        let asked = entry.poke.asks() > rested.asked;
        entry.has_mail = news || barred;
        if !news {
            entry.decided = false;
        }
        let taken = if news || barred { 0 } else { std::mem::take(&mut entry.mail) };
        let (partition, agent) = (entry.partition, entry.agent.clone());
        entry.admitted &= partition.is_none();
        let (decided, mail) = (entry.decided, entry.mail);
        self.agent(&agent).mail -= u64::from(taken);
        let next = partition.and_then(|it| self.turnstiles.rested(it, session, rested.unfinished));
        if news && decided {
            self.decided.push_back(session);
        }
        if mail > 0 {
            self.let_in(session);
        } else if news || asked {
            self.line_up(session);
        }
        next.into_iter().for_each(|next| self.admit(next));
        self.drop_if_idle(session);
    }

    /// That a session could not be worked on: it is tried again at that monotonic time.
    pub(crate) fn failed(&mut self, session: SessionId, again_at_ms: i64) {
        if let Some(entry) = self.fell_asleep(session) {
            (entry.state, entry.has_mail) = (State::Parked(again_at_ms), true);
            self.parked.insert((again_at_ms, session));
        }
    }

    /// That a session is not to be worked on until the next start. It holds what it held.
    pub(crate) fn leave_alone(&mut self, session: SessionId) {
        if let Some(entry) = self.fell_asleep(session) {
            entry.state = State::LeftAlone;
            self.left_alone += 1;
        }
    }

    /// Those that were to be tried again by now are.
    pub(crate) fn try_again(&mut self, now_ms: i64) {
        while let Some((at, session)) = self.parked.first().copied()
            && at <= now_ms
        {
            self.parked.pop_first();
            let Some(entry) = self.sessions.get_mut(&session) else { continue };
            entry.state = State::Idle;
            if entry.decided {
                self.decided.push_back(session);
            }
            self.line_up(session);
        }
    }

    /// When the next is to be tried again, in monotonic milliseconds.
    pub(crate) fn next_try_ms(&self) -> Option<i64> {
        self.parked.first().map(|(at, _)| *at)
    }

    /// Partitions to ask the store about, at most so many.
    pub(crate) fn partitions_to_ask(&mut self, most: usize) -> Vec<u64> {
        self.turnstiles.asks(most)
    }

    /// The unfinished sessions of the partitions that were asked about.
    pub(crate) fn unfinished(&mut self, asked: &[u64], found: &[(u64, SessionId)]) {
        let go = self.turnstiles.answered(asked, found);
        go.into_iter().for_each(|session| self.admit(session));
    }

    /// That shards are another node's: what waits there is its business.
    pub(crate) fn lose(&mut self, lost: &[Shard]) {
        let gone = self.sessions.iter().filter(|(_, entry)| {
            lost.contains(&entry.shard) && !matches!(entry.state, State::Awake { .. } | State::LeftAlone)
        });
        let gone: Vec<SessionId> = gone.map(|(session, _)| *session).collect();
        for session in gone {
            let Some(entry) = self.sessions.get_mut(&session) else { continue };
            let (mail, agent) = (std::mem::take(&mut entry.mail), entry.agent.clone());
            if let State::Parked(at) = entry.state {
                self.parked.remove(&(at, session));
            }
            (entry.state, entry.decided, entry.admitted, entry.waiting) = (State::Idle, false, false, false);
            if let Some(partition) = entry.partition {
                self.turnstiles.forget(partition);
            }
            self.agent(&agent).mail -= u64::from(mail);
            self.drop_if_idle(session);
        }
    }

    /// The sessions at work.
    pub(crate) fn awake(&self) -> Vec<SessionId> {
        let awake = self.sessions.iter().filter(|(_, entry)| matches!(entry.state, State::Awake { .. }));
        awake.map(|(session, _)| *session).collect()
    }

    fn entry(&mut self, session: SessionId, shard: Shard, agent: &str) -> &mut Entry {
        let known = self.agents.get_key_value(agent).map(|(name, _)| name.clone());
        let known = || known.unwrap_or_else(|| Arc::from(agent));
        match self.sessions.entry(session) {
            btree_map::Entry::Vacant(vacant) => vacant.insert(Entry::new(shard, known())),
            btree_map::Entry::Occupied(occupied) => {
                let entry = occupied.into_mut();
                // Who decides does not say whose session it is; whoever writes does.
                let uncounted = entry.mail == 0 && entry.posting == 0 && entry.state == State::Idle;
                if entry.agent.is_empty() && uncounted {
                    entry.agent = known();
                }
                entry
            }
        }
    }

    fn agent(&mut self, name: &Arc<str>) -> &mut Agent {
        self.agents.entry(name.clone()).or_default()
    }

    /// There is a message for a session, which takes it in its partition's turn.
    fn let_in(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let free = entry.admitted
            || entry
                .partition
                .is_none_or(|partition| !entry.waiting && self.turnstiles.enter(partition, session, entry.place));
        if free {
            self.admit(session);
        } else {
            entry.waiting = true;
        }
    }

    fn admit(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        (entry.admitted, entry.waiting) = (true, false);
        self.line_up(session);
    }

    fn decide(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let new = !std::mem::replace(&mut entry.decided, true);
        match entry.state {
            State::Awake { .. } => entry.poke.poke(),
            State::Idle | State::Queued if new => self.decided.push_back(session),
            State::Idle | State::Queued | State::Parked(_) | State::LeftAlone => {}
        }
    }

    /// There is work for a session: in its agent's turn, unless it is at work.
    fn line_up(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        match entry.state {
            State::Idle => {}
            State::Awake { .. } => {
                entry.poke.allow_messages(entry.admitted);
                entry.poke.poke();
                return;
            }
            State::Queued | State::Parked(_) | State::LeftAlone => return,
        }
        entry.state = State::Queued;
        let name = entry.agent.clone();
        let agent = self.agent(&name);
        agent.line.push_back(session);
        if !std::mem::replace(&mut agent.in_ring, true) {
            self.ring.push_back(name);
        }
    }

    fn wake(&mut self, session: SessionId, kept: bool) -> Go {
        let entry = self.sessions.get_mut(&session).expect("whoever wakes it has just looked at it");
        entry.state = State::Awake { kept };
        let mail = std::mem::take(&mut entry.has_mail) || entry.decided;
        entry.decided = false;
        entry.poke.allow_messages(entry.admitted);
        let (poke, name) = (entry.poke.clone(), entry.agent.clone());
        self.awake += usize::from(!kept);
        self.kept += usize::from(kept);
        self.agent(&name).awake += 1;
        Go { session, poke, mail }
    }

    /// Its place is free; `None`, if it was not awake.
    fn fell_asleep(&mut self, session: SessionId) -> Option<&mut Entry> {
        let entry = self.sessions.get_mut(&session)?;
        let State::Awake { kept } = entry.state else { return None };
        let name = entry.agent.clone();
        self.awake -= usize::from(!kept);
        self.kept -= usize::from(kept);
        let agent = self.agents.entry(name.clone()).or_default();
        agent.awake -= 1;
        if !agent.line.is_empty() && !std::mem::replace(&mut agent.in_ring, true) {
            self.ring.push_back(name);
        }
        Some(entry)
    }

    fn drop_if_idle(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get(&session) else { return };
        if entry.state == State::Idle && entry.mail == 0 && entry.posting == 0 && !entry.decided {
            let agent = entry.agent.clone();
            self.sessions.remove(&session);
            self.tidy(&agent);
        }
    }

    /// Forgets an agent that nothing is known of.
    fn tidy(&mut self, name: &Arc<str>) {
        let idle = |agent: &Agent| {
            !agent.in_ring && agent.line.is_empty() && agent.awake == 0 && agent.mail == 0 && agent.posting == 0
        };
        if self.agents.get(name).is_some_and(idle) {
            self.agents.remove(name);
        }
    }
}
