//! Links that answer one request for consent in one person's name. A link is made when it is sent, and in no other way;
//! it is bound by a key of the store's own to the person, the channel that it was sent to, the request, the arguments
//! and the expiry. Nothing is kept of it: whether it was used is what the session's record says of the request. What
//! must never be known here: how it is sent, and how it is shown.
//!
//! ```text
//! REQUEST~PERSON~CHANNEL~ARGUMENTS~UNTIL~MAC      all but the MAC is said openly; the MAC is over all of it
//! ```

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::approval::Poll;
use domain::call::{ApprovalRequest, ApprovalVerdict, SentLink};
use domain::clock::Timestamp;
use domain::id::{ApprovalId, Digest, Name, Pos};
use domain::principal::Caller;
use ring::hmac;

use crate::approval::{self, may_answer};
use crate::error::ControlError;
use crate::gate::Gate;

/// Stands between the parts: no part holds one, and an address carries it as it is.
const BETWEEN: char = '~';

/// What a link is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The request.
    pub approval: ApprovalId,
    /// In whose name it answers.
    pub person: Name,
    /// The channel that it is sent to: where that is recorded.
    pub channel: Pos,
    /// The hash of the arguments that it answers.
    pub arguments: Digest,
    /// When it ends.
    pub until: Timestamp,
}

impl Link {
    fn text(&self) -> String {
        let Link { approval, person, channel, arguments, until } = self;
        format!("{approval}~{person}~{}~{arguments}~{}", channel.0, until.0)
    }
}

impl FromStr for Link {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split(BETWEEN).collect();
        let [approval, person, channel, arguments, until] = parts[..] else { return Err(()) };
        let link = Link {
            approval: approval.parse().map_err(|_| ())?,
            person: person.parse().map_err(|_| ())?,
            channel: Pos(channel.parse().map_err(|_| ())?),
            arguments: arguments.parse().map_err(|_| ())?,
            until: Timestamp(until.parse().map_err(|_| ())?),
        };
        // Written in one way only.
        (link.text() == text).then_some(link).ok_or(())
    }
}

/// The key that links are bound by. It never prints.
#[derive(Clone)]
pub(crate) struct Binder(hmac::Key);

impl Binder {
    /// One whose key is derived from the store's secret for consent.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, b"ostler/control/link/v1");
        Binder(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    fn bind(&self, link: &Link) -> String {
        let text = link.text();
        let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, text.as_bytes()));
        format!("{text}{BETWEEN}{mac}")
    }

    fn read(&self, token: &str) -> Option<Link> {
        let (text, mac) = token.rsplit_once(BETWEEN)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.0, text.as_bytes(), &mac).ok()?;
        text.parse().ok()
    }
}

/// A request as a person's channel is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// What is asked.
    pub request: ApprovalRequest,
    /// The hash of the arguments that the link answers: others than were asked for, where somebody edited them since.
    pub arguments: Digest,
    /// The part of the link's address that is bound.
    pub token: String,
}

impl Wanted {
    /// Whether somebody edited what was asked for.
    pub fn is_edited(&self) -> bool {
        self.arguments != self.request.binding.arguments
    }
}

/// What to tell a person of a request, with a link of their own; `None`: nothing is wanted of them any more, or now.
///
/// # Errors
/// If the session cannot be read.
pub async fn wanted(gate: &Gate, person: &Name, approval: ApprovalId) -> Result<Option<Wanted>, ControlError> {
    let registry = gate.registry();
    let (Some(known), Some(channel)) = (registry.person(person), registry.channel(person)) else { return Ok(None) };
    let recorded = approval::recorded(gate, approval).await?;
    let votes = recorded.votes.clone();
    let Ok(request) = approval::open_request(approval, recorded) else { return Ok(None) };
    let (caller, now) = (caller(person, &known.groups), gate.clock().now());
    let (meant, said) = meant(&request, &votes, person);
    if now >= request.expires_at || said || may_answer(&caller, &request, now).is_err() {
        return Ok(None);
    }
    let (person, channel, until) = (person.clone(), channel.pos, request.expires_at);
    let token = gate.links().bind(&Link { approval, person, channel, arguments: meant, until });
    Ok(Some(Wanted { request, arguments: meant, token }))
}

