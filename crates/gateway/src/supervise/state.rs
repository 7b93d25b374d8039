//! What is known of one server: its connection, its failures in a row, how long it is left alone. Pure: times are
//! passed in.

use std::sync::Arc;

use futures::future::{BoxFuture, Shared};

use crate::upstream::Upstream;

/// How long a server that failed is left alone at first; doubled with every failure in a row.
const FIRST_PAUSE_MS: i64 = 1_000;

/// The longest it is left alone.
const LONGEST_PAUSE_MS: i64 = 60_000;

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Not needed so far.
    Idle,
    /// Connected.
    Up,
    /// It failed.
    Down {
        /// Why, in one sentence.
        why: String,
        /// How long it is still left alone, in milliseconds.
        retry_in_ms: i64,
    },
}

/// One connection and its number: the first to a server is 1.
#[derive(Clone)]
pub(crate) struct Live {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) number: u64,
}

impl Live {
    /// Changes whenever the server's tools may have changed.
    pub(crate) fn edition(&self) -> (u64, u64) {
        (self.number, self.upstream.tools_changed())
    }
}

pub(super) type Connecting = Shared<BoxFuture<'static, Result<Live, String>>>;

/// What is known of one server.
#[derive(Default)]
pub(super) struct State {
    pub(super) live: Option<Live>,
    pub(super) connecting: Option<Connecting>,
    pub(super) connections: u64,
    /// Failures in a row, of connecting or of standing.
    pub(super) failures: u32,
    /// Calls in a row that ran into their timeout.
    pub(super) silent: u32,
    pub(super) down: Option<(String, i64)>,
}

impl State {
    pub(super) fn condition(&self, now_ms: i64) -> Condition {
        match (&self.live, &self.down) {
            (Some(live), _) if live.upstream.is_alive() => Condition::Up,
            (_, Some((why, until))) => {
                Condition::Down { why: why.clone(), retry_in_ms: until.saturating_sub(now_ms).max(0) }
            }
            _ => Condition::Idle,
        }
    }

    /// It fell while it stood: the first time in a row, it may be opened again at once.
    pub(super) fn fell(&mut self, why: String, now_ms: i64) {
        self.live = None;
        self.silent = 0;
        self.down = Some((why, now_ms.saturating_add(pause_ms(self.failures))));
        self.failures = self.failures.saturating_add(1);
    }

    /// It could not be opened. An attempt that took long is not repeated for as long.
    pub(super) fn did_not_open(&mut self, why: String, now_ms: i64, took_ms: i64) {
        self.failures = self.failures.saturating_add(1);
        self.down = Some((why, now_ms.saturating_add(pause_ms(self.failures).max(took_ms))));
    }
}

/// How long to leave a server alone after so many failures in a row.
fn pause_ms(failures: u32) -> i64 {
    match failures {
        0 => 0,
        _ => (FIRST_PAUSE_MS << (failures - 1).min(10)).min(LONGEST_PAUSE_MS),
    }
}
