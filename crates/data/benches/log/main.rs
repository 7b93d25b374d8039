//! How fast the embedded log is, beside the raw log of the same disk and the same run; and what it takes on the disk.
//!
//! ```text
//! cargo bench -p data --bench log -- calls [SESSIONS] [SECONDS] [views]   calls/s, p50, p99, ratio to the raw log
//! cargo bench -p data --bench log -- disk  [SESSIONS] [noise]             bytes, per record and per session; rehydrate
//! cargo bench -p data --bench log -- long  [CALLS] [noise]                bytes of one long session
//! ```
//!
//! OSTLER_BENCH_DIR says where; by default a directory of its own under the system's for temporary files.

mod raw;
mod story;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data::commit::{Log, SessionWriter};
use data::record::Stamp;
use data::rows::Rows;
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::Store;
use data::tail::Views;
use domain::clock::{Clock, Stopwatch, SystemClock};
use domain::session::Phase;

use crate::raw::RawLog;
use crate::story::{SAID, Said, Words};

/// How often each of the two is measured, in turn.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |at: usize, otherwise: u64| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(otherwise);
    let noise = if words.iter().any(|word| word == "noise") { Words::Noise } else { Words::Sentences };
    let base = std::env::var_os("OSTLER_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(base).expect("a directory");
    match words.first().map(String::as_str) {
        Some("disk") => disk(dir.path(), number(1, 2_000), noise).await,
        Some("long") => long(dir.path(), number(1, 1_000), noise).await,
        Some("calls") => calls(dir.path(), &words, number(1, 256), number(2, 2)).await,
        // Run as a test, it only shows that it runs.
        _ => calls(dir.path(), &words, 8, 0).await,
    }
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("a standard output");
}

async fn open(dir: &Path) -> Log {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = SqliteStore::open(dir, clock.clone()).expect("a store");
    let sealer = Sealer::open(dir, store.about(), clock.clone()).expect("a key");
    Log::open(Arc::new(store), sealer, clock, "bench").await.expect("a log")
}

/// What was done within a time.
struct Run {
    /// How long each took, in microseconds, sorted.
    took: Vec<u64>,
    /// How long all of it took.
    seconds: f64,
    /// What this process computed meanwhile, driver and all.
    cpu_seconds: f64,
}

/// User and system time of this process (proc(5), `stat`, fields 14 and 15, in hundredths of a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn quantile(sorted: &[u64], per_mille: usize) -> f64 {
    sorted.get(sorted.len() * per_mille / 1000).map_or(0.0, |us| *us as f64 / 1000.0)
}

async fn timed<W, F>(workers: Vec<W>, seconds: u64, step: impl Fn(W) -> F + Clone + Send + 'static) -> (Vec<W>, Run)
where
    W: Send + 'static,
    F: Future<Output = W> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let (began, computed) = (Stopwatch::start(), cpu_seconds());
    let mut tasks = Vec::new();
    for mut worker in workers {
        let (stop, step) = (stop.clone(), step.clone());
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let began = Stopwatch::start();
                worker = step(worker).await;
                took.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
                if stop.load(Ordering::Relaxed) {
                    return (worker, took);
                }
            }
        }));
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let (mut workers, mut all) = (Vec::new(), Vec::new());
    for task in tasks {
        let (worker, took) = task.await.expect("a worker");
        workers.push(worker);
        all.extend(took);
    }
    let (seconds, cpu_seconds) = (began.elapsed().as_secs_f64(), cpu_seconds() - computed);
    all.sort_unstable();
    (workers, Run { took: all, seconds, cpu_seconds })
}

/// One session of the benchmark.
struct Worker {
    log: Log,
    writer: SessionWriter,
    stamp: Stamp,
    ordinal: u32,
    said: Said,
}

impl Worker {
    fn new(log: &Log, n: u64) -> Worker {
        let session = story::session(n);
        let (log, writer, stamp) = (log.clone(), log.begin(session), story::stamp(session));
        Worker { log, writer, stamp, ordinal: 0, said: Said(n) }
    }

    async fn call(mut self) -> Worker {
        let session = self.writer.session();
        let events = story::call(session, self.ordinal, &mut self.said, Words::Sentences, SAID);
        let rows = Rows { events, ..Rows::default() };
        let stamp = self.stamp.clone();
        self.log.commit(&mut self.writer, stamp, story::head(Phase::Running), rows).await.expect("a commit");
        self.ordinal += 1;
        self
    }
}

fn report(what: &str, runs: &mut [Run]) -> f64 {
    runs.sort_by(|a, b| (a.took.len() as f64 / a.seconds).total_cmp(&(b.took.len() as f64 / b.seconds)));
    let Run { took, seconds, cpu_seconds } = &runs[runs.len() / 2];
    let rate = took.len() as f64 / seconds;
    let (p50, p99) = (quantile(took, 500), quantile(took, 990));
    let cpu = cpu_seconds * 1e6 / took.len() as f64;
    say(&format!("{what:<10} {rate:>9.0}/s   p50 {p50:>7.2} ms   p99 {p99:>7.2} ms   CPU {cpu:>5.0} µs each"));
    rate
}

