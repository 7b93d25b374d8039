//! A batch as arrays, one per column: what one statement unnests. Every row carries the number of the part that it
//! belongs to, because the fence decides part by part. It must not know SQL.

use std::borrow::Cow;

use domain::id::{CallId, Digest, MailId, Name, SessionId};
use tokio_postgres::types::ToSql;

use crate::column::{budget, class_number, mode_number, record_id, word};
use crate::postgres::row::stored;
use crate::rows::{InboxChange, InboxItem, InboxKey};
use crate::store::{BatchPart, HeadRow, KeyRow, MailRow, MemoryRow, RecordRow, SnapshotRow};

/// Which part of the batch a row belongs to, from 1.
type Part = i32;

/// A 16-byte id.
type Bytes = [u8; 16];

pub(super) fn id(session: SessionId) -> Bytes {
    session.as_u128().to_be_bytes()
}

/// A table's arrays: one per column of the rows to write, named as the column is, with its type.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident$(<$life:lifetime>)? { $($column:ident: $sql:ident => $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $name$(<$life>)? {
            $(pub(super) $column: Vec<$type>,)+
        }

        impl$(<$life>)? $name$(<$life>)? {
            /// The columns, in the order that they are bound in.
            pub(super) const COLUMNS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($column), stringify!($sql)),)+];

            pub(super) fn bind<'b>(&'b self, to: &mut Vec<&'b (dyn ToSql + Sync)>) {
                $(to.push(&self.$column);)+
            }
        }
    };
}

columns! {
    /// The fence of each part.
    Fences {
        n: int4 => Part,
        shard: int4 => i32,
        epoch: int8 => i64,
        pos: int8 => i64,
        records: int8 => i64,
    }
}

columns! {
    /// Records.
    Records<'a> {
        part: int4 => Part,
        id: int8 => i64,
        session: bytea => Bytes,
        seq: int8 => i64,
        prev: int8 => i64,
        epoch: int8 => i64,
        at: int8 => i64,
        principal: bytea => &'a [u8],
        trace: bytea => Bytes,
        span: int8 => i64,
        parent: int8 => Option<i64>,
        cause: text => Cow<'a, str>,
        control_pos: int8 => i64,
        mode: int2 => i16,
        synthetic: bool => bool,
        key: int4 => i32,
        codec: int2 => i16,
        headers: text => &'a str,
        body: bytea => &'a [u8],
    }
}

impl<'a> Records<'a> {
    pub(super) fn push(&mut self, part: Part, row: &'a RecordRow) {
        let e = &row.envelope;
        self.part.push(part);
        self.id.push(record_id(e.shard, e.pos));
        self.session.push(id(e.session));
        self.seq.push(e.seq.0.cast_signed());
        self.prev.push(e.prev.0.cast_signed());
        self.epoch.push(e.epoch.0.cast_signed());
        self.at.push(e.at.0);
        self.principal.push(e.principal.as_bytes());
        self.trace.push(e.trace.0.to_be_bytes());
        self.span.push(e.span.0.cast_signed());
        self.parent.push(e.parent.map(|span| span.0.cast_signed()));
        self.cause.push(stored(&e.cause));
        self.control_pos.push(e.control_pos.0.cast_signed());
        self.mode.push(mode_number(e.mode).into());
        self.synthetic.push(e.synthetic);
        self.key.push(e.key.cast_signed());
        self.codec.push(e.codec.into());
        // JSON escapes what PostgreSQL's text cannot hold.
        self.headers.push(&e.headers.0);
        self.body.push(&row.body);
    }
}

columns! {
    /// Heads.
    Heads<'a> {
        part: int4 => Part,
        session: bytea => Bytes,
        shard: int4 => i32,
        pos: int8 => i64,
        seq: int8 => i64,
        trace: bytea => Bytes,
        agent: text => &'a str,
        revision: bytea => &'a [u8],
        key: text => Cow<'a, str>,
        phase: text => String,
        since: int8 => i64,
        waits_on: text => Cow<'a, str>,
        scripted: bool => bool,
        mode: int2 => i16,
        partition: int8 => Option<i64>,
    }
}

impl<'a> Heads<'a> {
    fn push(&mut self, part: Part, row: &'a HeadRow) {
        let head = &row.head;
        self.part.push(part);
        self.session.push(id(row.session));
        self.shard.push(row.shard.0.into());
        self.pos.push(row.pos.0.cast_signed());
        self.seq.push(row.seq.0.cast_signed());
        self.trace.push(row.trace.0.to_be_bytes());
        self.agent.push(head.agent.as_str());
        self.revision.push(head.revision.as_bytes());
        self.key.push(stored(&head.key));
        self.phase.push(word(head.phase));
        self.since.push(head.since.0);
        self.waits_on.push(stored(&head.waits_on));
        self.scripted.push(head.scripted);
        self.mode.push(mode_number(head.mode).into());
        self.partition.push(head.partition.map(u64::cast_signed));
    }
}

