//! `policy`: what it is called with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::id::Name;

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
    /// Ask a table of calls, and compare with what is expected; exit 1 where one differs.
    Test {
        /// A YAML file: `agent:`, and `calls:` each with tool, input and expect.
        file: PathBuf,
        /// Descriptors to take as applied: files, or directories of *.yaml. Nothing is changed.
        #[arg(short = 'f', long = "with", value_name = "FILE|DIR")]
        with: Vec<PathBuf>,
    },
    /// Ask about one call that nobody makes: the rule, its text, what made it so, and what would let it pass.
    Explain(Explain),
}

/// One call.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Whose.
    pub agent: Name,
    /// Of which tool.
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
