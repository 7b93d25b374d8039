//! Rows of views, stored with the cursor that says how far they go.

use std::sync::Arc;

use domain::id::{Name, Pos, Shard};
use tokio_postgres::types::ToSql;

use crate::column::count;
use crate::postgres::batch::id;
use crate::postgres::fault::Fault;
use crate::postgres::line::Line;
use crate::postgres::read::Conditions;
use crate::postgres::row::{self, all, stored};
use crate::store::{LeafRow, ResultFilter, ResultRow, SpendFilter, SpendRow, View, ViewBatch};

fn table(view: View) -> &'static str {
    match view {
        View::Spend => "spend",
        View::Results => "result",
        View::Audit => "audit_leaf",
    }
}

pub(super) async fn cursor(db: Arc<Line>, view: View, shard: Shard) -> Result<Pos, Fault> {
    let sql = "SELECT pos FROM view_cursor WHERE view = $1 AND shard = $2";
    let rows = db.rows(sql, &[&table(view), &i32::from(shard.0)]).await?;
    rows.first().map_or(Ok(Pos(0)), |found| row::pos(found, 0))
}

/// One statement: the cursor moves, and the rows go in where it did. One that is not there yet is at 0. It is not waited
/// for until this is on the disk: it gets there before any later commit of the log, and what is missing is followed again.
pub(super) async fn apply(db: Arc<Line>, batch: &ViewBatch) -> Result<bool, Fault> {
    let (view, shard) = (table(batch.view), i32::from(batch.shard.0));
    let (from, to) = (batch.from.0.cast_signed(), batch.to.0.cast_signed());
    let moved = "WITH moved AS (INSERT INTO view_cursor AS c (view, shard, pos) \
                 SELECT $1, $2, $4 WHERE $3::int8 = 0 OR EXISTS (SELECT FROM view_cursor WHERE view = $1 AND shard = $2) \
                 ON CONFLICT (view, shard) DO UPDATE SET pos = excluded.pos WHERE c.pos = $3 RETURNING 1)";
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&view, &shard, &from, &to];
    let rows = Rows::of(batch);
    let written = rows.write(batch.view, &mut values);
    let quietly = "set_config('synchronous_commit', 'off', true)";
    let sql = format!("{moved}, written AS ({written}) SELECT count(*) > 0, {quietly} FROM moved");
    let rows = db.rows(&sql, &values).await?;
    row::get(super::read::one(&rows)?, 0)
}

/// A view's rows as arrays.
enum Rows<'a> {
    Spend(Spend<'a>),
    Results(Vec<[u8; 16]>, Vec<i64>, Vec<i64>, Vec<&'a str>, Vec<i64>),
    Leaves(Vec<i32>, Vec<i64>, Vec<&'a [u8]>),
}

#[derive(Default)]
struct Spend<'a> {
    agent: Vec<&'a str>,
    hour: Vec<i64>,
    session: Vec<[u8; 16]>,
    what: Vec<std::borrow::Cow<'a, str>>,
    amounts: [Vec<i64>; 5],
}

impl<'a> Rows<'a> {
    fn of(batch: &'a ViewBatch) -> Self {
        match batch.view {
            View::Spend => {
                let mut spend = Spend::default();
                batch.spend.iter().for_each(|row| spend.push(row));
                Rows::Spend(spend)
            }
            View::Results => {
                let rows = &batch.results;
                Rows::Results(
                    rows.iter().map(|row| id(row.session)).collect(),
                    rows.iter().map(|row| row.seq.0.cast_signed()).collect(),
                    rows.iter().map(|row| row.pos.0.cast_signed()).collect(),
                    rows.iter().map(|row| row.agent.as_str()).collect(),
                    rows.iter().map(|row| row.at.0).collect(),
                )
            }
            View::Audit => Rows::Leaves(
                batch.leaves.iter().map(|row| row.shard.0.into()).collect(),
                batch.leaves.iter().map(|row| row.pos.0.cast_signed()).collect(),
                batch.leaves.iter().map(|row| row.hash.as_bytes().as_slice()).collect(),
            ),
        }
    }

    /// The statement that writes them if the cursor moved, with its values behind those of the cursor.
    fn write<'b>(&'b self, view: View, values: &mut Vec<&'b (dyn ToSql + Sync)>) -> String {
        let (columns, arrays, rest) = match self {
            Rows::Spend(spend) => {
                values.extend::<[&(dyn ToSql + Sync); 4]>([&spend.agent, &spend.hour, &spend.session, &spend.what]);
                values.extend(spend.amounts.iter().map(|column| column as &(dyn ToSql + Sync)));
                (
                    "agent, hour, session, what, usd_micros, calls, tokens, external_actions, compute_ms",
                    "$5::text[], $6::int8[], $7::bytea[], $8::text[], $9::int8[], $10::int8[], $11::int8[], \
                     $12::int8[], $13::int8[]",
                    // Within one batch a row may come twice.
                    " GROUP BY agent, hour, session, what ON CONFLICT (agent, hour, session, what) DO UPDATE SET \
                     usd_micros = spend.usd_micros + excluded.usd_micros, calls = spend.calls + excluded.calls, \
                     tokens = spend.tokens + excluded.tokens, \
                     external_actions = spend.external_actions + excluded.external_actions, \
                     compute_ms = spend.compute_ms + excluded.compute_ms",
                )
            }
            Rows::Results(session, seq, pos, agent, at) => {
                values.extend::<[&(dyn ToSql + Sync); 5]>([session, seq, pos, agent, at]);
                (
                    "session, seq, pos, agent, at",
                    "$5::bytea[], $6::int8[], $7::int8[], $8::text[], $9::int8[]",
                    " ON CONFLICT (session, seq) DO UPDATE SET pos = excluded.pos, agent = excluded.agent, \
                     at = excluded.at",
                )
            }
            Rows::Leaves(shard, pos, hash) => {
                values.extend::<[&(dyn ToSql + Sync); 3]>([shard, pos, hash]);
                (
                    "shard, pos, hash",
                    "$5::int4[], $6::int8[], $7::bytea[]",
                    " ON CONFLICT (shard, pos) DO UPDATE SET hash = excluded.hash",
                )
            }
        };
        let (table, selected) = (table(view), columns_of(self, columns));
        format!(
            "INSERT INTO {table} ({columns}) SELECT {selected} FROM unnest({arrays}) AS r ({columns}) \
             WHERE EXISTS (SELECT FROM moved){rest}"
        )
    }
}

