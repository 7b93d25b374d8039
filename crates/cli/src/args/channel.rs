//! What is typed after `channel`.

use clap::{Args, Subcommand};
use domain::id::Name;

/// `ostler channel …`
#[derive(Debug, Subcommand)]
pub(crate) enum Channel {
    /// Be told there of what waits for you from now on, with a link that answers it. Needs `--as PERSON`.
    Set(SetChannel),
    /// Your own; with an administrator's key everybody's, and how it goes with each.
    List,
    /// Be told nothing there any more; links that were sent there are void.
    Remove {
        /// Whose; absent: your own, with `--as PERSON`.
        person: Option<Name>,
    },
}

/// Where.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SetChannel {
    /// By a webhook that an administrator added with --for-people.
    #[arg(long, value_name = "NAME")]
    pub webhook: Option<Name>,
    /// By mail; the server needs --smtp.
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<String>,
}
