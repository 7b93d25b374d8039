//! The longer commands' options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use domain::id::{Digest, Name};
use domain::principal::Autonomy;

use super::{examples, word};

/// `ostler demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Approve by itself, kill the runtime between intent and outcome, restart it, resolve, check, and exit.
    #[arg(long)]
    pub exit: bool,
    /// Keep the log in this PostgreSQL database, which must be empty: postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, env = "OSTLER_STORE", value_name = "URL", hide_env_values = true)]
    pub store: Option<String>,
    /// Keep the demo's directory.
    #[arg(long)]
    pub keep: bool,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

/// `ostler up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = server::config::DEFAULT_LISTEN, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The address that clients and people are told, where others reach it by another: behind a proxy, for example.
    #[arg(long, env = "OSTLER_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<server::config::PublicUrl>,
    /// Keep the log in a PostgreSQL database: postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, env = "OSTLER_STORE", value_name = "URL", hide_env_values = true)]
    pub store: Option<String>,
    /// Hand mail for people in at this relay: smtp://USER@HOST:PORT (STARTTLS) or smtps://USER@HOST:PORT.
    #[arg(long, env = "OSTLER_SMTP", value_name = "URL", requires = "mail_from")]
    pub smtp: Option<server::config::Relay>,
    /// The address that mail for people is from.
    #[arg(long, env = "OSTLER_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// Descriptors to apply at start: files, or directories of *.yaml.
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Start scripted providers only, and ignore real keys and addresses.
    #[arg(long, hide = true)]
    pub scripted_only: bool,
    /// How long a scripted provider takes over each word, in milliseconds.
    #[arg(long, hide = true, default_value_t = 0)]
    pub scripted_pace_ms: u64,
    /// Stop when standard input, a pipe, closes: whoever holds its other end is gone.
    #[arg(long, hide = true)]
    pub while_stdin: bool,
}

/// `ostler bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Bench {
    /// A look of a few seconds: whether everything can be measured, not how fast it is.
    #[arg(long, conflicts_with = "seconds")]
    pub quick: bool,
    /// About how long to measure.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(5..=3600))]
    pub seconds: u16,
    /// Measure the log path alone, in this empty database: what is measured stays there.
    #[arg(long, value_name = "postgres://…")]
    pub store: Option<server::bench::StoreUrl>,
}

/// `ostler heavy`: hidden, for `scripts/verify`.
#[derive(Debug, Subcommand)]
pub(crate) enum Heavy {
    /// Put a population to sleep in a data directory.
    Load {
        /// What to apply first.
        #[arg(long)]
        descriptors: PathBuf,
        #[command(flatten)]
        population: Sleepers,
    },
    /// Bring random sleepers back into memory, without a server.
    Rehydrate {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        times: usize,
        #[command(flatten)]
        population: Sleepers,
    },
    /// Post messages that are all due within one second.
    Timers {
        /// What to apply first.
        #[arg(long)]
        descriptors: PathBuf,
        /// How many agents share them.
        #[arg(long, default_value_t = 1)]
        agents: usize,
        /// How many.
        #[arg(long)]
        timers: usize,
        /// When that second begins.
        #[arg(long)]
        due_in_ms: i64,
    },
    /// Serve one MCP tool that says back what it is told, on a free port that is printed, until the process ends.
    Echo,
    /// Use a tool over MCP, many at once.
    Calls(Calls),
    /// Write to sleepers through a server, one message each.
    Post {
        /// To how many.
        #[arg(long)]
        messages: usize,
        /// How many agents share them.
        #[arg(long, default_value_t = 1)]
        agents: usize,
        /// How many at once.
        #[arg(long, default_value_t = 64)]
        connections: usize,
    },
}

