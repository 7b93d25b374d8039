//! Writing, each verb in one transaction on the writer's connection.

use domain::clock::Timestamp;
use domain::id::{Digest, Epoch, Pos, Shard};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::column::{budget, class_number, count, mode_number, record_id};
use crate::rows::{InboxChange, InboxKey};
use crate::sqlite::fault::Fault;
use crate::sqlite::head;
use crate::sqlite::row::{pos, session_blob, time};
use crate::store::{
    Answer, Batch, BatchPart, Claimed, ControlAnswer, ControlRow, Forget, KeyRow, Lease, MailRow, MemoryRow, RecordRow,
    SnapshotRow,
};

/// How long what was held and spent in a budget's window is kept once nothing of it is held any more.
const WINDOWS_KEPT_MS: i64 = 7 * 86_400_000;

/// Runs a job in a transaction; only a COMMIT that fails leaves it open whether it happened.
pub(super) fn transact<T>(
    db: &mut Connection,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = job(&transaction)?;
    transaction.commit().map_err(Fault::AtCommit)?;
    Ok(done)
}

/// The same, for what follows the log and is followed again where it is missing: it reaches the disk with the next
/// commit of the log, in order, and is not waited for.
pub(super) fn transact_behind<T>(
    db: &mut Connection,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let done = transact(db, job);
    // A commit of the log that is not waited for must not be answered.
    db.pragma_update(None, "synchronous", "FULL").expect("outside of a transaction this can be said at any time");
    done
}

/// Until when a claim holds.
pub(super) fn expiry(now: Timestamp, lease_ms: Option<i64>) -> Timestamp {
    lease_ms.map_or(Timestamp(i64::MAX), |ms| now.plus_ms(ms))
}

/// `lease_ms` is `None` where no other process can be there: then whoever held the shard is gone.
pub(super) fn claim(
    db: &mut Connection,
    node: &str,
    shards: &[Shard],
    now: Timestamp,
    lease_ms: Option<i64>,
) -> Result<Claimed, Fault> {
    transact(db, |tx| {
        let mut take = tx.prepare_cached(
            "UPDATE shard SET epoch = epoch + 1, node = ?2, expires = ?3 \
             WHERE shard = ?1 AND (node = ?2 OR expires <= ?4 OR ?5) RETURNING epoch, pos",
        )?;
        let mut leases = Vec::new();
        for shard in shards {
            let expires = expiry(now, lease_ms);
            let taken = take.query_row(params![shard.0, node, expires.0, now.0, lease_ms.is_none()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            });
            if let Some((epoch, pos)) = taken.optional()? {
                let pos = Pos(pos.cast_unsigned());
                let at = last_time(tx, *shard, pos)?;
                leases.push(Lease { shard: *shard, epoch: Epoch(epoch.cast_unsigned()), pos, at });
            }
        }
        Ok(Claimed { leases, control_pos: position(tx, Shard::CONTROL)? })
    })
}

/// Makes claims last until `expires`; answers the shards that are at another epoch.
pub(super) fn renew(db: &mut Connection, held: &[(Shard, Epoch)], expires: Timestamp) -> Result<Vec<Shard>, Fault> {
    transact(db, |tx| {
        let mut renew = tx.prepare_cached("UPDATE shard SET expires = ? WHERE shard = ? AND epoch = ?")?;
        let mut lost = Vec::new();
        for (shard, epoch) in held {
            if renew.execute(params![expires.0, shard.0, epoch.0.cast_signed()])? == 0 {
                lost.push(*shard);
            }
        }
        Ok(lost)
    })
}

pub(super) fn commit(db: &mut Connection, batch: &Batch, expires: Timestamp) -> Result<Answer, Fault> {
    transact(db, |tx| {
        let mut fenced = Vec::new();
        for part in &batch.parts {
            if advance(tx, part, expires)? {
                write_part(tx, part)?;
            } else {
                fenced.push(part.shard);
            }
        }
        Ok(Answer { fenced, control_pos: position(tx, Shard::CONTROL)? })
    })
}

/// The fence. `false`: the shard is not as the writer thinks.
fn advance(tx: &Transaction<'_>, part: &BatchPart, expires: Timestamp) -> Result<bool, Fault> {
    let mut fence = tx
        .prepare_cached("UPDATE shard SET pos = pos + ?1, expires = ?2 WHERE shard = ?3 AND epoch = ?4 AND pos = ?5")?;
    let (epoch, pos) = (part.epoch.0.cast_signed(), part.pos.0.cast_signed());
    let n = count(part.records.len());
    Ok(fence.execute(params![n, expires.0, part.shard.0, epoch, pos])? == 1)
}

