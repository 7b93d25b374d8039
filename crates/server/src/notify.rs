//! What people are told by their channels: that a request for consent waits for them, with a link that answers it once.
//! Who is told what is asked again before each try: what is answered, void or too old by then is not told any more, so a
//! relay that is dead costs nothing but the news.

mod words;

use std::sync::Arc;

use control::gate::Gate;
use control::link::{self, Wanted};
use data::feed::FeedEvent;
use domain::clock::Clock;
use domain::control::Channel;
use domain::id::{Name, Pos};
use gateway::mail::{Mailer, Unsent};
use gateway::webhook::{Receiver, Untaken};

use crate::webhooks::{Parts, Sent, receiver};

/// The events of which people are told something: a request, a reminder, and an answer that edited what is asked.
pub(crate) const KINDS: [&str; 3] = ["approval_requested", "approval_reminded", "approval_decided"];

/// Where the page of a link is.
pub(crate) const PAGE: &str = "/answer/";

/// The name under which a person's place is kept: a channel that is set again is another.
pub(crate) fn follower(person: &Name, pos: Pos) -> String {
    format!("channel:{person}@{pos}")
}

/// Tells one person.
pub(crate) struct Notifier {
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    url: Arc<str>,
    person: Name,
    way: Way,
}

/// By which way.
enum Way {
    Webhook(Box<Receiver>),
    Mail(Mailer, String),
}

impl Notifier {
    /// One for a person, or why they cannot be told.
    pub(crate) fn of(parts: &Parts, person: &Name, channel: &Channel) -> Result<Notifier, String> {
        let way = match channel {
            Channel::Webhook { webhook } => {
                let registry = parts.gate.registry();
                let entry = registry.webhook(webhook).ok_or_else(|| format!("there is no webhook {webhook}"))?;
                if let Some(why) = &entry.stopped {
                    return Err(format!("the webhook {webhook} is called no more: {why}"));
                }
                Way::Webhook(Box::new(receiver(&parts.secrets, &entry.webhook)?))
            }
            Channel::Mail { address } => {
                let none = "this server has no mail relay: start it with --smtp and --mail-from";
                Way::Mail(parts.mailer.clone().ok_or(none)?, address.clone())
            }
        };
        let (gate, clock, url) = (parts.gate.clone(), parts.clock.clone(), parts.url.clone());
        Ok(Notifier { gate, clock, url, person: person.clone(), way })
    }

    /// Tells them of what happened, once, if there is anything to tell.
    pub(crate) async fn tell(&self, event: &FeedEvent) -> Result<Sent, Untaken> {
        let Some(approval) = event.data.approval else { return Ok(Sent::NotWanted) };
        let later = |why: String| Untaken::Later { why, asked_ms: None };
        let found = link::wanted(&self.gate, &self.person, approval).await;
        let Some(wanted) = found.map_err(|error| later(error.to_string()))? else { return Ok(Sent::NotWanted) };
        // An answer is news only where it edited what is asked: this person's yes is to that, now.
        if event.kind == "approval_decided" && !wanted.is_edited() {
            return Ok(Sent::NotWanted);
        }
        let told = words::Told { event, person: &self.person, wanted: &wanted, link: self.address(&wanted) };
        match &self.way {
            Way::Webhook(receiver) => {
                let id = format!("{}_{}", event.id, self.person);
                receiver.send(&id, told.body(&id), &*self.clock).await.map(|_| Sent::Taken)
            }
            Way::Mail(mailer, to) => match mailer.send(&told.mail(to), self.clock.now()).await {
                Ok(()) => Ok(Sent::Taken),
                Err(Unsent::Later(why)) => Err(later(why)),
                Err(Unsent::Never(why)) => Ok(Sent::Never(why)),
            },
        }
    }

    fn address(&self, wanted: &Wanted) -> String {
        format!("{}{PAGE}{}", self.url, wanted.token)
    }
}
