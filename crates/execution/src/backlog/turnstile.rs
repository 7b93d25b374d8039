//! One session of a partition at a time. Who comes next is settled here, in memory; who is unfinished is asked of the
//! store once per partition, and forgotten when nobody waits. It knows neither mail nor tasks.

use std::collections::{BTreeMap, BTreeSet};

use domain::clock::Timestamp;
use domain::id::SessionId;

/// Where mail is in the order of its partition: since when it could be delivered, and posted.
pub(crate) type Place = (Timestamp, i64);

/// The turnstiles of all partitions that anybody is in, or waits for.
#[derive(Debug, Default)]
pub(crate) struct Turnstiles {
    all: BTreeMap<u64, Turnstile>,
    /// Partitions of which nobody knows who is unfinished.
    unknown: BTreeSet<u64>,
}

#[derive(Debug)]
struct Turnstile {
    holder: Holder,
    waiting: BTreeSet<(Place, SessionId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The store is to be asked. `stale`: somebody let go since it was.
    Unknown {
        stale: bool,
    },
    Nobody,
    Is(SessionId),
}

impl Turnstiles {
    /// Whether a session may go at once; otherwise it waits, in the order of places, and is let through later. It must
    /// not wait already.
    pub(crate) fn enter(&mut self, partition: u64, session: SessionId, place: Place) -> bool {
        let unknown = &mut self.unknown;
        let turnstile = self.all.entry(partition).or_insert_with(|| {
            unknown.insert(partition);
            Turnstile { holder: Holder::Unknown { stale: false }, waiting: BTreeSet::new() }
        });
        if turnstile.holder == Holder::Is(session) {
            return true;
        }
        turnstile.waiting.insert((place, session));
        turnstile.let_one_through() == Some(session)
    }

    /// That a session is unfinished, as its head says.
    pub(crate) fn is_unfinished(&mut self, partition: u64, session: SessionId) {
        self.unknown.remove(&partition);
        let turnstile = Turnstile { holder: Holder::Is(session), waiting: BTreeSet::new() };
        let turnstile = self.all.entry(partition).or_insert(turnstile);
        if matches!(turnstile.holder, Holder::Unknown { .. }) {
            turnstile.holder = Holder::Is(session);
        }
    }

    /// Partitions to ask the store about, at most so many: who of them is unfinished?
    pub(crate) fn asks(&mut self, most: usize) -> Vec<u64> {
        let ask: Vec<u64> = self.unknown.iter().copied().take(most).collect();
        for partition in &ask {
            if let Some(Turnstile { holder: Holder::Unknown { stale }, .. }) = self.all.get_mut(partition) {
                *stale = false;
            }
        }
        ask
    }

    /// What the store answered: the unfinished sessions of the partitions that were asked about. Answers who may go.
    pub(crate) fn answered(&mut self, asked: &[u64], unfinished: &[(u64, SessionId)]) -> Vec<SessionId> {
        let mut go = Vec::new();
        for partition in asked {
            let Some(turnstile) = self.all.get_mut(partition) else {
                self.unknown.remove(partition);
                continue;
            };
            match turnstile.holder {
                // Whoever let go in between may be in the answer: it is asked again.
                Holder::Unknown { stale: true } => continue,
                Holder::Unknown { stale: false } => {}
                Holder::Nobody | Holder::Is(_) => {
                    self.unknown.remove(partition);
                    continue;
                }
            }
            self.unknown.remove(partition);
            let found = unfinished.iter().find(|(of, _)| of == partition);
            turnstile.holder = found.map_or(Holder::Nobody, |(_, session)| Holder::Is(*session));
            match found {
                // It waits at its own turnstile: nobody else does its work.
                Some((_, session)) if turnstile.leave(*session) => go.push(*session),
                Some(_) => {}
                None => go.extend(turnstile.let_one_through()),
            }
        }
        go
    }

    /// That a session came to rest: unfinished, it keeps its place in front of everybody. Answers who may go.
    pub(crate) fn rested(&mut self, partition: u64, session: SessionId, unfinished: bool) -> Option<SessionId> {
        let turnstile = self.all.get_mut(&partition)?;
        let mut next = None;
        match &mut turnstile.holder {
            Holder::Is(holder) if *holder == session => {
                if !unfinished {
                    turnstile.holder = Holder::Nobody;
                    next = turnstile.let_one_through();
                }
            }
            Holder::Unknown { stale } if !unfinished => *stale = true,
            Holder::Is(_) | Holder::Unknown { .. } | Holder::Nobody => {}
        }
        let idle = turnstile.waiting.is_empty() && next.is_none();
        if idle && !matches!(turnstile.holder, Holder::Unknown { .. }) {
            // Whoever comes next asks the store again.
            self.all.remove(&partition);
        }
        next
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.unknown.is_empty()
    }

    /// That a partition's shard was lost, and with it everybody at its turnstile.
    pub(crate) fn forget(&mut self, partition: u64) {
        self.all.remove(&partition);
        self.unknown.remove(&partition);
    }
}

impl Turnstile {
    /// Nobody waits where nobody is inside.
    fn let_one_through(&mut self) -> Option<SessionId> {
        if self.holder != Holder::Nobody {
            return None;
        }
        let (_, first) = self.waiting.pop_first()?;
        self.holder = Holder::Is(first);
        Some(first)
    }

    fn leave(&mut self, session: SessionId) -> bool {
        let place = self.waiting.iter().find(|(_, waits)| *waits == session).copied();
        place.is_some_and(|place| self.waiting.remove(&place))
    }
}
