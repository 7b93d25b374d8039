//! Reading, each verb on one connection.

use domain::clock::Timestamp;
use domain::id::{Digest, Name, Pos, SessionId, Shard};
use domain::session::Phase;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::column::{count, last_id, record_id, word};
use crate::rows::{InboxItem, frozen_words};
use crate::sqlite::fault::Fault;
use crate::sqlite::row::{self, all, session_blob};
use crate::store::{
    Due, DueBy, DueCursor, HeadFilter, HeadRow, History, HistoryFrom, HoldingRow, KeyRow, MailRow, MemoryRow,
    PhaseCount, RecordRow,
};

const RECORD: &str = "SELECT id, session, seq, prev, epoch, at, principal, trace, span, parent, cause, control_pos, \
                      mode, synthetic, key, codec, headers, body FROM record";

const HEAD: &str = "SELECT session, shard, pos, seq, trace, agent, revision, key, phase, since, waits_on, scripted, \
                    mode, partition FROM head";

const SNAPSHOT: &str = "SELECT session, seq, pos, fold, key, body FROM snapshot WHERE session = ? AND fold = ?";

/// Each shard in the order of its index, and the first of all of them.
pub(super) fn due(
    db: &mut Connection,
    shards: &[Shard],
    by: DueBy,
    after: Option<&DueCursor>,
    limit: usize,
) -> Result<Due, Fault> {
    // No id is empty: everything comes after this.
    let (due, posted, session, id) = after.map_or((i64::MIN, i64::MIN, [0; 16], String::new()), |after| {
        (after.due.0, after.posted, session_blob(after.session), after.id.to_string())
    });
    let snapshot = db.transaction()?;
    // A bound on the index's first column apart: a row value alone is compared for every row before it.
    let sql = "SELECT shard, session, id, due, posted, class, agent, partition FROM mail WHERE shard = ? AND due <= ? \
               AND due <= max(?, posted / 1000) AND due >= ? AND (due, posted, session, id) > (?, ?, ?, ?) \
               ORDER BY due, posted, session, id LIMIT ?";
    let (mut rows, mut next) = (Vec::new(), None);
    for shard in shards {
        if limit > 0 {
            let asked = params![shard.0, by.ahead.0, by.now.0, due, due, posted, session, id, count(limit)];
            rows.extend(all(&snapshot, sql, asked, row::due)?);
        }
        let mut later = snapshot.prepare_cached("SELECT min(due) FROM mail WHERE shard = ? AND due > ?")?;
        let later = later.query_row(params![shard.0, by.now.0], |row| row.get::<_, Option<i64>>(0))?;
        next = [next, later].into_iter().flatten().min();
    }
    rows.sort_by(|a, b| (a.due, a.posted, a.session, &a.id).cmp(&(b.due, b.posted, b.session, &b.id)));
    rows.truncate(limit);
    Ok(Due { rows, next: next.map(Timestamp) })
}

