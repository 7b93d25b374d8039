//! Rows as they are read back. What cannot be right is damage, and said with its column.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use domain::budget::{Amounts, BudgetKey};
use domain::clock::Timestamp;
use domain::id::{CallId, Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::column::{class_of, mode_of, of_word, place_of, subject};
use crate::postgres::fault::Fault;
use crate::record::{Envelope, Unread};
use crate::rows::{Head, InboxItem, InboxKey};
use crate::store::{
    DueRow, HeadRow, HoldingRow, KeyRow, MailRow, MemoryRow, PhaseCount, RecordRow, ResultRow, SnapshotRow, SpendRow,
};

/// Stands for itself and for U+0000, which PostgreSQL's text cannot hold, with a digit behind it. Unicode assigns no
/// character to it.
const MARK: char = '\u{10ffff}';

/// A text as it is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', MARK]) {
        Cow::Owned(text.replace(MARK, "\u{10ffff}1").replace('\0', "\u{10ffff}0"))
    } else {
        Cow::Borrowed(text)
    }
}

fn as_it_was(text: &str) -> String {
    if text.contains(MARK) {
        text.replace("\u{10ffff}0", "\0").replace("\u{10ffff}1", "\u{10ffff}")
    } else {
        text.to_owned()
    }
}

/// The rows of an answer, each read in the same way.
pub(super) fn all<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    rows.iter().map(read).collect()
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Fault> {
    row.try_get(column).map_err(|error| damaged(row, column, &error))
}

fn damaged(row: &Row, column: usize, why: &dyn Display) -> Fault {
    let name = row.columns().get(column).map_or("a column", |column| column.name());
    Fault::Damaged(format!("{name}: {why}"))
}

fn number(row: &Row, column: usize) -> Result<u64, Fault> {
    Ok(get::<i64>(row, column)?.cast_unsigned())
}

/// A number that is kept in a wider column.
fn narrow<T: TryFrom<i64, Error: Display>>(row: &Row, column: usize, wide: i64) -> Result<T, Fault> {
    T::try_from(wide).map_err(|error| damaged(row, column, &error))
}

fn sixteen(row: &Row, column: usize) -> Result<u128, Fault> {
    let bytes: &[u8] = get(row, column)?;
    bytes.try_into().map(u128::from_be_bytes).map_err(|error| damaged(row, column, &error))
}

pub(super) fn pos(row: &Row, column: usize) -> Result<Pos, Fault> {
    Ok(Pos(number(row, column)?))
}

pub(super) fn time(row: &Row, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp(get(row, column)?))
}

fn ends(row: &Row, column: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}

fn session(row: &Row, column: usize) -> Result<SessionId, Fault> {
    Ok(SessionId::from_u128(sixteen(row, column)?))
}

pub(super) fn digest(row: &Row, column: usize) -> Result<Digest, Fault> {
    let bytes: &[u8] = get(row, column)?;
    bytes
        .try_into()
        .map(Digest::from_bytes)
        .map_err(|error: std::array::TryFromSliceError| damaged(row, column, &error))
}

pub(super) fn shard(row: &Row, column: usize) -> Result<Shard, Fault> {
    narrow(row, column, get::<i32>(row, column)?.into()).map(Shard)
}

/// A free text.
pub(super) fn words(row: &Row, column: usize) -> Result<String, Fault> {
    Ok(as_it_was(get(row, column)?))
}

/// An id that is written as text.
fn text<T: FromStr<Err: Display>>(row: &Row, column: usize) -> Result<T, Fault> {
    get::<&str>(row, column)?.parse().map_err(|error: T::Err| damaged(row, column, &error))
}

fn named<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Fault> {
    of_word(get(row, column)?).map_err(|error| damaged(row, column, &error))
}

fn small(row: &Row, column: usize) -> Result<u8, Fault> {
    narrow(row, column, get::<i16>(row, column)?.into())
}

/// `id, session, seq, prev, epoch, at, principal, trace, span, parent, cause, control_pos, mode, synthetic, key,
/// codec, headers, body`.
pub(super) fn record(row: &Row) -> Result<RecordRow, Fault> {
    let (shard, pos_of) = place_of(get(row, 0)?);
    let envelope = Envelope {
        shard,
        pos: pos_of,
        session: session(row, 1)?,
        seq: Seq(number(row, 2)?),
        prev: pos(row, 3)?,
        epoch: Epoch(number(row, 4)?),
        at: time(row, 5)?,
        principal: digest(row, 6)?,
        trace: TraceId(sixteen(row, 7)?),
        span: SpanId(number(row, 8)?),
        parent: get::<Option<i64>>(row, 9)?.map(|span| SpanId(span.cast_unsigned())),
        cause: words(row, 10)?,
        control_pos: pos(row, 11)?,
        mode: mode_of(small(row, 12)?).map_err(|error| damaged(row, 12, &error))?,
        synthetic: get(row, 13)?,
        key: get::<i32>(row, 14)?.cast_unsigned(),
        codec: small(row, 15)?,
        headers: Unread(words(row, 16)?),
    };
    Ok(RecordRow { envelope, body: get(row, 17)? })
}

