//! A server that is a child process. It leads its own process group, sees nothing of our environment but `PATH`, `HOME`, `LANG`
//! and its own secrets, and its group is ended with the connection. When the runtime itself is killed, its
//! standard input closes, which by the protocol's shutdown sequence ends it; a parent-death signal would need `unsafe`
//! code in the child and would follow one thread of ours, not the process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::evidence::{Evidence, MAX_LINE, Watched};
use super::mcp::McpConnection;
use super::{Spec, Upstream};
use crate::secret::Secrets;

/// The variables of our own environment that a child sees.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];

/// The command that means the running executable.
const OURSELVES: &str = "ostler";

/// How long a child has to end after its input closed, and again after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long its error output is read after it ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What children need of the machine.
#[derive(Debug, Clone)]
pub struct Host {
    executable: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Host {
    /// `executable` is what the command `ostler` means; of `variables`, the environment of this process, only
    /// `PATH`, `HOME`, `LANG` are kept.
    pub fn new(executable: PathBuf, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())).collect();
        Host { executable, variables }
    }
}

/// Starts the child and shakes hands.
pub(super) async fn connect(
    spec: &Spec,
    (command, args): (&str, &[String]),
    secrets: &Secrets,
    host: &Host,
) -> Result<Arc<dyn Upstream>, String> {
    let program = if command == OURSELVES { host.executable.as_os_str() } else { command.as_ref() };
    let own = spec.secrets.iter().filter_map(|name| Some((name.as_str(), secrets.reveal(name)?)));
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(&host.variables)
        .envs(own)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{command}` cannot be started: {error}"))?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(format!("`{command}` has no standard streams"));
    };
    let evidence = Evidence::of_child();
    let (transport_open, closing) = oneshot::channel();
    tokio::spawn(tend(Group::of(child), stderr, evidence.clone(), closing));
    let lines = AsyncRwTransport::new(Watched::new(stdout, evidence.clone()), stdin).with_max_line_length(MAX_LINE);
    let transport = ChildTransport { lines, _open: transport_open };
    Ok(Arc::new(McpConnection::open(transport, evidence, spec.handshake).await?))
}

/// Sees a child to its end: it ends by itself, or is asked to once its connection is gone. Notes what it leaves behind.
async fn tend(mut group: Group, stderr: ChildStderr, evidence: Evidence, closing: oneshot::Receiver<()>) {
    let mut reading = tokio::spawn(evidence.clone().keep_stderr(stderr));
    let how = tokio::select! {
        how = group.ended() => Some(how),
        _ = closing => group.end().await,
    };
    group.signal(Signal::KILL);
    // Its number may be another's from here on.
    group.leader = None;
    // What it started may hold its error output open no longer than this.
    if tokio::time::timeout(LAST_WORDS, &mut reading).await.is_err() {
        reading.abort();
    }
    evidence.exited(how);
}

/// A child and everything it started. Whatever becomes of the task that holds it, they end with it.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Group { child, leader }
    }

    /// Fails only where nobody is left to hear it.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Waits for the leader; how it ended.
    async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// The shutdown of a server over stdio (MCP, transports): its input is closed; it gets time, a signal, time.
    async fn end(&mut self) -> Option<String> {
        if let Ok(how) = tokio::time::timeout(GRACE, self.ended()).await {
            return Some(how);
        }
        self.signal(Signal::TERM);
        tokio::time::timeout(GRACE, self.ended()).await.ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// JSON lines over a child's standard streams; dropping it closes the child's input.
struct ChildTransport {
    lines: AsyncRwTransport<RoleClient, Watched<ChildStdout>, ChildStdin>,
    _open: oneshot::Sender<()>,
}

impl Transport<RoleClient> for ChildTransport {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.lines.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.lines.receive().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.lines.close().await
    }
}

#[cfg(test)]
mod tests;
