//! What a log on PostgreSQL does when a process or the server goes away: restarts under load, a writer that is killed,
//! an owner that was asleep while another took over. Where there is no PostgreSQL, that is said and counted.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

#[path = "../support/postgres.rs"]
mod postgres;
mod restart;
#[path = "../support/restart.rs"]
mod restarted;
#[path = "../support/said.rs"]
mod said;
mod taken;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use data::commit::Log;
use data::postgres::{Options, PostgresStore};
use data::seal::Sealer;
use domain::clock::SystemClock;
use domain::id::SessionId;

/// Names the store to a process that a test starts.
const STORE: &str = "OSTLER_TEST_STORE";

/// More than there are lanes, so that every lane has some.
const SHARDS: u16 = 8;

const SESSIONS: u64 = 16;

async fn store(url: &str, lease_ms: i64) -> Arc<PostgresStore> {
    let options = Options { lease_ms, shards: SHARDS };
    Arc::new(PostgresStore::open_with(&url.parse().unwrap(), Arc::new(SystemClock), options).await.unwrap())
}

async fn log(url: &str, lease_ms: i64, node: &str) -> Log {
    let sealer = Sealer::from_master(&[7; 32], Arc::new(SystemClock));
    Log::open(store(url, lease_ms).await, sealer, Arc::new(SystemClock), node).await.unwrap()
}

/// The n-th session: they are spread over the shards.
fn session(n: u64) -> SessionId {
    SessionId::from_u128(u128::from(n % u64::from(SHARDS)) << 120 | u128::from(n) | 1 << 64)
}

/// Another process that runs one of the ignored tests, on a store.
fn child(test: &str, url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(STORE, url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn childs_store() -> String {
    std::env::var_os(STORE).expect("run by another test, which says where").into_string().unwrap()
}
