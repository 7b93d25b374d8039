//! What runs: per agent what is at work, waits and costs, beside what it may; and how the node does. From counts, memory
//! and views only: no session is read for it, but for the reason of a failure now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use control::budget::{Balance, Limit};
use data::commit::Log;
use data::spend::{By, Cost};
use data::store::HeadFilter;
use domain::budget::Window;
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Name, SessionId};
use domain::session::Phase;
use serde::Serialize;

use crate::app::App;
use crate::auth::Who;
use crate::error::ApiResult;

/// How old what was found of an agent's failures may be before it is looked for again, in milliseconds.
const FAILURES_KEPT_MS: i64 = 10_000;

/// The shortest time that a rate is of, in milliseconds.
const RATE_OVER_MS: i64 = 1_000;

/// What runs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Top {
    pub node: Node,
    /// Agents, the busiest first.
    pub agents: Vec<Line>,
}

/// How the node does.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Node {
    /// Sessions in memory.
    pub awake: u64,
    /// Sessions by phase.
    pub sessions: BTreeMap<String, u64>,
    /// Each bound of the node, how much of it is in use, and how much may be.
    pub bounds: Vec<Bound>,
    /// Records committed, ever.
    pub commits: u64,
    /// The same per second, lately.
    pub commits_per_s: f64,
    /// What the log takes on the disk, where it is embedded.
    pub log_bytes: Option<u64>,
    /// What this process holds in memory.
    pub rss_bytes: Option<u64>,
    /// How long it has been up, in milliseconds.
    pub up_ms: i64,
    /// Why the store takes nothing, where it does not, and how many sessions wait for it.
    pub outage: Option<Outage>,
}

/// That the store takes nothing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outage {
    pub since: Timestamp,
    pub why: String,
    pub sessions: u64,
}

/// A bound and where it is now.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bound {
    pub bound: String,
    pub now: u64,
    pub limit: u64,
}

/// One agent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub agent: Name,
    /// Its sessions by phase.
    pub sessions: BTreeMap<String, u64>,
    /// Each of its bounds that it is using: messages queued, sessions active.
    pub bounds: Vec<Bound>,
    /// What it spent in the hour that runs, and today (UTC).
    pub hour: Spent,
    pub today: Spent,
    /// Its budgets, and how much of each is spent and held.
    pub budgets: Vec<Budget>,
    /// Its latest failure.
    pub last_error: Option<Failure>,
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Spent {
    pub calls: i64,
    pub usd_micros: i64,
}

/// A budget, in its meter's unit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Budget {
    pub meter: domain::budget::Meter,
    pub per: Window,
    pub cap: i64,
    pub spent: i64,
    pub reserved: i64,
}

/// A session that could not go on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    pub session: SessionId,
    pub at: Timestamp,
    pub why: String,
}

/// What is remembered between two looks.
#[derive(Debug)]
pub(crate) struct Looks {
    began_ms: i64,
    rate: Mutex<Rate>,
    failures: Mutex<HashMap<Name, (i64, Option<Failure>)>>,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    at_ms: i64,
    commits: u64,
    per_s: f64,
}

impl Looks {
    /// The first look, as the server starts.
    pub(crate) fn begin(log: &Log) -> Looks {
        Looks::at(log.clock().monotonic_ms(), committed(log))
    }

    fn at(began_ms: i64, commits: u64) -> Looks {
        let rate = Rate { at_ms: began_ms, commits, per_s: 0.0 };
        Looks { began_ms, rate: Mutex::new(rate), failures: Mutex::default() }
    }

    /// Commits per second, over a second at least, or since the look before.
    fn rate(&self, now_ms: i64, commits: u64) -> f64 {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = now_ms - rate.at_ms;
        if since_ms >= RATE_OVER_MS {
            let per_s = commits.saturating_sub(rate.commits) as f64 * 1000.0 / since_ms as f64;
            *rate = Rate { at_ms: now_ms, commits, per_s: (per_s * 10.0).round() / 10.0 };
        }
        rate.per_s
    }
}

/// `/api/top`.
pub(crate) async fn show(State(app): State<App>, _: Who) -> ApiResult<Json<Top>> {
    top(&app).await.map(Json)
}

