//! Rows of views, stored with the cursor that says how far they go.

use domain::budget::Amounts;
use domain::clock::Timestamp;
use domain::id::{Pos, Seq, Shard};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

use crate::column::count;
use crate::sqlite::fault::Fault;
use crate::sqlite::row::{all, digest, pos, session, session_blob, text, time};
use crate::sqlite::write::{transact, transact_behind};
use crate::store::{LeafRow, ResultFilter, ResultRow, SpendFilter, SpendRow, View, ViewBatch};

fn table(view: View) -> &'static str {
    match view {
        View::Spend => "spend",
        View::Results => "result",
        View::Audit => "audit_leaf",
    }
}

pub(super) fn cursor(db: &mut Connection, view: View, shard: Shard) -> Result<Pos, Fault> {
    let mut statement = db.prepare_cached("SELECT pos FROM view_cursor WHERE view = ? AND shard = ?")?;
    let found = statement.query_row(params![table(view), shard.0], |row| row.get::<_, i64>(0)).optional()?;
    Ok(Pos(found.unwrap_or(0).cast_unsigned()))
}

pub(super) fn apply(db: &mut Connection, batch: &ViewBatch) -> Result<bool, Fault> {
    transact_behind(db, |tx| {
        let (view, shard) = (table(batch.view), batch.shard.0);
        let (from, to) = (batch.from.0.cast_signed(), batch.to.0.cast_signed());
        let mut start = tx.prepare_cached("INSERT INTO view_cursor VALUES (?, ?, 0) ON CONFLICT DO NOTHING")?;
        start.execute(params![view, shard])?;
        let sql = "UPDATE view_cursor SET pos = ? WHERE view = ? AND shard = ? AND pos = ?";
        if tx.prepare_cached(sql)?.execute(params![to, view, shard, from])? == 0 {
            return Ok(false);
        }
        batch.spend.iter().try_for_each(|row| add_spend(tx, row))?;
        batch.results.iter().try_for_each(|row| put_result(tx, row))?;
        let mut leaf = tx.prepare_cached("INSERT OR REPLACE INTO audit_leaf (shard, pos, hash) VALUES (?, ?, ?)")?;
        for row in &batch.leaves {
            leaf.execute(params![row.shard.0, row.pos.0.cast_signed(), row.hash.as_bytes()])?;
        }
        Ok(true)
    })
}

pub(super) fn reset(db: &mut Connection, view: View) -> Result<(), Fault> {
    transact(db, |tx| {
        tx.execute(&format!("DELETE FROM {}", table(view)), [])?;
        tx.execute("DELETE FROM view_cursor WHERE view = ?", [table(view)])?;
        Ok(())
    })
}

pub(super) fn spend(db: &mut Connection, filter: &SpendFilter) -> Result<Vec<SpendRow>, Fault> {
    let (mut conditions, mut values) = (vec!["1"], Vec::new());
    if let Some(agent) = &filter.agent {
        conditions.push("agent = ?");
        values.push(Value::Text(agent.to_string()));
    }
    if let Some(session) = filter.session {
        conditions.push("session = ?");
        values.push(Value::Blob(session_blob(session).to_vec()));
    }
    if let Some(since) = filter.since {
        conditions.push("hour >= ?");
        values.push(Value::Integer(since.0));
    }
    let sql = format!(
        "SELECT agent, hour, session, what, usd_micros, calls, tokens, external_actions, compute_ms FROM spend \
         WHERE {} ORDER BY agent, hour, session, what",
        conditions.join(" AND ")
    );
    all(db, &sql, params_from_iter(values), read_spend)
}

pub(super) fn results(db: &mut Connection, filter: &ResultFilter) -> Result<Vec<ResultRow>, Fault> {
    let (mut conditions, mut values) = (vec!["1"], Vec::new());
    if let Some(agent) = &filter.agent {
        conditions.push("agent = ?");
        values.push(Value::Text(agent.to_string()));
    }
    if let Some(session) = filter.session {
        conditions.push("session = ?");
        values.push(Value::Blob(session_blob(session).to_vec()));
    }
    values.push(Value::Integer(filter.limit.map_or(-1, count)));
    let sql = format!(
        "SELECT session, seq, pos, agent, at FROM result WHERE {} ORDER BY at DESC, session, seq DESC LIMIT ?",
        conditions.join(" AND ")
    );
    all(db, &sql, params_from_iter(values), read_result)
}

