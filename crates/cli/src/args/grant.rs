//! What is typed after `grant`.

use clap::{Args, Subcommand};
use domain::id::Name;

/// `ostler grant …`
#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// Let an agent use a capability without asking each time, until an end and up to a cap. Needs `--as PERSON`.
    Add(Box<AddGrant>),
    /// Let it, too: where consent takes several people, so does a grant. Needs `--as PERSON`.
    Second {
        /// Which.
        name: Name,
    },
    /// Every grant: what it allows, what was used of it, why it holds no more.
    List,
    /// End one: no call that is decided afterwards goes under it.
    Revoke {
        /// Which.
        name: Name,
        /// Why; kept.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Which grants past answers speak for, and how many answers each would have saved.
    Propose {
        /// Of this agent only.
        agent: Option<Name>,
    },
}

/// What is allowed.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("cap").required(true).multiple(true).args(["times", "usd"]))]
pub(crate) struct AddGrant {
    /// The agent.
    pub agent: Name,
    /// One of its capabilities, by name.
    pub capability: String,
    /// For how long, such as 8h or 7d; at most 90d.
    #[arg(long, value_name = "TIME")]
    pub until: String,
    /// How many calls.
    #[arg(long)]
    pub times: Option<i64>,
    /// What all of them together may be worth, in US dollars.
    #[arg(long)]
    pub usd: Option<f64>,
    /// What each may be worth, in US dollars.
    #[arg(long)]
    pub each_usd: Option<f64>,
    /// Only calls of which this is true, such as 'args.to.endsWith("@acme.example")'.
    #[arg(long, value_name = "EXPRESSION")]
    pub when: Option<String>,
    /// Its name. Absent: it is given one.
    #[arg(long)]
    pub name: Option<Name>,
    /// Why; kept.
    #[arg(long)]
    pub reason: String,
}
