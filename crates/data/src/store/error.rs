//! What can go wrong below the port, each with what to do next. Refusals by a fence are answers, not errors.

use std::path::PathBuf;

/// A store that could not do what was asked. Unless it says `Unknown`, nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The answer was lost: whether it was written is not known. Claim the shard again to find out.
    #[error("the store's answer was lost ({0}); whether the commit was written is decided by claiming its shard again")]
    Unknown(String),
    /// There is no room.
    #[error("no space left for {path}: free some disk space and try again; nothing that was acknowledged is lost")]
    Full {
        /// Where.
        path: PathBuf,
    },
    /// It does not answer now.
    #[error("the store does not answer ({0}); try again")]
    Unavailable(String),
    /// Another process has it.
    #[error("{dir} is in use by the process with pid {pid}: stop that one first, or choose another data directory")]
    Held {
        /// The data directory.
        dir: PathBuf,
        /// The holder.
        pid: u32,
    },
    /// The file is another program's.
    #[error(
        "{path} is not an Ostler store ({why}); it was left untouched: choose another data directory, or move it away"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How it shows.
        why: String,
    },
    /// A newer Ostler wrote it.
    #[error(
        "{path} needs a newer Ostler: it is in format {found} and this one reads up to {known}; it was left untouched: \
         upgrade Ostler, or choose another data directory"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The oldest format that its readers must know.
        found: u32,
        /// The newest that this one knows.
        known: u32,
    },
    /// The operating system does not let us.
    #[error("no permission to use {path} ({why}): make it this user's own, or choose another data directory")]
    Denied {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// A server that cannot keep the store as it is.
    #[error("{place} cannot keep the store ({why}): {next}")]
    Unusable {
        /// Which, without its password.
        place: String,
        /// Why.
        why: String,
        /// What to do about it.
        next: &'static str,
    },
    /// What is there cannot be right.
    #[error("{path} is damaged ({why}); nothing was changed: restore it from a backup")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}
