//! Opening: the server is asked whether it can keep a log, the schema is recognised before anything touches it, made
//! whole or not at all, and brought to the latest format.

use std::path::PathBuf;

use domain::clock::Clock;
use domain::id::Shard;

use crate::postgres::fault::{Fault, unusable};
use crate::postgres::line::Line;
use crate::postgres::{LANES, Options};
use crate::store::{About, StoreError};

/// Each brings the schema to its format.
const MIGRATIONS: &[(u32, &str)] = &[(2, include_str!("../../migrations/postgres/0001_log.sql"))];

/// The newest format that this build knows.
const FORMAT: u32 = 2;

/// A backup has the embedded engine's form and is restored to either: both have the same tables in the same format.
const _: () = assert!(FORMAT == crate::sqlite::FORMAT);

/// The oldest format that a reader of what this build writes must know.
const MIN_FORMAT: u32 = 2;

/// The oldest server that the statements are written for.
const SERVER: i32 = 150_000;

/// Asks the server whether it keeps what it acknowledges.
pub(super) async fn check(line: &Line, place: &str) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
               current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', pg_is_in_recovery(), \
               current_setting('server_encoding')";
    let said = async { Ok::<_, Fault>(line.client().query_one(sql, &[]).await?) };
    let said = said.await.map_err(|fault| fault.reading(place))?;
    let (version, name): (i32, String) = (said.get(0), said.get(1));
    if version < SERVER {
        let why = format!("it is PostgreSQL {name}");
        return Err(unusable(place, why, "PostgreSQL 15 or later is needed"));
    }
    if !said.get::<_, bool>(2) {
        let next = "set fsync = on: without it a power cut loses commits that were acknowledged, and may undo a claim";
        return Err(unusable(place, "its fsync is off", next));
    }
    if said.get::<_, bool>(4) {
        return Err(unusable(place, "it is a standby, which cannot be written to", "name the primary in the URL"));
    }
    let encoding: String = said.get(5);
    if encoding != "UTF8" {
        let why = format!("its encoding is {encoding}");
        return Err(unusable(place, why, "make a database with encoding UTF8"));
    }
    if !said.get::<_, bool>(3) {
        tracing::warn!(
            place,
            "the server's full_page_writes is off: a crash may damage pages unless its disk prevents it"
        );
    }
    Ok(())
}

/// Recognises the schema, makes it if there is none, and brings an older one forward.
pub(super) async fn ready(line: &Line, place: &str, clock: &dyn Clock, options: Options) -> Result<(), StoreError> {
    let outcome = async {
        if !exists(line).await?
            && let Err(fault) = make(line, clock, options).await
        {
            // Another Ostler may have made it meanwhile: then it is there now.
            if fault.lost() || !exists(line).await? {
                return Err(fault);
            }
        }
        format(line).await
    };
    let (found, needed) = outcome.await.map_err(|fault| fault.reading(place))?;
    if needed > FORMAT {
        return Err(StoreError::Newer { path: PathBuf::from(place), found: needed, known: FORMAT });
    }
    if found < FORMAT {
        migrate(line, clock).await.map_err(|fault| fault.writing(place))?;
    }
    Ok(())
}

/// What kind of store a connection leads to.
pub(super) async fn about(line: &Line, lease_ms: i64) -> Result<About, Fault> {
    let sql = "SELECT store, format, shards, NOT EXISTS (SELECT FROM shard WHERE epoch > 0 OR pos > 0) FROM meta";
    let row = line.client().query_one(sql, &[]).await?;
    let damaged = |what: &str| Fault::Damaged(format!("its meta table holds no {what}"));
    let store: [u8; 16] = row.get::<_, &[u8]>(0).try_into().map_err(|_| damaged("store id"))?;
    Ok(About {
        store: u128::from_be_bytes(store),
        format: u32::try_from(row.get::<_, i32>(1)).map_err(|_| damaged("format"))?,
        shards: u16::try_from(row.get::<_, i32>(2)).map_err(|_| damaged("number of shards"))?,
        lanes: LANES,
        lease_ms: Some(lease_ms),
        fresh: row.get(3),
    })
}

pub(super) async fn exists(line: &Line) -> Result<bool, Fault> {
    let row = line.client().query_one("SELECT to_regclass('ostler.meta') IS NOT NULL", &[]).await?;
    Ok(row.get(0))
}

/// The format that it is in, and the oldest one that its readers must know.
async fn format(line: &Line) -> Result<(u32, u32), Fault> {
    let row = line.client().query_one("SELECT format, min_format FROM meta", &[]).await?;
    Ok((row.get::<_, i32>(0).unsigned_abs(), row.get::<_, i32>(1).unsigned_abs()))
}

/// Everything in the schema, empty.
pub(super) fn schema() -> String {
    let steps: Vec<_> = MIGRATIONS.iter().map(|(_, sql)| *sql).collect();
    steps.join(";\n")
}

/// The whole schema and the first rows, in one transaction.
async fn make(line: &Line, clock: &dyn Clock, options: Options) -> Result<(), Fault> {
    let (store, now, shards, control) = (clock.random_u128(), clock.now().0, options.shards, Shard::CONTROL.0);
    let sql = format!(
        "BEGIN; CREATE SCHEMA ostler; {}; \
         INSERT INTO meta (one, store, format, min_format, created, shards) \
         VALUES (1, '\\x{store:032x}', {FORMAT}, {MIN_FORMAT}, {now}, {shards}); \
         INSERT INTO shard (shard, epoch, pos, expires, node) \
         SELECT n, 0, 0, 0, '' FROM generate_series(0, {shards} - 1) AS s (n) UNION ALL SELECT {control}, 0, 0, 0, ''; \
         COMMIT",
        schema(),
    );
    at_once(line, &sql).await
}

/// Brings an older schema to this build's format, all steps or none, once however many try.
async fn migrate(line: &Line, clock: &dyn Clock) -> Result<(), Fault> {
    line.client().batch_execute("BEGIN").await?;
    let row = line.client().query_one("SELECT format FROM meta FOR UPDATE", &[]).await?;
    let found = row.get::<_, i32>(0).unsigned_abs();
    let steps: Vec<_> = MIGRATIONS.iter().filter(|(to, _)| *to > found).map(|(_, sql)| *sql).collect();
    let now = clock.now().0;
    let sql = format!(
        "{}; UPDATE meta SET format = {FORMAT}, min_format = {MIN_FORMAT}, migrated_from = format, migrated = {now} \
         WHERE format < {FORMAT}; COMMIT",
        steps.join(";\n")
    );
    at_once(line, &sql).await
}

/// Several statements that end in COMMIT. What fails is rolled back, so that the connection can be used on.
async fn at_once(line: &Line, sql: &str) -> Result<(), Fault> {
    let done = line.client().batch_execute(sql).await;
    if done.is_err() {
        // It may be the connection that failed: then there is nothing to roll back.
        line.client().batch_execute("ROLLBACK").await.ok();
    }
    Ok(done?)
}
