//! A copy of the store while it is written to: page by page, as the pages were at one instant, with pauses so that
//! whoever commits meanwhile hardly notices.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::hold::of_io;
use crate::sqlite::fault::Fault;
use crate::store::StoreError;

/// How many pages are copied between two pauses: 4 MiB of the usual ones.
const STEP_PAGES: std::ffi::c_int = 1024;

/// How long a pause is: the copy takes at most half of what the disk can do.
const PAUSE: Duration = Duration::from_millis(10);

/// Copies what `from` leads to into a file of its own; answers its bytes. A file under the name is always whole.
pub(super) fn copy(from: &mut Connection, to: &Path) -> Result<u64, StoreError> {
    must_be_new(to)?;
    let aside = aside(to);
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside);
    made.map_err(|error| of_io(&error, &aside))?;
    finish(pages(from, &aside).map_err(|fault| fault.at(&aside)), &aside, to)
}

/// A backup is never written over anything.
pub(super) fn must_be_new(to: &Path) -> Result<(), StoreError> {
    if to.exists() {
        let why = "there is a file of this name already".to_owned();
        return Err(StoreError::Denied { path: to.to_owned(), why });
    }
    Ok(())
}

/// Puts what was made aside in its place, or away.
pub(super) fn finish(made: Result<(), StoreError>, aside: &Path, to: &Path) -> Result<u64, StoreError> {
    let placed = made.and_then(|()| place(aside, to));
    if placed.is_err() {
        match fs::remove_file(aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "half a backup was left behind")
            }
            Ok(()) | Err(_) => {}
        }
    }
    placed
}

/// The transaction holds the instant: what is committed later goes past it.
fn pages(from: &mut Connection, to: &Path) -> Result<(), Fault> {
    let instant = from.transaction()?;
    instant.query_row("SELECT store FROM meta", [], |_| Ok(()))?;
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(&instant, &mut copy)?;
        loop {
            match backup.step(STEP_PAGES)? {
                StepResult::Done => break,
                StepResult::More | StepResult::Busy | StepResult::Locked => std::thread::sleep(PAUSE),
                other => return Err(Fault::Damaged(format!("a backup ended with {other:?}"))),
            }
        }
    }
    copy.close().map_err(|(_, error)| Fault::from(error))
}

fn place(aside: &Path, to: &Path) -> Result<u64, StoreError> {
    let io = |error: std::io::Error| of_io(&error, to);
    let file = File::open(aside).map_err(io)?;
    file.sync_all().map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    fs::rename(aside, to).map_err(io)?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
    Ok(bytes)
}

pub(super) fn aside(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}
