//! Hidden: what `scripts/verify` measures with. It writes stores that nobody would write by hand, and asks a server
//! much at once. It prints JSON and judges nothing.

mod calls;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use domain::clock::{Clock, Stopwatch, SystemClock, Timestamp};
use serde_json::{Value, json};
use server::bench::heavy;
use tokio::task::JoinSet;

use crate::args::{Global, Heavy};
use crate::client::{Client, Failure, Outcome, data_dir};
use crate::output;

/// How long to wait where a server says that it is full, unless it says how long.
const FULL: Duration = Duration::from_millis(100);

/// Does one of them.
pub(crate) async fn heavy(global: &Global, heavy: Heavy) -> Outcome {
    let dir = data_dir(global);
    let came_to = match heavy {
        Heavy::Load { descriptors, population } => {
            let say = |what: &str| output::talk(&format!("  {what}"));
            let text = read(&descriptors)?;
            let written = heavy::put_population_to_sleep(&dir, &text, population.meant(), &say).await?;
            serde_json::to_value(written)?
        }
        Heavy::Rehydrate { times, population } => {
            serde_json::to_value(heavy::rehydrate(&dir, population.meant(), times).await?)?
        }
        Heavy::Timers { descriptors, agents, timers, due_in_ms } => {
            let due = SystemClock.now().plus_ms(due_in_ms);
            heavy::set_timers(&dir, &read(&descriptors)?, (agents, timers), due).await?;
            json!({ "timers": timers, "due": due })
        }
        Heavy::Echo => {
            server::bench::echo::serve(|at| output::data(&format!("http://{at}/mcp"))).await?;
            return Ok(());
        }
        Heavy::Calls(calls) => calls::make(calls).await?,
        Heavy::Post { messages, agents, connections } => post(global, messages, agents, connections).await?,
    };
    output::data(&came_to.to_string());
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Writes to so many sessions of a population, one message each, so many at a time: when each was sent and accepted.
async fn post(global: &Global, messages: usize, agents: usize, connections: usize) -> Outcome<Value> {
    let client = Client::find(global)?;
    let (next, full) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let watch = Stopwatch::start();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (client, next, full) = (client.clone(), next.clone(), full.clone());
        tasks.spawn(async move {
            let mut sent: Vec<(usize, Timestamp, Timestamp)> = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= messages {
                    return Ok::<_, Failure>(sent);
                }
                let began = SystemClock.now();
                one(&client, at, agents, &full).await?;
                sent.push((at, began, SystemClock.now()));
            }
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended.context("a poster ended badly")??);
    }
    all.sort_unstable();
    let sent: Vec<Value> = all.iter().map(|(_, sent, accepted)| json!([sent, accepted])).collect();
    let seconds = watch.elapsed().as_secs_f64();
    Ok(json!({ "messages": messages, "seconds": seconds, "full": full.load(Ordering::Relaxed), "sent": sent }))
}

async fn one(client: &Client, at: usize, agents: usize, full: &AtomicUsize) -> Outcome {
    let path = format!("/api/agents/sleeper-{}/messages", at % agents.max(1));
    let body = json!({ "message": format!("One more thing, number {at}."), "key": format!("s-{at}") });
    while let Err(failure) = client.post(&path, body.clone()).await {
        if !failure.to_string().contains("is full") {
            return Err(failure);
        }
        full.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(FULL).await;
    }
    Ok(())
}
