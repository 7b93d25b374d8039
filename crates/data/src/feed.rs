//! The feed: the log, told as events to whoever follows it from outside. It is read from the log by pages, from a
//! position per shard, so a slow follower holds no memory and a new one can begin at the very beginning. In order per
//! session, at least once, and resumable: a cursor is all there is to know. It must not know who may be told what.
//!
//! ```text
//! Log::committed ─▶ a hint ─▶ Feed: tail(shard, after cursor) ─▶ Told{event, …} ─▶ SSE, webhooks
//!                                └── the log is the truth: what a hint missed is found by looking
//! ```

mod cursor;
mod event;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::id::{Digest, Name, Pos, SessionId, Shard};
use domain::principal::Principal;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

pub use crate::feed::cursor::Cursor;
pub use crate::feed::event::{FeedData, FeedEvent};

use crate::commit::{Committed, Log};
use crate::error::DataError;
use crate::record::Envelope;

/// How many records are read at once.
const PAGE: usize = 64;

/// After how long a follower looks again though nobody told it, where this process alone writes.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// The same where others write, too: what they commit is found so.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(2);

/// How many principals are kept before they are looked up again.
const REMEMBERED: usize = 4096;

/// A feed that cannot begin where it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The cursor is another store's.
    #[error("this cursor is of another store")]
    OtherStore,
    /// The log is not as long as that.
    #[error("this cursor is ahead of the log: the store was restored from a backup since")]
    Ahead,
    /// The log cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Which events; empty or `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one agent.
    pub agent: Option<Name>,
    /// Of one session.
    pub session: Option<SessionId>,
    /// Of these kinds.
    pub kinds: BTreeSet<String>,
    /// Kinds that are not told, whatever else is asked for.
    pub hidden: BTreeSet<String>,
}

impl Filter {
    fn wants(&self, event: &FeedEvent) -> bool {
        self.agent.as_ref().is_none_or(|agent| event.agent.as_ref() == Some(agent))
            && self.session.is_none_or(|session| event.session == Some(session))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && !self.hidden.contains(&event.kind)
    }
}

/// Whose content is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nobody's.
    None,
    /// That of sessions.
    Sessions,
    /// That of sessions and of the control shard.
    All,
}

/// A follower of the log.
pub struct Feed {
    log: Log,
    filter: Filter,
    content: Content,
    at: Cursor,
    /// Shards that may hold more than was read.
    look: BTreeSet<Shard>,
    /// The shard read last: the next one gets its turn.
    turn: Shard,
    committed: broadcast::Receiver<Committed>,
    people: HashMap<Digest, (Option<Name>, Option<Name>)>,
}

impl Feed {
    /// A follower that goes on after a cursor; `None`: from the very beginning.
    ///
    /// # Errors
    /// If the cursor is of another store or ahead of this log, or the log cannot be read.
    pub async fn open(log: &Log, after: Option<Cursor>, filter: Filter, content: Content) -> Result<Feed, FeedError> {
        // Before the first look, so that nothing falls between the two.
        let committed = log.committed();
        let store = log.store().about().store;
        let at = after.unwrap_or_else(|| Cursor::start(store));
        if !at.is_of(store) {
            return Err(FeedError::OtherStore);
        }
        for (shard, pos) in at.positions() {
            let there = log.tail(shard, Pos(pos.0.saturating_sub(1)), 1).await?;
            if there.first().is_none_or(|record| record.envelope.pos != pos) {
                return Err(FeedError::Ahead);
            }
        }
        let (look, turn, people) = (BTreeSet::new(), Shard(0), HashMap::new());
        let mut feed = Feed { log: log.clone(), filter, content, at, look, turn, committed, people };
        feed.look_everywhere();
        Ok(feed)
    }

    /// Where it is: everything up to here was told, or is not wanted.
    pub fn cursor(&self) -> &Cursor {
        &self.at
    }

    /// The next events, of one shard, in order. `None`: it is at the end of the log. None may be wanted of a page.
    ///
    /// # Errors
    /// If the log cannot be read; asked again, it goes on where it was.
    pub async fn page(&mut self) -> Result<Option<Vec<FeedEvent>>, DataError> {
        self.heed();
        loop {
            let after_turn = self.look.range(Shard(self.turn.0.saturating_add(1))..).next();
            let Some(shard) = after_turn.or(self.look.first()).copied() else { return Ok(None) };
            let records = self.read(shard).await?;
            self.turn = shard;
            if records.len() < PAGE {
                self.look.remove(&shard);
            }
            let Some((last, _)) = records.last() else { continue };
            let end = last.pos;
            let mut told = Vec::new();
            for (envelope, contents) in records {
                self.tell(&envelope, contents, &mut told).await?;
            }
            self.at.reach(shard, end);
            return Ok(Some(told));
        }
    }

    /// Waits until there may be more. `false`: the log has ended.
    pub async fn wait(&mut self) -> bool {
        let alone = self.log.store().about().lease_ms.is_none();
        let pause = if alone { LOOK_AGAIN } else { LOOK_FOR_OTHERS };
        while self.look.is_empty() {
            match tokio::time::timeout(pause, self.committed.recv()).await {
                Ok(Ok(committed)) => self.look_at(committed.shard),
                Ok(Err(RecvError::Lagged(_))) | Err(_) => self.look_everywhere(),
                Ok(Err(RecvError::Closed)) => return false,
            }
        }
        true
    }

