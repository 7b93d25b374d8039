//! What callers, the scheduler and sessions' tasks share: the backlog, behind one lock that is never held over a wait.
//! It must not know what mail means.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data::commit::{DuePage, Log};
use domain::clock::Timestamp;
use domain::id::{Epoch, SessionId, Shard};
use domain::mail::{Mail, MailBody};

use tokio::sync::Notify;

use crate::attach::{AttachError, Guests, Request};
use crate::backlog::{Backlog, Bounds, Gauge, Go, Place, Rested};
use crate::looks::{Look, Looks};
use crate::mailbox::Full;

/// The backlog of a node, and how far its table is known.
pub(crate) struct Desk {
    log: Log,
    models: models::Door,
    guests: Guests,
    /// A client asks for something of a session that is not at work.
    asked: Notify,
    inner: Mutex<Inner>,
}

struct Inner {
    backlog: Backlog,
    looks: Looks,
    /// What clients ask of sessions, each in its place.
    requests: BTreeMap<SessionId, Vec<(Place, Request)>>,
    /// The number of the latest look.
    look: u64,
    /// The shards that are served, and since which epoch.
    owned: BTreeMap<Shard, Epoch>,
}

/// What became of the shards since the last look at them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub gained: Vec<Shard>,
    pub lost: Vec<Shard>,
}

/// A message's place, given back when it is dropped.
pub(crate) struct Held<'a> {
    desk: &'a Desk,
    place: Place,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // What was posted is counted before its place is given back.
        self.desk.hear();
        self.desk.lock().backlog.give_back(&self.place);
    }
}

impl Desk {
    pub(crate) fn new(log: Log, models: models::Door, bounds: Bounds) -> Self {
        let looks = Looks::new(log.shares_store());
        let backlog = Backlog::new(bounds);
        let inner = Inner { backlog, looks, requests: BTreeMap::new(), look: 0, owned: BTreeMap::new() };
        Desk { log, models, guests: Guests::default(), asked: Notify::new(), inner: Mutex::new(inner) }
    }

