//! Webhooks out, and channels of people: whoever asked for it is told when something happens. Each has a follower of the
//! feed of its own, whose place is kept in the store: at least once, in order per session, on again after a restart.
//! It carries no content, and changes nothing: it is a surface, like the feed itself, for those who cannot come and ask.
//! What a person is told is `notify`'s.
//!
//! ```text
//! control shard: webhook_added ─▶ supervise ─▶ one caller each:  Feed ─▶ page ─▶ up to 8 sessions at once ─▶ POST, mail
//!                channel_set                       ▲                                    │ 2xx: the place moves on
//!                                                  └── again, later and later ◀─────────┘ 410: webhook_stopped
//! ```

pub(crate) mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use control::channels::ChannelEntry;
use control::error::ControlError;
use control::gate::Gate;
use control::registry::{Registry, WebhookEntry};
use data::commit::Log;
use data::feed::{Content, Cursor, Feed, FeedEvent, Filter};
use domain::clock::Clock;
use domain::control::{Channel, Webhook};
use domain::id::{Name, Pos};
use futures::future::{AbortHandle, Abortable};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use gateway::Secrets;
use gateway::mail::Mailer;
use gateway::webhook::{Receiver, Untaken, pause};
use tokio::sync::watch;

use crate::notify::{self, Notifier};
use crate::webhooks::status::{Problem, Statuses};

/// How many sessions' events one receiver is sent at once.
const AT_ONCE: usize = 8;

/// How many pages without an event for a receiver pass before its place is kept all the same.
const PAGES_KEPT: u32 = 64;

/// How long to wait after something of our own went wrong.
const AGAIN: Duration = Duration::from_secs(2);

/// What callers work with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub log: Log,
    pub gate: Arc<Gate>,
    pub clock: Arc<dyn Clock>,
    pub secrets: Secrets,
    pub statuses: Arc<Statuses>,
    /// Where mail is handed in, if anywhere.
    pub mailer: Option<Mailer>,
    /// Where this server is found, as people are told.
    pub url: Arc<str>,
}

/// The name under which a receiver's place is kept: one that is added again is another.
pub(crate) fn follower(name: &Name, pos: Pos) -> String {
    format!("webhook:{name}@{pos}")
}

/// Calls whoever is to be called, until it is stopped. All in one task: calling is waiting.
pub(crate) async fn supervise(parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut moved = parts.log.control_moved();
    let mut calling: BTreeMap<Pos, AbortHandle> = BTreeMap::new();
    let mut callers = FuturesUnordered::new();
    loop {
        let known = {
            let refresh = parts.gate.refresh();
            tokio::pin!(refresh);
            // Callers go on meanwhile: one of them may be what the gate is busy with.
            loop {
                tokio::select! {
                    known = &mut refresh => break known,
                    Some(_) = callers.next(), if !callers.is_empty() => {}
                }
            }
        };
        if let Err(error) = &known {
            tracing::error!(%error, "the webhooks could not be read; trying again");
        } else if let Ok(registry) = &known {
            let wanted = wanted(registry);
            calling.retain(|pos, handle| {
                wanted.contains_key(pos) || {
                    handle.abort();
                    false
                }
            });
            let webhooks: BTreeSet<Pos> = registry.webhooks().map(|(_, entry)| entry.pos).collect();
            parts.statuses.keep(|pos| webhooks.contains(&pos) || wanted.contains_key(&pos));
            for (pos, target) in wanted {
                calling.entry(pos).or_insert_with(|| {
                    let (handle, registration) = AbortHandle::new_pair();
                    let caller = Caller { parts: parts.clone(), target, pos };
                    callers.push(Abortable::new(caller.run(), registration));
                    handle
                });
            }
        }
        let again = known.is_err();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            changed = moved.changed() => if changed.is_err() { return },
            // One that ended was stopped by its receiver, which is recorded, or was aborted.
            Some(_) = callers.next(), if !callers.is_empty() => {}
            () = tokio::time::sleep(AGAIN), if again => {}
        }
    }
}