fn write_part(tx: &Transaction<'_>, part: &BatchPart) -> Result<(), Fault> {
    part.records.iter().try_for_each(|row| insert_record(tx, row))?;
    head::put(tx, &part.heads)?;
    part.snapshots.iter().try_for_each(|row| put_snapshot(tx, row))?;
    part.keys.iter().try_for_each(|row| insert_key(tx, row))?;
    // First what goes: mail may be posted under the id of what it was caused by.
    let mut consume = tx.prepare_cached("DELETE FROM mail WHERE session = ? AND id = ?")?;
    for (session, id) in &part.consumed {
        consume.execute(params![session_blob(*session), id.to_string()])?;
    }
    part.mail.iter().try_for_each(|row| insert_mail(tx, row))?;
    let mut hold = tx.prepare_cached(
        "INSERT INTO holding (shard, agent, meter, per, window_start, drawn, reserved, spent) \
         VALUES (?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO UPDATE SET \
         reserved = reserved + excluded.reserved, spent = spent + excluded.spent",
    )?;
    for delta in &part.holdings {
        let (agent, meter, per) = budget(&delta.budget);
        let start = delta.window_start.0;
        hold.execute(params![part.shard.0, agent, meter, per, start, delta.reserved, delta.spent])?;
    }
    part.inbox.iter().try_for_each(|change| change_inbox(tx, change))?;
    insert_texts(tx, &part.texts)?;
    part.remembered.iter().try_for_each(|row| remember(tx, row))?;
    let mut forget = tx.prepare_cached("DELETE FROM memory WHERE agent = ? AND session = ? AND ordinal = ?")?;
    for (agent, id) in &part.forgotten {
        forget.execute(params![agent.as_str(), session_blob(id.session), id.ordinal])?;
    }
    Ok(())
}

pub(super) fn commit_control(db: &mut Connection, row: &ControlRow) -> Result<ControlAnswer, Fault> {
    transact(db, |tx| {
        let expected = row.record.envelope.pos.0.cast_signed() - 1;
        let mut fence = tx.prepare_cached("UPDATE shard SET pos = pos + 1 WHERE shard = ? AND pos = ?")?;
        if fence.execute(params![Shard::CONTROL.0, expected])? == 0 {
            return Ok(ControlAnswer::Moved { now: position(tx, Shard::CONTROL)? });
        }
        insert_record(tx, &row.record)?;
        insert_texts(tx, &row.texts)?;
        Ok(ControlAnswer::Committed)
    })
}

pub(super) fn post(db: &mut Connection, mail: &[MailRow]) -> Result<(), Fault> {
    transact(db, |tx| mail.iter().try_for_each(|row| insert_mail(tx, row)))
}

pub(super) fn forget(db: &mut Connection, what: &Forget) -> Result<u64, Fault> {
    let forgotten = transact(db, |tx| match what {
        Forget::Mail { session, ids } => {
            let mut delete = tx.prepare_cached("DELETE FROM mail WHERE session = ? AND id = ?")?;
            ids.iter()
                .try_fold(0, |rows, id| Ok(rows + delete.execute(params![session_blob(*session), id.to_string()])?))
        }
        Forget::Session { session, .. } => {
            let session = [session_blob(*session)];
            tx.execute("UPDATE head SET key = '', waits_on = '' WHERE session = ?", session)?;
            let mut rows = tx.execute("DELETE FROM mail WHERE session = ?", session)?;
            rows += tx.execute("DELETE FROM memory WHERE session = ?", session)?;
            rows += tx.execute("DELETE FROM snapshot WHERE session = ?", session)?;
            let drop = "UPDATE session_key SET wrapped = NULL WHERE session = ? AND wrapped IS NOT NULL";
            Ok(rows + tx.execute(drop, session)?)
        }
        Forget::Expired { now } => {
            let old = [now.0.saturating_sub(WINDOWS_KEPT_MS)];
            // What one session may spend has no window that ends.
            tx.execute("DELETE FROM holding WHERE window_start < ? AND reserved = 0 AND per <> 'session'", old)?;
            tx.execute("DELETE FROM account WHERE window_start < ? AND per <> 'session'", old)?;
            Ok(tx.execute("DELETE FROM memory WHERE expires <= ?", [now.0])?)
        }
    })?;
    // The WAL still has the pages as they were: what is erased must not be found there.
    if matches!(what, Forget::Session { .. }) && !db.path().unwrap_or_default().is_empty() {
        truncate_wal(db)?;
    }
    Ok(forgotten as u64)
}

/// SQLite says in a row, not by an error, that a reader or another checkpoint kept it from doing so.
fn truncate_wal(db: &Connection) -> Result<(), Fault> {
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
    if busy {
        let why = "it was erased, and can still be found in the file's WAL, which is in use: erase it again";
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(Fault::Sql(rusqlite::Error::SqliteFailure(busy, Some(why.to_owned()))));
    }
    Ok(())
}