/// Tools used over MCP.
#[derive(Debug, Clone, Args)]
pub(crate) struct Calls {
    /// Where: an MCP endpoint.
    #[arg(long)]
    pub endpoint: String,
    /// The key to show it.
    #[arg(long)]
    pub agent_key: Option<String>,
    /// Which tool; it says back its argument `text`.
    #[arg(long, default_value = "echo")]
    pub tool: String,
    /// How many calls are measured.
    #[arg(long)]
    pub calls: usize,
    /// How many at once.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
}

/// Who sleeps.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sleepers {
    /// How many sessions.
    #[arg(long)]
    pub sessions: usize,
    /// How many agents share them.
    #[arg(long, default_value_t = 1)]
    pub agents: usize,
    /// Of every so many sessions, one has 50 records instead of 5.
    #[arg(long, default_value_t = 0)]
    pub long_every: usize,
    /// Say what cannot be compressed.
    #[arg(long)]
    pub incompressible: bool,
}

impl Sleepers {
    /// The population that is meant.
    pub(crate) fn meant(self) -> server::bench::heavy::Population {
        let Sleepers { sessions, agents, long_every, incompressible } = self;
        server::bench::heavy::Population { agents, sessions, rounds: 1, long_every, incompressible }
    }
}

/// `ostler run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The agent.
    pub agent: Name,
    /// What it is to do; `-` reads standard input.
    #[arg(default_value = "-", conflicts_with = "input")]
    pub message: String,
    /// A JSON object instead of a message, or @FILE that holds one.
    #[arg(long, value_name = "JSON|@FILE")]
    pub input: Option<String>,
    /// Name the session: the same key goes on with the same session.
    #[arg(long, value_name = "KEY")]
    pub session: Option<String>,
    /// The case it works on, for comparison in shadow.
    #[arg(long, value_name = "CASE")]
    pub case: Option<String>,
    /// Do not wait: print the session.
    #[arg(long)]
    pub detach: bool,
}

/// `ostler send`.
#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The agent.
    pub agent: Name,
    /// What to say; `-` reads standard input.
    #[arg(default_value = "-", conflicts_with = "input")]
    pub message: String,
    /// A JSON object instead of a message, or @FILE that holds one.
    #[arg(long, value_name = "JSON|@FILE")]
    pub input: Option<String>,
    /// The session's key, as it was given to `run`; without it, a new session.
    #[arg(long, value_name = "KEY")]
    pub session: Option<String>,
    /// Deliver it at this instant, such as 2026-12-01T09:00Z.
    #[arg(long, value_name = "INSTANT", conflicts_with = "after")]
    pub at: Option<String>,
    /// Deliver it after this time, such as 30s, 15m, 2h or 7d.
    #[arg(long = "in", value_name = "TIME")]
    pub after: Option<String>,
}

/// `ostler events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on after this cursor, which an event carried; `now`: only what comes.
    #[arg(long, value_name = "CURSOR", value_parser = word::cursor)]
    pub after: Option<String>,
    /// Only of this agent.
    #[arg(long)]
    pub agent: Option<Name>,
    /// Only of this session, or an unmistakable ending of its id.
    #[arg(long)]
    pub session: Option<String>,
    /// Only of these kinds, between commas: finished, failed, approval_requested, ….
    #[arg(long, value_name = "KINDS", value_parser = word::kinds)]
    pub kind: Option<String>,
    /// What was said and done, too, where you may read it.
    #[arg(long)]
    pub content: bool,
    /// Go on at the end, and after the server was away.
    #[arg(short, long, overrides_with = "no_follow")]
    pub follow: bool,
    /// Stop at the end (as without --follow).
    #[arg(long)]
    pub no_follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Have somebody called for what happens from now on.
    #[command(after_help = examples::WEBHOOK)]
    Add(AddWebhook),
    /// List them: how far each is, what went wrong last.
    List,
    /// Call somebody no more.
    Delete {
        /// Which.
        name: Name,
    },
    /// Send one event of the kind `test`, now and once.
    Test {
        /// Which.
        name: Name,
    },
}

