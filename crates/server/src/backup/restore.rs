//! A backup read back into an empty data directory, and its log, where that is wanted, into a database that has none:
//! whole, or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use data::postgres::StoreUrl;
use domain::clock::SystemClock;

use super::{Manifest, STORE, archive};

/// Restores a backup into a directory that is empty or not there yet; the log into this database, where one is named.
/// Nobody may work on either meanwhile.
///
/// # Errors
/// One sentence that says what is wrong; the directory and the database are as they were.
pub async fn restore(file: &Path, dir: &Path, store: Option<&StoreUrl>) -> anyhow::Result<Manifest> {
    must_be_empty(dir)?;
    let beside = beside(dir)?;
    let restored = async {
        let manifest = fill(file, &beside)?;
        if let Some(url) = store {
            let log = beside.join(STORE);
            data::postgres::restore(url, &log, Arc::new(SystemClock)).await?;
            fs::remove_file(&log).with_context(|| format!("{} could not be removed", log.display()))?;
        }
        // Onto a directory only if that is empty.
        fs::rename(&beside, dir).with_context(|| format!("{} could not be put in place", dir.display()))?;
        sync(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(manifest)
    };
    let restored = restored.await;
    if restored.is_err() {
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, path = %beside.display(), "half a restored directory was left behind");
            }
            Ok(()) | Err(_) => {}
        }
    }
    restored
}

fn must_be_empty(dir: &Path) -> anyhow::Result<()> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                bail!("{} is not empty: restore into an empty directory, or one that is not there yet", dir.display())
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be restored into", dir.display())),
    }
}

/// A directory of the same file system, to be renamed.
fn beside(dir: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(dir)?;
    let name = absolute.file_name().with_context(|| format!("{} cannot be restored into", dir.display()))?;
    let mut aside = name.to_os_string();
    aside.push(format!(".restoring-{}", std::process::id()));
    Ok(absolute.with_file_name(aside))
}

fn fill(file: &Path, aside: &Path) -> anyhow::Result<Manifest> {
    let make = |dir: &Path| {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("{} could not be made", dir.display()))
    };
    make(aside)?;
    let manifest = archive::read(file, |filed| {
        let path = aside.join(&filed.name);
        make(path.parent().unwrap_or(aside))?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Box::new(Durable(BufWriter::new(made.with_context(|| format!("{} could not be made", path.display()))?))))
    })?;
    if manifest.contents.format > data::sqlite::FORMAT {
        let (format, known) = (manifest.contents.format, data::sqlite::FORMAT);
        bail!("this backup needs a newer Ostler: its store is in format {format} and this one reads up to {known}");
    }
    sync(aside)?;
    Ok(manifest)
}

fn sync(dir: &Path) -> anyhow::Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("{} could not be synced", dir.display()))
}

/// A file that is on the disk once it is flushed.
struct Durable(BufWriter<File>);

impl Write for Durable {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_all()
    }
}
