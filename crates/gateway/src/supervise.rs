//! Keeps connections to upstream servers: opened when first needed, shared and kept, opened again after they die, and
//! left alone for a while when they keep failing. A server's failure costs the calls that needed it and nothing else.
//! Must not know agents, budgets or approvals.
//!
//! ```text
//! idle ──first call──▶ connecting ──▶ up ──dies, or is silent too often──▶ down ──later, on demand──▶ connecting
//!                          └────────fails────────────────────────────────────┘
//! ```

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use domain::clock::Clock;
use domain::id::Name;
use futures::FutureExt;
use futures::future::join_all;

pub use self::state::Condition;
pub(crate) use self::state::Live;

use self::state::State;
use crate::scripted_upstream::ScriptedUpstream;
use crate::secret::Secrets;
use crate::upstream::{self, Host, Outcome, Spec, ToolAnswer, ToolCall, ToolDefinition, Upstream};

/// How many calls in a row may run into their timeout before the connection is given up.
const SILENT_CALLS: u32 = 3;

/// The connections of one gateway, by server. Clones share them.
#[derive(Clone)]
pub struct Upstreams(Arc<Pool>);

struct Pool {
    outside: Arc<Outside>,
    servers: Mutex<BTreeMap<Name, Arc<Server>>>,
}

/// What connections are made with.
struct Outside {
    secrets: Secrets,
    host: Host,
    clock: Arc<dyn Clock>,
    scripted: BTreeMap<Name, ScriptedUpstream>,
}

impl Upstreams {
    /// No connections yet.
    pub fn new(secrets: Secrets, host: Host, clock: Arc<dyn Clock>) -> Self {
        Self::with_scripts(secrets, host, clock, [])
    }

    /// No connections yet; the servers of these names play a script, wherever their descriptors point.
    pub fn with_scripts(
        secrets: Secrets,
        host: Host,
        clock: Arc<dyn Clock>,
        scripted: impl IntoIterator<Item = (Name, ScriptedUpstream)>,
    ) -> Self {
        let outside = Arc::new(Outside { secrets, host, clock, scripted: scripted.into_iter().collect() });
        Upstreams(Arc::new(Pool { outside, servers: Mutex::default() }))
    }

    /// The secrets that servers are given.
    pub fn secrets(&self) -> &Secrets {
        &self.0.outside.secrets
    }

    /// How the servers that were needed so far are, by name.
    pub fn conditions(&self) -> Vec<(Name, Condition)> {
        let now = self.0.outside.clock.monotonic_ms();
        let servers = self.0.servers();
        servers.iter().map(|(name, server)| (name.clone(), server.state().condition(now))).collect()
    }

    /// Closes every connection and ends every child process.
    pub async fn stop(&self) {
        let servers: Vec<_> = std::mem::take(&mut *self.0.servers()).into_values().collect();
        let live = servers.iter().filter_map(|server| server.state().live.take());
        join_all(live.map(|live| async move { live.upstream.close().await })).await;
    }

    /// The server that `spec` describes. When the descriptor changed, the old connection ends with its last call.
    pub(crate) fn server(&self, spec: &Spec) -> Arc<Server> {
        let mut servers = self.0.servers();
        match servers.get(&spec.name) {
            Some(server) if server.spec == *spec => Arc::clone(server),
            _ => {
                let outside = Arc::clone(&self.0.outside);
                let server = Arc::new(Server { spec: spec.clone(), outside, state: Arc::default() });
                servers.insert(spec.name.clone(), Arc::clone(&server));
                server
            }
        }
    }
}

