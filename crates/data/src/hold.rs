//! Holding a data directory against every other process, whatever engine the store is on. It must not know what lies in
//! the directory beside its own file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::store::StoreError;

/// A directory that is held for as long as this is there; the operating system lets go when the process ends.
#[derive(Debug)]
pub struct Held {
    file: File,
}

/// Holds a directory, and makes it if it is not there.
///
/// # Errors
/// Another process holds it, or it cannot be written.
pub fn hold(dir: &Path) -> Result<Held, StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| of_io(&error, dir))?;
    let path = dir.join("lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(|error| of_io(&error, &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(|error| of_io(&error, &path))?;
            return Err(StoreError::Held { dir: dir.to_owned(), pid: pid.trim().parse().unwrap_or(0) });
        }
        Err(errno) => return Err(of_io(&errno.into(), &path)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| of_io(&error, &path))?;
    Ok(Held { file })
}

impl Held {
    /// A name for whoever holds it that nobody else has: of this machine, since it was started, and this directory.
    /// Who finds it in a lease knows that its holder is gone, because there is only one.
    pub fn node(&self) -> String {
        let machine = rustix::system::uname();
        let started = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let place = self.file.metadata().map(|file| (file.dev(), file.ino())).unwrap_or_default();
        format!("{} {} {:x}:{}", machine.nodename().to_string_lossy(), started.trim(), place.0, place.1)
    }
}

/// What the operating system says about a file or directory.
pub(crate) fn of_io(error: &std::io::Error, path: &Path) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full { path },
        _ => StoreError::Denied { path, why: error.to_string() },
    }
}
