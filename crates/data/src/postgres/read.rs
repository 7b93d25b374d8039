//! Reading, each verb in one statement: what it answers is as of one instant.

use std::sync::Arc;

use domain::clock::Timestamp;
use domain::id::{Digest, Name, Pos, SessionId, Shard};
use domain::session::Phase;
use tokio_postgres::types::ToSql;

use crate::column::{count, last_id, record_id, word};
use crate::postgres::batch::id;
use crate::postgres::fault::Fault;
use crate::postgres::line::Line;
use crate::postgres::row::{self, all};
use crate::rows::{InboxItem, frozen_words};
use crate::store::{
    Due, DueBy, DueCursor, HeadFilter, HeadRow, History, HistoryFrom, HoldingRow, KeyRow, MailRow, MemoryRow,
    PhaseCount, RecordRow,
};

const RECORD: &str = "r.id, r.session, r.seq, r.prev, r.epoch, r.at, r.principal, r.trace, r.span, r.parent, r.cause, \
                      r.control_pos, r.mode, r.synthetic, r.key, r.codec, r.headers, r.body";

const HEAD: &str = "session, shard, pos, seq, trace, agent, revision, key, phase, since, waits_on, scripted, mode, \
                    partition";

const KEYS: &str = "SELECT session, generation, wrapped FROM session_key WHERE session = $1 ORDER BY generation";

const SNAPSHOT: &str = "SELECT session, seq, pos, fold, key, body FROM snapshot WHERE session = $1 AND fold = $2";

/// The records of a session that its snapshot does not hold. One that points forward ends it: what is left out then
/// is missed.
const CHAIN: &str = "WITH RECURSIVE \
    held AS MATERIALIZED (SELECT coalesce(max(pos), 0) AS pos FROM snapshot WHERE session = $1 AND fold = $2), \
    chain AS (\
      SELECT r.* FROM head h JOIN record r ON r.id = $3::int8 + h.pos \
      WHERE h.session = $1 AND h.pos > (SELECT pos FROM held) \
      UNION ALL \
      SELECT r.* FROM chain c JOIN record r ON r.id = $3::int8 + c.prev \
      WHERE c.prev > (SELECT pos FROM held) AND $3::int8 + c.prev < c.id)";

/// Each shard in the order of its index, and the first of all of them.
pub(super) async fn due(
    db: Arc<Line>,
    shards: &[Shard],
    by: DueBy,
    after: Option<&DueCursor>,
    limit: usize,
) -> Result<Due, Fault> {
    // No id is empty: everything comes after this.
    let (due, posted, session, id) = after.map_or((i64::MIN, i64::MIN, [0; 16], String::new()), |after| {
        (after.due.0, after.posted, id(after.session), after.id.to_string())
    });
    let shards: Vec<i32> = shards.iter().map(|shard| shard.0.into()).collect();
    let limit = count(limit);
    // A bound on the index's first column apart: a row value alone is compared for every row before it.
    let sql = "SELECT m.shard, m.session, m.id, m.due, m.posted, m.class, m.agent, m.partition \
               FROM unnest($1::int4[]) AS s (shard) CROSS JOIN LATERAL (SELECT * FROM mail WHERE shard = s.shard \
               AND due <= $8 AND due <= greatest($2, posted / 1000) AND due >= $3 \
               AND (due, posted, session, id) > ($3, $4, $5, $6) \
               ORDER BY due, posted, session, id LIMIT $7) AS m ORDER BY m.due, m.posted, m.session, m.id LIMIT $7";
    let rows = if limit == 0 {
        Vec::new()
    } else {
        db.rows(sql, &[&shards, &by.now.0, &due, &posted, &session, &id, &limit, &by.ahead.0]).await?
    };
    let sql = "SELECT min((SELECT min(due) FROM mail WHERE shard = s.shard AND due > $2)) \
               FROM unnest($1::int4[]) AS s (shard)";
    let next = db.rows(sql, &[&shards, &by.now.0]).await?;
    let next: Option<i64> = row::get(one(&next)?, 0)?;
    Ok(Due { rows: all(&rows, row::due)?, next: next.map(Timestamp) })
}

