//! Writing, each verb in one statement or one transaction that is sent in one go: no lock waits for this process.

use std::sync::Arc;

use domain::clock::Timestamp;
use domain::id::{Epoch, Pos, Shard};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::column::record_id;
use crate::postgres::batch::{Columns, Mail, id};
use crate::postgres::fault::Fault;
use crate::postgres::line::Line;
use crate::postgres::read::one;
use crate::postgres::row::{self, get};
use crate::postgres::statement::{COMMIT, COMMIT_ALL, COMMIT_CONTROL, NOW, POST};
use crate::store::{Answer, Batch, BatchPart, Claim, Claimed, ControlAnswer, ControlRow, Forget, Lease, MailRow};

/// How long what was held and spent in a budget's window is kept once nothing of it is held any more.
const WINDOWS_KEPT_MS: i64 = 7 * 86_400_000;

const CONTROL_POS: &str = "SELECT pos FROM shard WHERE shard = $1";

pub(super) async fn claim(db: Arc<Line>, claim: &Claim, shards: &[Shard], lease_ms: i64) -> Result<Claimed, Fault> {
    let shards: Vec<i32> = shards.iter().map(|shard| shard.0.into()).collect();
    // In one order for all who claim. A commit that is on its way holds its rows: this waits for it, so that what it
    // finds is what came of it.
    let sql = format!(
        "WITH free AS MATERIALIZED (SELECT shard FROM shard WHERE shard = ANY($2) \
                                    AND (node = $1 OR expires <= {NOW}) ORDER BY shard FOR UPDATE) \
         UPDATE shard s SET epoch = s.epoch + 1, node = $1, expires = {NOW} + $3::int8 FROM free f \
         WHERE s.shard = f.shard RETURNING s.shard, s.epoch, s.pos"
    );
    let taken = db.rows(&sql, &[&claim.node, &shards, &lease_ms]).await?;
    let mut leases = taken.iter().map(lease).collect::<Result<Vec<_>, _>>()?;
    leases.sort_by_key(|lease| lease.shard);
    // Asked afterwards: a statement does not see what a commit wrote that it had to wait for.
    let ids: Vec<i64> = leases.iter().map(|lease| record_id(lease.shard, lease.pos)).collect();
    let times = db.rows("SELECT id, at FROM record WHERE id = ANY($1)", &[&ids]).await?;
    for found in &times {
        let (shard, _) = crate::column::place_of(get(found, 0)?);
        if let Ok(n) = leases.binary_search_by_key(&shard, |lease| lease.shard) {
            leases[n].at = row::time(found, 1)?;
        }
    }
    let control = db.rows(CONTROL_POS, &[&i32::from(Shard::CONTROL.0)]).await?;
    Ok(Claimed { leases, control_pos: row::pos(one(&control)?, 0)? })
}

fn lease(row: &Row) -> Result<Lease, Fault> {
    let epoch = Epoch(get::<i64>(row, 1)?.cast_unsigned());
    Ok(Lease { shard: row::shard(row, 0)?, epoch, pos: row::pos(row, 2)?, at: Timestamp(i64::MIN) })
}

/// What is being committed is renewed by that, and not waited for.
pub(super) async fn renew(db: Arc<Line>, held: &[(Shard, Epoch)], lease_ms: i64) -> Result<Vec<Shard>, Fault> {
    let (shards, epochs) = columns_of(held);
    let sql = format!(
        "WITH held AS (SELECT * FROM unnest($1::int4[], $2::int8[]) AS h (shard, epoch)), \
         idle AS MATERIALIZED (SELECT s.shard FROM held h JOIN shard s ON s.shard = h.shard AND s.epoch = h.epoch \
                               FOR UPDATE OF s SKIP LOCKED), \
         renewed AS (UPDATE shard s SET expires = {NOW} + $3::int8 FROM idle i WHERE s.shard = i.shard) \
         SELECT h.shard FROM held h JOIN shard s ON s.shard = h.shard WHERE s.epoch <> h.epoch ORDER BY h.shard"
    );
    let lost = db.rows(&sql, &[&shards, &epochs, &lease_ms]).await?;
    lost.iter().map(|found| row::shard(found, 0)).collect()
}

pub(super) async fn release(db: Arc<Line>, held: &[(Shard, Epoch)]) -> Result<(), Fault> {
    let (shards, epochs) = columns_of(held);
    let sql = "UPDATE shard s SET expires = 0 FROM unnest($1::int4[], $2::int8[]) AS h (shard, epoch) \
               WHERE s.shard = h.shard AND s.epoch = h.epoch";
    db.execute(sql, &[&shards, &epochs]).await?;
    Ok(())
}

fn columns_of(held: &[(Shard, Epoch)]) -> (Vec<i32>, Vec<i64>) {
    held.iter().map(|(shard, epoch)| (i32::from(shard.0), epoch.0.cast_signed())).unzip()
}