/// Whoever is told.
enum Target {
    /// A receiver of events.
    Webhook(Name, Webhook),
    /// A person, of what waits for them.
    Person(Name, ChannelEntry),
}

/// Whoever is to be told, by where that is recorded.
fn wanted(registry: &Registry) -> BTreeMap<Pos, Target> {
    let of_events = |entry: &WebhookEntry| entry.stopped.is_none() && !entry.webhook.for_people;
    let webhooks = registry.webhooks().filter(|(_, entry)| of_events(entry));
    let webhooks = webhooks.map(|(name, entry)| (entry.pos, Target::Webhook(name.clone(), entry.webhook.clone())));
    let people = registry.channels().map(|(name, entry)| (entry.pos, Target::Person(name.clone(), entry.clone())));
    webhooks.chain(people).collect()
}

/// By which way somebody is told.
enum Way {
    Events(Box<Receiver>),
    Person(Box<Notifier>),
}

/// What came of one event, where there is nothing left to do about it.
pub(crate) enum Sent {
    /// It was taken.
    Taken,
    /// Nobody wants it any more.
    NotWanted,
    /// It will never be taken, for this reason.
    Never(String),
}

/// One caller: of a receiver, or of a person.
struct Caller {
    parts: Parts,
    target: Target,
    pos: Pos,
}

/// Why a caller stopped on its way.
enum Stopped {
    /// The receiver is gone.
    Gone(String),
    /// Something of our own; it tries again.
    Here(String),
}