pub(super) async fn mail(
    db: Arc<Line>,
    session: SessionId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<MailRow>, Fault> {
    let sql = "SELECT shard, session, id, due, posted, class, agent, partition, body FROM mail WHERE session = $1 \
               AND due <= greatest($2, posted / 1000) \
               ORDER BY class > 0, greatest(due, posted / 1000), posted, id LIMIT $3";
    all(&db.rows(sql, &[&id(session), &now.0, &count(limit)]).await?, row::mail)
}

/// Back along the chain from the head. Sent in one go, as of one instant.
pub(super) async fn history(
    db: Arc<Line>,
    session: SessionId,
    shard: Shard,
    from: HistoryFrom,
) -> Result<Option<History>, Fault> {
    let head = db.statement(&format!("SELECT {HEAD} FROM head WHERE session = $1")).await?;
    let (keys, snapshot) = (db.statement(KEYS).await?, db.statement(SNAPSHOT).await?);
    let records = db.statement(&format!("{CHAIN} SELECT {RECORD} FROM chain r ORDER BY r.id")).await?;
    // No fold has a version below 0.
    let fold = match from {
        HistoryFrom::Start => -1,
        HistoryFrom::Snapshot { fold } => fold.cast_signed(),
    };
    let (session_id, first) = (id(session), record_id(shard, Pos(0)));
    let of_session: [&(dyn ToSql + Sync); 1] = [&session_id];
    let of_snapshot: [&(dyn ToSql + Sync); 2] = [&session_id, &fold];
    let of_records: [&(dyn ToSql + Sync); 3] = [&session_id, &fold, &first];
    let client = db.client();
    let (begun, head, keys, snapshot, records, ended) = tokio::join!(
        biased;
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        client.query(&head, &of_session),
        client.query(&keys, &of_session),
        client.query(&snapshot, &of_snapshot),
        client.query(&records, &of_records),
        client.batch_execute("COMMIT"),
    );
    begun?;
    let (head, keys, snapshot, records) = (head?, keys?, snapshot?, records?);
    ended?;
    let Some(head) = head.first() else { return Ok(None) };
    let (head, snapshot) = (row::head(head)?, snapshot.first().map(row::snapshot).transpose()?);
    let records = all(&records, row::record)?;
    let until = snapshot.as_ref().map_or(Pos(0), |snapshot| snapshot.pos);
    if records.first().map_or(head.pos, |oldest| oldest.envelope.prev) > until {
        return Err(Fault::Damaged(format!("a record of {session} is missing")));
    }
    Ok(Some(History { head, keys: all(&keys, row::key)?, snapshot, records }))
}

pub(super) async fn tail(db: Arc<Line>, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, Fault> {
    let sql = format!("SELECT {RECORD} FROM record r WHERE r.id > $1 AND r.id <= $2 ORDER BY r.id LIMIT $3");
    let rows = db.rows(&sql, &[&record_id(shard, after), &last_id(shard), &count(limit)]).await?;
    all(&rows, row::record)
}

pub(super) async fn keys(db: Arc<Line>, sessions: &[SessionId]) -> Result<Vec<KeyRow>, Fault> {
    let sessions: Vec<_> = sessions.iter().map(|session| id(*session)).collect();
    let sql = "SELECT k.session, k.generation, k.wrapped \
               FROM unnest($1::bytea[]) WITH ORDINALITY AS s (session, n) JOIN session_key k ON k.session = s.session \
               ORDER BY s.n, k.generation";
    all(&db.rows(sql, &[&sessions]).await?, row::key)
}

pub(super) async fn heads(db: Arc<Line>, filter: &HeadFilter) -> Result<Vec<HeadRow>, Fault> {
    let mut asked = Conditions::default();
    let (session, agent) = (filter.session.map(id), filter.agent.as_ref().map(Name::as_str));
    let phases: Vec<_> = filter.phases.iter().map(word).collect();
    let partitions: Vec<_> = filter.partitions.iter().map(|partition| partition.cast_signed()).collect();
    let only = |phases: &[Phase]| !filter.phases.is_empty() && filter.phases.iter().all(|phase| phases.contains(phase));
    if let Some(session) = &session {
        asked.add("session = $", session);
    }
    if let Some(agent) = &agent {
        asked.add("agent = $", agent);
    }
    if !phases.is_empty() {
        asked.add("phase = ANY($", &phases);
        asked.close();
    }
    // Said as the partial indexes say it, which is how the planner finds that it may use them.
    if only(&[Phase::Ready, Phase::Running]) {
        asked.say("phase IN ('ready', 'running')");
    }
    if !partitions.is_empty() {
        asked.add("partition = ANY($", &partitions);
        asked.close();
        if only(&[Phase::Ready, Phase::Running, Phase::Suspended]) {
            asked.say("partition IS NOT NULL AND phase IN ('ready', 'running', 'suspended')");
        }
    }
    let frozen = filter.frozen.as_ref().map(frozen_words);
    let after = filter.after.map(id).unwrap_or_default();
    if let Some(words) = &frozen {
        asked.say("substr(waits_on, 1, 8) = 'frozen: '");
        asked.add("waits_on = $", words);
        asked.add("session > $", &after);
    }
    let limit = filter.limit.map(count);
    let (conditions, mut values) = asked.done();
    values.push(&limit);
    let order = if frozen.is_some() { "session" } else { "since DESC, session" };
    let sql = format!("SELECT {HEAD} FROM head WHERE {conditions} ORDER BY {order} LIMIT ${}", values.len());
    all(&db.rows(&sql, &values).await?, row::head)
}

pub(super) async fn counts(db: Arc<Line>) -> Result<Vec<PhaseCount>, Fault> {
    let sql = "SELECT agent, phase, sum(sessions)::int8 FROM phase_count GROUP BY agent, phase \
               HAVING sum(sessions) > 0 ORDER BY agent, phase";
    all(&db.rows(sql, &[]).await?, row::phase_count)
}

pub(super) async fn text(db: Arc<Line>, hash: Digest) -> Result<Option<String>, Fault> {
    let rows = db.rows("SELECT body FROM text WHERE hash = $1", &[&hash.as_bytes().as_slice()]).await?;
    rows.first().map(|row| row::words(row, 0)).transpose()
}

pub(super) async fn holdings(db: Arc<Line>, shard: Shard) -> Result<Vec<HoldingRow>, Fault> {
    let sql = "SELECT agent, meter, per, window_start, drawn, reserved, spent, shard FROM holding WHERE shard = $1 \
               ORDER BY agent, meter, per, window_start";
    all(&db.rows(sql, &[&i32::from(shard.0)]).await?, row::holding)
}

pub(super) async fn inbox(db: Arc<Line>) -> Result<Vec<InboxItem>, Fault> {
    let sql = "SELECT key, in_doubt, session, agent, by_group, since, expires FROM inbox ORDER BY since, key";
    all(&db.rows(sql, &[]).await?, row::inbox)
}

pub(super) async fn recall(db: Arc<Line>, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, Fault> {
    let sql = "SELECT agent, session, ordinal, generation, at, expires, text FROM memory \
               WHERE agent = $1 AND (expires IS NULL OR expires > $2) ORDER BY at DESC, session, ordinal DESC LIMIT $3";
    all(&db.rows(sql, &[&agent.as_str(), &now.0, &count(limit)]).await?, row::memory)
}

/// The only row of an answer that has one.
pub(super) fn one(rows: &[tokio_postgres::Row]) -> Result<&tokio_postgres::Row, Fault> {
    rows.first().ok_or_else(|| Fault::Damaged("an answer of one row has none".to_owned()))
}

/// Conditions that all hold, with what is bound to them.
#[derive(Default)]
pub(super) struct Conditions<'a> {
    said: Vec<String>,
    values: Vec<&'a (dyn ToSql + Sync)>,
}

impl<'a> Conditions<'a> {
    /// One that ends in the number of its value.
    pub(super) fn add(&mut self, condition: &str, value: &'a (dyn ToSql + Sync)) {
        self.values.push(value);
        self.said.push(format!("{condition}{}", self.values.len()));
    }

    /// Closes the last one's parenthesis.
    fn close(&mut self) {
        if let Some(last) = self.said.last_mut() {
            last.push(')');
        }
    }

    fn say(&mut self, condition: &str) {
        self.said.push(condition.to_owned());
    }

    pub(super) fn done(self) -> (String, Vec<&'a (dyn ToSql + Sync)>) {
        let said = if self.said.is_empty() { "TRUE".to_owned() } else { self.said.join(" AND ") };
        (said, self.values)
    }
}
