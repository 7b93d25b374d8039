//! Opening: the directory is held, the file is recognised before anything touches it, made whole or not at all, and
//! brought to the latest format.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::clock::Clock;
use domain::id::Shard;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::hold::{Held, hold, of_io};
use crate::sqlite::Options;
use crate::sqlite::fault::Fault;
use crate::store::{About, StoreError};

/// "OSTL": how our files are told from other programs' (SQLite file format, `application_id` at byte 68).
const APPLICATION_ID: u32 = 0x4f53_544c;

/// Each brings a file from the format of its index to the next.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("../../migrations/sqlite/0001_log.sql"), include_str!("../../migrations/sqlite/0002_runtime.sql")];

/// The newest format that this build knows.
pub const FORMAT: u32 = 2;

/// The oldest format that a reader of what this build writes must know.
const MIN_FORMAT: u32 = 2;

/// How long a statement waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);

/// An open file, not at work yet.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) writer: Connection,
    pub(super) checkpointer: Connection,
    pub(super) lock: Option<Held>,
}

pub(super) fn open(dir: &Path, clock: &dyn Clock, options: Options) -> Result<Opened, StoreError> {
    let lock = if options.alone {
        Some(hold(dir)?)
    } else {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| of_io(&error, dir))?;
        None
    };
    let path = dir.join("ostler.db");
    match fs::metadata(&path) {
        Ok(_) => recognise(&path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => make(dir, &path, clock, options)?,
        Err(error) => return Err(of_io(&error, &path)),
    }
    let opened = || -> Result<_, Fault> {
        let mut writer = connect(&path, options.max_pages)?;
        migrate(&mut writer, &path, clock)?;
        Ok((writer, connect(&path, options.max_pages)?))
    };
    let (writer, checkpointer) = opened().map_err(|fault| fault.at(&path))?;
    Ok(Opened { path, writer, checkpointer, lock })
}

/// What kind of store a connection leads to.
pub(super) fn about(connection: &Connection, lease_ms: Option<i64>) -> Result<About, Fault> {
    let (store, format, shards) = connection.query_row("SELECT store, format, shards FROM meta", [], |row| {
        Ok((u128::from_be_bytes(row.get(0)?), row.get(1)?, row.get(2)?))
    })?;
    let used = "SELECT EXISTS (SELECT 1 FROM shard WHERE epoch > 0 OR pos > 0)";
    let fresh = !connection.query_row(used, [], |row| row.get::<_, bool>(0))?;
    Ok(About { store, format, shards, lanes: 1, lease_ms, fresh })
}

pub(super) fn in_memory(clock: &dyn Clock, options: Options) -> Result<Connection, Fault> {
    let mut connection = Connection::open_in_memory()?;
    prepare_once(&connection)?;
    fill(&mut connection, clock, options.shards)?;
    Ok(connection)
}

/// Statements are kept, and their plans with them: without a word to the contrary SQLite looks at what is bound to a
/// LIMIT and plans anew whenever something else is.
fn prepare_once(connection: &Connection) -> Result<(), Fault> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A reader's connection.
pub(super) fn connect_reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare_once(&connection)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn connect(path: &Path, max_pages: Option<u32>) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare_once(&connection)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // FULL: a commit that was answered is on the disk. The checkpointer copies the WAL, never the writer.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    // FAST: what is deleted is overwritten where its page is written anyway. Dropped keys must not linger.
    connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    if let Some(pages) = max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

/// Looks at the file without opening it as a database: opening alone may change another program's.
pub(super) fn recognise(path: &Path) -> Result<(), StoreError> {
    let mut header = Vec::new();
    let file = File::open(path).map_err(|error| of_io(&error, path))?;
    file.take(100).read_to_end(&mut header).map_err(|error| of_io(&error, path))?;
    let foreign = |why: &str| Err(StoreError::Foreign { path: path.to_owned(), why: why.to_owned() });
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return foreign("it is not a SQLite database");
    }
    if header[68..72] != APPLICATION_ID.to_be_bytes() {
        return foreign("it is another program's database");
    }
    let needed = || -> Result<u32, Fault> {
        let query = "SELECT min_format FROM meta";
        Ok(connect_reader(path)?.query_row(query, [], |row| row.get(0))?)
    };
    let found = needed().map_err(|fault| fault.at(path))?;
    if found > FORMAT {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT });
    }
    Ok(())
}

/// Made aside and renamed: a file under the real name is always whole.
fn make(dir: &Path, path: &Path, clock: &dyn Clock, options: Options) -> Result<(), StoreError> {
    let aside = dir.join("ostler.db.new");
    for left_over in [&aside, &dir.join("ostler.db.new-journal")] {
        match fs::remove_file(left_over) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(of_io(&error, left_over)),
            Ok(()) | Err(_) => {}
        }
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
    created.map_err(|error| of_io(&error, &aside))?;
    let filled = || -> Result<(), Fault> {
        let mut connection = Connection::open(&aside)?;
        found(&connection)?;
        fill(&mut connection, clock, options.shards)?;
        connection.close().map_err(|(_, error)| Fault::from(error))
    };
    filled().map_err(|fault| fault.at(path))?;
    let placed = fs::rename(&aside, path).and_then(|()| File::open(dir)?.sync_all());
    placed.map_err(|error| of_io(&error, path))
}

/// A page of a new store, in bytes: a record of 1.5 KB leaves a fifth of a page of 4 KB empty, and half as much of this
/// one. Stores that were made with another size keep theirs.
const PAGE: u32 = 8192;

/// Marks a file as ours.
pub(super) fn found(connection: &Connection) -> Result<(), Fault> {
    connection.pragma_update(None, "page_size", PAGE)?;
    Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?)
}

/// The whole schema and the first rows, in one transaction.
fn fill(connection: &mut Connection, clock: &dyn Clock, shards: u16) -> Result<(), Fault> {
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS {
        transaction.execute_batch(migration)?;
    }
    let meta = "INSERT INTO meta (one, store, format, min_format, created, shards) VALUES (1, ?, ?, ?, ?, ?)";
    let store = clock.random_u128().to_be_bytes();
    transaction.execute(meta, params![store, FORMAT, MIN_FORMAT, clock.now().0, shards])?;
    for shard in (0..shards).map(Shard).chain([Shard::CONTROL]) {
        let row = "INSERT INTO shard (shard, epoch, pos, expires, node) VALUES (?, 0, 0, 0, '')";
        transaction.execute(row, [shard.0])?;
    }
    transaction.commit().map_err(Fault::from)
}

/// Brings an older file to this build's format, all steps or none, and leaves a note of it.
pub(super) fn migrate(connection: &mut Connection, path: &Path, clock: &dyn Clock) -> Result<(), Fault> {
    let found: u32 = connection.query_row("SELECT format FROM meta", [], |row| row.get(0))?;
    if found >= FORMAT {
        return Ok(());
    }
    tracing::info!(path = %path.display(), from = found, to = FORMAT, "the store is brought to this version's format");
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration)?;
    }
    let note = "UPDATE meta SET format = ?, min_format = ?, migrated_from = ?, migrated = ?";
    transaction.execute(note, params![FORMAT, MIN_FORMAT, found, clock.now().0])?;
    transaction.commit().map_err(Fault::from)
}
