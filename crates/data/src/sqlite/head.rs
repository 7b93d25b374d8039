//! Writing heads, and with them how many sessions are in each phase.

use std::collections::BTreeMap;

use domain::id::Shard;
use domain::session::Phase;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::column::{mode_number, word};
use crate::sqlite::fault::Fault;
use crate::sqlite::row::session_blob;
use crate::store::HeadRow;

/// Changes of how many sessions of an agent are in a phase.
type Moves<'a> = BTreeMap<(Shard, &'a str, String), i64>;

/// Writes heads, of sessions that are new and of others.
pub(super) fn put(tx: &Transaction<'_>, heads: &[HeadRow]) -> Result<(), Fault> {
    let mut moves = Moves::new();
    for row in heads {
        let mut known = tx.prepare_cached("SELECT phase FROM head WHERE session = ?")?;
        let before = known.query_row([session_blob(row.session)], |found| found.get::<_, String>(0)).optional()?;
        match before {
            None => insert(tx, row)?,
            Some(phase) => {
                update(tx, row)?;
                *moves.entry((row.shard, row.head.agent.as_str(), phase)).or_default() -= 1;
            }
        }
        *moves.entry((row.shard, row.head.agent.as_str(), word::<Phase>(row.head.phase))).or_default() += 1;
    }
    moves.retain(|_, by| *by != 0);
    let mut count = tx.prepare_cached(
        "INSERT INTO phase_count (shard, agent, phase, sessions) VALUES (?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions",
    )?;
    for ((shard, agent, phase), by) in moves {
        count.execute(params![shard.0, agent, phase, by])?;
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, row: &HeadRow) -> Result<(), Fault> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO head (session, shard, pos, seq, trace, agent, revision, key, phase, since, waits_on, scripted, \
         mode, partition) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let head = &row.head;
    insert.execute(params![
        session_blob(row.session),
        row.shard.0,
        row.pos.0.cast_signed(),
        row.seq.0.cast_signed(),
        row.trace.0.to_be_bytes(),
        head.agent.as_str(),
        head.revision.as_bytes(),
        head.key,
        word(head.phase),
        head.since.0,
        head.waits_on,
        head.scripted,
        mode_number(head.mode),
        head.partition.map(u64::cast_signed),
    ])?;
    Ok(())
}

/// What a session is called, whose it is and where it lives never changes.
fn update(tx: &Transaction<'_>, row: &HeadRow) -> Result<(), Fault> {
    let mut update = tx.prepare_cached(
        "UPDATE head SET pos = ?2, seq = ?3, revision = ?4, phase = ?5, since = ?6, waits_on = ?7, scripted = ?8, \
         mode = ?9 WHERE session = ?1",
    )?;
    let head = &row.head;
    update.execute(params![
        session_blob(row.session),
        row.pos.0.cast_signed(),
        row.seq.0.cast_signed(),
        head.revision.as_bytes(),
        word(head.phase),
        head.since.0,
        head.waits_on,
        head.scripted,
        mode_number(head.mode),
    ])?;
    Ok(())
}
