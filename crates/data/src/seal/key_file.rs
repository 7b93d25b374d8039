//! The master key's file: three lines of text, readable by its owner only. It must not know what the key is for.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use domain::clock::Clock;
use domain::id::Digest;

use crate::seal::SealError;
use crate::store::About;

const FIRST_LINE: &str = "ostler master key 1: whoever has this file can read the store; without it nobody can";

/// The key in the file, or a new one if the store is fresh and has none yet.
pub(super) fn load_or_make(path: &Path, about: &About, clock: &dyn Clock) -> Result<[u8; 32], SealError> {
    match fs::metadata(path) {
        Ok(found) => load(path, found.permissions().mode() & 0o777, about),
        Err(error) if error.kind() == ErrorKind::NotFound && about.fresh => make(path, about, clock),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(SealError::Missing { path: path.to_owned() }),
        Err(error) => Err(denied(path, &error)),
    }
}

fn load(path: &Path, mode: u32, about: &About) -> Result<[u8; 32], SealError> {
    if mode & 0o077 != 0 {
        return Err(SealError::Exposed { path: path.to_owned(), mode });
    }
    let malformed = || SealError::Malformed { path: path.to_owned() };
    let text = fs::read_to_string(path).map_err(|error| denied(path, &error))?;
    let mut lines = text.lines();
    let (first, store, key) = (lines.next(), lines.next(), lines.next());
    if first != Some(FIRST_LINE) {
        return Err(malformed());
    }
    if store != Some(store_line(about).as_str()) {
        return Err(SealError::Foreign { path: path.to_owned() });
    }
    key.and_then(|key| key.parse::<Digest>().ok()).map(|key| *key.as_bytes()).ok_or_else(malformed)
}

/// Written aside, synced and renamed: the key is whole and durable before anything is sealed with it.
fn make(path: &Path, about: &About, clock: &dyn Clock) -> Result<[u8; 32], SealError> {
    let mut key = [0; 32];
    clock.fill_random(&mut key);
    let text = format!("{FIRST_LINE}\n{}\n{}\n", store_line(about), Digest::from_bytes(key));
    let aside = path.with_extension("key.new");
    let written = write_durably(&aside, &text).and_then(|()| fs::rename(&aside, path)).and_then(|()| {
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::File::open(dir)?.sync_all()
    });
    written.map(|()| key).map_err(|error| denied(path, &error))
}

fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn store_line(about: &About) -> String {
    format!("store {:032x}", about.store)
}

fn denied(path: &Path, error: &std::io::Error) -> SealError {
    SealError::Denied { path: path.to_owned(), why: error.to_string() }
}
