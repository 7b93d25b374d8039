//! Mail, through the log: sealed on its way in, posted in groups, opened when it is due.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::clock::Timestamp;
use domain::id::{MailId, SessionId, Shard};
use domain::mail::{Mail, MailBody};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::commit::lane::stopped;
use crate::commit::{Log, Shared};
use crate::error::DataError;
use crate::rows::Head;
use crate::store::{Due, DueBy, DueCursor, DueRow, Forget, MailRow, StoreError};

/// How much mail goes into the store at once, one caller's more or less.
const POST_GROUP: usize = 512;

/// How many pieces of unreadable mail are known as such; of more than that, each look speaks again.
const UNREADABLE_KNOWN: usize = 10_000;

/// How many pieces of mail that was posted here are kept for whoever serves the mailboxes. Of more than that it is
/// only said that there were some: the table has them all.
const TOLD: usize = 16_384;

/// One look at what is due.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DuePage {
    /// What is due, in order.
    pub rows: Vec<DueRow>,
    /// Where the next page begins; `None`: no more is due.
    pub next_page: Option<DueCursor>,
    /// The earliest instant after the one asked for at which something else is due.
    pub next: Option<Timestamp>,
}

/// One look at a session's mail.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MailPage {
    /// What is due, in order.
    pub mail: Vec<Mail>,
    /// Whether that is all of it.
    pub all: bool,
}

/// What was posted here since the last look, durably: by callers, and by commits.
#[derive(Debug, Default)]
pub struct Posts {
    /// Of each piece, all but what it says.
    pub rows: Vec<DueRow>,
    /// Whether there may be more that only the table knows.
    pub missed: bool,
}

impl Log {
    /// Posts mail, durably. Mail with an id that its recipient has not consumed yet is delivered once; posted again
    /// after it was consumed it comes again, and the session knows that it has seen it.
    pub async fn post(&self, mail: Vec<Mail>) -> Result<(), DataError> {
        if mail.is_empty() {
            return Ok(());
        }
        let rows = mail.iter().map(|mail| seal(self.shared(), mail, None)).collect();
        let (reply, answer) = oneshot::channel();
        self.inner.poster.send((rows, reply)).await.map_err(|_| DataError::Stopped)?;
        Ok(answer.await.map_err(|_| DataError::Stopped)??)
    }

