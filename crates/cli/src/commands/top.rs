//! `top`: what runs, what it costs beside what it may, how the node does. For a person who watches, again each second.

use std::io::IsTerminal;
use std::time::Duration;

use domain::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::args::{Format, Global};
use crate::client::{Client, Outcome};
use crate::output::{self, ago, dollars, items, text};

/// How often a person sees it anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Up to the first line and column, and nothing there any more (ECMA-48: CUP, ED).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows what runs: once, or until `q` or Ctrl-C where a person watches.
pub(crate) async fn top(global: &Global, once: bool) -> Outcome {
    let client = Client::find(global)?;
    let watched = output::data_is_watched() && std::io::stdin().is_terminal();
    if once || !watched || global.output != Format::Table {
        return output::print(global.output, &client.get("/api/top").await?, page);
    }
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let top = client.get("/api/top").await?;
        output::data(&format!("{CLEAR}{}\n\nq and Enter, or Ctrl-C, ends this", page(&top)));
        tokio::select! {
            line = typed.next_line() => {
                if line?.is_none_or(|line| line.trim().eq_ignore_ascii_case("q")) {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

fn page(top: &Value) -> String {
    let agents = items(&top["agents"]).iter().map(line);
    let heading = [
        "agent",
        "at work",
        "asleep",
        "failed",
        "queued",
        "calls, hour",
        "usd, hour",
        "calls, today",
        "usd, today",
        "last error",
    ];
    format!("{}\n\n{}", node(&top["node"]), output::table(&heading, agents))
}

fn node(node: &Value) -> String {
    let count = |phase: &str| node["sessions"][phase].as_u64().unwrap_or(0);
    let bounds = items(&node["bounds"])
        .iter()
        .map(|bound| format!("{} {}/{}", text(bound, "bound"), text(bound, "now"), text(bound, "limit")));
    let mb = |field: &str| {
        node[field].as_u64().map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6))
    };
    let up = node["up_ms"].as_i64().unwrap_or(0);
    let bounds = bounds.collect::<Vec<_>>().join(", ");
    let outage = &node["outage"];
    let outage = outage["since"].as_i64().map_or_else(String::new, |since| {
        let (since, waiting) = (ago(SystemClock.now().0, since), text(outage, "sessions"));
        format!("\nthe log takes nothing since {since}: {}; sessions that wait: {waiting}", text(outage, "why"))
    });
    format!(
        "up {}, {} awake, {} suspended, {} finished, {} commits/s\nlog {} in {} records, memory {}{outage}{}{bounds}",
        ago(up, 0),
        text(node, "awake"),
        count("suspended"),
        count("finished"),
        text(node, "commits_per_s"),
        mb("log_bytes"),
        text(node, "commits"),
        mb("rss_bytes"),
        if bounds.is_empty() { "" } else { "\n" },
    )
}

fn line(agent: &Value) -> Vec<String> {
    let count = |phase: &str| agent["sessions"][phase].as_u64().unwrap_or(0);
    let bound = |word: &str| {
        let found = items(&agent["bounds"]).iter().find(|bound| text(bound, "bound").contains(word));
        found.map_or_else(|| "0".to_owned(), |bound| format!("{}/{}", text(bound, "now"), text(bound, "limit")))
    };
    let budget = |meter: &str, per: &str| {
        let of = items(&agent["budgets"]).iter();
        of.into_iter().find(|budget| budget["meter"] == meter && budget["per"] == per)
    };
    let calls = |window: &str, per: &str| match budget("calls", per) {
        Some(budget) => format!("{}/{}", text(&agent[window], "calls"), text(budget, "cap")),
        None => text(&agent[window], "calls"),
    };
    let usd = |window: &str, per: &str| match budget("usd_micros", per) {
        Some(budget) => format!("{}/{}", dollars(&agent[window]["usd_micros"]), dollars(&budget["cap"])),
        None => dollars(&agent[window]["usd_micros"]),
    };
    let error = &agent["last_error"];
    let error = match error["at"].as_i64() {
        Some(at) => format!("{} ago: {}", ago(SystemClock.now().0, at), text(error, "why")),
        None => String::new(),
    };
    vec![
        text(agent, "agent"),
        (count("running") + count("ready")).to_string(),
        (count("suspended") + count("finished")).to_string(),
        count("failed").to_string(),
        bound("queue"),
        calls("hour", "hour"),
        usd("hour", "hour"),
        calls("today", "day"),
        usd("today", "day"),
        error.chars().take(60).collect(),
    ]
}
