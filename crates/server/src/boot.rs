//! The one wiring place: config → store → gate → doors → scheduler → router. It holds no rules.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use control::gate::Gate;
use control::readiness::Checks;
use control::{identity, people};
use data::audit::Auditor;
use data::commit::Log;
use data::hold::{Held, hold};
use data::postgres::PostgresStore;
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::Store;
use data::tail::Views;
use domain::clock::{Clock, SystemClock};
use domain::control::KeyHolder;
use domain::principal::Caller;
use execution::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::top::Looks;
use crate::app::{App, Serving};
use crate::config::{Config, Secrets};
use crate::console::session::Logins;
use crate::mcp::Mcp;
use crate::{ingress, routes, schedules, webhooks};

/// How long answers that are on their way may take once nothing new is done.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A server that runs.
pub struct Running {
    /// Its address.
    pub url: String,
    /// An administrator's key.
    pub admin_key: String,
    runtime: Runtime,
    gateway: gateway::Door,
    views: Views,
    log: Log,
    drain: Duration,
    stop: watch::Sender<Serving>,
    hang_up: watch::Sender<bool>,
    tasks: Tasks,
    /// Until the log has ended: nobody else may act under this node's name.
    _held: Option<Held>,
}

/// What runs beside the planes' own tasks.
struct Tasks {
    serving: JoinHandle<()>,
    calling: JoinHandle<()>,
    following: JoinHandle<()>,
    returning: JoinHandle<()>,
}

/// Starts a server and returns once it answers.
///
/// # Errors
/// One sentence that says what is wrong and what to do: the data directory is held by another process, belongs to
/// another program or a newer version, cannot be written; the address is taken.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (store, node, held) = store(&config, &clock).await?;
    let sealer = Sealer::open(&config.data, store.about(), clock.clone())?;
    let (approvals, guests) = (sealer.derive("approvals"), sealer.derive("mcp"));
    let log = Log::open(store, sealer, clock.clone(), &node).await?;
    let gate = Gate::open(log.clone(), &approvals, checks(&config.secrets)).await?;
    let models = models_door(&gate, &clock, &config);
    let gateway = gateway_door(&gate, &clock, &config);
    let views = Views::start(log.clone(), Some(Auditor::open(&log, &config.data)?));
    let following = tokio::spawn(control::thaw::follow(gate.clone()));
    let returning = tokio::spawn(control::budget::follow(gate.clone()));
    let (triggers, starts) = (schedules::triggers(&gate), ingress::starts(&gate));
    let options = execution::Options { triggers, starts, ..execution::Options::default() };
    let runtime = Runtime::start(log.clone(), models.clone(), gateway.clone(), options);
    let listener = listen(config.listen)?;
    let url = format!("http://{}", listener.local_addr()?);
    let public = config.public_url.as_ref().map_or_else(|| url.clone(), ToString::to_string);
    let admin_key = admin_key(&gate, &config.data, (&url, &public)).await?;
    let (stop, serving) = watch::channel(Serving::Open);
    let webhooks = webhooks::Parts {
        log: log.clone(),
        gate: gate.clone(),
        clock: clock.clone(),
        secrets: gateway::Secrets::new(config.secrets.0.clone()),
        statuses: Arc::default(),
        mailer: mailer(&config)?,
        url: public.as_str().into(),
    };
    let app = App {
        log: log.clone(),
        gate,
        runtime: runtime.clone(),
        models,
        gateway: gateway.clone(),
        mcp: Arc::new(Mcp::new(&guests, clock.clone())),
        clock,
        logins: Arc::new(Logins::at(&url)),
        views: views.clone(),
        followers: Arc::new(tokio::sync::Semaphore::new(crate::api::events::FOLLOWERS)),
        looks: Arc::new(Looks::begin(&log)),
        past: Arc::default(),
        data: config.data.as_path().into(),
        backing_up: Arc::new(tokio::sync::Semaphore::new(1)),
        undoing: Arc::default(),
        webhooks: webhooks.clone(),
        serving: serving.clone(),
        secrets: Arc::new(config.secrets),
        url: public,
        listens: url.clone(),
    };
    tokio::spawn(schedules::keep(log.clone(), app.gate.clone(), serving.clone()));
    let (hang_up, hung_up) = watch::channel(false);
    let calling = tokio::spawn(webhooks::supervise(webhooks, hung_up));
    let serving = tokio::spawn(serve(listener, routes::router(app), serving));
    let drain = config.drain;
    let tasks = Tasks { serving, calling, following, returning };
    Ok(Running { url, admin_key, runtime, gateway, views, log, drain, stop, hang_up, tasks, _held: held })
}