/// `ostler webhook add`.
#[derive(Debug, Args)]
pub(crate) struct AddWebhook {
    /// Its name.
    pub name: Name,
    /// Where: an https address.
    #[arg(value_name = "URL")]
    pub address: String,
    /// The name of the server's secret that signs: base64 of 24 to 64 bytes, in its environment or secrets.env.
    #[arg(long, value_name = "NAME")]
    pub secret: String,
    /// Only for events of these kinds, between commas.
    #[arg(long, value_name = "KINDS", value_parser = word::kinds)]
    pub kinds: Option<String>,
    /// Only for events of this agent.
    #[arg(long)]
    pub agent: Option<Name>,
    /// Begin behind this cursor of the feed instead of now.
    #[arg(long, value_name = "CURSOR", value_parser = word::cursor)]
    pub after: Option<String>,
    /// Allow an address on this machine or a private network, and plain http.
    #[arg(long)]
    pub allow_private: bool,
    /// For people who choose it (`channel set --webhook NAME`), with links to answer what waits; no events go there.
    #[arg(long, conflicts_with_all = ["kinds", "agent", "after"])]
    pub for_people: bool,
}

/// What to freeze.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// Every session of an agent.
    #[arg(long)]
    pub agent: Option<Name>,
    /// Every session of one revision (its full hash).
    #[arg(long, value_name = "HASH")]
    pub revision: Option<Digest>,
    /// One session, or an unmistakable ending of its id.
    #[arg(value_name = "SESSION")]
    pub session: Option<String>,
    /// Everything on behalf of a person.
    #[arg(long)]
    pub person: Option<Name>,
    /// Everything.
    #[arg(long)]
    pub all: bool,
}

/// `ostler freeze`.
#[derive(Debug, Args)]
pub(crate) struct Freeze {
    #[command(flatten)]
    pub what: What,
    /// Why; whoever looks at what waits is told.
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// What of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InboxView {
    /// What answering takes.
    Stats,
}

/// What is so, of a write in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Say {
    /// It happened; the agent is told --result.
    Happened,
    /// It did not; it is sent again under the same consent.
    DidNot,
    /// Let it be; the agent is told that nobody knows.
    Abandon,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check every record, chain, tree and signature.
    #[command(after_help = examples::AUDIT)]
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Person {
    /// Add a person, or change their groups; prints their key once and keeps it for --as.
    #[command(after_help = examples::PERSON)]
    Add {
        /// Who.
        name: Name,
        /// A group they belong to; may be given more than once.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<Name>,
    },
    /// List people.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; prints it once.
    #[command(after_help = examples::KEY)]
    Add {
        /// What it opens.
        #[arg(value_enum)]
        kind: KeyKind,
        /// Whose, for a person or an agent.
        name: Option<Name>,
    },
    /// List keys.
    List,
    /// Revoke a key.
    Revoke {
        /// Its id, as `key list` prints it.
        #[arg(value_parser = word::key_id)]
        id: String,
    },
}

/// Of whom a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// Applies, adds people, freezes; never decides.
    Admin,
    /// Decides for the groups of a person.
    Person,
    /// Opens the ingress and /mcp, and nothing else.
    Agent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Shadow {
    /// Bring what people did: a CSV with a column `case`.
    #[command(after_help = examples::SHADOW)]
    Import {
        /// The agent compared.
        agent: Name,
        /// The file.
        file: PathBuf,
    },
    /// Compare: matches, differences, not comparable.
    Report {
        /// The agent compared.
        agent: Name,
    },
    /// Give the agent's present revision more autonomy, or less. Needs a person's key: `--as PERSON`.
    #[command(after_help = examples::SHADOW)]
    Promote {
        /// The agent.
        agent: Name,
        /// shadow, supervised or autonomous.
        #[arg(long, default_value = "supervised", value_parser = word::autonomy)]
        to: Autonomy,
    },
}