    /// What was committed meanwhile.
    fn heed(&mut self) {
        loop {
            match self.committed.try_recv() {
                Ok(committed) => self.look_at(committed.shard),
                Err(TryRecvError::Lagged(_)) => self.look_everywhere(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn look_at(&mut self, shard: Shard) {
        if self.filter.session.is_none_or(|session| self.log.shard_of(session) == shard) {
            self.look.insert(shard);
        }
    }

    fn look_everywhere(&mut self) {
        (0..self.log.shards()).map(Shard).chain([Shard::CONTROL]).for_each(|shard| self.look_at(shard));
    }

    /// A page of a shard's records, with the content of each where that is wanted: or why there is none.
    async fn read(&self, shard: Shard) -> Result<Vec<(Envelope, Contents)>, DataError> {
        let after = self.at.pos(shard);
        let wanted = match self.content {
            Content::None => false,
            Content::Sessions => shard != Shard::CONTROL,
            Content::All => true,
        };
        if !wanted {
            let closed = self.log.tail(shard, after, PAGE).await?;
            return Ok(closed.into_iter().map(|record| (record.envelope, None)).collect());
        }
        let opened = self.log.tail_values(shard, after, PAGE).await?;
        let told = opened.into_iter().map(|(envelope, values)| {
            let values = match values {
                Ok(Some(values)) => Ok(values),
                Ok(None) => Err("it was erased".to_owned()),
                // One record that cannot be read must not end the feed.
                Err(error) => Err(error.to_string()),
            };
            (envelope, Some(values))
        });
        Ok(told.collect())
    }

    /// Adds a record's events that are wanted. Only the last of them has a cursor behind the record.
    async fn tell(
        &mut self,
        envelope: &Envelope,
        contents: Contents,
        told: &mut Vec<FeedEvent>,
    ) -> Result<(), DataError> {
        let (agent, person) = self.who(envelope).await?;
        let first = told.len();
        let mut before = self.at.clone();
        before.reach(envelope.shard, Pos(envelope.pos.0 - 1));
        let before = before.to_string();
        for (index, header) in envelope.headers.iter().enumerate() {
            let mut data = FeedData::of(header, envelope.session);
            match &contents {
                None => {}
                Some(Ok(events)) => data.content = events.get(index).cloned(),
                Some(Err(why)) => data.without_content = Some(why.clone()),
            }
            let event = self.event(envelope, index, data, (agent.clone(), person.clone()), before.clone());
            if self.filter.wants(&event) {
                told.push(event);
            }
        }
        if let Some(last) = told[first..].last_mut() {
            let mut behind = self.at.clone();
            behind.reach(envelope.shard, envelope.pos);
            last.cursor = behind.to_string();
        }
        Ok(())
    }

    fn event(
        &self,
        envelope: &Envelope,
        index: usize,
        data: FeedData,
        (agent, person): (Option<Name>, Option<Name>),
        cursor: String,
    ) -> FeedEvent {
        let kind = envelope.headers[index].k.clone();
        let session = (envelope.shard != Shard::CONTROL).then_some(envelope.session);
        FeedEvent {
            specversion: "1.0".to_owned(),
            id: event::id_of(envelope, index),
            source: format!("/ostler/{:032x}", self.log.store().about().store),
            of_type: format!("ostler.{kind}"),
            time: envelope.at.to_string(),
            subject: session.map_or_else(|| "control".to_owned(), |session| session.to_string()),
            kind,
            session,
            agent,
            person,
            seq: envelope.seq,
            trace: session.map(|_| envelope.trace),
            cause: envelope.cause.clone(),
            mode: envelope.mode,
            synthetic: envelope.synthetic,
            cursor,
            data,
        }
    }

    /// The agent and the person behind a record.
    async fn who(&mut self, envelope: &Envelope) -> Result<(Option<Name>, Option<Name>), DataError> {
        if envelope.shard == Shard::CONTROL {
            return Ok((None, None));
        }
        if let Some(known) = self.people.get(&envelope.principal) {
            return Ok(known.clone());
        }
        let text = self.log.text(envelope.principal).await?;
        let principal: Option<Principal> = text.and_then(|text| serde_json::from_str(&text).ok());
        let known = principal.map_or((None, None), |who| (Some(who.link.agent), who.on_behalf_of));
        if self.people.len() >= REMEMBERED {
            self.people.clear();
        }
        self.people.insert(envelope.principal, known.clone());
        Ok(known)
    }
}

/// How far followers that the store keeps the place of have been told.
impl Log {
    /// How far a follower is, by its name: behind `from`, or further.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn followed(&self, follower: &str, from: Cursor) -> Result<Cursor, DataError> {
        let mut at = from;
        for (shard, pos) in self.store().followed(follower).await? {
            at.reach(shard, pos.max(at.pos(shard)));
        }
        Ok(at)
    }

    /// Keeps that a follower has been told everything up to a cursor.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn follow(&self, follower: &str, since: &Cursor, to: &Cursor) -> Result<(), DataError> {
        let moved: Vec<_> = to.positions().filter(|(shard, pos)| *pos > since.pos(*shard)).collect();
        if moved.is_empty() {
            return Ok(());
        }
        Ok(self.store().follow(follower, &moved).await?)
    }

    /// Forgets a follower.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn unfollow(&self, follower: &str) -> Result<(), DataError> {
        Ok(self.store().unfollow(follower).await?)
    }
}

/// A record's events as values; why they cannot be had; or that nobody asked.
type Contents = Option<Result<Vec<Value>, String>>;