impl Pool {
    fn servers(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Server>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One server.
pub(crate) struct Server {
    spec: Spec,
    outside: Arc<Outside>,
    state: Arc<Mutex<State>>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, what: &str) -> String {
        self.outside.secrets.scrub(format!("the server `{}` cannot be used: {what}", self.spec.name))
    }

    /// A standing connection, opened if need be. All who ask meanwhile wait for the same one. `Err` is a sentence.
    pub(crate) async fn connected(&self) -> Result<Live, String> {
        let connecting = {
            let mut state = self.state();
            let now = self.outside.clock.monotonic_ms();
            if let Some(live) = state.live.clone() {
                if live.upstream.is_alive() {
                    return Ok(live);
                }
                let why = format!("the connection was lost{}", live.upstream.evidence());
                state.fell(why, now);
            }
            match (&state.connecting, &state.down) {
                (Some(connecting), _) => connecting.clone(),
                (None, Some((why, until))) if *until > now => {
                    let seconds = (until - now + 999) / 1000;
                    return Err(self.say(&format!("{why}. It is tried again in {seconds} s at the earliest")));
                }
                (None, _) => {
                    let connecting = self.connecting().boxed().shared();
                    state.connecting = Some(connecting.clone());
                    connecting
                }
            }
        };
        connecting.await.map_err(|why| self.say(&why))
    }

    /// Opens a connection and notes in the state what came of it. It holds the state weakly: the state holds it.
    fn connecting(&self) -> impl Future<Output = Result<Live, String>> + Send + use<> {
        let (spec, outside, state) = (self.spec.clone(), Arc::clone(&self.outside), Arc::downgrade(&self.state));
        async move {
            let started = outside.clock.monotonic_ms();
            let opened = open(&spec, &outside).await;
            match &opened {
                Ok(_) => tracing::info!(server = %spec.name, "connected"),
                Err(why) => tracing::warn!(server = %spec.name, "{}", outside.secrets.scrub(why.clone())),
            }
            let now = outside.clock.monotonic_ms();
            note(&state, opened, now, now - started)
        }
    }

    /// The tools of a connection, without secrets. `Err` is a sentence.
    pub(crate) async fn tools(&self, live: &Live) -> Result<Vec<ToolDefinition>, String> {
        let listed = tokio::time::timeout(self.spec.timeout, live.upstream.tools()).await;
        let silence = || format!("it did not list its tools within {:?}", self.spec.timeout);
        let tools = listed.unwrap_or_else(|_| Err(silence())).map_err(|why| self.say(&why))?;
        let secrets = &self.outside.secrets;
        Ok(tools.into_iter().map(|tool| tool.map_texts(|text| secrets.scrub_json(text))).collect())
    }

    /// Uses a tool over a connection, once. Secrets are scrubbed from whatever comes back.
    pub(crate) async fn call(&self, live: &Live, call: ToolCall) -> Outcome {
        let outcome = tokio::time::timeout(self.spec.timeout, live.upstream.call(call)).await;
        match &outcome {
            Ok(Outcome::Answered(_)) => self.spoke(),
            Ok(Outcome::NotSent { .. } | Outcome::Unknown { .. }) => {}
            Err(_) => self.kept_silent(live),
        }
        self.scrubbed(outcome.unwrap_or_else(|_| {
            let (timeout, told) = (self.spec.timeout, live.upstream.evidence());
            Outcome::Unknown { error: format!("there was no answer within {timeout:?}{told}") }
        }))
    }

    fn spoke(&self) {
        let mut state = self.state();
        (state.failures, state.silent, state.down) = (0, 0, None);
    }

    /// Gives a connection up after too many calls without an answer; it ends with the last call that holds it.
    fn kept_silent(&self, live: &Live) {
        let mut state = self.state();
        if state.live.as_ref().is_some_and(|current| current.number == live.number) {
            state.silent += 1;
            if state.silent >= SILENT_CALLS {
                let why = format!("it left {SILENT_CALLS} calls in a row without an answer");
                state.fell(why, self.outside.clock.monotonic_ms());
            }
        }
    }

    fn scrubbed(&self, outcome: Outcome) -> Outcome {
        let secrets = &self.outside.secrets;
        let named = |error: String| secrets.scrub(format!("server `{}`: {error}", self.spec.name));
        match outcome {
            Outcome::NotSent { error, retryable } => Outcome::NotSent { error: named(error), retryable },
            Outcome::Unknown { error } => Outcome::Unknown { error: named(error) },
            Outcome::Answered(answer) => Outcome::Answered(ToolAnswer {
                text: secrets.scrub(answer.text),
                structured: answer.structured.map(|value| secrets.scrub_json(value)),
                error: answer.error,
            }),
        }
    }
}

async fn open(spec: &Spec, outside: &Outside) -> Result<Arc<dyn Upstream>, String> {
    if let Some(scripted) = outside.scripted.get(&spec.name) {
        return scripted.connect();
    }
    let missing = outside.secrets.missing(spec.secrets.iter().map(String::as_str));
    if !missing.is_empty() {
        return Err(format!("it needs secrets that are not there: {}", missing.join(", ")));
    }
    upstream::connect(spec, &outside.secrets, &outside.host).await
}

fn note(
    state: &Weak<Mutex<State>>,
    opened: Result<Arc<dyn Upstream>, String>,
    now_ms: i64,
    took_ms: i64,
) -> Result<Live, String> {
    let Some(state) = state.upgrade() else { return Err("the gateway has stopped".to_owned()) };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.connecting = None;
    match opened {
        Ok(upstream) => {
            state.connections += 1;
            let live = Live { upstream, number: state.connections };
            state.live = Some(live.clone());
            Ok(live)
        }
        Err(why) => {
            state.did_not_open(why.clone(), now_ms, took_ms);
            Err(why)
        }
    }
}

#[cfg(test)]
mod tests;
