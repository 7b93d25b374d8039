//! Who outside is called when something happens: recorded by administrators. What must never be known here: how a
//! receiver is called.

use domain::control::{ControlEvent, Webhook};
use domain::id::{Name, Pos};
use domain::principal::Caller;

use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{must_be_admin, named};

/// The most receivers there may be.
pub const WEBHOOKS: usize = 64;

/// Adds a receiver.
///
/// # Errors
/// If the caller is no administrator, the name is taken, or there are [`WEBHOOKS`] already.
pub async fn add(gate: &Gate, caller: &Caller, name: &Name, webhook: &Webhook) -> Result<(), ControlError> {
    must_be_admin(caller, "add webhooks")?;
    let by = named(caller);
    gate.commit(&by, |registry| {
        if registry.webhook(name).is_some() {
            let reason = format!("There is a webhook {name} already.");
            let next = format!("Delete it first (`ostler webhook delete {name}`), or choose another name.");
            return Err(ControlError::Conflict { reason, next });
        }
        if registry.webhooks().count() >= WEBHOOKS {
            let reason = format!("There are {WEBHOOKS} webhooks, and there may be no more.");
            let next = "Delete one that is not needed: `ostler webhook list`.".to_owned();
            return Err(ControlError::Conflict { reason, next });
        }
        Ok((vec![ControlEvent::WebhookAdded { name: name.clone(), webhook: webhook.clone(), by: by.clone() }], ()))
    })
    .await
}

/// Deletes a receiver; where it was recorded comes back.
///
/// # Errors
/// If the caller is no administrator, or there is no such receiver.
pub async fn delete(gate: &Gate, caller: &Caller, name: &Name) -> Result<Pos, ControlError> {
    must_be_admin(caller, "delete webhooks")?;
    let by = named(caller);
    gate.commit(&by, |registry| {
        let Some(entry) = registry.webhook(name) else {
            let reason = format!("There is no webhook {name}.");
            return Err(ControlError::NotFound { reason, next: "List them with `ostler webhook list`.".to_owned() });
        };
        Ok((vec![ControlEvent::WebhookDeleted { name: name.clone(), by: by.clone() }], entry.pos))
    })
    .await
}

/// Records that a receiver said it is gone; nothing happens where it was replaced or stopped meanwhile.
///
/// # Errors
/// If it cannot be recorded now.
pub async fn stopped(gate: &Gate, name: &Name, pos: Pos, reason: &str) -> Result<(), ControlError> {
    gate.commit("ostler", |registry| {
        let called = registry.webhook(name).filter(|entry| entry.pos == pos && entry.stopped.is_none());
        let stopped = called.map(|_| ControlEvent::WebhookStopped { name: name.clone(), reason: reason.to_owned() });
        Ok((stopped.into_iter().collect(), ()))
    })
    .await
}