/// The store, this node's name, and, where the store is elsewhere, the hold on the data directory.
async fn store(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<(Arc<dyn Store>, String, Option<Held>)> {
    let Some(url) = &config.store else {
        let store = SqliteStore::open(&config.data, clock.clone())?;
        return Ok((Arc::new(store), format!("pid {}", std::process::id()), None));
    };
    let held = hold(&config.data)?;
    let store = PostgresStore::open(url, clock.clone()).await?;
    Ok((Arc::new(store), held.node(), Some(held)))
}

impl Running {
    /// Stops: new work is refused, calls in flight end within the drain time, streams and waits are let go, views
    /// catch up, a checkpoint is signed.
    pub async fn stop(self) {
        self.stop.send_replace(Serving::Draining);
        self.runtime.stop(self.drain).await;
        self.tasks.following.abort();
        self.tasks.returning.abort();
        self.gateway.stop().await;
        self.stop.send_replace(Serving::Closed);
        let mut serving = self.tasks.serving;
        if tokio::time::timeout(LAST_WORDS, &mut serving).await.is_err() {
            serving.abort();
        }
        self.hang_up.send_replace(true);
        if let Err(error) = self.tasks.calling.await {
            tracing::error!(%error, "the webhooks' task did not end well");
        }
        self.views.stop().await;
        self.log.stop().await;
    }
}

/// How many connections may wait to be accepted; the kernel bounds it by `net.core.somaxconn`. Where more than wait come
/// at once, Linux turns to SYN cookies, and resets those for which there is still no room when they first say something:
/// with the usual 128, some of a thousand clients that connect at once are.
const CONNECTIONS_WAITING: u32 = 4_096;

fn listen(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let bound = || {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        }?;
        // A server that starts again takes its own address back at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(CONNECTIONS_WAITING)
    };
    bound().with_context(|| {
        format!("{address} cannot be listened on: is another server there? give another with --listen")
    })
}

async fn serve(listener: tokio::net::TcpListener, router: axum::Router, mut serving: watch::Receiver<Serving>) {
    // Without this, small answers wait for the other side's delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stop = async move {
        let _ = serving.wait_for(|serving| *serving == Serving::Closed).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the listener ended");
    }
}

/// The administrator's key: made once, kept in `admin.key`; where it was lost, whoever owns the directory gets another.
async fn admin_key(gate: &Gate, data: &Path, (url, public): (&str, &str)) -> anyhow::Result<String> {
    let file = data.join("admin.key");
    let kept = std::fs::read_to_string(&file).ok().map(|key| key.trim().to_owned());
    let known = kept.filter(|key| identity::authenticate(&gate.registry(), key).is_some());
    let key = match known {
        Some(key) => key,
        None => match people::bootstrap(gate).await? {
            Some(minted) => minted.key,
            None => people::add_key(gate, &Caller::Admin, &KeyHolder::Admin).await?.key,
        },
    };
    private(&file, &format!("{key}\n"))?;
    let context = serde_json::json!({ "url": url, "public_url": public, "key": key, "pid": std::process::id() });
    private(&data.join("context.json"), &format!("{context:#}\n"))?;
    Ok(key)
}

/// Writes a file that only its owner can read, whole or not at all.
fn private(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).and_then(|mut out| {
        // A file that was left there keeps the mode it had.
        out.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        out.write_all(text.as_bytes())?;
        out.sync_all()
    });
    written
        .and_then(|()| std::fs::rename(&beside, file))
        .with_context(|| format!("{} could not be written", file.display()))
}

fn models_door(gate: &Arc<Gate>, clock: &Arc<dyn Clock>, config: &Config) -> models::Door {
    let secrets = config.secrets.clone();
    models::Door::new(models::Parts {
        gate: gate.clone(),
        clock: clock.clone(),
        secrets: Arc::new(move |name| secrets.0.get(name).cloned()),
        pace: config.scripted_pace,
        scripts: BTreeMap::new(),
    })
}

/// Whoever hands in mail for people, where there is a relay.
fn mailer(config: &Config) -> anyhow::Result<Option<gateway::mail::Mailer>> {
    let Some((relay, from)) = &config.mail else { return Ok(None) };
    let password = config.secrets.0.get("SMTP_PASSWORD").map(String::as_str);
    let made = gateway::mail::Mailer::at(relay, from, password);
    made.map(Some).map_err(|why| anyhow::anyhow!("mail cannot be sent: {why}"))
}

fn gateway_door(gate: &Arc<Gate>, clock: &Arc<dyn Clock>, config: &Config) -> gateway::Door {
    let secrets = gateway::Secrets::new(config.secrets.0.clone());
    gateway::Door::new(
        gate.clone(),
        clock.clone(),
        gateway::Upstreams::new(secrets, config.host.clone(), clock.clone()),
    )
}

/// What only the machine around the control plane knows: prices and secrets.
pub(crate) fn checks(secrets: &Secrets) -> Checks {
    let names: std::collections::BTreeSet<String> = secrets.0.keys().cloned().collect();
    Checks {
        price: Arc::new(models::price_check),
        pin: Arc::new(models::pin_check),
        secret: Arc::new(move |name| names.contains(name)),
    }
}

/// One of the demo's own MCP servers, over standard input and output, until standard input ends.
///
/// # Errors
/// If there is no such server, or its files cannot be read.
pub async fn demo_mcp_server(which: &str, files: &Path, delay: Duration) -> anyhow::Result<()> {
    Ok(gateway::bundled::serve(which, files, delay).await?)
}

/// Writes the demo's invoices, ledger and vendors into a directory.
///
/// # Errors
/// If they cannot be written.
pub fn write_demo_data(dir: &Path) -> anyhow::Result<()> {
    Ok(gateway::bundled::write_demo_data(dir)?)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::listen;

    /// More than the usual backlog, and no more than a process may have files open.
    const AT_ONCE: usize = 500;

    #[tokio::test]
    async fn very_many_may_connect_at_once_before_the_first_is_accepted() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let connects = (0..AT_ONCE).map(|_| tokio::net::TcpStream::connect(address));
        let all = futures::future::try_join_all(connects);
        // Where there is no room the kernel drops the first packet, and the client sends it again after a second, two, four.
        let all = tokio::time::timeout(Duration::from_secs(30), all).await.expect("there is no room for all").unwrap();
        assert_eq!(all.len(), AT_ONCE);
    }
}
