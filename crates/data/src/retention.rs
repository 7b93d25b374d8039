//! Retention: what has been remembered long enough is forgotten on schedule, and so are budget windows that hold nothing
//! any more. Must not know why something was remembered.

use crate::commit::Log;

/// How often what has expired is looked for, in milliseconds.
const EVERY_MS: i64 = 3_600_000;

/// When it was last looked for.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    looked_ms: Option<i64>,
}

impl Retention {
    /// Forgets what has expired, if an hour has passed since the last time, or never yet. A failure is tried again then.
    pub(crate) async fn keep(&mut self, log: &Log) {
        let now_ms = log.clock().monotonic_ms();
        if self.looked_ms.is_some_and(|looked_ms| now_ms - looked_ms < EVERY_MS) {
            return;
        }
        self.looked_ms = Some(now_ms);
        match log.forget_expired(log.clock().now()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "what had expired is forgotten"),
            Err(error) => tracing::warn!(%error, "what has expired could not be forgotten; trying again in an hour"),
        }
    }
}
