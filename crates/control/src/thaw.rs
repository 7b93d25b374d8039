//! What follows a change of authority by itself: a freeze that another node recorded is heard of, and sessions that
//! waited for a freeze to end are woken. Every step may be repeated: after a crash in the middle, and on every node.
//! What must never be known here: what a session does once it is awake.

use std::sync::Arc;
use std::time::Duration;

use data::store::HeadFilter;
use domain::control::Scope;
use domain::id::{MailId, Pos};
use domain::mail::{Mail, MailBody};

use crate::error::ControlError;
use crate::gate::Gate;

/// How many sessions are woken with one write.
const PAGE: usize = 1_000;

/// How often a store that other nodes write to is asked whether the control plane changed.
const POLL: Duration = Duration::from_millis(200);

/// How long to wait before a log that could not be read or written is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the control plane for as long as it is polled: hears what other nodes record, and wakes what was let go on.
pub async fn follow(gate: Arc<Gate>) {
    let mut moved = gate.log().control_moved();
    let shared = gate.log().is_shared();
    let mut woken = Pos(0);
    loop {
        moved.mark_unchanged();
        let wait = match wake_since(&gate, woken).await {
            Ok(pos) => {
                woken = pos;
                shared.then_some(POLL)
            }
            Err(error) => {
                tracing::warn!(%error, "the control plane could not be followed; trying again");
                Some(RETRY)
            }
        };
        match wait {
            Some(wait) => drop(tokio::time::timeout(wait, moved.changed()).await),
            None if moved.changed().await.is_err() => return,
            None => {}
        }
    }
}

/// Wakes every session that waits for something that was let go on after a position; answers the position that it
/// looked at.
pub async fn wake_since(gate: &Gate, since: Pos) -> Result<Pos, ControlError> {
    let registry = gate.refresh().await?;
    for scope in registry.thawed_since(since) {
        wake(gate, scope, registry.pos()).await?;
    }
    Ok(registry.pos())
}

async fn wake(gate: &Gate, scope: &Scope, pos: Pos) -> Result<(), ControlError> {
    let id: MailId = format!("unfrozen:{pos}").parse().expect("a word and a number are 1 to 200 printable characters");
    let (log, frozen, mut after) = (gate.log(), Some(scope.clone()), None);
    loop {
        let filter = HeadFilter { frozen: frozen.clone(), after, limit: Some(PAGE), ..HeadFilter::default() };
        let page = log.heads(filter).await?;
        let Some((last, ..)) = page.last() else { return Ok(()) };
        after = Some(*last);
        let due = gate.clock().now();
        let mail = |session| Mail { id: id.clone(), session, due, body: MailBody::Wake };
        log.post(page.into_iter().map(|(session, ..)| mail(session)).collect()).await?;
    }
}
