//! The hand-over between the scheduler and a session's task: a task ends with the number of pokes that it has seen, so
//! that mail which comes as it ends is not lost. It must not know what mail is.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use domain::clock::Timestamp;
use tokio::sync::Notify;

/// What tells a session's task that it has mail.
#[derive(Debug)]
pub(crate) struct Poke {
    count: AtomicU64,
    asks: AtomicU64,
    due: AtomicI64,
    messages: AtomicBool,
    news: Notify,
}

impl Default for Poke {
    fn default() -> Self {
        Poke {
            count: AtomicU64::new(0),
            asks: AtomicU64::new(0),
            due: AtomicI64::new(i64::MIN),
            messages: AtomicBool::new(false),
            news: Notify::new(),
        }
    }
}

impl Poke {
    /// There is something new: look again.
    pub(crate) fn poke(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.news.notify_one();
    }

    /// How often it was poked.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// A client asks for something.
    pub(crate) fn ask(&self) {
        self.asks.fetch_add(1, Ordering::SeqCst);
        self.news.notify_one();
    }

    /// How often clients asked.
    pub(crate) fn asks(&self) -> u64 {
        self.asks.load(Ordering::SeqCst)
    }

    /// Waits until it was poked or asked more often than that.
    pub(crate) async fn more_than(&self, seen: u64, asked: u64) {
        while self.count() <= seen && self.asks() <= asked {
            self.news.notified().await;
        }
    }

    /// That mail for later was due at that instant, whatever a clock that steps back says later.
    pub(crate) fn is_due(&self, due: Timestamp) {
        self.due.fetch_max(due.0, Ordering::SeqCst);
    }

    /// The latest instant at which mail for later was due.
    pub(crate) fn due(&self) -> Timestamp {
        Timestamp(self.due.load(Ordering::SeqCst))
    }

    /// Whether it may take messages, or only what people decided and timers.
    pub(crate) fn allow_messages(&self, allowed: bool) {
        self.messages.store(allowed, Ordering::SeqCst);
    }

    pub(crate) fn messages_allowed(&self) -> bool {
        self.messages.load(Ordering::SeqCst)
    }
}
