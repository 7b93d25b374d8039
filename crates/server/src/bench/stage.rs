//! A node to measure, wired as the server wires it: log, gate, doors, views, runtime, on a disk of the caller's choice.
//! What differs is outside: the model and the one upstream are scripted, and count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use control::{Checks, Gate, apply};
use data::audit::Auditor;
use data::commit::Log;
use data::postgres::{PostgresStore, StoreUrl};
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::Store;
use data::tail::Views;
use domain::clock::{Clock, SystemClock};
use domain::descriptor::parse_file;
use domain::id::{MailId, Name, SessionId, TraceId};
use domain::mail::{Mail, MailBody, Start};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Caller, Link, Principal};
use execution::{Options, Runtime};
use gateway::ScriptedUpstream;

use super::script::Script;

/// What it runs.
const AGENTS: &str = include_str!("agents.yaml");

/// How long calls may take to end at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// A node.
pub(super) struct Stage {
    /// Its log.
    pub(super) log: Log,
    /// Its execution plane.
    pub(super) runtime: Runtime,
    /// What its model and its upstream say, and how often they were asked.
    pub(super) script: Arc<Script>,
    gate: Arc<Gate>,
    gateway: gateway::Door,
    views: Views,
    posted: AtomicU64,
    dir: PathBuf,
}

/// A log alone, on a new store.
pub(super) async fn log_on(dir: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<Log> {
    let store = Arc::new(SqliteStore::open(dir, clock.clone())?);
    let sealer = Sealer::open(dir, store.about(), clock.clone())?;
    Ok(Log::open(store, sealer, clock.clone(), "bench").await?)
}

/// A log alone, in a database that nobody has kept anything in: what is measured stays there.
pub(super) async fn log_on_empty(url: &StoreUrl, dir: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<Log> {
    let store = Arc::new(PostgresStore::open(url, clock.clone()).await?);
    anyhow::ensure!(
        store.about().fresh,
        "{url} holds an Ostler's sessions already: name an empty database to measure in"
    );
    std::fs::create_dir_all(dir)?;
    let sealer = Sealer::open(dir, store.about(), clock.clone())?;
    Ok(Log::open(store, sealer, clock.clone(), "bench").await?)
}

impl Stage {
    /// A new one in an empty directory.
    pub(super) async fn open(dir: &Path, script: Arc<Script>) -> anyhow::Result<Stage> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = log_on(dir, &clock).await?;
        let any = Checks {
            price: Arc::new(models::price_check),
            pin: Arc::new(models::pin_check),
            secret: Arc::new(|_| true),
        };
        let gate = Gate::open(log.clone(), &log.sealer().derive("approvals"), any).await?;
        let agents = parse_file("agents.yaml", AGENTS, &|_| None)
            .map_err(|wrong| anyhow::anyhow!("the benchmark's descriptors are wrong: {wrong:?}"))?;
        apply::apply(&gate, &Caller::Admin, agents, false).await?;
        let views = Views::start(log.clone(), Some(Auditor::open(&log, dir)?));
        let (models, gateway) = doors(&gate, &clock, &script);
        let runtime = Runtime::start(log.clone(), models, gateway.clone(), Options::default());
        let (posted, dir) = (AtomicU64::new(0), dir.to_owned());
        Ok(Stage { log, runtime, script, gate, gateway, views, posted, dir })
    }

    /// Who a session of an agent is.
    pub(super) fn principal(&self, agent: &str, session: SessionId) -> anyhow::Result<Principal> {
        let agent: Name = agent.parse()?;
        let registry = self.gate.registry();
        let entry = registry.agent(&agent).with_context(|| format!("there is no agent {agent}"))?;
        Ok(Principal {
            link: Link { agent, revision: entry.revision, session, call: None },
            owner: entry.descriptor.metadata.owner.clone(),
            on_behalf_of: None,
            parents: Vec::new(),
            autonomy: Autonomy::Autonomous,
        })
    }

    /// Writes to a session of an agent; durable when it returns.
    pub(super) async fn write_to(&self, agent: &str, key: &str, words: &str) -> anyhow::Result<SessionId> {
        let session = SessionId::for_key(&agent.parse()?, key);
        let principal = self.principal(agent, session)?;
        let start = Start {
            principal,
            key: key.to_owned(),
            trace: TraceId(session.as_u128()),
            case: None,
            partition: None,
            attached: false,
        };
        let message = Message::text(Role::Person, Origin::Person, words);
        let body = MailBody::Message { start: Box::new(start), from: None, message };
        let id: MailId = format!("msg:{}", self.posted.fetch_add(1, Ordering::Relaxed)).parse()?;
        self.runtime.accept(Mail { id, session, due: self.log.clock().now(), body }).await?;
        Ok(session)
    }

    /// Waits until nobody is awake.
    pub(super) async fn rests(&self) {
        while !self.runtime.awake().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the views hold everything that was committed.
    pub(super) async fn caught_up(&self) {
        self.views.caught_up(Duration::from_secs(600)).await;
    }

    /// Stops as the server stops; where its store is.
    pub(super) async fn stop(self) -> PathBuf {
        self.runtime.stop(DRAIN).await;
        self.gateway.stop().await;
        self.views.stop().await;
        self.log.stop().await;
        self.dir
    }
}

fn doors(gate: &Arc<Gate>, clock: &Arc<dyn Clock>, script: &Arc<Script>) -> (models::Door, gateway::Door) {
    let scripted = |name: &str| name.parse().expect("a name of the benchmark is one");
    let models = models::Door::new(models::Parts {
        gate: gate.clone(),
        clock: clock.clone(),
        secrets: Arc::new(|_| None),
        pace: Duration::ZERO,
        scripts: BTreeMap::from([(scripted("bench"), script.model())]),
    });
    let upstream: ScriptedUpstream = script.upstream();
    let host = gateway::Host::new("ostler".into(), []);
    let secrets = gateway::Secrets::new(BTreeMap::new());
    let upstreams = gateway::Upstreams::with_scripts(secrets, host, clock.clone(), [(scripted("office"), upstream)]);
    (models, gateway::Door::new(gate.clone(), clock.clone(), upstreams))
}