/// What is selected: amounts of the same row are summed.
fn columns_of(rows: &Rows<'_>, columns: &str) -> String {
    match rows {
        Rows::Spend(_) => "agent, hour, session, what, sum(usd_micros)::int8, sum(calls)::int8, sum(tokens)::int8, \
                           sum(external_actions)::int8, sum(compute_ms)::int8"
            .to_owned(),
        Rows::Results(..) | Rows::Leaves(..) => columns.to_owned(),
    }
}

impl<'a> Spend<'a> {
    fn push(&mut self, row: &'a SpendRow) {
        self.agent.push(row.agent.as_str());
        self.hour.push(row.hour.0);
        self.session.push(id(row.session));
        self.what.push(stored(&row.what));
        let a = row.amounts;
        let amounts = [a.usd_micros, a.calls, a.tokens, a.external_actions, a.compute_ms];
        self.amounts.iter_mut().zip(amounts).for_each(|(column, amount)| column.push(amount));
    }
}

pub(super) async fn reset(db: Arc<Line>, view: View) -> Result<(), Fault> {
    let table = table(view);
    let sql = format!("WITH cursors AS (DELETE FROM view_cursor WHERE view = $1) DELETE FROM {table}");
    db.execute(&sql, &[&table]).await?;
    Ok(())
}

pub(super) async fn spend(db: Arc<Line>, filter: &SpendFilter) -> Result<Vec<SpendRow>, Fault> {
    let (agent, session) = (filter.agent.as_ref().map(Name::as_str), filter.session.map(id));
    let mut asked = Conditions::default();
    if let Some(agent) = &agent {
        asked.add("agent = $", agent);
    }
    if let Some(session) = &session {
        asked.add("session = $", session);
    }
    if let Some(since) = &filter.since {
        asked.add("hour >= $", &since.0);
    }
    let (conditions, values) = asked.done();
    let sql = format!(
        "SELECT agent, hour, session, what, usd_micros, calls, tokens, external_actions, compute_ms FROM spend \
         WHERE {conditions} ORDER BY agent, hour, session, what"
    );
    all(&db.rows(&sql, &values).await?, row::spend)
}

pub(super) async fn results(db: Arc<Line>, filter: &ResultFilter) -> Result<Vec<ResultRow>, Fault> {
    let (agent, session) = (filter.agent.as_ref().map(Name::as_str), filter.session.map(id));
    let mut asked = Conditions::default();
    if let Some(agent) = &agent {
        asked.add("agent = $", agent);
    }
    if let Some(session) = &session {
        asked.add("session = $", session);
    }
    let limit = filter.limit.map(count);
    let (conditions, mut values) = asked.done();
    values.push(&limit);
    let sql = format!(
        "SELECT session, seq, pos, agent, at FROM result WHERE {conditions} ORDER BY at DESC, session, seq DESC \
         LIMIT ${}",
        values.len()
    );
    all(&db.rows(&sql, &values).await?, row::result)
}

pub(super) async fn leaves(db: Arc<Line>, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, Fault> {
    let sql = "SELECT pos, hash FROM audit_leaf WHERE shard = $1 AND pos > $2 ORDER BY pos LIMIT $3";
    let rows = db.rows(sql, &[&i32::from(shard.0), &after.0.cast_signed(), &count(limit)]).await?;
    all(&rows, |row| Ok(LeafRow { shard, pos: row::pos(row, 0)?, hash: row::digest(row, 1)? }))
}

pub(super) async fn followed(db: Arc<Line>, follower: &str) -> Result<Vec<(Shard, Pos)>, Fault> {
    let rows = db.rows("SELECT shard, pos FROM view_cursor WHERE view = $1 ORDER BY shard", &[&follower]).await?;
    all(&rows, |row| Ok((row::shard(row, 0)?, row::pos(row, 1)?)))
}

pub(super) async fn follow(db: Arc<Line>, follower: &str, to: &[(Shard, Pos)]) -> Result<(), Fault> {
    let shards: Vec<i32> = to.iter().map(|(shard, _)| shard.0.into()).collect();
    let ends: Vec<i64> = to.iter().map(|(_, pos)| pos.0.cast_signed()).collect();
    let sql = "INSERT INTO view_cursor AS c (view, shard, pos) \
               SELECT $1, moved.shard, moved.pos FROM unnest($2::int4[], $3::int8[]) AS moved (shard, pos) \
               ON CONFLICT (view, shard) DO UPDATE SET pos = greatest(c.pos, excluded.pos)";
    db.execute(sql, &[&follower, &shards, &ends]).await?;
    Ok(())
}

pub(super) async fn unfollow(db: Arc<Line>, follower: &str) -> Result<(), Fault> {
    db.execute("DELETE FROM view_cursor WHERE view = $1", &[&follower]).await?;
    Ok(())
}