/// What runs now.
pub(crate) async fn top(app: &App) -> ApiResult<Top> {
    let now = app.clock.now();
    let counts = app.log.counts().await?;
    let hour = app.views.cost(By::Agent, Window::Hour.start(now)).await?;
    let today = app.views.cost(By::Agent, Window::Day.start(now)).await?;
    let (registry, gauges) = (app.gate.registry(), app.runtime.gauges());
    let mut agents: BTreeMap<Name, BTreeMap<String, u64>> =
        registry.agents().map(|(name, _)| (name.clone(), BTreeMap::new())).collect();
    let mut sessions = BTreeMap::new();
    for count in counts.iter().filter(|count| count.sessions > 0) {
        let phase = count.phase.to_string();
        *sessions.entry(phase.clone()).or_default() += count.sessions;
        *agents.entry(count.agent.clone()).or_default().entry(phase).or_default() += count.sessions;
    }
    let bounds = |agent: &str| -> Vec<Bound> {
        let of = gauges.iter().filter(|gauge| gauge.agent == agent);
        of.map(|gauge| Bound { bound: gauge.bound.to_owned(), now: gauge.now, limit: gauge.limit }).collect()
    };
    let mut lines = Vec::new();
    for (agent, sessions) in agents {
        let failed = sessions.contains_key(&Phase::Failed.to_string());
        lines.push(Line {
            bounds: bounds(agent.as_str()),
            hour: spent(&hour, &agent),
            today: spent(&today, &agent),
            budgets: budgets(app, &agent),
            last_error: if failed { last_error(app, &agent).await? } else { None },
            sessions,
            agent,
        });
    }
    lines.sort_by_key(|line| std::cmp::Reverse((at_work(line), line.today.calls)));
    let commits = committed(&app.log);
    let now_ms = app.clock.monotonic_ms();
    let node = Node {
        awake: app.runtime.awake().len() as u64,
        sessions,
        bounds: bounds(""),
        commits,
        commits_per_s: app.looks.rate(now_ms, commits),
        log_bytes: log_bytes(&app.data),
        rss_bytes: rss_bytes(),
        up_ms: now_ms - app.looks.began_ms,
        outage: app.log.outage().map(told),
    };
    Ok(Top { node, agents: lines })
}

fn told(outage: data::commit::Outage) -> Outage {
    Outage { since: outage.since, why: outage.why, sessions: outage.sessions.len() as u64 }
}

/// How many records were ever committed: positions are dense.
fn committed(log: &Log) -> u64 {
    log.positions().iter().map(|(_, pos)| pos.0).sum::<u64>() + log.control_pos().0
}

fn at_work(line: &Line) -> u64 {
    let of = |phase: Phase| line.sessions.get(&phase.to_string()).copied().unwrap_or(0);
    of(Phase::Running) + of(Phase::Ready)
}

fn spent(cost: &Cost, agent: &Name) -> Spent {
    let line = cost.lines.iter().find(|line| line.name == agent.as_str());
    line.map_or_else(Spent::default, |line| {
        let amounts = &line.tally.amounts;
        Spent { calls: amounts.calls, usd_micros: amounts.usd_micros }
    })
}

fn budgets(app: &App, agent: &Name) -> Vec<Budget> {
    let all = app.gate.balances(agent).into_iter();
    let shown = all.map(|(Limit { budget, cap, .. }, Balance { spent, reserved, .. })| Budget {
        meter: budget.meter,
        per: budget.window,
        cap,
        spent,
        reserved,
    });
    shown.collect()
}

/// An agent's latest failure, found again at most every ten seconds.
async fn last_error(app: &App, agent: &Name) -> ApiResult<Option<Failure>> {
    let now_ms = app.clock.monotonic_ms();
    let known = app.looks.failures.lock().unwrap_or_else(PoisonError::into_inner).get(agent).cloned();
    if let Some((_, failure)) = known.filter(|(at, _)| now_ms - at < FAILURES_KEPT_MS) {
        return Ok(failure);
    }
    let filter =
        HeadFilter { agent: Some(agent.clone()), phases: vec![Phase::Failed], limit: Some(1), ..HeadFilter::default() };
    let failure = match app.log.heads(filter).await?.pop() {
        Some((session, head, _)) => Some(Failure { session, at: head.since, why: reason(app, session).await? }),
        None => None,
    };
    let mut failures = app.looks.failures.lock().unwrap_or_else(PoisonError::into_inner);
    failures.insert(agent.clone(), (now_ms, failure.clone()));
    Ok(failure)
}

async fn reason(app: &App, session: SessionId) -> ApiResult<String> {
    let Some(past) = app.log.past(session).await? else { return Ok(String::new()) };
    let events = past.records.into_iter().rev().filter_map(|record| record.events).flatten();
    let reasons = events.filter_map(|event| match event {
        Event::Failed { reason, .. } => Some(reason),
        _ => None,
    });
    Ok(reasons.take(1).collect())
}

fn log_bytes(data: &std::path::Path) -> Option<u64> {
    let bytes = |name: &str| std::fs::metadata(data.join(name)).ok().map(|file| file.len());
    bytes("ostler.db").map(|store| store + bytes("ostler.db-wal").unwrap_or(0))
}

/// `VmRSS` of this process (proc(5)).
fn rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::{Looks, rss_bytes};

    #[test]
    fn a_rate_is_over_a_second_at_least() {
        let looks = Looks::at(1_000, 50);
        assert_eq!(looks.rate(1_500, 60), 0.0);
        assert_eq!(looks.rate(3_000, 250), 100.0);
        assert_eq!(looks.rate(3_100, 900), 100.0);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(rss_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
