//! What happens in sessions right now, for whoever watches. Nothing here is durable and nothing depends on it:
//! a watcher that falls behind looks at the log.

use domain::id::{Seq, SessionId};
use tokio::sync::broadcast;

/// How many steps a slow watcher may fall behind before it has to look at the log.
const WATCH_BACKLOG: usize = 4096;

/// One step of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The model said some more words.
    Delta(String),
    /// A record was committed.
    Committed(Seq),
    /// A record is to be committed, and the store does not take it.
    Waits,
}

/// Where steps are announced.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(broadcast::Sender<(SessionId, Progress)>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Announcer(broadcast::channel(WATCH_BACKLOG).0)
    }

    pub(crate) fn announce(&self, session: SessionId, progress: Progress) {
        // No watcher is no error.
        let _ = self.0.send((session, progress));
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<(SessionId, Progress)> {
        self.0.subscribe()
    }
}
