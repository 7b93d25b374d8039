//! Signed checkpoints, kept in a file beside the store, one JSON object per line, only ever added to: whoever changes
//! the store has to change this file too, and cannot sign it. Copies of it elsewhere prove more.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::id::Shard;

use super::{AuditError, Checkpoint};

/// The checkpoints of a store.
#[derive(Debug)]
pub struct Kept {
    path: Option<PathBuf>,
    all: Mutex<BTreeMap<Shard, Vec<Checkpoint>>>,
}

impl Kept {
    /// Those in a file, which is made with the first one. A last line that a crash cut off is left out.
    pub fn open(path: &Path) -> Result<Kept, AuditError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(denied(path, &error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            let file = fs::OpenOptions::new().write(true).open(path).map_err(|error| denied(path, &error))?;
            file.set_len(whole as u64).map_err(|error| denied(path, &error))?;
        }
        let mut all: BTreeMap<Shard, Vec<Checkpoint>> = BTreeMap::new();
        for line in text[..whole].lines() {
            let checkpoint: Checkpoint =
                serde_json::from_str(line).map_err(|_| AuditError::Malformed { path: path.to_owned() })?;
            all.entry(checkpoint.shard).or_default().push(checkpoint);
        }
        Ok(Kept { path: Some(path.to_owned()), all: Mutex::new(all) })
    }

    /// None, kept in memory only.
    pub fn in_memory() -> Kept {
        Kept { path: None, all: Mutex::default() }
    }

    /// Those of a shard, oldest first.
    pub fn of(&self, shard: Shard) -> Vec<Checkpoint> {
        self.lock().get(&shard).cloned().unwrap_or_default()
    }

    /// The last of a shard.
    pub fn last(&self, shard: Shard) -> Option<Checkpoint> {
        self.lock().get(&shard).and_then(|all| all.last().cloned())
    }

    /// The shards that have any.
    pub fn shards(&self) -> Vec<Shard> {
        self.lock().keys().copied().collect()
    }

    /// Adds one, durably.
    pub fn add(&self, checkpoint: Checkpoint) -> Result<(), AuditError> {
        let mut all = self.lock();
        if let Some(path) = &self.path {
            append(path, &checkpoint).map_err(|error| denied(path, &error))?;
        }
        all.entry(checkpoint.shard).or_default().push(checkpoint);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Shard, Vec<Checkpoint>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(checkpoint)?;
    line.push(b'\n');
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&line)?;
    file.sync_all()
}

fn denied(path: &Path, error: &std::io::Error) -> AuditError {
    AuditError::Denied { path: path.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::id::{Digest, Shard};

    use super::super::CheckpointKey;
    use super::Kept;

    #[test]
    fn checkpoints_are_kept_and_a_line_cut_off_by_a_crash_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.checkpoints");
        let key = CheckpointKey::from_seed([1; 32]);
        let sign = |size| key.sign("x", Shard(0), size, Digest::of(b"r"), Timestamp(0));
        Kept::open(&path).unwrap().add(sign(1)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"{\"shard\":0,"].concat()).unwrap();
        let kept = Kept::open(&path).unwrap();
        kept.add(sign(2)).unwrap();
        let again = Kept::open(&path).unwrap();
        assert_eq!(again.of(Shard(0)), [sign(1), sign(2)]);
        assert_eq!(again.last(Shard(0)), Some(sign(2)));
        assert_eq!(again.shards(), [Shard(0)]);
    }
}
