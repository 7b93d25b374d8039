//! Sessions that clients will come back to in a moment: each rests, and lingers in memory, so that the next request
//! reads nothing. It is a cache and nothing else: whoever is not found here is read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::capability::Offer;
use domain::id::SessionId;

use crate::hearing::Hearing;
use crate::rehydrate::Awake;

/// How long one lingers after its last request, in milliseconds.
const LINGERS_MS: i64 = 10_000;
/// How many linger at once.
const MOST: usize = 256;
/// How much what they were told may come to, all together, in bytes.
const MOST_BYTES: usize = 24 << 20;

/// A session that rests.
pub(crate) struct Lingering {
    pub awake: Awake,
    pub offers: Option<Arc<[Offer]>>,
    pub hearing: Hearing,
    /// About how much memory it takes, in bytes.
    pub bytes: usize,
}

/// Those that linger.
#[derive(Default)]
pub(crate) struct Lingerers {
    all: BTreeMap<SessionId, (i64, Lingering)>,
    /// The same, the longest lingering first.
    order: BTreeMap<(i64, SessionId), ()>,
    bytes: usize,
}

impl Lingerers {
    /// One comes to rest; others go to make room.
    pub(crate) fn put(&mut self, session: SessionId, one: Lingering, now_ms: i64) {
        self.take(session);
        self.bytes += one.bytes;
        self.all.insert(session, (now_ms, one));
        self.order.insert((now_ms, session), ());
        self.tidy(now_ms);
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, session: SessionId) -> Option<Lingering> {
        let (since, one) = self.all.remove(&session)?;
        self.order.remove(&(since, session));
        self.bytes -= one.bytes;
        Some(one)
    }

    /// Lets go whoever lingered long enough, or takes too much.
    pub(crate) fn tidy(&mut self, now_ms: i64) {
        while let Some(((since, session), ())) = self.order.first_key_value() {
            let full = self.all.len() > MOST || self.bytes > MOST_BYTES;
            if !full && *since + LINGERS_MS > now_ms {
                return;
            }
            self.take(*session);
        }
    }

    /// Lets go those of shards that are another node's now.
    pub(crate) fn lose(&mut self, is_lost: impl Fn(SessionId) -> bool) {
        let gone: Vec<SessionId> = self.all.keys().copied().filter(|session| is_lost(*session)).collect();
        gone.into_iter().for_each(|session| drop(self.take(session)));
    }

    /// When the next has lingered long enough, in monotonic milliseconds.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.order.first_key_value().map(|((since, _), ())| since + LINGERS_MS)
    }
}
