//! One commit of a session's turn, until it is known whether it happened. Must not know what the rows mean.

use std::time::Duration;

use data::commit::Receipt;
use data::error::{CommitError, DataError, Refused};
use data::record::Stamp;
use data::rows::{Head, Rows};
use domain::event::Event;
use domain::id::{Seq, SpanId};
use domain::session::Session;

use super::{Stop, Turn};
use crate::machine;
use crate::progress::Progress;

/// How long to wait before a commit that surely did not happen is tried again.
pub(super) const TRY_AGAIN: Duration = Duration::from_millis(500);

impl Turn {
    /// Commits what was gathered. A commit that surely did not happen is tried again: answers that were paid for are
    /// not thrown away because a disk is full for a moment.
    pub(super) async fn commit(&mut self) -> Result<Receipt, Stop> {
        let (before, id) = (self.awake.writer.seq(), self.awake.session.id);
        let mut waits = None;
        loop {
            let (stamp, head) = (self.stamp(), head(&self.awake.session));
            // The rows stay until it is known that they are durable: see `Drop`.
            let error = match self.parts.log.commit(&mut self.awake.writer, stamp, head, &*self.rows).await {
                Ok(receipt) => {
                    self.durable();
                    if waits.take().is_some() {
                        tracing::info!(session = %id, "the store takes records again");
                    }
                    self.parts.announcer.announce(id, Progress::Committed(receipt.seq()));
                    return Ok(receipt);
                }
                Err(error) => error,
            };
            match error {
                CommitError::Refused(Refused::Full(_) | Refused::Unavailable(_)) => {
                    if waits.is_none() {
                        tracing::warn!(session = %id, %error, "the commit waits for the store");
                        waits = Some(self.parts.log.waits(id));
                        self.parts.announcer.announce(id, Progress::Waits);
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                CommitError::Unknown => {
                    self.clients.forget();
                    if self.happened_after(before).await {
                        self.durable();
                    }
                    return Err(Stop::Commit(error));
                }
                CommitError::Fenced | CommitError::Poisoned | CommitError::Refused(Refused::TooLarge { .. }) => {
                    return Err(Stop::Commit(error));
                }
            }
        }
    }

    /// What was gathered is in the log.
    fn durable(&mut self) {
        *self.rows = Rows::default();
        self.cause.clear();
        self.taken_bytes = 0;
        let messages = std::mem::take(&mut self.taken_messages);
        self.parts.desk.taken(self.awake.session.id, messages);
    }

    /// Whether a commit whose answer was lost has happened: the log knows, once it can be read.
    async fn happened_after(&self, seq: Seq) -> bool {
        loop {
            match self.parts.log.load(self.awake.session.id).await {
                Ok(loaded) => return loaded.is_some_and(|loaded| loaded.writer.seq() > seq),
                Err(DataError::Stopped) => return false,
                Err(_) => tokio::time::sleep(TRY_AGAIN).await,
            }
        }
    }

    fn stamp(&self) -> Stamp {
        let session = &self.awake.session;
        let made_up =
            |event: &Event| matches!(event, Event::CallRecorded { .. } | Event::ModelRequested { scripted: true, .. });
        Stamp {
            principal: session.principal.clone(),
            trace: session.trace,
            parent: session.principal.delegated_by().map(|call| SpanId::of_call(call, 1)),
            cause: self.cause.clone(),
            control_pos: self.parts.gateway.control_pos(),
            mode: session.principal.mode(),
            synthetic: self.rows.events.iter().any(made_up),
        }
    }
}

/// What the next look at a session needs without reading its records.
pub fn head(session: &Session) -> Head {
    Head {
        agent: session.principal.link.agent.clone(),
        revision: session.principal.link.revision,
        key: session.key.clone(),
        phase: session.phase,
        since: session.since,
        waits_on: machine::waits_on(session),
        scripted: session.scripted,
        mode: session.principal.mode(),
        partition: session.partition_number(),
    }
}
