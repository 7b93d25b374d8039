//! What `scripts/verify` measures with: stores with a million sleepers or a hundred thousand timers, written through
//! the real log. What happens on them then is the real server's business, in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use control::{Checks, Gate, apply};
use data::audit::Auditor;
use data::commit::Log;
use data::tail::Views;
use domain::clock::{Clock, Stopwatch, SystemClock, Timestamp};
use domain::descriptor::parse_file;
use domain::id::{MailId, Name, SessionId, TraceId};
use domain::mail::{Mail, MailBody, Start};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Caller, Link, Principal};
use serde::Serialize;
use tokio::task::JoinSet;

use super::figures::Samples;
use super::sleep::put_to_sleep;
use super::stage::log_on;
use super::text::{LONGEST, Words};

/// How many sessions are written at once.
const AT_ONCE: usize = 512;

/// How much mail is posted at once.
const POSTED_AT_ONCE: usize = 512;

/// How long the views may take to follow millions of records.
const VIEWS_WITHIN: Duration = Duration::from_secs(7200);

/// Who the sessions of a heavy store belong to: `sleeper-0`, `sleeper-1`, …
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// How many agents share the sessions.
    pub agents: usize,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many times each of them thought and acted: 1 leaves 5 records, 16 leave 50.
    pub rounds: usize,
    /// Of every so many sessions, one with 50 records; 0: none.
    pub long_every: usize,
    /// Whether what is said is text that cannot be compressed.
    pub incompressible: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Written {
    /// Sessions.
    pub sessions: usize,
    /// Bytes that were said in them.
    pub said: u64,
    /// How long the writing took, in seconds.
    pub seconds: f64,
    /// How long the views took to follow, after that.
    pub views_seconds: f64,
}

/// A store without a server.
struct Quiet {
    log: Log,
    gate: Arc<Gate>,
    views: Views,
}

impl Quiet {
    async fn open(dir: &Path) -> anyhow::Result<Quiet> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = log_on(dir, &clock).await?;
        let any = Checks {
            price: Arc::new(models::price_check),
            pin: Arc::new(models::pin_check),
            secret: Arc::new(|_| true),
        };
        let gate = Gate::open(log.clone(), &log.sealer().derive("approvals"), any).await?;
        let views = Views::start(log.clone(), Some(Auditor::open(&log, dir)?));
        Ok(Quiet { log, gate, views })
    }

    async fn apply(&self, text: &str) -> anyhow::Result<()> {
        let found = parse_file("agents.yaml", text, &|_| None);
        let descriptors = found.map_err(|wrong| anyhow::anyhow!("the descriptors are wrong: {wrong:?}"))?;
        apply::apply(&self.gate, &Caller::Admin, descriptors, false).await?;
        Ok(())
    }

    fn principal(&self, agent: &Name, session: SessionId) -> anyhow::Result<Principal> {
        let registry = self.gate.registry();
        let entry = registry.agent(agent).with_context(|| format!("there is no agent {agent}"))?;
        Ok(Principal {
            link: Link { agent: agent.clone(), revision: entry.revision, session, call: None },
            owner: entry.descriptor.metadata.owner.clone(),
            on_behalf_of: None,
            parents: Vec::new(),
            autonomy: Autonomy::Autonomous,
        })
    }

    /// Waits for the views, and closes everything.
    async fn close(self) {
        self.views.caught_up(VIEWS_WITHIN).await;
        self.views.stop().await;
        self.log.stop().await;
    }
}

/// The agent and the key of the session with this number.
fn whose(at: usize, agents: usize) -> (String, String) {
    (format!("sleeper-{}", at % agents.max(1)), format!("s-{at}"))
}