pub(super) async fn commit(db: Arc<Line>, batch: &Batch, lease_ms: i64) -> Result<Answer, Fault> {
    let columns = Columns::of(&batch.parts);
    let rare = columns.rare();
    let sql = if rare { &*COMMIT_ALL } else { &*COMMIT };
    let (written, control_pos) = at_once(&db, sql, &bound(&columns, &lease_ms, rare)).await?;
    let fenced = batch.parts.iter().zip(&written).filter(|(_, written)| !**written).map(|(part, _)| part.shard);
    Ok(Answer { fenced: fenced.collect(), control_pos })
}

pub(super) async fn commit_control(db: Arc<Line>, control: &ControlRow) -> Result<ControlAnswer, Fault> {
    let envelope = &control.record.envelope;
    let part = BatchPart {
        shard: Shard::CONTROL,
        epoch: envelope.epoch,
        pos: Pos(envelope.pos.0 - 1),
        records: vec![control.record.clone()],
        heads: Vec::new(),
        keys: Vec::new(),
        snapshots: Vec::new(),
        mail: Vec::new(),
        consumed: Vec::new(),
        holdings: Vec::new(),
        inbox: Vec::new(),
        texts: control.texts.clone(),
        remembered: Vec::new(),
        forgotten: Vec::new(),
    };
    let parts = [part];
    let columns = Columns::of(&parts);
    let (written, now) = at_once(&db, &COMMIT_CONTROL, &bound(&columns, &0_i64, false)).await?;
    Ok(if written == [true] { ControlAnswer::Committed } else { ControlAnswer::Moved { now } })
}

/// A commit, and behind it, in the same go, where the control shard is once it is durable: a statement of its own
/// sees every change of authority that was acknowledged before.
async fn at_once(db: &Line, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<(Vec<bool>, Pos), Fault> {
    let (commit, look) = (db.statement(sql).await?, db.statement(CONTROL_POS).await?);
    let control = i32::from(Shard::CONTROL.0);
    let looked: [&(dyn ToSql + Sync); 1] = [&control];
    let (committed, control) =
        tokio::join!(biased; db.client().query(&commit, values), db.client().query(&look, &looked));
    let committed = committed?;
    Ok((get(one(&committed)?, 0)?, row::pos(one(&control?)?, 0)?))
}

/// The values of [`COMMIT`] or [`COMMIT_ALL`], in the order of its text.
fn bound<'b>(columns: &'b Columns<'_>, lease_ms: &'b i64, rare: bool) -> Vec<&'b (dyn ToSql + Sync)> {
    let mut values = Vec::with_capacity(128);
    columns.fences.bind(&mut values);
    values.push(lease_ms);
    columns.records.bind(&mut values);
    columns.heads.bind(&mut values);
    columns.keys.bind(&mut values);
    columns.texts.bind(&mut values);
    columns.holdings.bind(&mut values);
    columns.consumed.bind(&mut values);
    columns.mail.bind(&mut values);
    if rare {
        columns.snapshots.bind(&mut values);
        columns.opened.bind(&mut values);
        columns.closed.bind(&mut values);
        columns.remembered.bind(&mut values);
        columns.forgotten.bind(&mut values);
    }
    values
}

pub(super) async fn post(db: Arc<Line>, mail: &[MailRow]) -> Result<(), Fault> {
    let mail = Mail::sorted(mail.iter().map(|row| (1, row)));
    let mut values = Vec::new();
    mail.bind(&mut values);
    db.execute(&POST, &values).await?;
    Ok(())
}

pub(super) async fn forget(db: Arc<Line>, what: &Forget) -> Result<u64, Fault> {
    match what {
        Forget::Mail { session, ids } => {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            db.execute("DELETE FROM mail WHERE session = $1 AND id = ANY($2)", &[&id(*session), &ids]).await
        }
        Forget::Session { session, .. } => {
            let sql = "WITH head AS (UPDATE head SET key = '', waits_on = '' WHERE session = $1), \
                       mail AS (DELETE FROM mail WHERE session = $1 RETURNING 1), \
                       memory AS (DELETE FROM memory WHERE session = $1 RETURNING 1), \
                       snapshot AS (DELETE FROM snapshot WHERE session = $1 RETURNING 1), \
                       keys AS (UPDATE session_key SET wrapped = NULL WHERE session = $1 AND wrapped IS NOT NULL \
                                RETURNING 1) \
                       SELECT (SELECT count(*) FROM mail) + (SELECT count(*) FROM memory) \
                       + (SELECT count(*) FROM snapshot) + (SELECT count(*) FROM keys)";
            let rows = db.rows(sql, &[&id(*session)]).await?;
            Ok(get::<i64>(one(&rows)?, 0)?.unsigned_abs())
        }
        Forget::Expired { now } => {
            let sql = "WITH holdings AS (DELETE FROM holding WHERE window_start < $2 AND reserved = 0 AND per <> 'session'), \
                       accounts AS (DELETE FROM account WHERE window_start < $2 AND per <> 'session') \
                       DELETE FROM memory WHERE expires <= $1";
            db.execute(sql, &[&now.0, &now.0.saturating_sub(WINDOWS_KEPT_MS)]).await
        }
    }
}
