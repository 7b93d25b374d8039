//! What happens when a schedule falls due. A tick is mail like any other; what it makes happen is asked of whoever was
//! wired in, for the execution plane knows no descriptors.
//!
//! ```text
//! tick due ─▶ ask ─▶ post (message, next tick) ─▶ discard the tick      a crash between any two: the same ids again
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use data::error::DataError;
use domain::clock::Timestamp;
use domain::id::Name;
use domain::mail::{Firing, Mail, MailBody};
use futures::future::BoxFuture;

use crate::scheduler::Parts;

/// What a schedule that fell due makes happen: of its agent, its name, and the instant. `None`: that cannot be told
/// now; it is asked again.
pub type Ask = dyn Fn(Name, Name, Timestamp) -> BoxFuture<'static, Option<Firing>> + Send + Sync;

/// Whom to ask about schedules that fall due, and how often what came of it.
#[derive(Clone, Default)]
pub struct Triggers {
    ask: Option<Arc<Ask>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    fired: AtomicU64,
    skipped: AtomicU64,
}

impl Triggers {
    /// Asks this.
    pub fn new(ask: Arc<Ask>) -> Self {
        Triggers { ask: Some(ask), counts: Arc::default() }
    }

    /// How many schedules fell due and started a session since this node started.
    pub fn fired(&self) -> u64 {
        self.counts.fired.load(Ordering::Relaxed)
    }

    /// How many fell due and were passed over, with the reason in the log.
    pub fn skipped(&self) -> u64 {
        self.counts.skipped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Triggers({} fired, {} skipped)", self.fired(), self.skipped())
    }
}

/// Does what a tick is for, and throws it away. `false`: not now; the tick is still there.
pub(crate) async fn ticked(parts: &Parts, tick: &Mail) -> Result<bool, DataError> {
    let MailBody::Tick { agent, trigger } = &tick.body else { return discard(parts, tick).await };
    let Some(ask) = &parts.triggers.ask else { return discard(parts, tick).await };
    let Some(Firing { mail, skipped }) = ask(agent.clone(), trigger.clone(), tick.due).await else { return Ok(false) };
    let due = tick.due;
    match (&skipped, mail.is_empty()) {
        (Some(why), _) => {
            parts.triggers.counts.skipped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%agent, %trigger, %due, why, "a schedule fell due and was passed over");
        }
        (None, true) => tracing::info!(%agent, %trigger, %due, "a schedule that is gone fell due"),
        (None, false) => {
            parts.triggers.counts.fired.fetch_add(1, Ordering::Relaxed);
        }
    }
    parts.log.post(mail).await?;
    discard(parts, tick).await
}

async fn discard(parts: &Parts, tick: &Mail) -> Result<bool, DataError> {
    parts.log.discard(tick.session, vec![tick.id.clone()]).await?;
    Ok(true)
}
