//! `policy` and `replay`: what they are called with.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use domain::id::Name;

use super::word::Since;

/// What is done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Everything in force for one agent, as Cedar: the default policy, those applied, and its own descriptor's fields.
    Show {
        /// Which agent.
        agent: Name,
    },
    /// What a rule can read: the typed schema of every tool, as Cedar.
    Schema,
    /// Ask a table of calls, and compare with what is expected; exit 1 where one differs. Needs no server where -f names all.
    Test {
        /// A YAML file: `agent:`, and `calls:` each with tool, input and expect.
        file: PathBuf,
        /// Descriptors to take as applied: files, or directories of *.yaml. Nothing is changed. Where no server is running,
        /// they are all there is.
        #[arg(short = 'f', long = "file", visible_alias = "with", value_name = "FILE|DIR")]
        with: Vec<PathBuf>,
    },
    /// Ask about one call that nobody makes: the rule, its text, what made it so, and what would let it pass.
    Explain(Explain),
}

/// Which sessions, and what is changed.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Sessions, or unmistakable endings of their ids; none: those of --agent and --since, the latest 2000.
    pub sessions: Vec<String>,
    /// Those of this agent.
    #[arg(long, conflicts_with = "sessions")]
    pub agent: Option<Name>,
    /// Those in which something happened since: 24h, 7d or 2026-11-01.
    #[arg(long, conflicts_with = "sessions", required_unless_present_any = ["sessions", "agent"])]
    pub since: Option<Since>,
    /// The one thing that is changed: policy=FILE|DIR, or revision=HASH|FILE of an agent.
    #[arg(long, value_name = "WHAT=VALUE")]
    pub with: Swap,
}

/// What is changed.
#[derive(Debug, Clone)]
pub(crate) enum Swap {
    /// Policies, as they stand in files.
    Policy(PathBuf),
    /// Another revision of an agent: the beginning of its hash, or a file.
    Revision(String),
}

impl FromStr for Swap {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("policy", file)) if !file.is_empty() => Ok(Swap::Policy(file.into())),
            Some(("revision", which)) if !which.is_empty() => Ok(Swap::Revision(which.to_owned())),
            Some(_) | None => Err("write policy=FILE or revision=HASH".to_owned()),
        }
    }
}

/// One call.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Whose.
    pub agent: Name,
    /// Of which tool: `email-draft`, or `internal://remember` for one of the runtime's own.
    pub tool: String,
    /// Its arguments, as JSON.
    #[arg(default_value = "{}")]
    pub input: String,
    /// What it is worth in dollars, if not what the capability makes of the arguments.
    #[arg(long, value_name = "USD")]
    pub value: Option<f64>,
    /// When, such as 2026-12-01T09:00Z; absent: now.
    #[arg(long)]
    pub at: Option<String>,
    /// The person behind it.
    #[arg(long, value_name = "PERSON")]
    pub on_behalf_of: Option<Name>,
    /// After text from outside entered the session.
    #[arg(long)]
    pub tainted: bool,
    /// An argument that nothing trusted vouches for; may be given more than once.
    #[arg(long, value_name = "ARGUMENT")]
    pub unvouched: Vec<String>,
}