/// What a link opens, as long as it may be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// What it is bound to.
    pub link: Link,
    /// Who answers by it.
    pub caller: Caller,
    /// How the answer is recorded to have come.
    pub by: SentLink,
}

/// Opens a link, which changes nothing.
///
/// # Errors
/// In a sentence: it is none, it was used, it is too old, or what it answers is over or another by now.
pub async fn open(gate: &Gate, token: &str) -> Result<Opened, ControlError> {
    let Some(link) = gate.links().read(token) else {
        let reason = "This is no link of this server, or it was changed on its way.".to_owned();
        return Err(ControlError::Forbidden { reason, next: "Open it exactly as it was sent.".to_owned() });
    };
    let registry = gate.registry();
    let Link { approval, person, .. } = &link;
    let over = |reason: String, next: &str| ControlError::Conflict { reason, next: next.to_owned() };
    let channel = registry.channel(person).filter(|entry| entry.pos == link.channel);
    let (Some(known), Some(entry)) = (registry.person(person), channel) else {
        let reason = format!("{person} is not told anything by this way any more, so its links are void.");
        return Err(over(reason, "Answer in the console, or with `ostler inbox`."));
    };
    let recorded = approval::recorded(gate, *approval).await?;
    let votes = recorded.votes.clone();
    let request = approval::open_request(*approval, recorded)?;
    let (caller, now) = (caller(person, &known.groups), gate.clock().now());
    if now >= link.until {
        let reason = format!("This link ended at {}: nobody had answered, which counts as no.", link.until);
        return Err(over(reason, "The agent was told; it may ask again."));
    }
    let (meant, said) = meant(&request, &votes, person);
    if said {
        let reason = format!("This link was used, or {person} said yes by another way; others are still waited for.");
        return Err(over(reason, "Nothing is left to do."));
    }
    if meant != link.arguments {
        let reason = "What it asks for was changed since this link was sent.".to_owned();
        return Err(over(reason, "Another link was sent for what it asks now."));
    }
    may_answer(&caller, &request, now)?;
    let by = SentLink { channel: entry.channel.to_string(), pos: entry.pos };
    Ok(Opened { link, caller, by })
}

fn caller(person: &Name, groups: &[Name]) -> Caller {
    Caller::Person { name: person.clone(), groups: groups.to_vec() }
}

/// The hash of what a yes would be to now, and whether a person said yes to just that.
fn meant(request: &ApprovalRequest, votes: &[ApprovalVerdict], person: &Name) -> (Digest, bool) {
    let poll = Poll::of(request, votes);
    let meant = poll.yes.last().map_or(request.binding.arguments, |last| request.meant_by(last));
    (meant, poll.yes.iter().any(|yes| yes.person == *person))
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::id::{ApprovalId, CallId, Digest, Pos, SessionId};

    use super::{Binder, Link};

    fn link() -> Link {
        Link {
            approval: ApprovalId { call: CallId { session: SessionId::from_u128(7), ordinal: 3 }, round: 1 },
            person: "ana".parse().unwrap(),
            channel: Pos(17),
            arguments: Digest::of(b"arguments"),
            until: Timestamp(1_795_305_600_000),
        }
    }

    #[test]
    fn a_link_is_read_as_it_was_bound_and_by_no_other_key() {
        let binder = Binder::new(b"the store's own");
        let token = binder.bind(&link());
        assert_eq!(binder.read(&token), Some(link()));
        assert_eq!(Binder::new(b"another store's").read(&token), None);
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)), "{token}");
    }

    #[test]
    fn whoever_changes_any_character_of_a_link_has_none() {
        let binder = Binder::new(b"the store's own");
        let token = binder.bind(&link());
        for at in 0..token.len() {
            for other in ['0', 'b', '~', '-'] {
                let mut changed: Vec<char> = token.chars().collect();
                if changed[at] == other {
                    continue;
                }
                changed[at] = other;
                let changed: String = changed.into_iter().collect();
                assert_eq!(binder.read(&changed), None, "{changed}");
            }
            assert_eq!(binder.read(&token[..at]), None);
        }
        let of_another = Link { person: "ben".parse().unwrap(), ..link() };
        let (_, mac) = token.rsplit_once('~').unwrap();
        assert_eq!(binder.read(&format!("{}~{mac}", of_another.text())), None);
    }
}
