//! How values are written in columns, and read back: ids as blobs, enums as the words that they are persisted by.

use std::str::FromStr;

use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::id::{CallId, Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use rusqlite::{CachedStatement, Connection, Params, Row};

use crate::column::{class_of, mode_of, of_word, place_of, subject};
use crate::record::{Envelope, Unread};
use crate::rows::{Head, InboxItem, InboxKey};
use crate::sqlite::fault::Fault;
use crate::store::{DueRow, HeadRow, HoldingRow, KeyRow, MailRow, MemoryRow, PhaseCount, RecordRow, SnapshotRow};

pub(super) fn session_blob(session: SessionId) -> [u8; 16] {
    session.as_u128().to_be_bytes()
}

/// All rows of a query.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement: CachedStatement<'_> = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

pub(super) fn pos(row: &Row<'_>, column: usize) -> Result<Pos, Fault> {
    Ok(Pos(row.get::<_, i64>(column)?.cast_unsigned()))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp(row.get(column)?))
}

pub(super) fn session(row: &Row<'_>, column: usize) -> Result<SessionId, Fault> {
    Ok(SessionId::from_u128(u128::from_be_bytes(row.get(column)?)))
}

pub(super) fn digest(row: &Row<'_>, column: usize) -> Result<Digest, Fault> {
    Ok(Digest::from_bytes(row.get(column)?))
}

/// An id that is written as text.
pub(super) fn text<T: FromStr<Err: std::fmt::Display>>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error: T::Err| Fault::Damaged(error.to_string()))
}

/// `id, session, seq, prev, epoch, at, principal, trace, span, parent, cause, control_pos, mode, synthetic, key,
/// codec, headers, body`.
pub(super) fn record(row: &Row<'_>) -> Result<RecordRow, Fault> {
    let (shard, pos_of) = place_of(row.get(0)?);
    let envelope = Envelope {
        shard,
        pos: pos_of,
        session: session(row, 1)?,
        seq: Seq(row.get::<_, i64>(2)?.cast_unsigned()),
        prev: pos(row, 3)?,
        epoch: Epoch(row.get::<_, i64>(4)?.cast_unsigned()),
        at: time(row, 5)?,
        principal: digest(row, 6)?,
        trace: TraceId(u128::from_be_bytes(row.get(7)?)),
        span: SpanId(row.get::<_, i64>(8)?.cast_unsigned()),
        parent: row.get::<_, Option<i64>>(9)?.map(|span| SpanId(span.cast_unsigned())),
        cause: row.get(10)?,
        control_pos: pos(row, 11)?,
        mode: mode_of(row.get(12)?).map_err(Fault::Damaged)?,
        synthetic: row.get(13)?,
        key: row.get(14)?,
        codec: row.get(15)?,
        headers: Unread(row.get(16)?),
    };
    Ok(RecordRow { envelope, body: row.get(17)? })
}

/// `session, shard, pos, seq, trace, agent, revision, key, phase, since, waits_on, scripted, mode, partition`.
pub(super) fn head(row: &Row<'_>) -> Result<HeadRow, Fault> {
    let head = Head {
        agent: text(row, 5)?,
        revision: digest(row, 6)?,
        key: row.get(7)?,
        phase: of_word(row.get(8)?).map_err(Fault::Damaged)?,
        since: time(row, 9)?,
        waits_on: row.get(10)?,
        scripted: row.get(11)?,
        mode: mode_of(row.get(12)?).map_err(Fault::Damaged)?,
        partition: number(row, 13)?,
    };
    Ok(HeadRow {
        session: session(row, 0)?,
        shard: Shard(row.get(1)?),
        pos: pos(row, 2)?,
        seq: Seq(row.get::<_, i64>(3)?.cast_unsigned()),
        trace: TraceId(u128::from_be_bytes(row.get(4)?)),
        head,
    })
}

/// `session, generation, wrapped`.
pub(super) fn key(row: &Row<'_>) -> Result<KeyRow, Fault> {
    Ok(KeyRow { session: session(row, 0)?, generation: row.get(1)?, wrapped: row.get(2)? })
}

/// `session, seq, pos, fold, key, body`.
pub(super) fn snapshot(row: &Row<'_>) -> Result<SnapshotRow, Fault> {
    Ok(SnapshotRow {
        session: session(row, 0)?,
        seq: Seq(row.get::<_, i64>(1)?.cast_unsigned()),
        pos: pos(row, 2)?,
        fold: row.get(3)?,
        key: row.get(4)?,
        body: row.get(5)?,
    })
}

/// `agent, phase, sessions`.
pub(super) fn phase_count(row: &Row<'_>) -> Result<PhaseCount, Fault> {
    let sessions = row.get::<_, i64>(2)?.cast_unsigned();
    Ok(PhaseCount { agent: text(row, 0)?, phase: of_word(row.get(1)?).map_err(Fault::Damaged)?, sessions })
}

/// `shard, session, id, due, posted, class, agent, partition, body`.
pub(super) fn mail(row: &Row<'_>) -> Result<MailRow, Fault> {
    let DueRow { shard, session, id, due, posted, class, agent, partition } = self::due(row)?;
    Ok(MailRow { shard, session, id, due, posted, class, agent, partition, body: row.get(8)? })
}

/// `shard, session, id, due, posted, class, agent, partition`.
pub(super) fn due(row: &Row<'_>) -> Result<DueRow, Fault> {
    Ok(DueRow {
        shard: Shard(row.get(0)?),
        session: session(row, 1)?,
        id: text(row, 2)?,
        due: time(row, 3)?,
        posted: row.get(4)?,
        class: class_of(row.get(5)?).map_err(Fault::Damaged)?,
        agent: row.get(6)?,
        partition: number(row, 7)?,
    })
}

fn number(row: &Row<'_>, column: usize) -> Result<Option<u64>, Fault> {
    Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
}

/// `agent, meter, per, window_start, drawn, reserved, spent, shard`.
pub(super) fn holding(row: &Row<'_>) -> Result<HoldingRow, Fault> {
    let budget = BudgetKey {
        subject: subject(&row.get::<_, String>(0)?).map_err(|error| Fault::Damaged(error.to_string()))?,
        meter: of_word(row.get(1)?).map_err(Fault::Damaged)?,
        window: of_word(row.get(2)?).map_err(Fault::Damaged)?,
    };
    let (drawn, reserved, spent) = (row.get(4)?, row.get(5)?, row.get(6)?);
    Ok(HoldingRow { shard: Shard(row.get(7)?), budget, window_start: time(row, 3)?, drawn, reserved, spent })
}

/// `key, in_doubt, session, agent, by_group, since, expires`.
pub(super) fn inbox(row: &Row<'_>) -> Result<InboxItem, Fault> {
    let key = if row.get(1)? {
        InboxKey::InDoubt { call: text(row, 0)? }
    } else {
        InboxKey::Approval { approval: text(row, 0)? }
    };
    Ok(InboxItem {
        key,
        session: session(row, 2)?,
        agent: text(row, 3)?,
        group: text(row, 4)?,
        since: time(row, 5)?,
        expires: row.get::<_, Option<i64>>(6)?.map(Timestamp),
    })
}

/// `agent, session, ordinal, generation, at, expires, text`.
pub(super) fn memory(row: &Row<'_>) -> Result<MemoryRow, Fault> {
    Ok(MemoryRow {
        agent: text(row, 0)?,
        id: CallId { session: session(row, 1)?, ordinal: row.get(2)? },
        generation: row.get(3)?,
        at: time(row, 4)?,
        expires: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        text: row.get(6)?,
    })
}
