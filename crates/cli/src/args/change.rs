//! `ostler apply`, `ostler rollback`: what changes who may do what.

use std::path::PathBuf;

use clap::Args;
use domain::id::Name;

/// `ostler apply`.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Files, or directories of *.yaml; `-` reads standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Why; kept with the change, and shown to whoever approves it.
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `ostler rollback`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The agent.
    pub agent: Name,
    /// Which, or the beginning of it, as `revisions` prints it. Absent: the one before.
    #[arg(long, value_name = "REVISION")]
    pub to: Option<String>,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}
