//! What it adds that a model is spoken to through Ostler: the same requests, turn by turn, straight to a model API of
//! this process's own and through an `ostler up` in a process of its own, with decisions, budgets, ledger and cache marks
//! on; beside it, what one flush of this disk takes.
//!
//! ```text
//! cargo bench -p server --bench attached [SECONDS]     OSTLER_BIN says which binary; OSTLER_BENCH_DIR where it keeps its log
//!                                                      OSTLER_BENCH_MODEL where the model API listens, for peers.rs
//! ```

mod client;
mod model;
mod peers;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::clock::Stopwatch;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Took};
use crate::peers::Peer;

/// Requests of each kind, one after another.
const ALONE: usize = 300;
/// Clients at once.
const CLIENTS: usize = 64;
/// How many turns a conversation has.
const TURNS: usize = 8;
/// How long everybody works before anything is measured.
const WARM: Duration = Duration::from_secs(3);
/// About the bytes of one commit of such a call.
const RECORD: usize = 2_048;

const AGENT: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: elsewhere, owner: it-platform}
spec:
  protocol: anthropic
  base_url: URL
  limits: {concurrent: 256}
  prices: {claude-haiku-4-5: {input: 1, output: 5, cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: guest, owner: finance-platform}
spec:
  model: {provider: elsewhere, name: claude-haiku-4-5, max_output_tokens: 500}
  concurrency: {active: 256}
  budgets: {calls_per_hour: 100000000, usd_per_day: 100000}
";

/// An `ostler up` of this run.
struct Server {
    child: Child,
    host: String,
    admin: String,
    key: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(5);
    let place = std::env::var_os("OSTLER_BENCH_DIR").map_or_else(TempDir::new, TempDir::new_in)?;
    let upstream = model::start(variable("OSTLER_BENCH_MODEL").as_deref().unwrap_or("127.0.0.1:0")).await?;
    let server = Server::start(place.path(), &upstream).await?;
    let key = server.key.clone();
    let (flush, words) = (flush_ms(place.path())?, AtomicU64::new(0));
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}");
    say(format!("one flush of this disk, p50: {flush:.3} ms"))?;
    let mut direct = Client::connect(&upstream, "").await?;
    let mut through = Client::connect(&server.host, &key).await?;
    // A server that has worked for a while: the file that it writes ahead has its length.
    load((&*server.host, &*key).into(), (WARM, 1_000_000)).await?;
    let began = server.worked_ms();
    for stream in [false, true] {
        let (mut straight, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ALONE {
            let body = conversation(words.fetch_add(1, Ordering::Relaxed), 1, stream);
            straight.push(direct.ask(&body).await?);
            ours.push(through.ask(&body).await?);
        }
        let (a, b) = (p50(&straight, |took| took.all), p50(&ours, |took| took.all));
        let kind = if stream { "streamed" } else { "whole" };
        say(format!(
            "{kind}: p50 at 1 {b:.3} ms, direct {a:.3} ms: {:.3} ms more, two flushes aside {:.3} ms (to reach: below 1)",
            b - a,
            b - a - 2.0 * flush
        ))?;
        if stream {
            let (a, b) = (p50(&straight, |took| took.first), p50(&ours, |took| took.first));
            say(format!(
                "first token: p50 {b:.3} ms, direct {a:.3} ms: {:.3} ms more, one flush aside {:.3} ms (to reach: below 1)",
                b - a,
                b - a - flush
            ))?;
        }
    }
    let worked = server.worked_ms();
    let alone = (worked - began) * 1_000.0 / (2 * ALONE) as f64;
    let span = Duration::from_secs(seconds);
    let straight = load((&*upstream, "").into(), (span, 2_000_000)).await?;
    let (ours, worked) = (load((&*server.host, &*key).into(), (span, 3_000_000)).await?, server.worked_ms() - worked);
    let cpu = worked * 1_000.0 / f64::from(ours.done);
    let (ours, straight) = (ours.per_second, straight.per_second);
    say(format!("{CLIENTS} clients: {ours:.0} requests/s, direct {straight:.0} (to reach: above 2000)"))?;
    say(format!("CPU: {alone:.0} µs a request at 1, {cpu:.0} at {CLIENTS}"))?;
    say(format!("resident: {:.1} MB, at most {:.1} MB (to reach: below 60)", server.mb("VmRSS"), server.mb("VmHWM")))?;
    let spent = server.get("/api/cost").await?;
    say(format!("accounted: {}", spent.to_string().chars().take(200).collect::<String>()))?;
    beside(&server, &upstream, (span, &mut out)).await
}

/// Other gateways in the same run, where there are any.
async fn beside(server: &Server, upstream: &str, (span, out): (Duration, &mut impl Write)) -> anyhow::Result<()> {
    let Some(named) = variable("OSTLER_BENCH_PEERS") else { return Ok(()) };
    let at = |name: &str, host: &str, key: &str, pid| Peer {
        name: name.to_owned(),
        host: host.to_owned(),
        key: key.to_owned(),
        headers: String::new(),
        pid,
    };
    let ours = [at("direct", upstream, "", 0), at("Ostler", &server.host, &server.key, server.child.id())];
    let all: Vec<Peer> = ours.into_iter().chain(Peer::named(&named)?).collect();
    peers::table(&all, span, out).await
}

/// What the environment says.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|text| text.into_string().ok())
}

