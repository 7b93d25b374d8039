//! Accounts and holdings: what a shard draws, gives back and is left with. An account's row is the one that many nodes
//! want: it is locked for one round trip, and holdings in the order of their shards, as commits lock them, so that no two
//! wait for each other. It must not know what is paid with it.

use std::sync::Arc;

use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::id::{Epoch, Shard};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::column::budget;
use crate::postgres::fault::Fault;
use crate::postgres::line::Line;
use crate::postgres::read::one;
use crate::postgres::row::{self, all, get};
use crate::store::{Draw, Drawn, HoldingRow, Standing};

/// The cap is the latest one; the row stays locked until the transaction ends.
const ACCOUNT: &str = "INSERT INTO account (agent, meter, per, window_start, cap, drawn) VALUES ($1, $2, $3, $4, $5, 0) \
                       ON CONFLICT (agent, meter, per, window_start) DO UPDATE SET cap = excluded.cap";

const LOCK: &str = "SELECT 1 FROM holding WHERE agent = $1 AND meter = $2 AND per = $3 AND window_start = $4 \
                    AND shard = ANY($5) ORDER BY shard FOR UPDATE";

const BACK: &str = "WITH asked AS (SELECT * FROM unnest($5::int4[], $6::int8[], $7::int8[]) AS a(shard, epoch, amount)), \
     gone AS (UPDATE holding h SET drawn = h.drawn - a.amount \
              FROM asked a JOIN shard s ON s.shard = a.shard AND s.epoch = a.epoch \
              WHERE h.shard = a.shard AND h.agent = $1 AND h.meter = $2 AND h.per = $3 AND h.window_start = $4 \
              AND h.drawn - h.reserved - h.spent >= a.amount RETURNING h.shard, a.amount), \
     credited AS (UPDATE account SET drawn = drawn - (SELECT coalesce(sum(amount), 0)::int8 FROM gone) \
                  WHERE agent = $1 AND meter = $2 AND per = $3 AND window_start = $4) \
     SELECT shard FROM gone";

const TAKE: &str = "WITH owned AS MATERIALIZED (SELECT EXISTS (SELECT 1 FROM shard WHERE shard = $5 AND epoch = $9) AS ours), \
     wanted AS MATERIALIZED (SELECT ours, greatest(cap - drawn, 0) AS beyond, \
              greatest(least($6::int8, cap - drawn), 0) AS now \
              FROM account, owned WHERE agent = $1 AND meter = $2 AND per = $3 AND window_start = $4), \
     granted AS MATERIALIZED (SELECT ours, CASE WHEN ours \
              THEN now + greatest(least($7::int8, (beyond - now) / $8::int8), 0) ELSE 0 END AS amount FROM wanted), \
     taken AS (UPDATE account SET drawn = drawn + granted.amount FROM granted \
              WHERE agent = $1 AND meter = $2 AND per = $3 AND window_start = $4) \
     INSERT INTO holding (shard, agent, meter, per, window_start, drawn) \
     SELECT $5, $1, $2, $3, $4, amount FROM granted WHERE granted.ours \
     ON CONFLICT (shard, agent, meter, per, window_start) DO UPDATE SET drawn = holding.drawn + excluded.drawn \
     RETURNING drawn, reserved, spent, (SELECT amount FROM granted)";

/// Old rows may hold less than was spent of them: those take what they lack.
const TRIM: &str = "WITH live AS MATERIALIZED (SELECT h.shard, h.agent, h.meter, h.per, h.window_start, h.drawn, h.reserved, h.spent \
              FROM holding h JOIN shard s ON s.shard = h.shard \
              JOIN unnest($1::int4[], $2::int8[]) AS o(shard, epoch) ON o.shard = s.shard AND o.epoch = s.epoch \
              WHERE (h.window_start >= $3 AND h.per <> 'session') OR h.reserved <> 0 \
              ORDER BY h.shard, h.agent, h.meter, h.per, h.window_start FOR UPDATE OF h), \
     trimmed AS (UPDATE holding h SET drawn = l.reserved + l.spent FROM live l \
              WHERE h.shard = l.shard AND h.agent = l.agent AND h.meter = l.meter AND h.per = l.per \
              AND h.window_start = l.window_start AND l.drawn <> l.reserved + l.spent), \
     returned AS (INSERT INTO account (agent, meter, per, window_start, cap, drawn) \
              SELECT agent, meter, per, window_start, 0, sum(reserved + spent - drawn)::int8 FROM live \
              WHERE drawn <> reserved + spent GROUP BY agent, meter, per, window_start \
              ORDER BY agent, meter, per, window_start \
              ON CONFLICT (agent, meter, per, window_start) DO UPDATE SET drawn = account.drawn + excluded.drawn) \
     SELECT agent, meter, per, window_start, reserved + spent, reserved, spent, shard FROM live";