columns! {
    /// Mail.
    Mail<'a> {
        part: int4 => Part,
        shard: int4 => i32,
        session: bytea => Bytes,
        id: text => String,
        due: int8 => i64,
        posted: int8 => i64,
        class: int2 => i16,
        agent: text => &'a str,
        partition: int8 => Option<i64>,
        body: bytea => &'a [u8],
    }
}

impl<'a> Mail<'a> {
    /// In one order for all who post, so that no two wait for each other.
    pub(super) fn sorted(rows: impl Iterator<Item = (Part, &'a MailRow)>) -> Self {
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|(_, a), (_, b)| (a.session, &a.id).cmp(&(b.session, &b.id)));
        let mut mail = Mail::default();
        rows.into_iter().for_each(|(part, row)| mail.push(part, row));
        mail
    }

    fn push(&mut self, part: Part, row: &'a MailRow) {
        self.part.push(part);
        self.shard.push(row.shard.0.into());
        self.session.push(id(row.session));
        self.id.push(row.id.to_string());
        self.due.push(row.due.0);
        self.posted.push(row.posted);
        self.class.push(class_number(row.class).into());
        self.agent.push(&row.agent);
        self.partition.push(row.partition.map(u64::cast_signed));
        self.body.push(&row.body);
    }
}

columns! {
    /// Snapshots of sessions.
    Snapshots<'a> {
        part: int4 => Part,
        session: bytea => Bytes,
        seq: int8 => i64,
        pos: int8 => i64,
        fold: int4 => i32,
        key: int4 => i32,
        body: bytea => &'a [u8],
    }
}

impl<'a> Snapshots<'a> {
    fn push(&mut self, part: Part, row: &'a SnapshotRow) {
        self.part.push(part);
        self.session.push(id(row.session));
        self.seq.push(row.seq.0.cast_signed());
        self.pos.push(row.pos.0.cast_signed());
        self.fold.push(row.fold.cast_signed());
        self.key.push(row.key.cast_signed());
        self.body.push(&row.body);
    }
}

columns! {
    /// Keys of sessions.
    Keys<'a> {
        part: int4 => Part,
        session: bytea => Bytes,
        generation: int4 => i32,
        wrapped: bytea => Option<&'a [u8]>,
    }
}

impl<'a> Keys<'a> {
    fn push(&mut self, part: Part, row: &'a KeyRow) {
        self.part.push(part);
        self.session.push(id(row.session));
        self.generation.push(row.generation.cast_signed());
        self.wrapped.push(row.wrapped.as_deref());
    }
}

columns! {
    /// Changes of what shards hold of budgets.
    Holdings {
        part: int4 => Part,
        shard: int4 => i32,
        agent: text => String,
        meter: text => String,
        per: text => String,
        window_start: int8 => i64,
        reserved: int8 => i64,
        spent: int8 => i64,
    }
}

columns! {
    /// Shared texts.
    Texts<'a> {
        part: int4 => Part,
        hash: bytea => &'a [u8],
        body: text => Cow<'a, str>,
    }
}

impl<'a> Texts<'a> {
    /// In one order for all who write them, so that no two wait for each other.
    pub(super) fn sorted(rows: impl Iterator<Item = (Part, &'a (Digest, String))>) -> Self {
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(_, (hash, _))| *hash);
        let mut texts = Texts::default();
        for (part, (hash, body)) in rows {
            texts.part.push(part);
            texts.hash.push(hash.as_bytes());
            texts.body.push(stored(body));
        }
        texts
    }
}

columns! {
    /// Mail that goes.
    Consumed {
        part: int4 => Part,
        session: bytea => Bytes,
        id: text => String,
    }
}

impl Consumed {
    fn push(&mut self, part: Part, (session, mail): &(SessionId, MailId)) {
        self.part.push(part);
        self.session.push(id(*session));
        self.id.push(mail.to_string());
    }
}

columns! {
    /// What waits for people from now on.
    Opened<'a> {
        part: int4 => Part,
        key: text => String,
        in_doubt: bool => bool,
        session: bytea => Bytes,
        agent: text => &'a str,
        by_group: text => &'a str,
        since: int8 => i64,
        expires: int8 => Option<i64>,
    }
}

columns! {
    /// What no longer waits for people.
    Closed {
        part: int4 => Part,
        key: text => String,
    }
}