/// `session, shard, pos, seq, trace, agent, revision, key, phase, since, waits_on, scripted, mode, partition`.
pub(super) fn head(row: &Row) -> Result<HeadRow, Fault> {
    let head = Head {
        agent: text(row, 5)?,
        revision: digest(row, 6)?,
        key: words(row, 7)?,
        phase: named(row, 8)?,
        since: time(row, 9)?,
        waits_on: words(row, 10)?,
        scripted: get(row, 11)?,
        mode: mode_of(small(row, 12)?).map_err(|error| damaged(row, 12, &error))?,
        partition: get::<Option<i64>>(row, 13)?.map(i64::cast_unsigned),
    };
    Ok(HeadRow {
        session: session(row, 0)?,
        shard: shard(row, 1)?,
        pos: pos(row, 2)?,
        seq: Seq(number(row, 3)?),
        trace: TraceId(sixteen(row, 4)?),
        head,
    })
}

/// `session, generation, wrapped`.
pub(super) fn key(row: &Row) -> Result<KeyRow, Fault> {
    let generation = get::<i32>(row, 1)?.cast_unsigned();
    Ok(KeyRow { session: session(row, 0)?, generation, wrapped: get(row, 2)? })
}

/// `session, seq, pos, fold, key, body`.
pub(super) fn snapshot(row: &Row) -> Result<SnapshotRow, Fault> {
    Ok(SnapshotRow {
        session: session(row, 0)?,
        seq: Seq(number(row, 1)?),
        pos: pos(row, 2)?,
        fold: get::<i32>(row, 3)?.cast_unsigned(),
        key: get::<i32>(row, 4)?.cast_unsigned(),
        body: get(row, 5)?,
    })
}

/// `agent, phase, sessions`.
pub(super) fn phase_count(row: &Row) -> Result<PhaseCount, Fault> {
    Ok(PhaseCount { agent: text(row, 0)?, phase: named(row, 1)?, sessions: number(row, 2)? })
}

/// `shard, session, id, due, posted, class, agent, partition`.
pub(super) fn due(row: &Row) -> Result<DueRow, Fault> {
    Ok(DueRow {
        shard: shard(row, 0)?,
        session: session(row, 1)?,
        id: text(row, 2)?,
        due: time(row, 3)?,
        posted: get(row, 4)?,
        class: class_of(small(row, 5)?).map_err(|error| damaged(row, 5, &error))?,
        agent: get(row, 6)?,
        partition: get::<Option<i64>>(row, 7)?.map(i64::cast_unsigned),
    })
}

/// `shard, session, id, due, posted, class, agent, partition, body`.
pub(super) fn mail(row: &Row) -> Result<MailRow, Fault> {
    let DueRow { shard, session, id, due, posted, class, agent, partition } = self::due(row)?;
    Ok(MailRow { shard, session, id, due, posted, class, agent, partition, body: get(row, 8)? })
}

/// `agent, meter, per, window_start, drawn, reserved, spent, shard`.
pub(super) fn holding(row: &Row) -> Result<HoldingRow, Fault> {
    let subject = subject(get(row, 0)?).map_err(|error| Fault::Damaged(error.to_string()))?;
    let budget = BudgetKey { subject, meter: named(row, 1)?, window: named(row, 2)? };
    let (drawn, reserved, spent) = (get(row, 4)?, get(row, 5)?, get(row, 6)?);
    Ok(HoldingRow { shard: shard(row, 7)?, budget, window_start: time(row, 3)?, drawn, reserved, spent })
}

/// `key, in_doubt, session, agent, by_group, since, expires`.
pub(super) fn inbox(row: &Row) -> Result<InboxItem, Fault> {
    let key = if get(row, 1)? {
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
        expires: ends(row, 6)?,
    })
}

/// `agent, session, ordinal, generation, at, expires, text`.
pub(super) fn memory(row: &Row) -> Result<MemoryRow, Fault> {
    let ordinal = narrow(row, 2, get(row, 2)?)?;
    Ok(MemoryRow {
        agent: text(row, 0)?,
        id: CallId { session: session(row, 1)?, ordinal },
        generation: get::<i32>(row, 3)?.cast_unsigned(),
        at: time(row, 4)?,
        expires: ends(row, 5)?,
        text: get(row, 6)?,
    })
}

/// `agent, hour, session, what, usd_micros, calls, tokens, external_actions, compute_ms`.
pub(super) fn spend(row: &Row) -> Result<SpendRow, Fault> {
    let amounts = Amounts {
        usd_micros: get(row, 4)?,
        calls: get(row, 5)?,
        tokens: get(row, 6)?,
        external_actions: get(row, 7)?,
        compute_ms: get(row, 8)?,
    };
    Ok(SpendRow { agent: text(row, 0)?, hour: time(row, 1)?, session: session(row, 2)?, what: words(row, 3)?, amounts })
}

/// `session, seq, pos, agent, at`.
pub(super) fn result(row: &Row) -> Result<ResultRow, Fault> {
    Ok(ResultRow {
        session: session(row, 0)?,
        seq: Seq(number(row, 1)?),
        pos: pos(row, 2)?,
        agent: text(row, 3)?,
        at: time(row, 4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{as_it_was, stored};

    #[test]
    fn a_text_that_postgresql_cannot_hold_comes_back_as_it_was() {
        for text in ["plain", "", "a\0b", "\u{10ffff}", "\u{10ffff}0\0", "\0\u{10ffff}1"] {
            let kept = stored(text);
            assert!(!kept.contains('\0'));
            assert_eq!(as_it_was(&kept), text);
        }
        assert!(matches!(stored("plain"), std::borrow::Cow::Borrowed(_)));
    }
}
