//! The demo's runtime: a process of its own, started, killed and started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::process::{Child, ChildStdin, Command};

use super::story::Story;
use crate::client::{Client, Failure, Outcome};
use crate::output;

/// How long a runtime may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to end once asked to: longer than it lets calls in flight end.
const ENDS_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// What the runtime says of itself.
const RUNTIME_LOG: &str = "runtime.log";

/// An `ostler up` of the demo's own.
pub(super) struct Runtime {
    dir: PathBuf,
    /// Where its log is, if not in the directory.
    store: Option<String>,
    listen: SocketAddr,
    process: Process,
    pub client: Client,
}

/// Its process, and the pipe that it lives by: it stops when the pipe closes, also where the demo was killed.
struct Process {
    child: Child,
    _held: Option<ChildStdin>,
}

impl Runtime {
    /// Starts one on a directory and waits until it is ready.
    pub(super) async fn start(dir: &Path, store: Option<String>, listen: SocketAddr) -> Outcome<Runtime> {
        let (process, client) = spawn(dir, store.as_deref(), listen).await?;
        // From now on it listens where it was first found, so that addresses already shown stay true.
        let listen = client.url().trim_start_matches("http://").parse().unwrap_or(listen);
        Ok(Runtime { dir: dir.to_owned(), store, listen, process, client })
    }

    /// The process id.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.child.id()
    }

    /// SIGKILL: nothing is told, nothing is flushed.
    pub(super) async fn kill(&mut self) -> Outcome {
        self.process.child.kill().await.context("the runtime could not be killed")?;
        Ok(())
    }

    /// Starts it again on the same directory.
    pub(super) async fn restart(&mut self) -> Outcome {
        (self.process, self.client) = spawn(&self.dir, self.store.as_deref(), self.listen).await?;
        Ok(())
    }

    /// SIGTERM, and waits.
    pub(super) async fn stop(&mut self) {
        let pid = self.process.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(ENDS_WITHIN, self.process.child.wait()).await.is_err() {
            let _ = self.process.child.kill().await;
        }
    }

    /// Stays for ever: a runtime that ended, however it ended, is started again.
    pub(super) async fn stay_up(&mut self, story: &Story) -> Outcome {
        loop {
            let ended = self.process.child.wait().await;
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            output::talk(&format!("\nthe runtime ended ({how}); starting it again on the same data"));
            self.restart().await?;
            let pid = self.pid().map(|pid| format!(" as process {pid}")).unwrap_or_default();
            output::talk(&format!("it is back{pid}: `ostler ps` shows every session where it was"));
            // Sign-ins live in the process's memory only.
            if let Ok(sign_in) = story.sign_in().await {
                output::talk(&format!("console            {sign_in}"));
            }
        }
    }
}

async fn spawn(dir: &Path, store: Option<&str>, listen: SocketAddr) -> Outcome<(Process, Client)> {
    let context = dir.join("context.json");
    let _ = std::fs::remove_file(&context);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join(RUNTIME_LOG));
    let mut child = Command::new(std::env::current_exe().context("the ostler binary cannot be found")?)
        .args(["up", "--scripted-only", "--scripted-pace-ms", "15", "--while-stdin", "--listen"])
        .arg(listen.to_string())
        .arg("--data")
        .arg(dir)
        .env_remove("OSTLER_URL")
        .env_remove("OSTLER_KEY")
        // Never among the arguments, which everybody on the machine sees.
        .env("OSTLER_STORE", store.unwrap_or_default())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log.context("the demo's directory cannot be written")?)
        // Ctrl-C is the demo's to hear: the runtime is told apart.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("the runtime could not be started")?;
    // Taken, because waiting for a child closes what is left in it.
    let held = child.stdin.take();
    let client = tokio::time::timeout(READY_WITHIN, ready(&mut child, &context, dir)).await.map_err(|_| {
        anyhow::anyhow!("the runtime was not ready within {READY_WITHIN:?}; see {}", dir.join(RUNTIME_LOG).display())
    })??;
    Ok((Process { child, _held: held }, client))
}

/// Waits until it answers, or ended.
async fn ready(child: &mut Child, context: &Path, dir: &Path) -> Outcome<Client> {
    loop {
        if let Some(client) = answers(context, dir).await {
            return Ok(client);
        }
        if let Ok(Some(status)) = child.try_wait() {
            let said = std::fs::read_to_string(dir.join(RUNTIME_LOG)).unwrap_or_default();
            let last = said.trim().lines().last().unwrap_or_default().to_owned();
            return Err(Failure::Failed(anyhow::anyhow!("the runtime ended at once ({status}): {last}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn answers(context: &Path, dir: &Path) -> Option<Client> {
    let text = std::fs::read_to_string(context).ok()?;
    let context: Value = serde_json::from_str(&text).ok()?;
    let client = Client::at(context["url"].as_str()?, context["key"].as_str()?, Some(dir.to_owned())).ok()?;
    client.get("/readyz").await.ok()?;
    Some(client)
}
