//! The real binary, as people and scripts use it: exit codes, what is said where, what a kill leaves behind. Effects are
//! counted in the mail tool's own file, never in our log.

#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod apply;
mod backup;
mod backup_postgres;
mod bench;
mod cache;
mod clients;
mod demo;
mod disk_full;
mod events;
mod exit_codes;
mod guide;
mod hooks;
mod identity;
mod kill_matrix;
mod mail;
mod mcp;
mod onboard;
mod policy;
mod postgres;
mod replay;
#[path = "../../../data/tests/support/postgres.rs"]
mod server;
mod shadow;
mod stage;
mod top;
mod up;
mod webhooks;
