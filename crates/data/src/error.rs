//! What can go wrong in the data plane, named for what the caller can do about it.

use domain::id::{Pos, SessionId, Shard};

use crate::seal::SealError;
use crate::store::StoreError;

/// Something could not be read or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A seal.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An event that this version does not know. It parks its session: nothing is guessed or left out.
    #[error("record {pos} of shard {} holds {kind:?}, which this Ostler cannot read ({why}): run the version that wrote it", shard.0)]
    UnknownEvent {
        /// Its kind, as it is written.
        kind: String,
        /// Where.
        shard: Shard,
        /// Where there.
        pos: Pos,
        /// What the reader said.
        why: String,
    },
    /// A record's chain or body cannot be right.
    #[error("the records of {session} are damaged ({why}): restore the store from a backup")]
    Damaged {
        /// Whose.
        session: SessionId,
        /// What is wrong.
        why: String,
    },
    /// The session was erased: nothing can be added to what nobody can read any more.
    #[error("{session} was erased: what was said in it is gone, and it does not go on; write to another session")]
    Erased {
        /// Which.
        session: SessionId,
    },
    /// The log was stopped.
    #[error("the log is stopping: try again once it is up")]
    Stopped,
}

/// A commit that did not give a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another node owns the shard now, or owned it since the session was loaded: drop the session, never retry.
    #[error("another node owns this session's shard now; the session goes on there")]
    Fenced,
    /// Nobody knows whether it happened: load the session again.
    #[error("whether the commit happened is not known: load the session again")]
    Unknown,
    /// An earlier commit of this writer was abandoned half way: load the session again.
    #[error("an earlier commit of this session was abandoned: load the session again")]
    Poisoned,
    /// It surely did not happen; the writer is as it was.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why a commit surely did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no room.
    #[error("{0}")]
    Full(String),
    /// One record may not be as large.
    #[error("the record would hold {bytes} bytes and may hold {limit}: say less at once")]
    TooLarge {
        /// What it would hold.
        bytes: usize,
        /// What it may.
        limit: usize,
    },
    /// The store does not answer, or lost it before it was written. Trying again is safe.
    #[error("{0}")]
    Unavailable(String),
}

/// A change of authority that was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Somebody else changed something since: look again.
    #[error("somebody else changed something meanwhile (position {now}): look again and retry")]
    Moved {
        /// Where the control shard is now.
        now: Pos,
    },
    /// Nobody knows whether it happened. Retrying at the same position is safe: if it happened, that is `Moved`.
    #[error("whether the change was recorded is not known: look again")]
    Unknown,
    /// It surely did not happen.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The control shard could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Refused::Full(error.to_string()),
            StoreError::Unknown(_)
            | StoreError::Unavailable(_)
            | StoreError::Held { .. }
            | StoreError::Foreign { .. }
            | StoreError::Newer { .. }
            | StoreError::Denied { .. }
            | StoreError::Unusable { .. }
            | StoreError::Corrupt { .. } => Refused::Unavailable(error.to_string()),
        }
    }
}
