//! Where people are told what waits for them. Each says it for themselves, with a key of their own: what is sent there
//! carries links that decide in their name. What must never be known here: how anything is sent.

use std::collections::BTreeMap;

use domain::clock::Timestamp;
use domain::control::{Channel, ControlEvent};
use domain::id::{Name, Pos};
use domain::principal::Caller;

use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::named;

/// A person's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEntry {
    /// Where.
    pub channel: Channel,
    /// Where it was recorded: one that is set again is another, and links sent to the last are void.
    pub pos: Pos,
    /// When.
    pub at: Timestamp,
    /// The feed's cursor that it begins behind.
    pub after: String,
}

/// Everybody's channel: one at most for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channels(BTreeMap<Name, ChannelEntry>);

impl Channels {
    pub(crate) fn of(&self, person: &Name) -> Option<&ChannelEntry> {
        self.0.get(person)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Name, &ChannelEntry)> {
        self.0.iter()
    }

    /// Takes note of what happened, where it bears on channels.
    pub(crate) fn fold(&mut self, event: &ControlEvent, (pos, at): (Pos, Timestamp)) {
        if let ControlEvent::ChannelSet { person, channel, after } = event {
            let entry = ChannelEntry { channel: channel.clone(), pos, at, after: after.clone() };
            self.0.insert(person.clone(), entry);
        } else if let ControlEvent::ChannelRemoved { person, .. } = event {
            self.0.remove(person);
        } else if let ControlEvent::WebhookDeleted { name, .. } = event {
            // One that is added under its name again may lead elsewhere.
            self.0.retain(|_, entry| !matches!(&entry.channel, Channel::Webhook { webhook } if webhook == name));
        }
    }

    /// A key of theirs is void: whoever had it may have set the channel.
    pub(crate) fn forget(&mut self, person: &Name) {
        self.0.remove(person);
    }
}

/// Sets the caller's own channel.
///
/// # Errors
/// If the caller is no person, or the webhook is none that is for people.
pub async fn set(gate: &Gate, caller: &Caller, channel: &Channel, after: &str) -> Result<(), ControlError> {
    let Caller::Person { name: person, .. } = caller else {
        return Err(ControlError::Forbidden {
            reason: format!(
                "{} has no channel: each person sets their own, and nobody sets it for them.",
                named(caller)
            ),
            next: "Use the person's own key: `--as PERSON`.".to_owned(),
        });
    };
    gate.commit(&named(caller), |registry| {
        if let Channel::Webhook { webhook } = channel {
            let entry = registry.webhook(webhook).filter(|entry| entry.webhook.for_people && entry.stopped.is_none());
            if entry.is_none() {
                let reason = format!("There is no webhook {webhook} that is for people.");
                let next = format!(
                    "An administrator adds one: `ostler webhook add {webhook} URL --secret NAME --for-people`."
                );
                return Err(ControlError::NotFound { reason, next });
            }
        }
        let (person, channel, after) = (person.clone(), channel.clone(), after.to_owned());
        Ok((vec![ControlEvent::ChannelSet { person, channel, after }], ()))
    })
    .await
}

/// Removes a person's channel: they do it themselves, or an administrator does. Links that were sent there are void.
/// Where it was recorded comes back.
///
/// # Errors
/// If the caller is somebody else, or there is none.
pub async fn remove(gate: &Gate, caller: &Caller, person: &Name) -> Result<Pos, ControlError> {
    let may = match caller {
        Caller::Admin => true,
        Caller::Person { name, .. } => name == person,
        Caller::Agent { .. } => false,
    };
    if !may {
        let reason = format!("{} may not remove the channel of {person}.", named(caller));
        return Err(ControlError::Forbidden { reason, next: format!("{person} may, or an administrator.") });
    }
    gate.commit(&named(caller), |registry| {
        let Some(entry) = registry.channel(person) else {
            let reason = format!("{person} has no channel.");
            return Err(ControlError::NotFound { reason, next: "List them with `ostler channel list`.".to_owned() });
        };
        let removed = ControlEvent::ChannelRemoved { person: person.clone(), by: named(caller) };
        Ok((vec![removed], entry.pos))
    })
    .await
}