async fn calls(dir: &Path, words: &[String], sessions: u64, seconds: u64) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    say(&format!("{sessions} sessions, {ROUNDS} rounds of {seconds} s each, load before: {}", load.trim()));
    let log = open(dir).await;
    let views = words.iter().any(|word| word == "views").then(|| Views::start(log.clone(), None));
    let raw = RawLog::open(&dir.join("raw"));
    let mut workers: Vec<Worker> = (0..sessions).map(|n| Worker::new(&log, n)).collect();
    let mut appenders: Vec<(RawLog, Said)> = (0..sessions).map(|n| (raw.clone(), Said(n))).collect();
    let (mut logged, mut appended) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let append = async |(raw, mut said): (RawLog, Said)| {
            raw.append(said.bytes(Words::Sentences, 2 * SAID).into_bytes()).await;
            (raw, said)
        };
        let run;
        (appenders, run) = timed(appenders, seconds, append).await;
        appended.push(run);
        let run;
        (workers, run) = timed(workers, seconds, Worker::call).await;
        logged.push(run);
    }
    let limit = report("raw log", &mut appended);
    let rate = report("log", &mut logged);
    say(&format!("ratio to the raw log {:.2}", rate / limit));
    if let Some(views) = views {
        let began = Stopwatch::start();
        assert!(views.caught_up(Duration::from_secs(600)).await, "the views did not follow");
        say(&format!("the views were behind by {:.2} s at the end", began.elapsed().as_secs_f64()));
        views.stop().await;
    }
    log.stop().await;
}

fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a directory");
    files.filter_map(|file| file.ok()?.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Everything is in the file, and the WAL is gone.
async fn closed(log: Log, dir: &Path) -> u64 {
    log.stop().await;
    drop(log);
    let wal = dir.join("ostler.db-wal");
    for _ in 0..100 {
        if !wal.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bytes_in(dir)
}

async fn disk(dir: &Path, sessions: u64, words: Words) {
    const RECORDS: u32 = 5;
    let log = open(dir).await;
    let views = Views::start(log.clone(), None);
    let began = Stopwatch::start();
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..256.min(sessions) {
        let log = log.clone();
        tasks.spawn(async move {
            for n in (lane..sessions).step_by(256) {
                let mut worker = Worker::new(&log, n);
                for ordinal in 0..RECORDS {
                    let session = worker.writer.session();
                    let events = story::call(session, ordinal, &mut worker.said, words, SAID / 2);
                    let phase = if ordinal + 1 < RECORDS { Phase::Running } else { Phase::Suspended };
                    let rows = Rows { events, ..Rows::default() };
                    log.commit(&mut worker.writer, worker.stamp.clone(), story::head(phase), rows).await.expect("in");
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let filled = began.elapsed().as_secs_f64();
    assert!(views.caught_up(Duration::from_secs(3600)).await, "the views did not follow");
    let followed = began.elapsed().as_secs_f64();
    views.stop().await;
    drop(views);
    let bytes = closed(log, dir).await;
    let said = sessions * u64::from(RECORDS) * SAID as u64;
    let over = bytes as f64 - said as f64;
    say(&format!("{sessions} sessions of {RECORDS} records in {filled:.1} s, views {followed:.1} s"));
    say(&format!(
        "disk {bytes}, said {said}: {:.2} times; over it {:.0} B per session",
        bytes as f64 / said as f64,
        over / sessions as f64
    ));
    let allowed = said + sessions * (u64::from(RECORDS) * 300 + 1024);
    say(&format!("allowed {allowed}: {}", if bytes <= allowed { "holds" } else { "does not hold" }));
    rehydrate(dir, sessions).await;
}

async fn rehydrate(dir: &Path, sessions: u64) {
    let log = open(dir).await;
    let mut draw = Said(7);
    let mut took = Vec::new();
    for _ in 0..2_000 {
        let n = draw.next() as u64 % sessions;
        let began = Stopwatch::start();
        let loaded = log.load(story::session(n)).await.expect("readable").expect("there");
        took.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        drop(loaded);
    }
    took.sort_unstable();
    say(&format!("load of a random session: p50 {:.3} ms, p99 {:.3} ms", quantile(&took, 500), quantile(&took, 990)));
    log.stop().await;
}

async fn long(dir: &Path, calls: u64, words: Words) {
    let log = open(dir).await;
    let mut worker = Worker::new(&log, 1);
    for _ in 0..calls {
        let session = worker.writer.session();
        let events = story::call(session, worker.ordinal, &mut worker.said, words, SAID);
        let rows = Rows { events, ..Rows::default() };
        log.commit(&mut worker.writer, worker.stamp.clone(), story::head(Phase::Running), rows).await.expect("in");
        worker.ordinal += 1;
    }
    let began = Stopwatch::start();
    log.load(story::session(1)).await.expect("readable").expect("there");
    say(&format!("loaded in {:.2} ms", began.elapsed().as_secs_f64() * 1000.0));
    drop(worker);
    let bytes = closed(log, dir).await;
    let said = calls * 2 * SAID as u64;
    say(&format!("{calls} calls: disk {bytes}, said {said}: {:.2} times", bytes as f64 / said as f64));
}
