//! What callers and sessions' tasks share of attached sessions: who listens for the end of a call, what models asked to
//! have used, and which sessions linger. One lock, never held over a wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::id::{CallId, Digest, Name, SessionId};
use domain::message::Message;

use super::linger::{Lingerers, Lingering};
use super::uses::Uses;
use super::{AttachError, CallReply, Listener};

/// See the module.
#[derive(Default)]
pub(crate) struct Guests(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    listeners: BTreeMap<(SessionId, u32), Vec<Listener>>,
    uses: Uses,
    lingerers: Lingerers,
}

impl Guests {
    /// Somebody listens for the end of a call.
    pub(crate) fn listen(&self, call: CallId, listener: Listener) {
        let mut inner = self.lock();
        let all = inner.listeners.entry((call.session, call.ordinal)).or_default();
        all.retain(|one| !one.is_closed());
        all.push(listener);
    }

    /// Somebody listens no longer.
    pub(crate) fn left(&self, call: CallId) {
        let mut inner = self.lock();
        let key = (call.session, call.ordinal);
        if let Some(all) = inner.listeners.get_mut(&key) {
            all.retain(|one| !one.is_closed());
            if all.is_empty() {
                inner.listeners.remove(&key);
            }
        }
    }

    /// Whoever still listens for the end of a call is told it by the caller, and listens no longer.
    pub(crate) fn take(&self, call: CallId) -> Vec<Listener> {
        let mut all = self.lock().listeners.remove(&(call.session, call.ordinal)).unwrap_or_default();
        all.retain(|one| !one.is_closed());
        all
    }

    /// Whether somebody listens for the end of a call.
    pub(crate) fn listens(&self, call: CallId) -> bool {
        let inner = self.lock();
        let all = inner.listeners.get(&(call.session, call.ordinal));
        all.is_some_and(|all| all.iter().any(|one| !one.is_closed()))
    }

    /// Whoever listens for any call of a session.
    pub(crate) fn take_all(&self, session: SessionId) -> Vec<Listener> {
        let mut inner = self.lock();
        let calls: Vec<_> = inner.listeners.range((session, 0)..=(session, u32::MAX)).map(|(key, _)| *key).collect();
        calls.into_iter().flat_map(|key| inner.listeners.remove(&key).unwrap_or_default()).collect()
    }

    /// Says how a call stands; who listens goes on listening.
    pub(crate) fn say(&self, call: CallId, reply: &Result<CallReply, AttachError>) {
        if let Some(all) = self.lock().listeners.get_mut(&(call.session, call.ordinal)) {
            all.retain(|one| one.send(reply.clone()).is_ok());
        }
    }

    /// The session whose model asked for exactly this last.
    pub(crate) fn asked(&self, agent: &Name, wanted: (&str, Digest)) -> Option<SessionId> {
        self.lock().uses.find(agent, None, wanted).map(|(session, _)| session)
    }

    /// The provider's id of the use that this is, in its session.
    pub(crate) fn use_of(&self, agent: &Name, session: SessionId, wanted: (&str, Digest)) -> Option<String> {
        self.lock().uses.take(agent, session, wanted)
    }

    /// What a model asked to have used.
    pub(crate) fn wants(&self, agent: &Name, session: SessionId, answer: &Message) {
        self.lock().uses.wanted(agent, session, answer);
    }

    /// A client went on with its conversation.
    pub(crate) fn went_on(&self, agent: &Name, session: SessionId) {
        self.lock().uses.went_on(agent, session);
    }

    /// A session comes to rest, and lingers.
    pub(crate) fn linger(&self, session: SessionId, one: Lingering, now_ms: i64) {
        self.lock().lingerers.put(session, one, now_ms);
    }

    /// Takes one that lingers.
    pub(crate) fn come(&self, session: SessionId) -> Option<Lingering> {
        self.lock().lingerers.take(session)
    }

    /// Lets go whoever lingered long enough; answers when the next has, in monotonic milliseconds.
    pub(crate) fn tidy(&self, now_ms: i64) -> Option<i64> {
        let mut inner = self.lock();
        inner.lingerers.tidy(now_ms);
        inner.lingerers.next_ms()
    }

    /// Lets go those that are another node's now.
    pub(crate) fn lose(&self, is_lost: impl Fn(SessionId) -> bool) {
        self.lock().lingerers.lose(is_lost);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
