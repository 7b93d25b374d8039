//! Tools used over MCP, many at once: what `tools/call` takes, whoever answers it. It speaks revision 2026-07-28, and
//! names its sessions, a new one after every few calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use domain::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::Calls;

/// How many calls a session has, at most.
const PER_SESSION: usize = 100;
/// How many calls each connection makes before it is measured.
const WARM: usize = 20;

/// Makes the calls; how long each took, in microseconds, sorted.
pub(super) async fn make(calls: Calls) -> anyhow::Result<Value> {
    let (http, calls) = (reqwest::Client::builder().no_proxy().tls_backend_rustls().build()?, Arc::new(calls));
    round(&http, &calls, "warm", WARM * calls.connections).await?;
    let watch = Stopwatch::start();
    let mut took = round(&http, &calls, "measured", calls.calls).await?;
    let seconds = watch.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |hundredths: usize| took.get((took.len() * hundredths / 100).min(took.len().saturating_sub(1)));
    Ok(json!({
        "calls": took.len(),
        "connections": calls.connections,
        "seconds": seconds,
        "calls_s": took.len() as f64 / seconds,
        "p50_us": at(50),
        "p95_us": at(95),
        "p99_us": at(99),
    }))
}

async fn round(http: &reqwest::Client, calls: &Arc<Calls>, name: &str, count: usize) -> anyhow::Result<Vec<u64>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for connection in 0..calls.connections {
        let (http, calls, next) = (http.clone(), calls.clone(), next.clone());
        let name = format!("{name}-{}-{connection}", std::process::id());
        tasks.spawn(async move {
            let mut took = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let session = format!("{name}-{}", took.len() / PER_SESSION);
                let watch = Stopwatch::start();
                one(&http, &calls, &session, took.len()).await?;
                took.push(micros(watch.elapsed()));
            }
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended.context("a caller ended badly")??);
    }
    Ok(all)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

async fn one(http: &reqwest::Client, calls: &Calls, session: &str, number: usize) -> anyhow::Result<()> {
    let text = format!("{session} {number}");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "heavy", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": calls.tool, "arguments": {"text": text}, "_meta": meta});
    let mut request = http
        .post(&calls.endpoint)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", &calls.tool)
        .header("ostler-session", session)
        .json(&json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}));
    if let Some(key) = &calls.agent_key {
        request = request.bearer_auth(key);
    }
    let answer: Value = request.send().await?.json().await?;
    let said = answer["result"]["content"][0]["text"].as_str();
    if said != Some(&text) {
        bail!("a call was not answered with what it said: {answer}");
    }
    Ok(())
}