impl<'a> Opened<'a> {
    fn push(&mut self, part: Part, item: &'a InboxItem) {
        self.part.push(part);
        self.key.push(item.key.to_string());
        self.in_doubt.push(matches!(item.key, InboxKey::InDoubt { .. }));
        self.session.push(id(item.session));
        self.agent.push(item.agent.as_str());
        self.by_group.push(item.group.as_str());
        self.since.push(item.since.0);
        self.expires.push(item.expires.map(|expires| expires.0));
    }
}

columns! {
    /// What is remembered.
    Remembered<'a> {
        part: int4 => Part,
        agent: text => &'a str,
        session: bytea => Bytes,
        ordinal: int8 => i64,
        generation: int4 => i32,
        at: int8 => i64,
        expires: int8 => Option<i64>,
        text: bytea => &'a [u8],
    }
}

columns! {
    /// What is forgotten.
    Forgotten<'a> {
        part: int4 => Part,
        agent: text => &'a str,
        session: bytea => Bytes,
        ordinal: int8 => i64,
    }
}

impl<'a> Remembered<'a> {
    fn push(&mut self, part: Part, row: &'a MemoryRow) {
        self.part.push(part);
        self.agent.push(row.agent.as_str());
        self.session.push(id(row.id.session));
        self.ordinal.push(row.id.ordinal.into());
        self.generation.push(row.generation.cast_signed());
        self.at.push(row.at.0);
        self.expires.push(row.expires.map(|expires| expires.0));
        self.text.push(&row.text);
    }
}

impl<'a> Forgotten<'a> {
    fn push(&mut self, part: Part, agent: &'a Name, item: CallId) {
        self.part.push(part);
        self.agent.push(agent.as_str());
        self.session.push(id(item.session));
        self.ordinal.push(item.ordinal.into());
    }
}

/// All of a batch.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) fences: Fences,
    pub(super) records: Records<'a>,
    pub(super) heads: Heads<'a>,
    pub(super) keys: Keys<'a>,
    pub(super) consumed: Consumed,
    pub(super) mail: Mail<'a>,
    pub(super) holdings: Holdings,
    pub(super) texts: Texts<'a>,
    pub(super) snapshots: Snapshots<'a>,
    pub(super) opened: Opened<'a>,
    pub(super) closed: Closed,
    pub(super) remembered: Remembered<'a>,
    pub(super) forgotten: Forgotten<'a>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(parts: &'a [BatchPart]) -> Self {
        let mut all = Columns::default();
        let numbered = || (1..).zip(parts);
        for (n, part) in numbered() {
            all.fences.n.push(n);
            all.fences.shard.push(part.shard.0.into());
            all.fences.epoch.push(part.epoch.0.cast_signed());
            all.fences.pos.push(part.pos.0.cast_signed());
            all.fences.records.push(part.records.len() as i64);
            part.records.iter().for_each(|row| all.records.push(n, row));
            part.heads.iter().for_each(|row| all.heads.push(n, row));
            part.snapshots.iter().for_each(|row| all.snapshots.push(n, row));
            part.keys.iter().for_each(|row| all.keys.push(n, row));
            part.consumed.iter().for_each(|mail| all.consumed.push(n, mail));
            all.hold(n, part);
            part.inbox.iter().for_each(|change| all.change_inbox(n, change));
            part.remembered.iter().for_each(|row| all.remembered.push(n, row));
            part.forgotten.iter().for_each(|(agent, item)| all.forgotten.push(n, agent, *item));
        }
        all.mail = Mail::sorted(numbered().flat_map(|(n, part)| part.mail.iter().map(move |row| (n, row))));
        all.texts = Texts::sorted(numbered().flat_map(|(n, part)| part.texts.iter().map(move |row| (n, row))));
        all
    }

    /// Whether there are rows of the kinds that few commits have.
    pub(super) fn rare(&self) -> bool {
        let Columns { snapshots, opened, closed, remembered, forgotten, .. } = self;
        let parts = [&snapshots.part, &opened.part, &closed.part, &remembered.part, &forgotten.part];
        parts.iter().any(|part| !part.is_empty())
    }

    fn change_inbox(&mut self, n: Part, change: &'a InboxChange) {
        match change {
            InboxChange::Open(item) => self.opened.push(n, item),
            InboxChange::Close(key) => {
                self.closed.part.push(n);
                self.closed.key.push(key.to_string());
            }
        }
    }

    fn hold(&mut self, n: Part, part: &'a BatchPart) {
        for delta in &part.holdings {
            let (agent, meter, per) = budget(&delta.budget);
            self.holdings.part.push(n);
            self.holdings.shard.push(part.shard.0.into());
            self.holdings.agent.push(agent);
            self.holdings.meter.push(meter);
            self.holdings.per.push(per);
            self.holdings.window_start.push(delta.window_start.0);
            self.holdings.reserved.push(delta.reserved);
            self.holdings.spent.push(delta.spent);
        }
    }
}
