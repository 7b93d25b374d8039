//! A store looked at and copied from outside, without opening it for work: nothing of it is touched, and whoever has
//! it open is not disturbed.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::hold::of_io;
use crate::sqlite::fault::Fault;
use crate::sqlite::open::{MIGRATIONS, connect_reader};
use crate::sqlite::{backup, open};
use crate::store::StoreError;

/// What a store's file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The store's id, in hex.
    pub store: String,
    /// The format that it is written in.
    pub format: u32,
    /// How many sessions there are.
    pub sessions: u64,
    /// How many records, those of the control shard included.
    pub records: u64,
    /// How many pieces of mail wait.
    pub mail: u64,
}

/// What the file of a store holds that nobody has open: it is read as it stands.
///
/// # Errors
/// If it is no store, or cannot be read.
pub fn contents(file: &Path) -> Result<Contents, StoreError> {
    let read = || -> Result<Contents, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        // Immutable: no other file is made beside it.
        let db = Connection::open_with_flags(format!("file:{}?immutable=1", escaped(file)), flags)?;
        let (store, format) = db.query_row("SELECT store, format FROM meta", [], |row| {
            Ok((u128::from_be_bytes(row.get(0)?), row.get(1)?))
        })?;
        let count = |sql: &str| -> Result<u64, Fault> {
            Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))?.cast_unsigned())
        };
        Ok(Contents {
            store: format!("{store:032x}"),
            format,
            sessions: count("SELECT count(*) FROM head")?,
            records: count("SELECT coalesce(sum(pos), 0) FROM shard")?,
            mail: count("SELECT count(*) FROM mail")?,
        })
    };
    open::recognise(file)?;
    read().map_err(|fault| fault.at(file))
}

/// Copies the store of a data directory into a file that does not exist yet. Where a server has the directory, the
/// copy is of one instant; where none has, none gets it until the copy is made. Answers whether one has.
///
/// # Errors
/// If there is no store, or it cannot be read or copied.
pub fn copy(dir: &Path, to: &Path) -> Result<bool, StoreError> {
    let from = dir.join("ostler.db");
    open::recognise(&from)?;
    let lock = dir.join("lock");
    let held = match File::open(&lock) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(of_io(&error, &lock)),
    };
    let free = held.as_ref().map(|file| flock(file, FlockOperation::NonBlockingLockShared));
    match free {
        Some(Err(rustix::io::Errno::WOULDBLOCK)) => {
            let mut reader = connect_reader(&from).map_err(|fault| fault.at(&from))?;
            backup::copy(&mut reader, to).map(|_| true)
        }
        Some(Err(errno)) => Err(of_io(&errno.into(), &lock)),
        None | Some(Ok(())) => copy_files(&from, to).map(|()| false),
    }
}

/// Byte by byte, so that not even a file beside it changes; what its journal still holds is brought in afterwards.
fn copy_files(from: &Path, to: &Path) -> Result<(), StoreError> {
    copy_file(from, to)?;
    let (journal, beside) = (with_ending(from, "-wal"), with_ending(to, "-wal"));
    if journal.exists() {
        copy_file(&journal, &beside)?;
    }
    let settle = || -> Result<(), Fault> {
        let db = Connection::open(to)?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        db.close().map_err(|(_, error)| Fault::from(error))
    };
    settle().map_err(|fault| fault.at(to))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(|error| of_io(&error, from))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut copy = made.map_err(|error| of_io(&error, to))?;
    std::io::copy(&mut source, &mut copy).map_err(|error| of_io(&error, to))?;
    fs::File::sync_all(&copy).map_err(|error| of_io(&error, to))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A path as it may stand in a URI.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// What opening a store of a format does to it, step by step, in words.
pub fn steps_from(format: u32) -> Vec<String> {
    let steps = MIGRATIONS.iter().enumerate().skip(format as usize);
    let words = steps.map(|(before, sql)| {
        let comment = sql.lines().take_while(|line| line.starts_with("--"));
        let comment: Vec<_> = comment.map(|line| line.trim_start_matches('-').trim()).collect();
        format!("format {before} to {}: {}", before + 1, comment.join(" "))
    });
    words.collect()
}
