//! A model that failed and may do better later is asked again by itself: after pauses that grow, not before it wants to
//! be, and not for ever. Must not know why it failed.

use domain::clock::Timestamp;
use domain::decision::{Wait, WaitFor};
use domain::id::Digest;
use domain::session::{Retry, Session};

/// The pause after the first failure, in milliseconds: the door tried for a few seconds before. It doubles.
const FIRST_MS: i64 = 5_000;

/// The longest pause that a provider does not ask for, in milliseconds.
const LONGEST_MS: i64 = 300_000;

/// For how long a model may fail in a row before its session fails, in milliseconds.
pub const PATIENCE_MS: i64 = 4 * 3_600_000;

/// Whether nothing speaks against asking the model now.
pub(super) fn is_due(session: &Session, now: Timestamp) -> bool {
    session.retry.as_ref().is_none_or(|retry| retry.until.is_some_and(|until| until <= now))
}

/// What a session waits for whose model is asked again.
pub(super) fn waits(session: &Session) -> Option<Wait> {
    let retry = session.retry.as_ref().filter(|_| session.open.is_empty())?;
    let until = again(session, retry);
    (!is_too_late(retry, until)).then_some(Wait { why: WaitFor::Model { failed: retry.failed }, until: Some(until) })
}

/// Why it is not asked again, if it is not.
pub(super) fn gives_up(session: &Session) -> Option<String> {
    let retry = session.retry.as_ref().filter(|_| session.open.is_empty())?;
    is_too_late(retry, again(session, retry)).then(|| {
        let (failed, hours) = (retry.failed, PATIENCE_MS / 3_600_000);
        let times = if failed == 1 { "once".to_owned() } else { format!("{failed} times in a row") };
        format!(
            "the model failed {times}, and is not asked again by itself later than {hours} h after it failed first: {}. \
             Write to the session to have it asked again",
            retry.error.trim_end_matches('.')
        )
    })
}

/// When it is asked again, as was said, or is to be said now.
fn again(session: &Session, retry: &Retry) -> Timestamp {
    let doubled = FIRST_MS.saturating_mul(1 << retry.failed.saturating_sub(1).min(16)).min(LONGEST_MS);
    let pause = doubled.max(retry.after_ms.unwrap_or(0));
    // Sessions that failed together do not come back together; each always comes back at the same instant.
    let draw = i64::from(Digest::of(format!("{}/{}", session.id, retry.failed).as_bytes()).as_bytes()[0]);
    let later = (doubled / 4).saturating_mul(draw) / 255;
    retry.until.unwrap_or_else(|| retry.last.plus_ms(pause.saturating_add(later)))
}

fn is_too_late(retry: &Retry, until: Timestamp) -> bool {
    until > retry.since.plus_ms(PATIENCE_MS)
}