impl Server {
    async fn start(place: &Path, upstream: &str) -> anyhow::Result<Server> {
        let binary =
            std::env::var_os("OSTLER_BIN").map_or_else(|| PathBuf::from("target/release/ostler"), PathBuf::from);
        let data = place.join("data");
        let mut command = Command::new(&binary);
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| anyhow::anyhow!("{}: {error}: build it first", binary.display()))?;
        let mut server = Server { child, host: String::new(), admin: String::new(), key: String::new() };
        let context = loop {
            let text = std::fs::read_to_string(data.join("context.json")).unwrap_or_default();
            if let Ok(context) = serde_json::from_str::<Value>(&text) {
                break context;
            }
            anyhow::ensure!(server.child.try_wait()?.is_none(), "the server did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let word = |name: &str| context[name].as_str().unwrap_or_default().to_owned();
        (server.host, server.admin) = (word("url").trim_start_matches("http://").to_owned(), word("key"));
        let text = AGENT.replace("URL", &format!("http://{upstream}"));
        let applied = server.post("/api/apply", &json!({"files": [{"path": "bench.yaml", "text": text}]})).await?;
        anyhow::ensure!(applied["error"].is_null(), "the agent was not taken: {applied}");
        let made = server.post("/api/keys", &json!({"holder": "agent", "agent": "guest"})).await?;
        made["key"].as_str().unwrap_or_default().clone_into(&mut server.key);
        anyhow::ensure!(!server.key.is_empty(), "no key was made: {made}");
        Ok(server)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        Client::connect(&self.host, &self.admin).await?.json("POST", path, &body.to_string()).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Client::connect(&self.host, &self.admin).await?.json("GET", path, "").await
    }

    /// CPU time so far, in milliseconds: `/proc/PID/stat`, in hundredths of a second.
    fn worked_ms(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0
    }

    /// A line of its `/proc/PID/status`, in megabytes.
    fn mb(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let found = status.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':')?.split_whitespace().next());
        found.and_then(|kb| kb.parse::<f64>().ok()).map_or(0.0, |kb| kb / 1024.0)
    }
}

/// A request of a conversation that nobody else has, in its turn.
fn conversation(number: u64, turn: usize, stream: bool) -> String {
    let told = |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        let content =
            if role == "user" { format!("{number} {at}: {}", "how is it? ".repeat(40)) } else { model::SAYS.into() };
        json!({"role": role, "content": content})
    };
    let messages: Vec<_> = (0..2 * turn - 1).map(told).collect();
    json!({"model": "claude-haiku-4-5", "max_tokens": 100, "stream": stream, "messages": messages}).to_string()
}

/// What many clients came to.
struct Load {
    done: u32,
    per_second: f64,
}

/// Who is asked: where, by which key, with which further headers.
struct Whom<'a> {
    host: &'a str,
    key: &'a str,
    headers: &'a str,
}

impl<'a> From<(&'a str, &'a str)> for Whom<'a> {
    fn from((host, key): (&'a str, &'a str)) -> Whom<'a> {
        Whom { host, key, headers: "" }
    }
}

impl<'a> From<&'a Peer> for Whom<'a> {
    fn from(peer: &'a Peer) -> Whom<'a> {
        Whom { host: &peer.host, key: &peer.key, headers: &peer.headers }
    }
}

/// So many clients at once, each with conversations of its own.
/// `first`: the number of the first conversation.
async fn load(whom: Whom<'_>, (span, first): (Duration, u64)) -> anyhow::Result<Load> {
    let (watch, numbers) = (Stopwatch::start(), Arc::new(AtomicU64::new(first)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (host, key, headers) = (whom.host.to_owned(), whom.key.to_owned(), whom.headers.to_owned());
        let numbers = numbers.clone();
        clients.spawn(async move {
            let (mut client, mut done) = (Client::connect(&host, &key).await?.with(&headers), 0_u32);
            while watch.elapsed() < span {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                for turn in 1..=TURNS {
                    client.ask(&conversation(number, turn, false)).await?;
                    done += 1;
                }
            }
            anyhow::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(one) = clients.join_next().await {
        done += one??;
    }
    Ok(Load { done, per_second: f64::from(done) / watch.elapsed().as_secs_f64() })
}

/// What one flush takes, in milliseconds.
fn flush_ms(place: &Path) -> anyhow::Result<f64> {
    let path = place.join("raw");
    let mut file = File::create(&path)?;
    file.write_all(&vec![0; 8 << 20])?;
    file.sync_all()?;
    let took = (0..ALONE as u64).map(|at| {
        let watch = Stopwatch::start();
        file.write_all_at(&[7; RECORD], at * RECORD as u64)?;
        file.sync_data()?;
        anyhow::Ok(Took { first: watch.elapsed(), all: watch.elapsed() })
    });
    let took = took.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(p50(&took, |took| took.all))
}

fn p50(took: &[Took], of: impl Fn(&Took) -> Duration) -> f64 {
    percentile(took, 50, of)
}

/// So many of a hundred took no longer than this, in milliseconds.
fn percentile(took: &[Took], of_hundred: usize, of: impl Fn(&Took) -> Duration) -> f64 {
    let mut all: Vec<_> = took.iter().map(of).collect();
    all.sort_unstable();
    all.get(all.len() * of_hundred / 100).map_or(0.0, |one| one.as_secs_f64() * 1_000.0)
}