fn insert_record(tx: &Transaction<'_>, row: &RecordRow) -> Result<(), Fault> {
    let e = &row.envelope;
    let mut insert = tx.prepare_cached(
        "INSERT INTO record (id, session, seq, prev, epoch, at, principal, trace, span, parent, cause, control_pos, \
         mode, synthetic, key, codec, headers, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    insert.execute(params![
        record_id(e.shard, e.pos),
        session_blob(e.session),
        e.seq.0.cast_signed(),
        e.prev.0.cast_signed(),
        e.epoch.0.cast_signed(),
        e.at.0,
        e.principal.as_bytes(),
        e.trace.0.to_be_bytes(),
        e.span.0.cast_signed(),
        e.parent.map(|span| span.0.cast_signed()),
        e.cause,
        e.control_pos.0.cast_signed(),
        mode_number(e.mode),
        e.synthetic,
        e.key,
        e.codec,
        e.headers.0,
        row.body,
    ])?;
    Ok(())
}

fn put_snapshot(tx: &Transaction<'_>, row: &SnapshotRow) -> Result<(), Fault> {
    let mut put = tx.prepare_cached(
        "INSERT OR REPLACE INTO snapshot (session, seq, pos, fold, key, body) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let (seq, pos) = (row.seq.0.cast_signed(), row.pos.0.cast_signed());
    put.execute(params![session_blob(row.session), seq, pos, row.fold, row.key, row.body])?;
    Ok(())
}

fn insert_key(tx: &Transaction<'_>, row: &KeyRow) -> Result<(), Fault> {
    let mut insert = tx.prepare_cached("INSERT INTO session_key (session, generation, wrapped) VALUES (?, ?, ?)")?;
    insert.execute(params![session_blob(row.session), row.generation, row.wrapped])?;
    Ok(())
}

fn insert_mail(tx: &Transaction<'_>, row: &MailRow) -> Result<(), Fault> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO mail (shard, session, id, due, posted, class, agent, partition, body) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    insert.execute(params![
        row.shard.0,
        session_blob(row.session),
        row.id.to_string(),
        row.due.0,
        row.posted,
        class_number(row.class),
        row.agent,
        row.partition.map(u64::cast_signed),
        row.body,
    ])?;
    Ok(())
}

fn insert_texts(tx: &Transaction<'_>, texts: &[(Digest, String)]) -> Result<(), Fault> {
    let mut insert = tx.prepare_cached("INSERT INTO text (hash, body) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
    for (hash, body) in texts {
        insert.execute(params![hash.as_bytes(), body])?;
    }
    Ok(())
}

fn change_inbox(tx: &Transaction<'_>, change: &InboxChange) -> Result<(), Fault> {
    match change {
        InboxChange::Open(item) => {
            let mut open = tx.prepare_cached(
                "INSERT OR REPLACE INTO inbox (key, in_doubt, session, agent, by_group, since, expires) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            let (key, in_doubt) = (item.key.to_string(), matches!(item.key, InboxKey::InDoubt { .. }));
            let (session, agent, group) = (session_blob(item.session), item.agent.as_str(), item.group.as_str());
            let expires = item.expires.map(|expires| expires.0);
            open.execute(params![key, in_doubt, session, agent, group, item.since.0, expires])?;
        }
        InboxChange::Close(key) => {
            tx.prepare_cached("DELETE FROM inbox WHERE key = ?")?.execute([key.to_string()])?;
        }
    }
    Ok(())
}

fn remember(tx: &Transaction<'_>, row: &MemoryRow) -> Result<(), Fault> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO memory (agent, session, ordinal, generation, at, expires, text) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let (agent, session) = (row.agent.as_str(), session_blob(row.id.session));
    let expires = row.expires.map(|expires| expires.0);
    insert.execute(params![agent, session, row.id.ordinal, row.generation, row.at.0, expires, row.text])?;
    Ok(())
}

fn position(tx: &Transaction<'_>, shard: Shard) -> Result<Pos, Fault> {
    let mut statement = tx.prepare_cached("SELECT pos FROM shard WHERE shard = ?")?;
    let mut rows = statement.query([shard.0])?;
    let row = rows.next()?.ok_or_else(|| Fault::Damaged(format!("shard {} has no row", shard.0)))?;
    pos(row, 0)
}

fn last_time(tx: &Transaction<'_>, shard: Shard, pos: Pos) -> Result<Timestamp, Fault> {
    let mut statement = tx.prepare_cached("SELECT at FROM record WHERE id = ?")?;
    let mut rows = statement.query([record_id(shard, pos)])?;
    rows.next()?.map_or(Ok(Timestamp(i64::MIN)), |row| time(row, 0))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::truncate_wal;

    #[test]
    fn a_wal_that_somebody_reads_is_not_said_to_be_empty() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Connection::open(dir.path().join("a.db")).unwrap();
        let (writer, reader) = (open(), open());
        writer.busy_timeout(std::time::Duration::ZERO).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE said (word TEXT)").unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM said").unwrap();
        writer.execute_batch("INSERT INTO said VALUES ('secret'); DELETE FROM said").unwrap();
        assert!(truncate_wal(&writer).is_err());
        reader.execute_batch("COMMIT").unwrap();
        truncate_wal(&writer).unwrap();
    }
}
