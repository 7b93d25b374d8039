//! What a person may type. kubectl's grammar, Unix's process words. What can be told from a word alone is told here,
//! before anything is asked.

mod budget;
mod change;
mod channel;
mod examples;
mod grant;
mod onboard;
mod options;
mod policy;
mod word;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::id::Name;
use domain::session::Phase;

pub(crate) use budget::{Budget, Topup};
pub(crate) use change::{Apply, Rollback};
pub(crate) use channel::{Channel, SetChannel};
pub(crate) use grant::{AddGrant, Grant};
pub(crate) use onboard::{Onboard, With};
pub(crate) use options::{
    AddWebhook, Audit, Bench, Calls, Demo, Events, Freeze, Heavy, InboxView, Key, KeyKind, Person, Run, Say, Send,
    Shadow, Up, Webhook, What,
};
pub(crate) use policy::{Explain, Policy, Replay, Swap};
pub(crate) use word::{By, Since};

/// Runs AI agents as suspendable processes, under identity, policy, budget and approval.
#[derive(Debug, Parser)]
#[command(name = "ostler", version, max_term_width = 100, after_help = examples::ALL)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The server's data directory: where it keeps everything, and where its address and admin key are found.
    #[arg(long, global = true, env = "OSTLER_DATA", value_name = "DIR", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// A server's address, with --key, instead of a data directory.
    #[arg(long, global = true, env = "OSTLER_URL", value_name = "URL", hide_env_values = true)]
    pub url: Option<String>,
    /// The key to show it.
    #[arg(long, global = true, env = "OSTLER_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Act as this person, with the key that `person add` left in the data directory.
    #[arg(long = "as", global = true, value_name = "PERSON")]
    pub acting_as: Option<Name>,
    /// How to print data, on standard output: table, json, jsonl (a line each) or yaml. Talk goes to standard error.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, hide_possible_values = true)]
    pub output: Format,
}