pub(super) fn mail(
    db: &mut Connection,
    session: SessionId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<MailRow>, Fault> {
    let sql = "SELECT shard, session, id, due, posted, class, agent, partition, body FROM mail WHERE session = ? \
               AND due <= max(?, posted / 1000) ORDER BY class > 0, max(due, posted / 1000), posted, id LIMIT ?";
    all(db, sql, params![session_blob(session), now.0, count(limit)], row::mail)
}

/// Back along the chain from the head, in one transaction, so that all of it belongs together.
pub(super) fn history(
    db: &mut Connection,
    session: SessionId,
    shard: Shard,
    from: HistoryFrom,
) -> Result<Option<History>, Fault> {
    let tx = db.transaction()?;
    let sql = format!("{HEAD} WHERE session = ?");
    let Some(head) = all(&tx, &sql, [session_blob(session)], row::head)?.pop() else { return Ok(None) };
    let keys = keys_of(&tx, session)?;
    let snapshot = match from {
        HistoryFrom::Start => None,
        HistoryFrom::Snapshot { fold } => {
            all(&tx, SNAPSHOT, params![session_blob(session), fold], row::snapshot)?.pop()
        }
    };
    let records = chain(&tx, session, shard, head.pos, snapshot.as_ref().map_or(Pos(0), |snapshot| snapshot.pos))?;
    Ok(Some(History { head, keys, snapshot, records }))
}

/// The records of a session that come after `until`, up to `last`.
fn chain(db: &Connection, session: SessionId, shard: Shard, last: Pos, until: Pos) -> Result<Vec<RecordRow>, Fault> {
    let mut statement = db.prepare_cached(&format!("{RECORD} WHERE id = ?"))?;
    let (mut records, mut next) = (Vec::new(), last);
    while next > until {
        let mut rows = statement.query([record_id(shard, next)])?;
        let missing = || Fault::Damaged(format!("record {next} of {session} is missing"));
        let found = row::record(rows.next()?.ok_or_else(missing)?)?;
        // A chain that does not go back would never end.
        if found.envelope.prev >= next {
            return Err(Fault::Damaged(format!("record {next} of {session} points forward")));
        }
        next = found.envelope.prev;
        records.push(found);
    }
    records.reverse();
    Ok(records)
}

pub(super) fn tail(db: &mut Connection, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, Fault> {
    let sql = format!("{RECORD} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?");
    all(db, &sql, params![record_id(shard, after), last_id(shard), count(limit)], row::record)
}

pub(super) fn keys(db: &mut Connection, sessions: &[SessionId]) -> Result<Vec<KeyRow>, Fault> {
    let mut keys = Vec::new();
    for session in sessions {
        keys.extend(keys_of(db, *session)?);
    }
    Ok(keys)
}

fn keys_of(db: &Connection, session: SessionId) -> Result<Vec<KeyRow>, Fault> {
    let sql = "SELECT session, generation, wrapped FROM session_key WHERE session = ? ORDER BY generation";
    all(db, sql, [session_blob(session)], row::key)
}

pub(super) fn counts(db: &mut Connection) -> Result<Vec<PhaseCount>, Fault> {
    let sql = "SELECT agent, phase, sum(sessions) FROM phase_count GROUP BY agent, phase HAVING sum(sessions) > 0 \
               ORDER BY agent, phase";
    all(db, sql, [], row::phase_count)
}

pub(super) fn heads(db: &mut Connection, filter: &HeadFilter) -> Result<Vec<HeadRow>, Fault> {
    let (mut conditions, mut values) = (vec!["1".to_owned()], Vec::new());
    if let Some(session) = filter.session {
        conditions.push("session = ?".to_owned());
        values.push(Value::Blob(session_blob(session).to_vec()));
    }
    if let Some(agent) = &filter.agent {
        conditions.push("agent = ?".to_owned());
        values.push(Value::Text(agent.to_string()));
    }
    if !filter.phases.is_empty() {
        let words: Vec<_> = filter.phases.iter().map(|phase| format!("'{}'", word(phase))).collect();
        conditions.push(format!("phase IN ({})", words.join(", ")));
        if filter.phases.iter().all(|phase| matches!(phase, Phase::Ready | Phase::Running)) {
            // Said as the partial index says it, which is how the planner finds that it may use it.
            conditions.push("phase IN ('ready', 'running')".to_owned());
        }
    }
    if !filter.partitions.is_empty() {
        let places = vec!["?"; filter.partitions.len()].join(", ");
        conditions.push(format!("partition IN ({places})"));
        values.extend(filter.partitions.iter().map(|partition| Value::Integer(partition.cast_signed())));
        if filter.phases.iter().all(|phase| matches!(phase, Phase::Ready | Phase::Running | Phase::Suspended))
            && !filter.phases.is_empty()
        {
            conditions.push("partition IS NOT NULL AND phase IN ('ready', 'running', 'suspended')".to_owned());
        }
    }
    let mut order = "since DESC, session";
    if let Some(scope) = &filter.frozen {
        conditions.push("substr(waits_on, 1, 8) = 'frozen: ' AND waits_on = ? AND session > ?".to_owned());
        values.push(Value::Text(frozen_words(scope)));
        values.push(Value::Blob(filter.after.map_or(Vec::new(), |after| session_blob(after).to_vec())));
        order = "session";
    }
    values.push(Value::Integer(filter.limit.map_or(-1, count)));
    let sql = format!("{HEAD} WHERE {} ORDER BY {order} LIMIT ?", conditions.join(" AND "));
    all(db, &sql, params_from_iter(values), row::head)
}

pub(super) fn text(db: &mut Connection, hash: Digest) -> Result<Option<String>, Fault> {
    let mut statement = db.prepare_cached("SELECT body FROM text WHERE hash = ?")?;
    Ok(statement.query_row([hash.as_bytes()], |row| row.get(0)).optional()?)
}

pub(super) fn holdings(db: &mut Connection, shard: Shard) -> Result<Vec<HoldingRow>, Fault> {
    let sql = "SELECT agent, meter, per, window_start, drawn, reserved, spent, shard FROM holding WHERE shard = ? \
               ORDER BY agent, meter, per, window_start";
    all(db, sql, [shard.0], row::holding)
}

pub(super) fn inbox(db: &mut Connection) -> Result<Vec<InboxItem>, Fault> {
    let sql = "SELECT key, in_doubt, session, agent, by_group, since, expires FROM inbox ORDER BY since, key";
    all(db, sql, [], row::inbox)
}

pub(super) fn recall(db: &mut Connection, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, Fault> {
    let sql = "SELECT agent, session, ordinal, generation, at, expires, text FROM memory \
               WHERE agent = ? AND (expires IS NULL OR expires > ?) ORDER BY at DESC, session, ordinal DESC LIMIT ?";
    all(db, sql, params![agent.as_str(), now.0, count(limit)], row::memory)
}
