//! `ostler bench`: what this machine and this disk make of Ostler. Every figure stands beside the limit that was
//! measured in the same run, turn by turn with it. It measures and judges nothing.
//!
//! ```text
//!   rounds × (disk at 1, 64, 256 ─▶ log path at 1, 64, 256 ─▶ full path at 256 ─▶ rehydrate ─▶ wake) ─▶ medians
//!   once: one long session, and what its store grew by
//! ```

mod disk;
pub mod echo;
mod figures;
mod full_path;
mod growth;
pub mod heavy;
mod log_path;
mod report;
mod script;
mod sleep;
mod stage;
mod text;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data::commit::Log;
use domain::clock::{Clock, Stopwatch, SystemClock};
use tokio::sync::mpsc::UnboundedReceiver;

pub use data::postgres::StoreUrl;
pub use report::{Limit, Report, Row};

use disk::Disk;
use figures::median;
use report::{Kind, Rounds};
use script::Script;
use sleep::Sleepers;
use stage::Stage;
use text::Words;
use walk::SAID;

/// At how many sessions the log path is measured.
const SESSIONS: [usize; 3] = [1, 64, 256];

/// What one durable call has to bring to the disk: an intent and an outcome.
const RECORD: usize = 2 * SAID;

/// How many rounds there are.
const ROUNDS: usize = 3;

/// How long a run is, and how much it looks at.
#[derive(Debug, Clone)]
pub struct Plan {
    /// About how long it takes, in all.
    pub takes: Duration,
    /// How many calls the long session has.
    pub calls: usize,
    /// An empty database to measure the log path in, and nothing else; `None`: an embedded store, and everything.
    pub store: Option<StoreUrl>,
}

impl Plan {
    /// What part of it one slice of measuring takes.
    fn slice(&self, parts_of_hundred: u32) -> Duration {
        self.takes * parts_of_hundred / 100 / ROUNDS as u32
    }

    fn sleepers(&self) -> usize {
        (self.takes.as_secs() as usize * 4).clamp(8, 200)
    }
}

/// Who is told what is measured now.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Measures, in an empty directory.
///
/// # Errors
/// When the directory or the database cannot be used, or something that must not fail does.
pub async fn run(place: &Path, plan: &Plan, say: Say<'_>) -> anyhow::Result<Report> {
    let load_before = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load_before = load_before.split_whitespace().take(3).filter_map(|load| load.parse().ok()).collect();
    let watch = Stopwatch::start();
    say("making the stores");
    let words = Words::of(1);
    let logs = Logs::open(place, plan, words.clone()).await?;
    let mut node = if plan.store.is_none() { Some(Node::open(place, plan, words.clone()).await?) } else { None };
    let mut rounds = Rounds::default();
    for round in 1..=ROUNDS {
        let which = format!("round {round} of {ROUNDS}");
        let raw = logs.round(plan, &|what| say(&format!("{which}: {what}")), &mut rounds).await?;
        if let Some(node) = &mut node {
            node.round(plan, raw, &|what| say(&format!("{which}: {what}")), &mut rounds).await?;
        }
    }
    logs.log.stop().await;
    if let Some(node) = node {
        node.stage.stop().await;
        say(&format!("a session of {} calls", plan.calls));
        let (grown, said) = growth::run(&place.join("long"), &words, plan.calls).await?;
        rounds.add(Kind::Growth, grown as f64 / 1e6, said as f64 / 1e6);
    }
    Ok(Report {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        load_before,
        took_seconds: watch.elapsed().as_secs_f64(),
        optimised: !cfg!(debug_assertions),
        rounds: ROUNDS,
        rows: rounds.rows(plan),
    })
}

/// What the disk does by itself in one round.
#[derive(Clone, Copy, Default)]
struct Raw {
    /// One flush, in milliseconds.
    flush_ms: f64,
    /// Records per second at the most sessions.
    most: f64,
}

/// A log alone, beside the disk alone.
struct Logs {
    words: Words,
    disk: Disk,
    log: Log,
}

impl Logs {
    async fn open(place: &Path, plan: &Plan, words: Words) -> anyhow::Result<Logs> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (disk, dir) = (Disk::open(place)?, place.join("log"));
        let log = match &plan.store {
            None => stage::log_on(&dir, &clock).await?,
            Some(url) => stage::log_on_empty(url, &dir, &clock).await?,
        };
        Ok(Logs { words, disk, log })
    }

    async fn round(&self, plan: &Plan, say: Say<'_>, rounds: &mut Rounds) -> anyhow::Result<Raw> {
        let mut alone = Raw::default();
        for sessions in SESSIONS {
            say(&format!("the log at {sessions}"));
            let raw = self.disk.flush(sessions, RECORD, plan.slice(5)).await?;
            let ours = log_path::run(&self.log, &self.words, sessions, plan.slice(12)).await?;
            rounds.add(Kind::LogPath(sessions), ours.per_second, raw.per_second);
            rounds.percentiles(Kind::LogPath(sessions), &ours.took);
            if sessions == 1 {
                alone.flush_ms = raw.waited.percentile_ms(50);
                rounds.add(Kind::Alone, ours.took.percentile_ms(50), 2.0 * alone.flush_ms);
                rounds.percentiles(Kind::Alone, &ours.took);
            }
            alone.most = raw.per_second;
        }
        Ok(alone)
    }
}

/// Everything that `up` runs.
struct Node {
    words: Words,
    stage: Stage,
    last_answers: UnboundedReceiver<()>,
    sleepers: Sleepers,
}

impl Node {
    async fn open(place: &Path, plan: &Plan, mut words: Words) -> anyhow::Result<Node> {
        let (script, last_answers) = Script::of(words.clone());
        let stage = Stage::open(&place.join("full"), script).await?;
        let sleepers = Sleepers::prepare(&stage, &mut words, place, plan.sleepers()).await?;
        stage.caught_up().await;
        Ok(Node { words, stage, last_answers, sleepers })
    }

    async fn round(&mut self, plan: &Plan, raw: Raw, say: Say<'_>, rounds: &mut Rounds) -> anyhow::Result<()> {
        say("everything at work");
        let at_work = (SESSIONS[2], plan.slice(18));
        let full = full_path::run(&self.stage, &mut self.last_answers, &mut self.words, at_work).await?;
        rounds.add(Kind::FullPath, full, raw.most);
        self.stage.caught_up().await;
        say("sleepers");
        let times = plan.sleepers();
        let (ours, plain) = self.sleepers.rehydrate(&self.stage.log, &mut self.words, times).await?;
        rounds.add(Kind::Rehydrate, ours.percentile_ms(50), plain.percentile_ms(50));
        rounds.percentiles(Kind::Rehydrate, &ours);
        let woken = self.sleepers.wake(&self.stage, &mut self.words, times).await?;
        while self.last_answers.try_recv().is_ok() {}
        rounds.add(Kind::Wake, woken.percentile_ms(50), 3.0 * raw.flush_ms);
        rounds.percentiles(Kind::Wake, &woken);
        Ok(())
    }
}

/// The medians of what several rounds came to.
fn middle(rounds: &[(f64, f64)]) -> (f64, f64) {
    let of = |side: fn(&(f64, f64)) -> f64| median(&rounds.iter().map(side).collect::<Vec<_>>());
    (of(|round| round.0), of(|round| round.1))
}
