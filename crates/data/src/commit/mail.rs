//! Mail, through the log: sealed on its way in, posted in groups, opened when it is due.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use domain::clock::Timestamp;
use domain::id::{MailId, SessionId, Shard};
use domain::mail::{Mail, MailBody};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::commit::lane::stopped;
use crate::commit::{Log, Shared};
use crate::error::DataError;
use crate::store::{DueCursor, Forget, MailRow, StoreError};

/// How much mail goes into the store at once, one caller's more or less.
const POST_GROUP: usize = 512;

/// How many pieces of unreadable mail are known as such; of more than that, each look speaks again.
const UNREADABLE_KNOWN: usize = 10_000;

/// One look at due mail.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DuePage {
    /// Mail, in order.
    pub mail: Vec<Mail>,
    /// Where the next page begins; `None`: no more is due.
    pub next: Option<DueCursor>,
}

impl Log {
    /// Posts mail, durably. Mail with an id that its recipient has not consumed yet is delivered once; posted again
    /// after it was consumed it comes again, and the session knows that it has seen it.
    pub async fn post(&self, mail: Vec<Mail>) -> Result<(), DataError> {
        if mail.is_empty() {
            return Ok(());
        }
        let rows = mail.iter().map(|mail| seal(self.shared(), mail)).collect();
        let (reply, answer) = oneshot::channel();
        self.inner.poster.send((rows, reply)).await.map_err(|_| DataError::Stopped)?;
        Ok(answer.await.map_err(|_| DataError::Stopped)??)
    }

    /// Mail of a shard that is due, in the order of due time and then of posting: what comes after `after`, out of the
    /// next `limit` of it. What cannot be read is left out, and said once; it stays where it is.
    pub async fn due(
        &self,
        shard: Shard,
        now: Timestamp,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<DuePage, DataError> {
        let rows = self.store().due(shard, now, after, limit).await?.mail;
        let full = rows.len() == limit;
        let next = rows.last().filter(|_| full).map(cursor_at);
        Ok(DuePage { mail: rows.into_iter().filter_map(|row| readable(self.shared(), row)).collect(), next })
    }

    /// The earliest instant after `after` at which mail of a shard is due.
    pub async fn next_due(&self, shard: Shard, after: Timestamp) -> Result<Option<Timestamp>, DataError> {
        Ok(self.store().due(shard, after, None, 0).await?.next)
    }

    /// Throws away mail that says nothing any more: it was consumed before, or is about nothing that is open.
    pub async fn discard(&self, session: SessionId, ids: Vec<MailId>) -> Result<(), DataError> {
        self.store().forget(Forget::Mail { session, ids }).await?;
        Ok(())
    }

    /// Woken once after mail was posted here. For one listener; mail posted on other nodes is found by looking.
    pub fn mail_posted(&self) -> &Notify {
        &self.shared().mail
    }
}

/// Mail as it is stored: its recipient, id and due time readable, what it says sealed.
pub(super) fn seal(shared: &Shared, mail: &Mail) -> MailRow {
    let plain = serde_json::to_vec(&mail.body).expect("mail has only text keys and finite numbers");
    let body = shared.sealer.seal("mail", mail.session, mail_aad(mail.session, &mail.id).as_bytes(), &plain);
    let shard = mail.session.shard(shared.store.about().shards);
    MailRow { shard, session: mail.session, id: mail.id.clone(), due: mail.due, posted: stamp(shared), body }
}

/// Microseconds, one more than the last at least: what one node posts in order is delivered in order.
fn stamp(shared: &Shared) -> i64 {
    let now = shared.clock.now().0.saturating_mul(1000);
    let next = |last: i64| Some(now.max(last + 1));
    let last = shared.posted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    now.max(last.unwrap_or_default() + 1)
}

fn cursor_at(row: &MailRow) -> DueCursor {
    DueCursor { due: row.due, posted: row.posted, session: row.session, id: row.id.clone() }
}

fn readable(shared: &Shared, row: MailRow) -> Option<Mail> {
    let key = (row.session, row.id.clone());
    let error = match open(shared, row) {
        Ok(mail) => return Some(mail),
        Err(error) => error,
    };
    let mut told = shared.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
    if !told.contains(&key) {
        tracing::error!(session = %key.0, mail = %key.1, %error, "mail cannot be read; it is left where it is");
        if told.len() < UNREADABLE_KNOWN {
            told.insert(key);
        }
    }
    None
}

fn open(shared: &Shared, row: MailRow) -> Result<Mail, DataError> {
    let aad = mail_aad(row.session, &row.id);
    let plain = shared.sealer.open_own("mail", row.session, aad.as_bytes(), &row.body)?;
    let body: MailBody = serde_json::from_slice(&plain).map_err(|error| DataError::Damaged {
        session: row.session,
        why: format!("mail {} holds something that this Ostler cannot read: {error}", row.id),
    })?;
    Ok(Mail { id: row.id, session: row.session, due: row.due, body })
}

fn mail_aad(session: SessionId, id: &MailId) -> String {
    format!("ostler/mail/{session}/{id}")
}

/// Mail that waits to be posted, and who waits for that.
pub(super) type Posted = (Vec<MailRow>, oneshot::Sender<Result<(), StoreError>>);

/// Groups what callers post: one durable write for all that wait.
pub(super) struct Poster {
    shared: Arc<Shared>,
    waiting: mpsc::Receiver<Posted>,
    stop: watch::Receiver<bool>,
}

impl Poster {
    pub(super) fn new(shared: Arc<Shared>, waiting: mpsc::Receiver<Posted>, stop: watch::Receiver<bool>) -> Self {
        Poster { shared, waiting, stop }
    }

    pub(super) async fn run(mut self) {
        loop {
            let first = tokio::select! {
                biased;
                first = self.waiting.recv() => first,
                () = stopped(&mut self.stop), if !self.waiting.is_closed() => {
                    self.waiting.close();
                    continue;
                }
            };
            let Some((mut rows, reply)) = first else { return };
            let mut replies = vec![reply];
            while rows.len() < POST_GROUP
                && let Ok((more, reply)) = self.waiting.try_recv()
            {
                rows.extend(more);
                replies.push(reply);
            }
            let posted = self.shared.store.post(rows).await;
            if posted.is_ok() {
                self.shared.mail.notify_one();
            }
            for reply in replies {
                reply.send(posted.clone()).ok();
            }
        }
    }
}