impl Caller {
    async fn run(self) {
        loop {
            match self.follow().await {
                Ok(()) => return,
                Err(Stopped::Here(why)) => self.failed(&why),
                Err(Stopped::Gone(why)) => {
                    self.failed(&why);
                    match self.gone(&why).await {
                        Ok(()) => return,
                        Err(error) => tracing::error!(%error, "that a receiver is gone was not recorded"),
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A receiver said that it is gone: nobody is told by it any more.
    async fn gone(&self, why: &str) -> Result<(), ControlError> {
        let registry = self.parts.gate.registry();
        let (name, pos) = match &self.target {
            Target::Webhook(name, _) => (name, self.pos),
            Target::Person(_, ChannelEntry { channel: Channel::Mail { .. }, .. }) => return Ok(()),
            Target::Person(_, ChannelEntry { channel: Channel::Webhook { webhook }, .. }) => {
                let Some(entry) = registry.webhook(webhook) else { return Ok(()) };
                (webhook, entry.pos)
            }
        };
        control::webhooks::stopped(&self.parts.gate, name, pos, why).await
    }

    /// The name of its follower, where that begins, and what it is told of.
    fn followed(&self) -> (String, &str, Filter) {
        match &self.target {
            Target::Webhook(name, webhook) => {
                let kinds = webhook.kinds.iter().cloned().collect();
                let filter = Filter { agent: webhook.agent.clone(), kinds, ..Filter::default() };
                (follower(name, self.pos), &webhook.after, filter)
            }
            Target::Person(name, entry) => {
                let kinds = notify::KINDS.map(str::to_owned).into();
                (notify::follower(name, self.pos), &entry.after, Filter { kinds, ..Filter::default() })
            }
        }
    }

    fn way(&self) -> Result<Way, String> {
        match &self.target {
            Target::Webhook(_, webhook) => {
                receiver(&self.parts.secrets, webhook).map(|receiver| Way::Events(Box::new(receiver)))
            }
            Target::Person(name, entry) => {
                Notifier::of(&self.parts, name, &entry.channel).map(|notifier| Way::Person(Box::new(notifier)))
            }
        }
    }

    /// Sends what there is and what comes. Ends well when the log ends.
    async fn follow(&self) -> Result<(), Stopped> {
        let here = |error: &dyn std::fmt::Display| Stopped::Here(error.to_string());
        let log = &self.parts.log;
        let (follower, begin, filter) = self.followed();
        let way = self.way().map_err(Stopped::Here)?;
        let begin: Cursor = begin.parse().map_err(Stopped::Here)?;
        let mut kept = log.followed(&follower, begin).await.map_err(|error| here(&error))?;
        let mut feed =
            Feed::open(log, Some(kept.clone()), filter, Content::None).await.map_err(|error| here(&error))?;
        let mut passed = 0;
        loop {
            self.parts.statuses.change(self.pos, |status| status.position = Some(kept.clone()));
            let Some(page) = feed.page().await.map_err(|error| here(&error))? else {
                if !feed.wait().await {
                    return Ok(());
                }
                continue;
            };
            passed = if page.is_empty() { passed + 1 } else { 0 };
            let told = !page.is_empty();
            self.send_all(&way, page).await?;
            if told || passed == PAGES_KEPT {
                passed = 0;
                log.follow(&follower, &kept, feed.cursor()).await.map_err(|error| here(&error))?;
            }
            kept = feed.cursor().clone();
        }
    }

    /// Sends a page's events: several sessions at once, one by one within a session.
    async fn send_all(&self, way: &Way, page: Vec<FeedEvent>) -> Result<(), Stopped> {
        let mut sessions: BTreeMap<String, Vec<FeedEvent>> = BTreeMap::new();
        for event in page {
            sessions.entry(event.subject.clone()).or_default().push(event);
        }
        let all = futures::stream::iter(sessions.into_values().map(Ok));
        all.try_for_each_concurrent(AT_ONCE, |events| async move {
            for event in events {
                self.send(way, &event).await?;
            }
            Ok(())
        })
        .await
    }

    /// Sends one event until it is taken, or nothing is left to do about it.
    async fn send(&self, way: &Way, event: &FeedEvent) -> Result<(), Stopped> {
        let clock = &*self.parts.clock;
        let mut failed = 0;
        loop {
            let tried = match way {
                Way::Events(receiver) => receiver.send(&event.id, body(event), clock).await.map(|_| Sent::Taken),
                Way::Person(notifier) => notifier.tell(event).await,
            };
            match tried {
                Ok(Sent::Taken) => {
                    self.parts.statuses.change(self.pos, |status| {
                        status.taken += 1;
                        status.failed = 0;
                        status.last_taken = Some(clock.now());
                    });
                    return Ok(());
                }
                Ok(Sent::NotWanted) => return Ok(()),
                Ok(Sent::Never(why)) => {
                    self.failed(&why);
                    return Ok(());
                }
                Err(Untaken::Gone { why }) => return Err(Stopped::Gone(why)),
                Err(Untaken::Later { why, asked_ms }) => {
                    failed += 1;
                    self.failed(&why);
                    tokio::time::sleep(pause(failed, asked_ms, clock.random_u128())).await;
                }
            }
        }
    }

    fn failed(&self, why: &str) {
        let problem = Problem { at: self.parts.clock.now(), what: why.to_owned() };
        self.parts.statuses.change(self.pos, |status| {
            status.failed = status.failed.saturating_add(1);
            status.last_error = Some(problem);
        });
    }
}

/// Whoever is to be called, or why they cannot be.
pub(crate) fn receiver(secrets: &Secrets, webhook: &Webhook) -> Result<Receiver, String> {
    Receiver::at(&webhook.url, webhook.allow_private, &webhook.secret, secrets)
}

fn body(event: &FeedEvent) -> String {
    serde_json::to_string(event).expect("an event of the feed is plain JSON")
}

/// Sends one event once, for a try. What it came to, in words; an error if it was not taken.
pub(crate) async fn try_once(parts: &Parts, webhook: &Webhook, event: &FeedEvent) -> Result<String, String> {
    let sent = receiver(&parts.secrets, webhook)?.send(&event.id, body(event), &*parts.clock).await;
    sent.map_err(|untaken| match untaken {
        Untaken::Later { why, .. } | Untaken::Gone { why } => why,
    })
}
