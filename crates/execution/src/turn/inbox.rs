//! A session's mail, as its task reads it: page by page, what it has not taken yet. It must not know what mail means.

use std::io;
use std::sync::Arc;

use data::commit::{Log, MailPage};
use data::error::DataError;
use domain::id::{MailId, SessionId};
use domain::mail::{Mail, MailBody, MailClass};

use crate::poke::Poke;

/// How many pieces of mail are read at once.
const PAGE: usize = 32;

/// The mail of one session.
pub(super) struct Inbox {
    session: SessionId,
    poke: Arc<Poke>,
    /// How often it was poked when it last read.
    seen: u64,
    /// How often clients had asked when it last looked.
    asked: u64,
    /// Whether the table has more than was taken.
    more: bool,
}

impl Inbox {
    pub(super) fn new(session: SessionId, poke: Arc<Poke>) -> Self {
        Inbox { session, poke, seen: 0, asked: 0, more: true }
    }

    /// How often it was poked when it last read.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether there may be something to read.
    pub(super) fn has_news(&self) -> bool {
        self.more || self.poke.count() > self.seen
    }

    /// Waits until there may be, or until a client asks for something.
    pub(super) async fn news(&self) {
        if !self.more {
            self.poke.more_than(self.seen, self.asked).await;
        }
    }

    /// That whoever woke it knows of no mail.
    pub(super) fn has_none(&mut self) {
        self.more = false;
    }

    /// How often clients had asked when it last looked.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Whether clients asked since.
    pub(super) fn has_asks(&self) -> bool {
        self.poke.asks() > self.asked
    }

    /// That it looks now: before what is asked is taken.
    pub(super) fn looks(&mut self) {
        self.asked = self.poke.asks();
    }

    /// That what was read was not all taken.
    pub(super) fn left_some(&mut self) {
        self.more = true;
    }

    /// What is due and not in `taken`. While another of its partition is at work: no messages.
    pub(super) async fn read(&mut self, log: &Log, taken: &[MailId]) -> Result<Vec<Mail>, DataError> {
        // Before the table: what comes after this is read the next time.
        let seen = self.poke.count();
        let messages = self.poke.messages_allowed();
        let now = log.clock().now().max(self.poke.due());
        let MailPage { mut mail, all } = log.mail(self.session, now, PAGE + taken.len()).await?;
        mail.retain(|piece| {
            let may = messages || piece.body.class() != MailClass::Message;
            may && !taken.contains(&piece.id)
        });
        self.seen = seen;
        self.more = !all && !mail.is_empty();
        Ok(mail)
    }
}

/// Counts what is written.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long mail is as JSON, in bytes.
pub(super) fn bytes_of(mail: &MailBody) -> usize {
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, mail).map_or(0, |()| counted.0)
}