pub(super) fn leaves(db: &mut Connection, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, Fault> {
    let sql = "SELECT pos, hash FROM audit_leaf WHERE shard = ? AND pos > ? ORDER BY pos LIMIT ?";
    all(db, sql, params![shard.0, after.0.cast_signed(), count(limit)], |row| {
        Ok(LeafRow { shard, pos: pos(row, 0)?, hash: digest(row, 1)? })
    })
}

pub(super) fn followed(db: &mut Connection, follower: &str) -> Result<Vec<(Shard, Pos)>, Fault> {
    let sql = "SELECT shard, pos FROM view_cursor WHERE view = ? ORDER BY shard";
    all(db, sql, [follower], |row| Ok((Shard(row.get(0)?), pos(row, 1)?)))
}

pub(super) fn follow(db: &mut Connection, follower: &str, to: &[(Shard, Pos)]) -> Result<(), Fault> {
    transact(db, |tx| {
        let mut put = tx.prepare_cached(
            "INSERT INTO view_cursor (view, shard, pos) VALUES (?, ?, ?) \
             ON CONFLICT (view, shard) DO UPDATE SET pos = max(pos, excluded.pos)",
        )?;
        for (shard, pos) in to {
            put.execute(params![follower, shard.0, pos.0.cast_signed()])?;
        }
        Ok(())
    })
}

pub(super) fn unfollow(db: &mut Connection, follower: &str) -> Result<(), Fault> {
    transact(db, |tx| {
        tx.execute("DELETE FROM view_cursor WHERE view = ?", [follower])?;
        Ok(())
    })
}

fn add_spend(tx: &Transaction<'_>, row: &SpendRow) -> Result<(), Fault> {
    let mut add = tx.prepare_cached(
        "INSERT INTO spend (agent, hour, session, what, usd_micros, calls, tokens, external_actions, compute_ms) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET usd_micros = usd_micros + excluded.usd_micros, \
         calls = calls + excluded.calls, tokens = tokens + excluded.tokens, \
         external_actions = external_actions + excluded.external_actions, \
         compute_ms = compute_ms + excluded.compute_ms",
    )?;
    let Amounts { usd_micros, calls, tokens, external_actions, compute_ms } = row.amounts;
    let (agent, session) = (row.agent.as_str(), session_blob(row.session));
    let key = (agent, row.hour.0, session, &row.what);
    add.execute(params![key.0, key.1, key.2, key.3, usd_micros, calls, tokens, external_actions, compute_ms])?;
    Ok(())
}

fn put_result(tx: &Transaction<'_>, row: &ResultRow) -> Result<(), Fault> {
    let mut put =
        tx.prepare_cached("INSERT OR REPLACE INTO result (session, seq, pos, agent, at) VALUES (?, ?, ?, ?, ?)")?;
    let (seq, pos) = (row.seq.0.cast_signed(), row.pos.0.cast_signed());
    put.execute(params![session_blob(row.session), seq, pos, row.agent.as_str(), row.at.0])?;
    Ok(())
}

fn read_spend(row: &Row<'_>) -> Result<SpendRow, Fault> {
    let amounts = Amounts {
        usd_micros: row.get(4)?,
        calls: row.get(5)?,
        tokens: row.get(6)?,
        external_actions: row.get(7)?,
        compute_ms: row.get(8)?,
    };
    Ok(SpendRow { agent: text(row, 0)?, hour: time(row, 1)?, session: session(row, 2)?, what: row.get(3)?, amounts })
}

fn read_result(row: &Row<'_>) -> Result<ResultRow, Fault> {
    Ok(ResultRow {
        session: session(row, 0)?,
        seq: Seq(row.get::<_, i64>(1)?.cast_unsigned()),
        pos: pos(row, 2)?,
        agent: text(row, 3)?,
        at: Timestamp(row.get(4)?),
    })
}
