//! Accounts and holdings: what a shard draws, gives back and is left with. Each verb is one transaction on the writer's
//! connection. It must not know what is paid with it.

use domain::clock::Timestamp;
use domain::id::{Epoch, Shard};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::column::budget;
use crate::sqlite::fault::Fault;
use crate::sqlite::row;
use crate::sqlite::write::transact;
use crate::store::{Draw, Drawn, HoldingRow, Standing};
use domain::budget::BudgetKey;

pub(super) fn draw(db: &mut Connection, draw: &Draw) -> Result<Drawn, Fault> {
    transact(db, |tx| {
        let (agent, meter, per) = budget(&draw.budget);
        let start = draw.window_start.0;
        let mut account = tx.prepare_cached(
            "INSERT INTO account (agent, meter, per, window_start, cap, drawn) VALUES (?, ?, ?, ?, ?, 0) \
             ON CONFLICT DO UPDATE SET cap = excluded.cap RETURNING drawn",
        )?;
        let before: i64 = account.query_row(params![agent, meter, per, start, draw.cap], |row| row.get(0))?;
        let mut back = tx.prepare_cached(
            "UPDATE holding SET drawn = drawn - ?6 WHERE shard = ?1 AND agent = ?2 AND meter = ?3 AND per = ?4 \
             AND window_start = ?5 AND drawn - reserved - spent >= ?6",
        )?;
        let (mut gave, mut drawn) = (Vec::new(), before);
        for &(shard, epoch, amount) in &draw.back {
            let same = at_epoch(tx, shard, epoch)?;
            if same && back.execute(params![shard.0, agent, meter, per, start, amount])? > 0 {
                drawn -= amount;
                gave.push(shard);
            }
        }
        let fenced = !at_epoch(tx, draw.shard, draw.epoch)?;
        let left = draw.cap.saturating_sub(drawn).max(0);
        let now = draw.need.clamp(0, left);
        let granted = if fenced { 0 } else { now + draw.ahead.min((left - now) / draw.share.max(1)).max(0) };
        let mut moved = tx.prepare_cached(
            "UPDATE account SET drawn = ? WHERE agent = ? AND meter = ? AND per = ? AND window_start = ?",
        )?;
        moved.execute(params![drawn + granted, agent, meter, per, start])?;
        if fenced {
            return Ok(Drawn { gave, fenced, ..Drawn::default() });
        }
        let mut give = tx.prepare_cached(
            "INSERT INTO holding (shard, agent, meter, per, window_start, drawn, reserved, spent) \
             VALUES (?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO UPDATE SET drawn = drawn + excluded.drawn \
             RETURNING drawn, reserved, spent",
        )?;
        let held = give.query_row(params![draw.shard.0, agent, meter, per, start, granted], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let (drawn, reserved, spent) = held;
        Ok(Drawn { granted, drawn, reserved, spent, gave, fenced })
    })
}

fn at_epoch(tx: &Transaction<'_>, shard: Shard, epoch: Epoch) -> Result<bool, Fault> {
    let mut fence = tx.prepare_cached("SELECT 1 FROM shard WHERE shard = ? AND epoch = ?")?;
    Ok(fence.exists(params![shard.0, epoch.0.cast_signed()])?)
}

pub(super) fn take(db: &mut Connection, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, Fault> {
    transact(db, |tx| {
        let mut taken = Vec::new();
        for &(shard, epoch) in of {
            if !at_epoch(tx, shard, epoch)? {
                continue;
            }
            let mut live = tx.prepare_cached(
                "SELECT agent, meter, per, window_start, drawn, reserved, spent, shard FROM holding \
                 WHERE shard = ? AND ((window_start >= ? AND per <> 'session') OR reserved <> 0)",
            )?;
            let rows = live.query_and_then(params![shard.0, since.0], row::holding)?;
            let rows: Vec<HoldingRow> = rows.collect::<Result<_, Fault>>()?;
            for row in rows {
                taken.push(trim(tx, row)?);
            }
        }
        Ok(taken)
    })
}

/// Gives back what a holding has beyond what is held and spent.
fn trim(tx: &Transaction<'_>, mut row: HoldingRow) -> Result<HoldingRow, Fault> {
    let kept = row.reserved.saturating_add(row.spent);
    if row.drawn != kept {
        let (agent, meter, per) = budget(&row.budget);
        let start = row.window_start.0;
        let mut account = tx.prepare_cached(
            "INSERT INTO account (agent, meter, per, window_start, cap, drawn) VALUES (?, ?, ?, ?, 0, ?) \
             ON CONFLICT DO UPDATE SET drawn = drawn + excluded.drawn",
        )?;
        account.execute(params![agent, meter, per, start, kept - row.drawn])?;
        let mut holding = tx.prepare_cached(
            "UPDATE holding SET drawn = ? WHERE shard = ? AND agent = ? AND meter = ? AND per = ? AND window_start = ?",
        )?;
        holding.execute(params![kept, row.shard.0, agent, meter, per, start])?;
        row.drawn = kept;
    }
    Ok(row)
}

pub(super) fn standing(
    db: &mut Connection,
    shards: u16,
    of: &[(BudgetKey, Timestamp)],
) -> Result<Vec<Standing>, Fault> {
    let one_view = db.transaction()?;
    let mut account = one_view.prepare_cached(
        "SELECT cap, drawn FROM account WHERE agent = ? AND meter = ? AND per = ? AND window_start = ?",
    )?;
    let mut holding = one_view.prepare_cached(
        "SELECT reserved, spent FROM holding WHERE shard = ? AND agent = ? AND meter = ? AND per = ? AND window_start = ?",
    )?;
    let each = of.iter().map(|(key, start)| {
        let (agent, meter, per) = budget(key);
        let found = account.query_row(params![agent, meter, per, start.0], |row| Ok((row.get(0)?, row.get(1)?)));
        let (cap, drawn) = found.optional()?.unwrap_or_default();
        let mut standing = Standing { cap, drawn, reserved: 0, spent: 0 };
        for shard in 0..shards {
            let held = holding.query_row(params![shard, agent, meter, per, start.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            });
            let (reserved, spent) = held.optional()?.unwrap_or_default();
            standing.reserved = standing.reserved.saturating_add(reserved);
            standing.spent = standing.spent.saturating_add(spent);
        }
        Ok(standing)
    });
    each.collect()
}