const STANDING: &str = "SELECT coalesce((SELECT cap FROM account WHERE agent = $1 AND meter = $2 AND per = $3 AND window_start = $4), 0), \
     coalesce((SELECT drawn FROM account WHERE agent = $1 AND meter = $2 AND per = $3 AND window_start = $4), 0), \
     coalesce(sum(reserved), 0)::int8, coalesce(sum(spent), 0)::int8 FROM holding \
     WHERE shard = ANY($5) AND agent = $1 AND meter = $2 AND per = $3 AND window_start = $4";

pub(super) async fn draw(db: Arc<Line>, draw: &Draw) -> Result<Drawn, Fault> {
    let (agent, meter, per) = budget(&draw.budget);
    let (shard, start, share) = (i32::from(draw.shard.0), draw.window_start.0, draw.share.max(1));
    let epoch = draw.epoch.0.cast_signed();
    let mut back = draw.back.clone();
    back.sort_by_key(|(shard, ..)| *shard);
    let givers: Vec<i32> = back.iter().map(|(shard, ..)| shard.0.into()).collect();
    let epochs: Vec<i64> = back.iter().map(|(_, epoch, _)| epoch.0.cast_signed()).collect();
    let amounts: Vec<i64> = back.iter().map(|(_, _, amount)| *amount).collect();
    let locked: Vec<i32> = givers.iter().copied().chain([shard]).collect();
    let (account, lock) = (db.statement(ACCOUNT).await?, db.statement(LOCK).await?);
    let (give, take) = (db.statement(BACK).await?, db.statement(TAKE).await?);
    let of_account: [&(dyn ToSql + Sync); 5] = [&agent, &meter, &per, &start, &draw.cap];
    let of_lock: [&(dyn ToSql + Sync); 5] = [&agent, &meter, &per, &start, &locked];
    let of_back: [&(dyn ToSql + Sync); 7] = [&agent, &meter, &per, &start, &givers, &epochs, &amounts];
    let of_take: [&(dyn ToSql + Sync); 9] =
        [&agent, &meter, &per, &start, &shard, &draw.need, &draw.ahead, &share, &epoch];
    let client = db.client();
    let (begun, capped, held, gave, taken, ended) = tokio::join!(
        biased;
        client.batch_execute("BEGIN"),
        client.execute(&account, &of_account),
        client.query(&lock, &of_lock),
        client.query(&give, &of_back),
        client.query(&take, &of_take),
        client.batch_execute("COMMIT"),
    );
    begun?;
    capped?;
    held?;
    let (gave, taken) = (gave?, taken?);
    ended?;
    let gave = gave.iter().map(|row| row::shard(row, 0)).collect::<Result<_, _>>()?;
    match taken.first() {
        Some(row) => drawn(row, gave),
        None => Ok(Drawn { gave, fenced: true, ..Drawn::default() }),
    }
}

fn drawn(row: &Row, gave: Vec<Shard>) -> Result<Drawn, Fault> {
    let (drawn, reserved, spent, granted) = (get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?);
    Ok(Drawn { granted, drawn, reserved, spent, gave, fenced: false })
}

pub(super) async fn take(db: Arc<Line>, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, Fault> {
    let shards: Vec<i32> = of.iter().map(|(shard, _)| shard.0.into()).collect();
    let epochs: Vec<i64> = of.iter().map(|(_, epoch)| epoch.0.cast_signed()).collect();
    all(&db.rows(TRIM, &[&shards, &epochs, &since.0]).await?, row::holding)
}

pub(super) async fn standing(
    db: Arc<Line>,
    shards: u16,
    of: &[(BudgetKey, Timestamp)],
) -> Result<Vec<Standing>, Fault> {
    let shards: Vec<i32> = (0..i32::from(shards)).collect();
    let mut all = Vec::with_capacity(of.len());
    for (key, start) in of {
        let (agent, meter, per) = budget(key);
        let rows = db.rows(STANDING, &[&agent, &meter, &per, &start.0, &shards]).await?;
        let row = one(&rows)?;
        let (cap, drawn, reserved, spent) = (get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?);
        all.push(Standing { cap, drawn, reserved, spent });
    }
    Ok(all)
}
