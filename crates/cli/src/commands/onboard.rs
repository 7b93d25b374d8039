//! `onboard`: an agent that is there already is brought under Ostler. It prints what to set, waits for the first call,
//! and shows it: nothing of the agent's code is looked at or changed.

mod settings;

use std::time::Duration;

use domain::id::Name;
use serde_json::{Value, json};

use crate::args::{Format, Global, Onboard};
use crate::client::{Client, Failure, Outcome, Stream, agent_key};
use crate::commands::people::write_key;
use crate::output::{self, Busy, dollars, items, text};
use settings::Settings;

/// What a first call may show itself by: it came to something, or it may not, or somebody is asked.
const SHOWS: &str = "model_answered,call_answered,call_recorded,call_refused,call_waits,approval_requested";

/// Prints what to set, waits for the first call, and shows it.
pub(crate) async fn onboard(global: &Global, onboard: Onboard) -> Outcome {
    let client = Client::find(global)?;
    let agent = &onboard.agent;
    look(&client, agent).await?;
    let key = key(&client, agent, onboard.agent_key).await?;
    let settings = Settings::of(onboard.with, client.public_url(), &key);
    let table = global.output == Format::Table;
    if table {
        output::data(&settings.text());
    }
    let mut said = settings.json(agent, client.public_url(), &key);
    if onboard.print {
        return if table { Ok(()) } else { output::print(global.output, &said, |_| String::new()) };
    }
    // Opened before anybody is told to go ahead: a call that comes at once is seen.
    let calls = format!("/api/events?after=now&agent={agent}&kind={SHOWS}");
    let calls = client.stream(&calls).await?;
    output::talk(&format!("set this where {agent} runs, and start it; its first call is shown here"));
    said["first"] = first(&client, calls, agent, onboard.timeout).await?;
    if table {
        output::data(&in_words(&said["first"]));
        return Ok(());
    }
    output::print(global.output, &said, |_| String::new())
}

/// That there is such an agent; what it lacks is said, and is no reason to stop.
async fn look(client: &Client, agent: &Name) -> Outcome {
    let found = client.get(&format!("/api/resources?kind=Agent&name={agent}")).await?;
    let Some(one) = items(&found).first() else {
        return Err(Failure::NotFound(format!(
            "there is no agent {agent}: `ostler init {agent}` writes a descriptor, `ostler apply -f {agent}.yaml` applies it"
        )));
    };
    for condition in items(&one["ready"]).iter().filter(|condition| condition["ok"] == false) {
        output::talk(&format!(
            "{agent} is not ready: {}; next: {}",
            text(condition, "reason"),
            text(condition, "next")
        ));
    }
    Ok(())
}

/// A key of the agent's: the one given, the one that is kept and still opens, or a new one, kept.
async fn key(client: &Client, agent: &Name, given: Option<String>) -> Outcome<String> {
    if let Some(given) = given {
        return if opens(client, &given).await? {
            Ok(given)
        } else {
            let next = format!("`ostler key add agent {agent}` makes one, and so does `onboard` without --agent-key");
            Err(Failure::Denied(format!("this is no key of an agent here: {next}")))
        };
    }
    let kept = client.data().map(|data| agent_key(data, agent));
    if let Some(key) = kept.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) {
        let key = key.trim().to_owned();
        if opens(client, &key).await? {
            return Ok(key);
        }
    }
    let made = client.post("/api/keys", json!({ "holder": "agent", "agent": agent })).await?;
    let made = text(&made, "key");
    match kept {
        Some(file) => {
            write_key(&file, &made)?;
            output::talk(&format!("a key of {agent} was made, and is kept in the data directory"));
        }
        None => output::talk(&format!("a key of {agent} was made; it is shown this once")),
    }
    Ok(made)
}

/// Whether a key is an agent's and was not revoked.
async fn opens(client: &Client, key: &str) -> Outcome<bool> {
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    match client.with_key(key).post("/mcp", ping).await {
        Ok(_) => Ok(true),
        Err(Failure::Denied(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// The first call that comes with the agent's key, as it is shown.
async fn first(client: &Client, mut calls: Stream, agent: &Name, within: Duration) -> Outcome<Value> {
    let busy = Busy::with(format!("waiting for the first call of {agent}"));
    let comes = async {
        while let Some(told) = calls.told().await? {
            let event: Value = serde_json::from_str(&told.data).unwrap_or_default();
            if event["session"].is_string()
                && let Some(first) = shown(client, &event).await?
            {
                return Ok(first);
            }
        }
        Err(Failure::Failed(anyhow::anyhow!("the server went away before {agent} called: start it and try again")))
    };
    let came = tokio::time::timeout(within, comes).await;
    drop(busy);
    came.unwrap_or_else(|_| {
        Err(Failure::Failed(anyhow::anyhow!(
            "{agent} did not call within {} s: is what was printed set where it runs, and does that reach the server? \
             try again with a longer --timeout",
            within.as_secs()
        )))
    })
}

/// What there is to say of a call; `None`: it is of a session whose loop is ours.
async fn shown(client: &Client, event: &Value) -> Outcome<Option<Value>> {
    let (session, call) = (text(event, "session"), &event["data"]["call"]);
    let trace = client.get(&format!("/api/sessions/{session}/trace")).await?;
    if trace["attached"] != true {
        return Ok(None);
    }
    let step = items(&trace["steps"]).iter().find(|step| &step["call"] == call).cloned().unwrap_or_default();
    let end = if event["data"]["end"].is_string() { event["data"]["end"].clone() } else { event["kind"].clone() };
    Ok(Some(json!({
        "session": session,
        "call": call,
        "what": event["data"]["what"],
        "end": end,
        "model": step["model"],
        "tokens": step["cost"]["tokens"],
        "usd_micros": step["cost"]["usd_micros"],
        "scripted": step["scripted"],
        "trace": format!("ostler trace {session}"),
    })))
}

fn in_words(first: &Value) -> String {
    let what = [&first["model"], &first["what"]].into_iter().find_map(Value::as_str).unwrap_or("a call");
    let mut lines = vec![
        "the first call:".to_owned(),
        format!("  session  {}", text(first, "session")),
        format!("  call     {what}, {}", text(first, "end")),
    ];
    if first["tokens"].as_i64().is_some_and(|tokens| tokens > 0) {
        lines.push(format!("  tokens   {}", text(first, "tokens")));
    }
    if first["usd_micros"].is_i64() {
        let scripted = if first["scripted"] == true { " (scripted: nobody is billed)" } else { "" };
        lines.push(format!("  cost     {}{scripted}", dollars(&first["usd_micros"])));
    }
    lines.push(format!("  look     {}", text(first, "trace")));
    lines.join("\n")
}
