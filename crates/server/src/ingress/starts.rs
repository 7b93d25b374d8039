//! How a client's session starts: under its agent's current revision, if its sessions can be attached to.

use std::sync::Arc;

use control::gate::Gate;
use control::start::{self, For, NoStart};
use execution::{NotAttached, Starts};

/// Whom the execution plane asks how sessions of clients start.
pub(crate) fn starts(gate: &Arc<Gate>) -> Starts {
    let gate = Arc::clone(gate);
    Starts::new(Arc::new(move |agent, key| {
        start::start(&gate.registry(), agent, For { key, ..For::default() }).map_err(|why| {
            let next = match &why {
                NoStart::NoAgent(_) => "Apply its descriptor: `ostler apply -f FILE`.",
                NoStart::NoPartition { .. } => "Take `concurrency.one_per` out of its descriptor to attach a client.",
            };
            NotAttached { reason: why.to_string(), next: next.to_owned() }
        })
    }))
}
