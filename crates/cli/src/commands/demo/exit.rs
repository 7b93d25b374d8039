//! `demo --exit`: approves by itself, kills the runtime between intent and outcome, restarts it, resolves the write in
//! doubt from what the mail tool's own file says, and checks there that nothing happened twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::runtime::Runtime;
use super::story::{Story, Waiting, step};
use crate::client::{Client, Failure, Outcome, person_key};
use crate::commands::run;
use crate::output::{Busy, dollars, items, text};

/// How long an effect may take to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What ana says to every request.
const AGREES: &str = "agrees with the invoice";

/// Walks to the end and returns the summary. Fails if anything happened twice, was lost, or does not verify.
pub(super) async fn finish(story: &Story, runtime: &mut Runtime, waiting: &Waiting) -> Outcome<Value> {
    let ana = as_ana(&runtime.client, &story.dir)?;
    let before = drafts(&story.dir)?;
    ana.post(&format!("/api/inbox/{}/approve", waiting.approval), json!({ "reason": AGREES })).await?;
    step("approve", "ana said yes: bound to exactly these arguments, and used once");
    let key = new_draft(&story.dir, before.len()).await?;
    runtime.kill().await?;
    step("kill -9", "the runtime died between the effect and its answer");
    runtime.restart().await?;
    let ana = as_ana(&runtime.client, &story.dir)?;
    let doubt = in_doubt(&runtime.client).await?;
    let call = text(&doubt, "id");
    step("restart", &format!("it is back; the write is in doubt, and is not sent again: {call}"));
    let drafted = drafts(&story.dir)?;
    let (body, said) = match drafted.iter().find(|draft| text(draft, "key") == key) {
        Some(draft) => (json!({ "say": "happened", "result": draft.to_string() }), "it happened, with this result"),
        None => (json!({ "say": "did_not" }), "it did not happen: it is sent now"),
    };
    ana.post(&format!("/api/calls/{call}/resolve"), body).await?;
    step("resolve", &format!("ana looked into the mail tool's own file: {said}"));
    let standing = settle(runtime, &ana, &waiting.session).await?;
    step("answer", "the other request was approved too, and the agent reported; see below");
    summary(story, runtime, waiting, standing).await
}

fn as_ana(client: &Client, dir: &Path) -> Outcome<Client> {
    let ana = "ana".parse().map_err(anyhow::Error::from)?;
    let key = std::fs::read_to_string(person_key(dir, &ana)).context("ana's key is not there")?;
    Ok(client.with_key(key.trim()))
}

/// The lines of the mail tool's own file.
fn drafts(dir: &Path) -> Outcome<Vec<Value>> {
    let text = std::fs::read_to_string(dir.join("drafts.jsonl")).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| Ok(serde_json::from_str(line)?));
    lines.collect::<Result<_, anyhow::Error>>().map_err(Failure::Failed)
}

/// Waits until the mail tool has written one more draft; its idempotency key.
async fn new_draft(dir: &Path, before: usize) -> Outcome<String> {
    let look = async {
        loop {
            if let Some(draft) = drafts(dir)?.get(before) {
                return Ok(text(draft, "key"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let shown = tokio::time::timeout(SHOWS_WITHIN, look).await;
    shown.map_err(|_| anyhow::anyhow!("the approved draft was never written"))?
}

async fn in_doubt(client: &Client) -> Outcome<Value> {
    let look = async {
        loop {
            let inbox = client.get("/api/inbox").await?;
            if let Some(item) = items(&inbox).iter().find(|item| item["item"] == "in_doubt") {
                return Ok(item.clone());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let shown = tokio::time::timeout(SHOWS_WITHIN, look).await;
    shown.map_err(|_| anyhow::anyhow!("the write that was cut off is not in the inbox"))?
}

/// Approves what else comes up, until the session has answered.
async fn settle(runtime: &Runtime, ana: &Client, session: &str) -> Outcome<Value> {
    let _busy = Busy::with("reconciliation-finance goes on");
    let look = async {
        loop {
            let standing = run::wait(&runtime.client, session, None).await?;
            if standing["phase"] != "suspended" {
                return Ok(standing);
            }
            let waits = items(&standing["waits"]).iter().filter(|wait| wait["why"]["for"] == "approval");
            for approval in waits.map(|wait| text(&wait["why"], "approval")) {
                // Answered already, and not taken yet: the next look will show it.
                let _ = ana.post(&format!("/api/inbox/{approval}/approve"), json!({ "reason": AGREES })).await;
            }
            tokio::time::sleep(LOOK_EVERY * 10).await;
        }
    };
    let settled = tokio::time::timeout(SHOWS_WITHIN, look).await;
    settled.map_err(|_| anyhow::anyhow!("the session did not come to its answer"))?
}

async fn summary(story: &Story, runtime: &Runtime, waiting: &Waiting, standing: Value) -> Outcome<Value> {
    let mut by_key: BTreeMap<String, u32> = BTreeMap::new();
    let drafts = drafts(&story.dir)?;
    for draft in &drafts {
        *by_key.entry(text(draft, "key")).or_default() += 1;
    }
    let doubled = by_key.values().filter(|count| **count > 1).count();
    let audit = runtime.client.get("/api/audit/verify").await?;
    let cost = runtime.client.get("/api/cost?by=agent&since=24h").await?;
    let sessions = runtime.client.get("/api/sessions").await?;
    let trace = runtime.client.get(&format!("/api/sessions/{}/trace", waiting.session)).await?;
    let agents: std::collections::BTreeSet<&str> = story.sessions.iter().map(|(agent, _)| *agent).collect();
    let summary = json!({
        "session": waiting.session,
        "phase": standing["phase"],
        "answer": standing["answer"],
        "scripted": standing["scripted"],
        "agents": agents.len(),
        "sessions": items(&sessions).len(),
        "refused_for_budget": story.refused.len(),
        "killed_between_intent_and_outcome": 1,
        "effects_in_the_mail_tools_file": drafts.len(),
        "effects_doubled": doubled,
        "totals": trace["totals"],
        "cost": cost["total"],
        "audit_ok": audit["ok"],
    });
    let well = standing["phase"] == "finished" && doubled == 0 && !drafts.is_empty() && audit["ok"] == true;
    if well { Ok(summary) } else { Err(Failure::Failed(anyhow::anyhow!("the walk did not end well: {summary:#}"))) }
}

/// The summary for people.
pub(super) fn words(summary: &Value) -> String {
    let of = |field: &str| text(summary, field);
    let holds = if summary["audit_ok"] == true { "the log verifies" } else { "THE LOG DOES NOT VERIFY" };
    format!(
        "\n{} agents, {} sessions; {} call refused for its budget, before anything was spent\n\
         killed once between intent and outcome; {} drafts in the mail tool's own file, {} doubled\n\
         {holds}; {} at list prices (scripted: nobody is billed)\n\nreconciliation-finance:\n{}",
        of("agents"),
        of("sessions"),
        of("refused_for_budget"),
        of("effects_in_the_mail_tools_file"),
        of("effects_doubled"),
        dollars(&summary["cost"]["usd_micros"]),
        of("answer"),
    )
}
