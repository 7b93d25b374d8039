//! What a run came to, row by row: figures, limits, ratios, and what each of them means. It measures nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::{Samples, median};
use super::{Plan, middle};

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Cores that this process may use.
    pub cores: usize,
    /// The machine's load average over 1, 5 and 15 minutes before the run; empty where that cannot be known.
    pub load_before: Vec<f64>,
    /// How long the run took.
    pub took_seconds: f64,
    /// Whether this binary was built with optimisation: without it no figure means much.
    pub optimised: bool,
    /// How many rounds the medians are of.
    pub rounds: usize,
    /// The figures.
    pub rows: Vec<Row>,
}

/// One figure beside its limit.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it means, in one line.
    pub means: String,
    /// The unit of both figures.
    pub unit: &'static str,
    /// Ostler's figure.
    pub ostler: f64,
    /// The median of the rounds' medians, in milliseconds, where single times were taken.
    pub p50_ms: Option<f64>,
    /// The same of the 99th in a hundred.
    pub p99_ms: Option<f64>,
    /// What nothing could beat here, in the same run.
    pub limit: Limit,
    /// Ostler's figure by the limit's.
    pub ratio: f64,
    /// Ostler's figure and the limit's, round by round.
    pub rounds: Vec<(f64, f64)>,
}

/// What nothing could beat.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// What was measured.
    pub is: &'static str,
    /// Its figure.
    pub value: f64,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    LogPath(usize),
    FullPath,
    Alone,
    Rehydrate,
    Wake,
    Growth,
}

/// What was measured so far.
#[derive(Default)]
pub(super) struct Rounds {
    figures: BTreeMap<Kind, Vec<(f64, f64)>>,
    percentiles: BTreeMap<Kind, Vec<(f64, f64)>>,
}

impl Rounds {
    /// Ostler's figure and the limit's, of one round.
    pub(super) fn add(&mut self, kind: Kind, ostler: f64, limit: f64) {
        self.figures.entry(kind).or_default().push((ostler, limit));
    }

    /// The single times of one round.
    pub(super) fn percentiles(&mut self, kind: Kind, samples: &Samples) {
        let both = (samples.percentile_ms(50), samples.percentile_ms(99));
        self.percentiles.entry(kind).or_default().push(both);
    }

    /// The rows, in the order of `Kind`.
    pub(super) fn rows(self, plan: &Plan) -> Vec<Row> {
        let row = |(kind, rounds): (&Kind, &Vec<(f64, f64)>)| {
            let (ostler, limit) = middle(rounds);
            let ratios: Vec<f64> = rounds.iter().map(|(ours, limit)| ours / limit.max(f64::EPSILON)).collect();
            let times = self.percentiles.get(kind).map(|times| middle(times));
            let (name, means, unit, is) = kind.words(plan);
            Row {
                name,
                means,
                unit,
                ostler,
                p50_ms: times.map(|times| times.0),
                p99_ms: times.map(|times| times.1),
                limit: Limit { is, value: limit },
                ratio: median(&ratios),
                rounds: rounds.clone(),
            }
        };
        self.figures.iter().map(row).collect()
    }
}

const DISK: &str = "the disk's group-committed append of the same 2 KB at the same concurrency";

impl Kind {
    fn words(self, plan: &Plan) -> (String, String, &'static str, &'static str) {
        match self {
            Kind::LogPath(sessions) => (
                format!("log path, {sessions}"),
                "durable calls, intent and outcome of 1 KB each, through the log and its sealing; the gate is left out"
                    .to_owned(),
                "calls/s",
                DISK,
            ),
            Kind::FullPath => (
                "full path, 256".to_owned(),
                "the same with everything that `up` runs: machine, decision, budgets, MCP gateway, views".to_owned(),
                "calls/s",
                DISK,
            ),
            Kind::Alone => (
                "one session alone".to_owned(),
                "from wanting a call until its outcome is durable, nobody else at work".to_owned(),
                "ms",
                "two flushes of the disk",
            ),
            Kind::Rehydrate => (
                "rehydrate 50 records".to_owned(),
                "a sleeping session of 50 records comes back into memory".to_owned(),
                "ms",
                "the same events read from one plain file and parsed",
            ),
            Kind::Wake => (
                "wake and answer".to_owned(),
                "a message to a sleeping session of 50 records until its (scripted) answer is durable".to_owned(),
                "ms",
                "three flushes of the disk",
            ),
            Kind::Growth => (
                "a long session".to_owned(),
                format!("what the store grew by for one session of {} calls", plan.calls),
                "MB",
                "the bytes said in it",
            ),
        }
    }
}