/// How to print data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs that read lines: one value each.
    Jsonl,
    /// For both.
    Yaml,
    /// For spreadsheets: a list as comma-separated values.
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything on your machine: five agents, a scripted model, no key and no server needed.
    #[command(after_help = examples::DEMO)]
    Demo(Demo),
    /// Start a server.
    #[command(after_help = examples::UP)]
    Up(Up),
    /// Write a descriptor that runs.
    #[command(after_help = examples::INIT)]
    Init {
        /// The agent's name.
        name: Name,
        /// Where to; `-` is standard output.
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Apply descriptors: all of them, or none.
    #[command(after_help = examples::APPLY)]
    Apply(Apply),
    /// Say in plain words how files would change authority, and change nothing.
    #[command(after_help = examples::DIFF)]
    Diff {
        /// Files, or directories of *.yaml; `-` reads standard input.
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
    /// Go back to a revision that an agent had: a change like any other.
    #[command(after_help = examples::ROLLBACK)]
    Rollback(Rollback),
    /// List the revisions that an agent had: since when, by whom and why.
    #[command(after_help = examples::REVISIONS)]
    Revisions {
        /// The agent.
        agent: Name,
    },
    /// Take back a change that you proposed and that still waits.
    #[command(after_help = examples::WITHDRAW)]
    Withdraw {
        /// The change, as `inbox` prints it.
        change: Name,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List what is there, or show one thing.
    #[command(after_help = examples::GET)]
    Get {
        /// agents, capabilities, mcpservers, modelproviders, policies, all; results, people or keys.
        #[arg(default_value = "agents")]
        what: String,
        /// Which one; of results, whose.
        name: Option<Name>,
    },
    /// Delete a descriptor.
    #[command(after_help = examples::DELETE)]
    Delete {
        /// agent, capability, mcpserver, modelprovider or policy.
        what: String,
        /// Which one.
        name: Name,
    },
    /// Send an agent work and wait for its answer.
    #[command(after_help = examples::RUN)]
    Run(Run),
    /// Send a session a message, now or later, and do not wait.
    #[command(after_help = examples::SEND)]
    Send(Send),
    /// List sessions: running or suspended, since when and on what.
    #[command(after_help = examples::PS)]
    Ps {
        /// Only of this agent.
        #[arg(long)]
        agent: Option<Name>,
        /// Only in this phase: ready, running, suspended, finished, failed or killed.
        #[arg(long, value_parser = word::phase)]
        phase: Option<Phase>,
    },
    /// Show what runs: agents at work, what they cost beside what they may, and how the node does.
    #[command(after_help = examples::TOP)]
    Top {
        /// Show it once; where nobody watches, that is all there is.
        #[arg(long)]
        once: bool,
    },
    /// Show what a session did: a tree of steps, a transcript, or what prompt caches did for it.
    #[command(after_help = examples::TRACE)]
    Trace {
        /// The session, or an unmistakable ending of its id.
        session: String,
        /// As a conversation, in full, reasoning above each action.
        #[arg(long)]
        transcript: bool,
        /// For each model call: what was read from and written to the provider's cache, and which block broke the prefix.
        #[arg(long, conflicts_with = "transcript")]
        cache: bool,
    },
    /// Explain a call: from what it did back to who wanted it, under what, with whose consent.
    #[command(after_help = examples::EXPLAIN)]
    Explain {
        /// The call, as `trace` prints it: a session, a dot and a number.
        call: String,
    },
    /// Ask again about what sessions did, with one thing changed: which decisions would be others. Nothing is sent.
    #[command(after_help = examples::REPLAY)]
    Replay(Replay),
    /// Print what happens, as it happens: the event feed.
    #[command(after_help = examples::EVENTS)]
    Events(Events),
    /// Webhooks: who outside is called when something happens.
    #[command(subcommand, after_help = examples::WEBHOOK)]
    Webhook(Webhook),
    /// Where people are told what waits for them: each person sets their own.
    #[command(subcommand, after_help = examples::CHANNEL)]
    Channel(Channel),
    /// List what waits for people.
    #[command(after_help = examples::INBOX)]
    Inbox {
        /// What answering takes: minutes per agent and week, and how often a yes came before anybody could read.
        #[arg(value_enum)]
        what: Option<InboxView>,
    },
    /// What agents may do without asking each time. Needs a person's key: `--as PERSON`.
    #[command(subcommand, after_help = examples::GRANT)]
    Grant(Grant),
    /// Say yes to a call, or a change, that waits. Needs a person's key: `--as PERSON`.
    #[command(after_help = examples::APPROVE)]
    Approve {
        /// The requests, as `inbox` prints them, or unmistakable endings of them.
        #[arg(required_unless_present = "like")]
        approvals: Vec<String>,
        /// All that wait and are of the shape of this one: same agent, capability and arguments by name.
        #[arg(long, value_name = "REQUEST", conflicts_with_all = ["approvals", "edit", "seen"])]
        like: Option<String>,
        /// Why; kept with the decision.
        #[arg(long, default_value = "")]
        reason: String,
        /// Change the arguments first: the whole new JSON object.
        #[arg(long, value_name = "JSON")]
        edit: Option<String>,
        /// Say yes to exactly the arguments of this hash, which somebody edited before you: `inbox` prints it.
        #[arg(long, value_name = "SHA256")]
        seen: Option<String>,
    },
    /// Say no to a call, or a change, that waits. Needs a person's key: `--as PERSON`.
    #[command(after_help = examples::DENY)]
    Deny {
        /// The request, as `inbox` prints it, or an unmistakable ending of it.
        approval: String,
        /// Why; the agent is told.
        #[arg(long)]
        reason: String,
    },
    /// Say what came of a write in doubt. Needs a person's key: `--as PERSON`.
    #[command(after_help = examples::RESOLVE)]
    Resolve {
        /// The call, as `inbox` prints it, or an unmistakable ending of it.
        call: String,
        /// What is so.
        #[arg(value_enum)]
        say: Say,
        /// What it returned, where it happened.
        #[arg(long, default_value = "It happened.")]
        result: String,
    },
    /// Undo what a session did outside: shows the plan, asks once, and runs it. Needs a person's key: `--as PERSON`.
    #[command(after_help = examples::UNDO)]
    Undo {
        /// The session, or an unmistakable ending of its id.
        session: String,
        /// Do not ask: undo what the plan says.
        #[arg(short, long)]
        yes: bool,
        /// Why; kept with each consent that it takes.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Hold a session where it is, until it is resumed.
    #[command(after_help = examples::SUSPEND)]
    Suspend {
        /// The session, or an unmistakable ending of its id.
        session: String,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a session go on that was suspended.
    #[command(after_help = examples::RESUME)]
    Resume {
        /// The session, or an unmistakable ending of its id.
        session: String,
    },
    /// End a session for good.
    #[command(after_help = examples::KILL)]
    Kill {
        /// The session, or an unmistakable ending of its id.
        session: String,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Stop an agent, a revision, a session, a person's work, or everything, from the next call on.
    #[command(after_help = examples::FREEZE)]
    Freeze(Freeze),
    /// Let what was frozen go on.
    #[command(after_help = examples::UNFREEZE)]
    Unfreeze(What),
    /// What agents cost: tokens, external actions, compute time, money.
    #[command(after_help = examples::COST)]
    Cost {
        /// By what.
        #[arg(long, value_enum, default_value_t = By::Agent)]
        by: By,
        /// Since when: 30m, 24h, 7d, or a day: 2026-11-01.
        #[arg(long, default_value = "24h")]
        since: Since,
    },
    /// What agents, owner groups and sessions may spend, and the most that can be spent today.
    #[command(subcommand, after_help = examples::BUDGET)]
    Budget(Budget),
    /// Policies: what is in force, what it would say to a call, and tables of calls with what is expected.
    #[command(subcommand, after_help = examples::POLICY)]
    Policy(Policy),
    /// Check the log's proofs.
    #[command(subcommand, after_help = examples::AUDIT)]
    Audit(Audit),
    /// Write a backup of the running server.
    #[command(after_help = examples::BACKUP)]
    Backup {
        /// Where to: a file that does not exist yet.
        file: PathBuf,
        /// Leave the keys out: what is in it cannot be read without them.
        #[arg(long)]
        without_keys: bool,
    },
    /// Read a backup back into an empty data directory (--data), with no server on it.
    #[command(after_help = examples::RESTORE)]
    Restore {
        /// The backup.
        file: PathBuf,
        /// Put the log into this PostgreSQL database, which must have none: postgres://USER:PASSWORD@HOST/DATABASE.
        #[arg(long, env = "OSTLER_STORE", value_name = "URL", hide_env_values = true)]
        store: Option<String>,
    },
    /// Try an upgrade to this version on a copy of an older data directory, which is not touched.
    #[command(after_help = examples::UPGRADE)]
    Upgrade {
        /// The older data directory; a server may be at work on it.
        #[arg(long, value_name = "OLD-DATA", required = true)]
        rehearse: PathBuf,
    },
    /// People and their groups.
    #[command(subcommand, after_help = examples::PERSON)]
    Person(Person),
    /// Keys: of administrators, people and agents.
    #[command(subcommand, after_help = examples::KEY)]
    Key(Key),
    /// Bring an agent that you have: print what to set, wait for its first call, and show it.
    #[command(after_help = examples::ONBOARD)]
    Onboard(Onboard),
    /// Print a one-time address of the console that signs a person in.
    #[command(after_help = examples::LOGIN)]
    Login {
        /// Who.
        person: Name,
    },
    /// Shadow-run: compare an agent with the people who do the work now. Nothing is sent.
    #[command(subcommand, after_help = examples::SHADOW)]
    Shadow(Shadow),
    /// Measure Ostler on this machine and this disk, beside what the disk itself can do.
    #[command(after_help = examples::BENCH)]
    Bench(Bench),
    /// Print the JSON Schema of descriptors, for editors.
    #[command(after_help = examples::SCHEMA)]
    Schema,
    /// Print a completion script.
    #[command(after_help = examples::COMPLETION)]
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// What `scripts/verify` measures with.
    #[command(hide = true, subcommand)]
    Heavy(Heavy),
    /// One of the demo's own MCP servers, over standard input and output.
    #[command(hide = true)]
    McpDemo {
        /// erp or mail.
        which: String,
        /// Where its files are.
        #[arg(long, default_value = ".")]
        files: PathBuf,
        /// How long a draft takes to be answered once it is written, in milliseconds.
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
    },
}
