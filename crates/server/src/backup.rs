//! A backup of this server while it runs: the store at one instant, its keys and its checkpoints, in one tar with a
//! manifest in front that says what everything must be. Reading one back is [`restore`].
//!
//! ```text
//! checkpoints ─▶ store at one instant ─▶ hashes ─▶ manifest.json, ostler.db, keys, … ─▶ tar, as fast as it is taken
//!   first: so that none of them vouches for more than the store holds
//! ```

mod archive;
mod restore;

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use data::commit::Log;
use data::sqlite::Contents;
use domain::clock::Timestamp;
use serde::{Deserialize, Serialize};

pub use archive::check;
pub use restore::restore;

/// The manifest's name; it is the first file of a backup.
const MANIFEST: &str = "manifest.json";

/// How backups are written, so far.
const BACKUP_FORMAT: u32 = 1;

/// The store's file: the embedded engine's, whatever the store is.
const STORE: &str = "ostler.db";

/// The checkpoints' file.
const CHECKPOINTS: &str = "audit.checkpoints";

/// Files that hold keys: whoever has them reads everything, signs checkpoints, and administers.
const KEYS: [&str; 3] = ["master.key", "audit.key", "admin.key"];

/// Where people's keys are kept for `--as`.
const PEOPLE: &str = "people";

/// Where a backup is put together, within the data directory.
const ASIDE: &str = "backup.tmp";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How the backup is written.
    pub ostler_backup: u32,
    /// The version of Ostler that wrote it.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// Whether it holds the keys.
    pub holds_keys: bool,
    /// What the store holds.
    #[serde(flatten)]
    pub contents: Contents,
    /// Every file behind the manifest, in order.
    pub files: Vec<Filed>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filed {
    /// Its name within the data directory.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// A backup that is ready to be written; what it was put together from goes with it.
pub(crate) struct Prepared {
    aside: Aside,
    manifest: Manifest,
    paths: Vec<PathBuf>,
}

/// A directory that goes when it is dropped.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "what a backup was put together from was left behind");
        }
    }
}

/// Puts a backup together. One at a time: it uses one place within the data directory.
///
/// # Errors
/// If there is no space for a second copy of the store, or a file cannot be read.
pub(crate) async fn prepare(log: &Log, data: &Path, with_keys: bool) -> anyhow::Result<Prepared> {
    let aside = make_aside(&data.join(ASIDE))?;
    let mut names = Vec::new();
    if copy_if_there(data, &aside.0, CHECKPOINTS)? {
        names.push(CHECKPOINTS.to_owned());
    }
    let store = aside.0.join(STORE);
    log.backup_to(&store).await?;
    names.insert(0, STORE.to_owned());
    if with_keys {
        for name in key_files(data)? {
            if copy_if_there(data, &aside.0, &name)? {
                names.push(name);
            }
        }
    }
    let at = log.clock().now();
    let hashed = move || -> anyhow::Result<Prepared> {
        let paths: Vec<PathBuf> = names.iter().map(|name| aside.0.join(name)).collect();
        let mut files = Vec::new();
        for (name, path) in names.into_iter().zip(&paths) {
            let (bytes, sha256) = archive::hash_of(path)?;
            files.push(Filed { name, bytes, sha256 });
        }
        let contents = data::sqlite::contents(&aside.0.join(STORE))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { ostler_backup: BACKUP_FORMAT, version, at, holds_keys: with_keys, contents, files };
        Ok(Prepared { aside, manifest, paths })
    };
    tokio::task::spawn_blocking(hashed).await.context("the backup was cut short")?
}

impl Prepared {
    /// How long the tar will be.
    pub(crate) fn bytes(&self) -> anyhow::Result<u64> {
        let manifest = archive::manifest_bytes(&self.manifest)?;
        let lengths = self.manifest.files.iter().map(|file| file.bytes);
        Ok(archive::length(lengths.chain([manifest.len() as u64])))
    }

    /// Writes it.
    pub(crate) fn write(&self, out: impl Write) -> anyhow::Result<()> {
        let _kept_until_here = &self.aside;
        archive::write(&self.manifest, &self.paths, out)
    }
}

fn make_aside(path: &Path) -> anyhow::Result<Aside> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} is in the way", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).create(path).with_context(|| format!("{} could not be made", path.display()))?;
    Ok(Aside(path.to_owned()))
}

/// The files that hold keys, people's included.
fn key_files(data: &Path) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = KEYS.iter().map(|name| (*name).to_owned()).collect();
    let people = match fs::read_dir(data.join(PEOPLE)) {
        Ok(people) => people.collect::<Result<Vec<_>, _>>().context("the people's keys could not be listed")?,
        Err(_) => Vec::new(),
    };
    let mut people: Vec<String> = people.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    people.sort();
    names.extend(people.into_iter().map(|name| format!("{PEOPLE}/{name}")));
    Ok(names)
}

fn copy_if_there(from: &Path, to: &Path, name: &str) -> anyhow::Result<bool> {
    let (from, to) = (from.join(name), to.join(name));
    if let Some(parent) = to.parent() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.with_context(|| format!("{} could not be made", parent.display()))?;
    }
    match fs::copy(&from, &to) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{} could not be copied", from.display())),
    }
}
