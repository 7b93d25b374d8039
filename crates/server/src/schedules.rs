//! Keeps the ticks of all schedules posted ahead: at start, whenever the control plane changes, and once a minute, for
//! a clock may be set back. What a tick makes happen is `control::schedules`.

use std::sync::Arc;
use std::time::Duration;

use control::gate::Gate;
use control::schedules::{self, Keeper};
use data::commit::Log;
use execution::Triggers;
use tokio::sync::watch;

use crate::app::Serving;

/// How often it is looked whether every schedule has its next tick, where nothing changes.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Whom the execution plane asks about schedules that fall due.
pub(crate) fn triggers(gate: &Arc<Gate>) -> Triggers {
    let gate = gate.clone();
    Triggers::new(Arc::new(move |agent, trigger, due| {
        let gate = gate.clone();
        Box::pin(async move {
            let which = (agent, trigger);
            match schedules::fire(&gate, &which, due).await {
                Ok(firing) => Some(firing),
                Err(error) => {
                    tracing::warn!(agent = %which.0, trigger = %which.1, %error, "a schedule fell due; asking again");
                    None
                }
            }
        })
    }))
}

/// Keeps the next tick of every schedule posted, until the server stops.
pub(crate) async fn keep(log: Log, gate: Arc<Gate>, mut serving: watch::Receiver<Serving>) {
    let mut moved = log.control_moved();
    let mut keeper = Keeper::default();
    loop {
        if let Err(error) = keeper.look(&gate).await {
            tracing::warn!(%error, "the next ticks of schedules could not be posted; trying again");
        }
        tokio::select! {
            _ = serving.wait_for(|serving| *serving != Serving::Open) => return,
            moved = moved.changed() => if moved.is_err() { return },
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}
