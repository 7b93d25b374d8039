//! How many requests for consent of one agent people have before them: beyond a bound none is added, so that an agent that
//! asks and asks cannot bury what others need. The inbox says how many there are; it is looked at once a second, and what
//! was asked since is counted besides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use data::rows::InboxKey;
use domain::id::{ApprovalId, Name};
use execution::Full;

use crate::app::App;

/// The most requests for consent that one agent may have people look at.
pub(super) const MOST: usize = 100;
/// For how long what the inbox said is believed, in milliseconds.
const BELIEVED_MS: i64 = 1_000;
/// When to come back, in milliseconds.
const RETRY_MS: i64 = 30_000;

/// What waits, by agent, and when the inbox was looked at.
#[derive(Default)]
pub(super) struct Asked(Mutex<(Option<i64>, Waiting)>);

type Waiting = BTreeMap<Name, BTreeSet<ApprovalId>>;

impl Asked {
    /// Whether an agent has asked for as much as it may.
    pub(super) async fn full(&self, app: &App, agent: &Name) -> Option<Full> {
        let now = app.clock.monotonic_ms();
        let looked = self.held().0;
        if looked.is_none_or(|looked| now - looked >= BELIEVED_MS)
            && let Ok(items) = app.log.inbox().await
        {
            let mut waiting = Waiting::new();
            for item in items {
                if let InboxKey::Approval { approval } = item.key {
                    waiting.entry(item.agent).or_default().insert(approval);
                }
            }
            *self.held() = (Some(now), waiting);
        }
        let many = self.held().1.get(agent).is_some_and(|waiting| waiting.len() >= MOST);
        many.then_some(Full { bound: "the agent's requests for consent", retry_after_ms: RETRY_MS })
    }

    /// Somebody was asked.
    pub(super) fn more(&self, agent: &Name, approval: ApprovalId) {
        self.held().1.entry(agent.clone()).or_default().insert(approval);
    }

    fn held(&self) -> MutexGuard<'_, (Option<i64>, Waiting)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
