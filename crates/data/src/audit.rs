//! Proof that the log is what it was: a Merkle tree per shard over its records, signed checkpoints of it, and a check
//! of everything that can be checked. It judges no content; it must not know how records come about.
//!
//! ```text
//! record ─▶ leaf ─▶ tree ─▶ every N records: checkpoint, signed ─▶ audit.checkpoints
//! verify: records ─▶ leaves again ─▶ every checkpoint's root again; chains, heads, seals, meaning
//! ```

use std::path::{Path, PathBuf};

use domain::clock::Timestamp;
use domain::id::{Digest, Pos, SessionId, Shard};
use serde::{Deserialize, Serialize};

use crate::commit::Log;

mod checkpoint;
mod findings;
mod kept;
mod meaning;
pub mod tree;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointKey, Verifier};
pub use kept::Kept;
pub use verify::verify;

/// After how many records of a shard its tree is signed, unless said otherwise.
pub const CHECKPOINT_EVERY: u64 = 256;

/// Something about the audit's own files, or a tree that may not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// A file that others may read.
    #[error("{path} can be read by others (mode {mode:03o}): run chmod 600 on it, and start again")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that cannot be used.
    #[error("{path} cannot be used ({why}): check that it is this user's own and that there is space")]
    Denied {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// A file that holds something else.
    #[error("{path} is not what Ostler wrote: put it back from a backup")]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The tree does not go on from the last checkpoint: signing it would vouch for a changed past.
    #[error(
        "shard {} is not the log that was signed at position {size}: nothing is signed; run ostler audit verify",
        shard.0
    )]
    Forked {
        /// The shard.
        shard: Shard,
        /// The size that was signed.
        size: u64,
    },
}

/// Signs a store's trees and keeps the checkpoints.
#[derive(Debug)]
pub struct Auditor {
    key: CheckpointKey,
    name: String,
    kept: Kept,
    every: u64,
}

impl Auditor {
    /// The auditor of the store in a data directory: its key is the file `audit.key`, made if there is none, its
    /// checkpoints are in `audit.checkpoints`.
    pub fn open(log: &Log, dir: &Path) -> Result<Auditor, AuditError> {
        let key = CheckpointKey::load_or_make(&dir.join("audit.key"), &**log.clock())?;
        Ok(Auditor::new(log, key, Kept::open(&dir.join("audit.checkpoints"))?))
    }

    /// An auditor with a key and checkpoints kept elsewhere.
    pub fn new(log: &Log, key: CheckpointKey, kept: Kept) -> Auditor {
        let name = format!("ostler/{:032x}", log.store().about().store);
        Auditor { key, name, kept, every: CHECKPOINT_EVERY }
    }

    /// The same, signing every `every` records of a shard (1 at least).
    #[must_use]
    pub fn every(self, every: u64) -> Auditor {
        Auditor { every: every.max(1), ..self }
    }

    /// The public key that verifies its checkpoints.
    pub fn verifier(&self) -> Verifier {
        self.key.verifier(&self.name)
    }

    /// Its checkpoints.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether a tree of this size is to be signed now.
    pub(crate) fn is_due(&self, shard: Shard, size: u64) -> bool {
        size >= self.kept.last(shard).map_or(0, |last| last.size) + self.every
    }

    /// Signs a tree, unless it was at this size already.
    pub(crate) fn sign(&self, shard: Shard, tree: &tree::Range, at: Timestamp) -> Result<(), AuditError> {
        let signed = self.kept.last(shard).map_or(0, |last| last.size);
        if tree.size() <= signed {
            return Ok(());
        }
        self.kept.add(self.key.sign(&self.name, shard, tree.size(), tree.root(), at))
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// What was looked at, shard by shard.
    pub shards: Vec<ShardAudit>,
    /// Everything that is wrong, in the order it was found.
    pub problems: Vec<Problem>,
    /// How many more problems there are than are listed.
    pub more_problems: u64,
    /// What this verification cannot say, one sentence each.
    pub not_checked: Vec<String>,
    /// The public key that the checkpoints were verified with, as other tools read it.
    pub verifier: String,
}

/// What was looked at in one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardAudit {
    /// The shard; 65535 is the control shard.
    pub shard: Shard,
    /// How many records it has.
    pub records: u64,
    /// The root of its tree.
    pub root: Digest,
    /// How many checkpoints of it were verified.
    pub checkpoints: u64,
    /// Up to which position it is signed.
    pub signed_to: Pos,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The shard.
    pub shard: Shard,
    /// Where in it; 0: no one place.
    pub pos: Pos,
    /// The session, where it is about one.
    pub session: Option<SessionId>,
    /// What is wrong, in one sentence.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.shard == Shard::CONTROL {
            write!(f, "control")?
        } else {
            write!(f, "shard {}", self.shard.0)?
        }
        write!(f, ", position {}", self.pos)?;
        if let Some(session) = self.session.filter(|session| *session != SessionId::CONTROL) {
            write!(f, ", {session}")?;
        }
        write!(f, ": {}", self.what)
    }
}