    /// Mail of these shards that is due, without what it says, in the order of due time and then of posting: what
    /// comes after `after`, out of the next `limit` of it. What is known to be unreadable is left out.
    pub async fn due(
        &self,
        shards: &[Shard],
        by: impl Into<DueBy>,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<DuePage, DataError> {
        let Due { mut rows, next } = self.store().due(shards, by.into(), after, limit).await?;
        self.comes_after(rows.iter().map(|row| row.posted).max());
        let full = limit > 0 && rows.len() == limit;
        let next_page = rows.last().filter(|_| full).map(cursor_at);
        let unreadable = self.shared().unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if !unreadable.is_empty() {
            rows.retain(|row| !unreadable.contains(&(row.session, row.id.clone())));
        }
        Ok(DuePage { rows, next_page, next })
    }

    /// What is due for one session, or was when it was posted, `limit` pieces and a few more at most: what people decided first, each in the
    /// order in which it could be delivered, and then of posting. What cannot be read is left out, and said once; it stays where it is.
    pub async fn mail(&self, session: SessionId, now: Timestamp, limit: usize) -> Result<MailPage, DataError> {
        let (shard, mut limit) = (self.shard_of(session), limit.max(1));
        loop {
            let rows = self.store().mail(session, shard, now, limit).await?;
            let all = rows.len() < limit;
            self.comes_after(rows.iter().map(|row| row.posted).max());
            let mail: Vec<Mail> = rows.into_iter().filter_map(|row| readable(self.shared(), row)).collect();
            if all || !mail.is_empty() {
                return Ok(MailPage { mail, all });
            }
            // Nothing but what cannot be read: it must not hide the rest.
            limit = limit.saturating_mul(4);
        }
    }

    /// What is posted from now on comes after what was posted by then, whatever the clock says: a node that ran before
    /// this one may have been ahead.
    fn comes_after(&self, posted: Option<i64>) {
        if let Some(posted) = posted {
            self.shared().posted.fetch_max(posted, Ordering::Relaxed);
        }
    }

    /// Throws away mail that says nothing any more: it was consumed before, or is about nothing that is open.
    pub async fn discard(&self, session: SessionId, ids: Vec<MailId>) -> Result<(), DataError> {
        self.store().forget(Forget::Mail { session, ids }).await?;
        Ok(())
    }

    /// Woken once after mail was posted here. For one listener; mail posted on other nodes is found by looking.
    pub fn mail_posted(&self) -> &Notify {
        &self.shared().posts.news
    }

    /// What was posted here since this was asked last. For one listener.
    pub fn take_posts(&self) -> Posts {
        std::mem::take(&mut *self.shared().posts.lock())
    }
}

/// Mail that was posted here and not yet asked after.
#[derive(Default)]
pub(super) struct Told {
    news: Notify,
    posts: Mutex<Posts>,
}

impl Told {
    /// That this mail is in the table.
    pub(super) fn tell(&self, rows: Vec<DueRow>) {
        if rows.is_empty() {
            return;
        }
        let mut posts = self.lock();
        if posts.rows.len() + rows.len() > TOLD {
            *posts = Posts { rows: Vec::new(), missed: true };
        } else {
            posts.rows.extend(rows);
        }
        drop(posts);
        self.news.notify_one();
    }

    /// That mail may be in the table, and nobody knows.
    pub(super) fn miss(&self) {
        self.lock().missed = true;
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Posts> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Mail as it is stored: its recipient, id and due time readable, what it says sealed. `by`: the session whose commit
/// posts it.
pub(super) fn seal(shared: &Shared, mail: &Mail, by: Option<(SessionId, &Head)>) -> MailRow {
    let plain = serde_json::to_vec(&mail.body).expect("mail has only text keys and finite numbers");
    let body = shared.sealer.seal("mail", mail.session, mail_aad(mail.session, &mail.id).as_bytes(), &plain);
    let (agent, partition) = match (&mail.body, by) {
        (MailBody::Message { start, .. }, _) => (start.principal.link.agent.to_string(), start.partition_number()),
        (_, Some((session, head))) if session == mail.session => (head.agent.to_string(), head.partition),
        _ => (String::new(), None),
    };
    MailRow {
        shard: mail.session.shard(shared.store.about().shards),
        session: mail.session,
        id: mail.id.clone(),
        due: mail.due,
        posted: stamp(shared, mail.due),
        class: mail.body.class(),
        agent,
        partition,
        body,
    }
}

/// Microseconds, one more than the last at least: what one node posts in order is delivered in order. What is meant for
/// later stays before its time, also where the clock stepped back since the last.
fn stamp(shared: &Shared, due: Timestamp) -> i64 {
    let now = shared.clock.now();
    let micros = now.0.saturating_mul(1_000);
    let next = |last: i64| Some(micros.max(last + 1));
    let last = shared.posted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    let posted = micros.max(last.unwrap_or_default() + 1);
    if due > now { posted.min(due.0.saturating_mul(1_000) - 1) } else { posted }
}

fn cursor_at(row: &DueRow) -> DueCursor {
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
            let told = rows.iter().map(MailRow::due_row).collect();
            let posted = self.shared.store.post(rows).await;
            self.shared.saw(&posted);
            match &posted {
                Ok(()) => self.shared.posts.tell(told),
                Err(_) => self.shared.posts.miss(),
            }
            for reply in replies {
                reply.send(posted.clone()).ok();
            }
        }
    }
}