    /// Takes a place for mail that is to be posted. `None`: it counts against no bound.
    pub(crate) fn reserve(&self, mail: &Mail) -> Result<Option<Held<'_>>, Full> {
        let MailBody::Message { start, .. } = &mail.body else { return Ok(None) };
        if mail.due > self.log.clock().now() {
            return Ok(None);
        }
        let agent = &start.principal.link.agent;
        let queue = u64::from(self.models.limits(agent.as_str()).queue);
        let (session, shard) = (mail.session, self.log.shard_of(mail.session));
        let place = self.lock().backlog.reserve(session, shard, agent.as_str(), queue)?;
        Ok(Some(Held { desk: self, place }))
    }

    /// Takes what a client asks of a session, if there is room. What was posted before it is heard before it.
    pub(crate) fn ask(&self, session: SessionId, request: Request) -> Result<(), AttachError> {
        self.hear();
        let queue = u64::from(self.models.limits(request.agent.as_str()).queue);
        let shard = self.log.shard_of(session);
        let mut inner = self.lock();
        if !inner.owned.contains_key(&shard) {
            return Err(AttachError::Lost("Another node serves this session now; try again.".to_owned()));
        }
        if inner.backlog.is_left_alone(session) {
            return Err(AttachError::Lost(format!("The records of {session} cannot be read by this build.")));
        }
        let agent = request.agent.clone();
        let place = inner.backlog.reserve(session, shard, agent.as_str(), queue)?;
        inner.requests.entry(session).or_default().push((place, request));
        inner.backlog.asked(session, shard, agent.as_str());
        self.asked.notify_one();
        Ok(())
    }

    /// What clients ask of a session: its task takes all of it.
    pub(crate) fn requests(&self, session: SessionId) -> Vec<Request> {
        let mut inner = self.lock();
        let all = inner.requests.remove(&session).unwrap_or_default();
        all.into_iter()
            .map(|(place, request)| {
                inner.backlog.give_back(&place);
                request
            })
            .collect()
    }

    /// Waits until a client asks for something.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// What is shared of attached sessions.
    pub(crate) fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Nobody serves what clients ask any more.
    pub(crate) fn turn_away(&self) {
        let sessions: Vec<SessionId> = self.lock().requests.keys().copied().collect();
        for request in sessions.into_iter().flat_map(|session| self.requests(session)) {
            request.fail(AttachError::Lost("The server is stopping.".to_owned()));
        }
    }

    /// Hears what was posted here.
    pub(crate) fn hear(&self) {
        let now = self.log.clock().now();
        // Asked under the lock: what one hears, nobody else misses.
        let mut inner = self.lock();
        let posts = self.log.take_posts();
        if posts.missed {
            inner.looks.missed();
        }
        for row in posts.rows {
            if row.due > now && !row.was_due() {
                inner.looks.later(row.due);
            } else if inner.owned.contains_key(&row.shard) {
                inner.backlog.arrived(&row, None);
            }
        }
    }

    /// Which shards came and went.
    pub(crate) fn moved(&self) -> Moved {
        let mut inner = self.lock();
        let owned = self.log.owned();
        let gained = owned.iter().filter(|(shard, since)| inner.owned.get(shard) != Some(since));
        let gained: Vec<Shard> = gained.map(|(shard, _)| *shard).collect();
        let lost = inner.owned.keys().filter(|shard| !owned.contains_key(shard)).copied().collect::<Vec<_>>();
        if !lost.is_empty() {
            inner.backlog.lose(&lost);
            self.guests.lose(|session| lost.contains(&self.log.shard_of(session)));
        }
        if !gained.is_empty() {
            inner.looks.missed();
        }
        inner.owned = owned;
        Moved { gained, lost }
    }

    /// Whose turn it is, if there is room.
    pub(crate) fn next(&self) -> Option<Go> {
        let active = |agent: &str| match agent {
            "" => usize::MAX,
            agent => self.models.limits(agent).active as usize,
        };
        self.lock().backlog.next(active)
    }

    /// A look at the table, if it is time for one, with its number.
    pub(crate) fn look(&self) -> Option<(u64, Look)> {
        let clock = self.log.clock();
        let mut inner = self.lock();
        if inner.backlog.wants_a_look() {
            inner.looks.missed();
        }
        let (now, monotonic_ms) = (clock.now(), clock.monotonic_ms());
        if !inner.looks.is_time(now, monotonic_ms) {
            return None;
        }
        let look = inner.looks.begin(now, monotonic_ms);
        if look.all {
            inner.backlog.looking();
        }
        inner.look += 1;
        Some((inner.look, look))
    }

    /// One page of a look. Answers whether the look goes on.
    pub(crate) fn page(&self, number: u64, page: &DuePage) -> bool {
        let mut inner = self.lock();
        for row in page.rows.iter().filter(|row| inner.owned.contains_key(&row.shard)).collect::<Vec<_>>() {
            inner.backlog.arrived(row, Some(number));
        }
        // The rest stays in the table, and is looked at again when there is room for it.
        let goes_on = page.next_page.is_some() && !inner.backlog.overflowed();
        if !goes_on {
            inner.looks.end(page.next);
        }
        goes_on
    }

    /// A session that is unfinished, and nobody works on it.
    pub(crate) fn recover(&self, session: SessionId, agent: &str, partition: Option<u64>) {
        let shard = self.log.shard_of(session);
        self.lock().backlog.recover(session, shard, agent, partition);
    }

    /// Messages that a session took, durably.
    pub(crate) fn taken(&self, session: SessionId, messages: u32) {
        if messages > 0 {
            self.lock().backlog.taken(session, messages);
        }
    }

    pub(crate) fn rested(&self, session: SessionId, rested: Rested) {
        self.lock().backlog.rested(session, rested);
    }

    pub(crate) fn failed(&self, session: SessionId, again_at_ms: i64) {
        self.lock().backlog.failed(session, again_at_ms);
    }

    pub(crate) fn leave_alone(&self, session: SessionId) {
        self.lock().backlog.leave_alone(session);
        for request in self.requests(session) {
            request.fail(AttachError::Lost(format!("The records of {session} cannot be read by this build.")));
        }
    }

    pub(crate) fn partitions_to_ask(&self, most: usize) -> Vec<u64> {
        self.lock().backlog.partitions_to_ask(most)
    }

    pub(crate) fn unfinished(&self, asked: &[u64], found: &[(u64, SessionId)]) {
        self.lock().backlog.unfinished(asked, found);
    }

    /// What was to be tried again by now is; answers how long until there may be more to do, in milliseconds.
    pub(crate) fn idle_for_ms(&self, now: Timestamp, monotonic_ms: i64) -> i64 {
        let inner = self.lock();
        let retry = inner.backlog.next_try_ms().map_or(i64::MAX, |at| at.saturating_sub(monotonic_ms));
        let lingers = self.guests.tidy(monotonic_ms).map_or(i64::MAX, |at| at.saturating_sub(monotonic_ms));
        inner.looks.due_in_ms(now, monotonic_ms).min(retry).min(lingers)
    }

    pub(crate) fn try_again(&self, monotonic_ms: i64) {
        self.lock().backlog.try_again(monotonic_ms);
    }

    pub(crate) fn awake(&self) -> Vec<SessionId> {
        self.lock().backlog.awake()
    }

    pub(crate) fn owned(&self) -> Vec<Shard> {
        self.lock().owned.keys().copied().collect()
    }

    pub(crate) fn queued(&self, session: SessionId) -> Option<u64> {
        self.lock().backlog.queued(session)
    }

    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let limits = |agent: &str| {
            let limits = self.models.limits(agent);
            (u64::from(limits.active), u64::from(limits.queue))
        };
        self.lock().backlog.gauges(limits)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