/// Puts a population to sleep in a store; `descriptors` are applied first.
///
/// # Errors
/// When the store cannot be opened or written.
pub async fn put_population_to_sleep(
    dir: &Path,
    descriptors: &str,
    population: Population,
    say: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<Written> {
    let quiet = Arc::new(Quiet::open(dir).await?);
    quiet.apply(descriptors).await?;
    let watch = Stopwatch::start();
    let words = if population.incompressible { Words::incompressible(1) } else { Words::of(1) };
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        tasks.spawn(sleepers(quiet.clone(), next.clone(), words.clone(), population));
    }
    let mut said = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(10), tasks.join_next()).await {
            Ok(Some(ended)) => said += ended??,
            Ok(None) => break,
            Err(_) => {
                let (done, took) = (next.load(Ordering::Relaxed).min(population.sessions), watch.elapsed().as_secs());
                say(&format!("{done} of {} sessions after {took} s", population.sessions));
            }
        }
    }
    let (seconds, views) = (watch.elapsed().as_secs_f64(), Stopwatch::start());
    say("the views follow");
    let quiet = Arc::into_inner(quiet).context("every session's task has ended")?;
    quiet.close().await;
    let views_seconds = views.elapsed().as_secs_f64();
    Ok(Written { sessions: population.sessions, said, seconds, views_seconds })
}

async fn sleepers(
    quiet: Arc<Quiet>,
    next: Arc<AtomicUsize>,
    words: Words,
    population: Population,
) -> anyhow::Result<u64> {
    let mut said = 0;
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= population.sessions {
            return Ok(said);
        }
        let (agent, key) = whose(at, population.agents);
        let agent: Name = agent.parse()?;
        let session = SessionId::for_key(&agent, &key);
        let principal = quiet.principal(&agent, session)?;
        let long = population.long_every > 0 && at.is_multiple_of(population.long_every);
        let rounds = if long { 16 } else { population.rounds };
        said += put_to_sleep(&quiet.log, principal, &key, &mut words.chosen_by(at as u64), rounds).await?;
    }
}

/// How long it took to bring sleepers back into memory.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rehydrated {
    /// How many were.
    pub sessions: usize,
    /// In the middle, in milliseconds.
    pub p50_ms: f64,
    /// Of the 99th in a hundred.
    pub p99_ms: f64,
}

/// Brings random sessions of a population back into memory, one after the other; those of 50 records only, if there
/// are such.
///
/// # Errors
/// When the store cannot be opened, or one of them is not there.
pub async fn rehydrate(dir: &Path, population: Population, times: usize) -> anyhow::Result<Rehydrated> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = log_on(dir, &clock).await?;
    let mut chosen = Words::of(clock.random_u128() as u64);
    let (mut samples, every) = (Samples::default(), population.long_every.max(1));
    for _ in 0..times {
        let at = chosen.below(population.sessions.div_ceil(every)) * every;
        let (agent, key) = whose(at, population.agents);
        let session = SessionId::for_key(&agent.parse()?, &key);
        let began = Stopwatch::start();
        let loaded = log.load(session).await?.with_context(|| format!("session {session} is not there"))?;
        execution::fold(session, loaded.records).context("it began")?;
        samples.push(began.elapsed());
    }
    log.stop().await;
    Ok(Rehydrated { sessions: times, p50_ms: samples.percentile_ms(50), p99_ms: samples.percentile_ms(99) })
}

/// Posts so many messages that are due within the second after `due`, each to a session of its own that begins then.
///
/// # Errors
/// When the store cannot be opened or written.
pub async fn set_timers(
    dir: &Path,
    descriptors: &str,
    (agents, timers): (usize, usize),
    due: Timestamp,
) -> anyhow::Result<()> {
    let quiet = Quiet::open(dir).await?;
    quiet.apply(descriptors).await?;
    let mut words = Words::of(2);
    let mut batch = Vec::new();
    for at in 0..timers {
        let (agent, key) = whose(at, agents);
        let agent: Name = agent.parse()?;
        let session = SessionId::for_key(&agent, &key);
        let principal = quiet.principal(&agent, session)?;
        let start =
            Start { principal, key, trace: TraceId(session.as_u128()), case: None, partition: None, attached: false };
        let message = Message::text(Role::Person, Origin::Person, words.text(LONGEST / 4));
        let body = MailBody::Message { start: Box::new(start), from: None, message };
        let id: MailId = format!("timer:{at}").parse()?;
        batch.push(Mail { id, session, due: due.plus_ms(words.below(1000) as i64), body });
        if batch.len() == POSTED_AT_ONCE {
            quiet.log.post(std::mem::take(&mut batch)).await?;
        }
    }
    quiet.log.post(batch).await?;
    quiet.close().await;
    Ok(())
}
