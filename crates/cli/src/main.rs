//! The `ostler` binary: reads what was typed, asks a server or becomes one, prints, and ends with a code that says how.

mod args;
mod client;
mod commands;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::client::Outcome;
use crate::commands::inbox::Yes;

fn main() -> ExitCode {
    // The one TLS provider of the process; a second call would be an error of ours.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::talk(&format!("error: no threads could be started: {error}"));
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::talk(&format!("error: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

async fn dispatch(cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    match command {
        Command::Demo(demo) => commands::demo::demo(&global, demo).await,
        Command::Up(up) => commands::up::up(&global, up).await,
        Command::Init { name, file } => commands::init::init(&global, &name, file).await,
        Command::Apply(apply) => commands::apply::apply(&global, &apply).await,
        Command::Diff { files } => commands::apply::diff(&global, &files).await,
        Command::Rollback(rollback) => commands::changes::rollback(&global, &rollback).await,
        Command::Revisions { agent } => commands::changes::revisions(&global, &agent).await,
        Command::Withdraw { change, reason } => commands::changes::withdraw(&global, &change, &reason).await,
        Command::Get { what, name } => commands::get::get(&global, &what, name.as_ref()).await,
        Command::Delete { what, name } => commands::get::delete(&global, &what, &name).await,
        Command::Run(run) => commands::run::run(&global, run).await,
        Command::Send(send) => commands::run::send(&global, send).await,
        Command::Ps { agent, phase } => commands::ps::ps(&global, agent, phase).await,
        Command::Top { once } => commands::top::top(&global, once).await,
        Command::Trace { session, cache: true, .. } => commands::trace::cache(&global, &session).await,
        Command::Trace { session, transcript, .. } => commands::trace::trace(&global, &session, transcript).await,
        Command::Explain { call } => commands::trace::explain(&global, &call).await,
        Command::Events(events) => commands::events::events(&global, events).await,
        Command::Channel(channel) => commands::channel::channel(&global, channel).await,
        Command::Webhook(webhook) => commands::webhook::webhook(&global, webhook).await,
        Command::Inbox { what } => commands::inbox::inbox(&global, what).await,
        Command::Grant(grant) => commands::grant::grant(&global, grant).await,
        Command::Approve { approvals, like, reason, edit, seen } => match (approvals.as_slice(), &like) {
            ([approval], None) => commands::inbox::approve(&global, approval, &reason, Yes { edit, seen }).await,
            _ if edit.is_none() && seen.is_none() => {
                commands::together::approve(&global, (&approvals, like.as_deref()), &reason).await
            }
            _ => Err(client::Failure::Usage("--edit and --seen are for one request: name one".to_owned())),
        },
        Command::Deny { approval, reason } => commands::inbox::deny(&global, &approval, &reason).await,
        Command::Resolve { call, say, result } => commands::inbox::resolve(&global, &call, say, &result).await,
        Command::Undo { session, yes, reason } => commands::undo::undo(&global, &session, (&reason, yes)).await,
        Command::Suspend { session, reason } => commands::stop::suspend(&global, &session, &reason).await,
        Command::Resume { session } => commands::stop::resume(&global, &session).await,
        Command::Kill { session, reason } => commands::stop::kill(&global, &session, &reason).await,
        Command::Freeze(freeze) => commands::stop::freeze(&global, &freeze).await,
        Command::Unfreeze(what) => commands::stop::unfreeze(&global, &what).await,
        Command::Policy(policy) => commands::policy::policy(&global, policy).await,
        Command::Budget(budget) => commands::budget::budget(&global, budget).await,
        Command::Cost { by, since } => commands::cost::cost(&global, by, &since).await,
        Command::Backup { file, without_keys } => commands::backup::backup(&global, &file, without_keys).await,
        Command::Restore { file, store } => commands::backup::restore(&global, &file, store.as_deref()).await,
        Command::Upgrade { rehearse } => commands::backup::rehearse(&global, &rehearse).await,
        Command::Audit(args::Audit::Verify) => commands::audit::verify(&global).await,
        Command::Person(person) => commands::people::person(&global, person).await,
        Command::Key(key) => commands::people::key(&global, key).await,
        Command::Replay(replay) => commands::replay::replay(&global, &replay).await,
        Command::Shadow(shadow) => commands::shadow::shadow(&global, shadow).await,
        Command::Onboard(onboard) => commands::onboard::onboard(&global, onboard).await,
        Command::Login { person } => commands::people::login(&global, &person).await,
        Command::Bench(bench) => commands::bench::bench(&global, bench).await,
        Command::Heavy(heavy) => commands::heavy::heavy(&global, heavy).await,
        Command::Schema => commands::init::schema(&global),
        Command::Completion { shell } => commands::init::completion(shell),
        Command::McpDemo { which, files, delay_ms } => commands::up::mcp_demo(&which, &files, delay_ms).await,
    }
}
