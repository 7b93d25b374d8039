//! `inbox`, `approve`, `deny`, `resolve`: what waits for people, and what they say.

use domain::clock::{Clock, SystemClock};
use domain::id::{ApprovalId, CallId};
use domain::provenance::{Provenance, Source};
use serde_json::{Value, json};

use crate::args::{Format, Global, InboxView, Say};
use crate::client::{Client, Failure, Outcome};
use crate::commands::{changes, inbox_id};
use crate::output::{self, ago, items, text};

/// How many characters of an argument a list shows.
const SHOWN: usize = 300;

/// Lists what waits for people, or says what answering takes.
pub(crate) async fn inbox(global: &Global, what: Option<InboxView>) -> Outcome {
    match what {
        None => list(global).await,
        Some(InboxView::Stats) => stats(global).await,
    }
}

async fn list(global: &Global) -> Outcome {
    let client = Client::find(global)?;
    let inbox = client.get("/api/inbox").await?;
    output::print(global.output, &inbox, words)
}

/// What answering takes, and how it is done.
async fn stats(global: &Global) -> Outcome {
    let client = Client::find(global)?;
    output::print(global.output, &client.get("/api/inbox/stats").await?, told)
}

fn told(stats: &Value) -> String {
    let number = |row: &Value, field: &str| row[field].to_string();
    let weeks = items(&stats["weeks"]).iter().map(|row| {
        let counts = ["asked", "approved", "edited", "denied", "lapsed", "minutes"].map(|field| number(row, field));
        [text(row, "agent"), text(row, "week")].into_iter().chain(counts).collect()
    });
    let weeks = output::table(&["agent", "week of", "asked", "yes", "edited", "no", "lapsed", "minutes"], weeks);
    let people = items(&stats["people"]).iter().map(|row| {
        let hardly = format!("{} of {}", number(row, "hardly_read"), number(row, "measured"));
        vec![text(row, "person"), number(row, "answers"), number(row, "yes"), hardly]
    });
    let people = output::table(&["who", "answers", "yes", "yes within 2 s of seeing it"], people);
    format!("{weeks}\n\n{people}")
}

fn words(inbox: &Value) -> String {
    let now = SystemClock.now().0;
    let blocks: Vec<String> = items(inbox).iter().map(|item| one(item, now)).collect();
    if blocks.is_empty() { "(nothing waits for anybody)".to_owned() } else { blocks.join("\n\n") }
}

fn one(item: &Value, now: i64) -> String {
    if item["item"] == "change" { changes::block(item, now) } else { block(item, now) }
}

/// Where an argument came from, where the gate looked.
fn origin(provenance: &Value, name: &str) -> String {
    let Ok(from) = serde_json::from_value::<Provenance>(provenance.clone()) else { return String::new() };
    let sources: Vec<&str> = from.of(name).into_iter().map(Source::words).collect();
    let nobody = if from.unvouched.contains(name) { "; nobody vouches for it" } else { "" };
    if sources.is_empty() { String::new() } else { format!("   [{}{nobody}]", sources.join(", ")) }
}

fn block(item: &Value, now: i64) -> String {
    let since = ago(now, item["since"].as_i64().unwrap_or(now));
    let of = |field: &str| text(item, field);
    let chain: Vec<&str> = items(&item["chain"]).iter().filter_map(Value::as_str).collect();
    let mut lines = vec![format!("{}  {} of {}, {since} ago", of("id"), of("what"), chain.join(" > "))];
    if item["root"] != item["session"] {
        lines.push(format!("    under     {}", of("root")));
    }
    lines.push(format!("    {}", of("reason")));
    if !item["value_usd_micros"].is_null() {
        lines.push(format!("    worth     {}", output::dollars(&item["value_usd_micros"])));
    }
    if let Some(progress) = item["progress"]["text"].as_str().filter(|text| !text.is_empty()) {
        lines.push(format!("    so far    {progress}"));
    }
    lines.push(format!("    decides   a person of {}{}", groups(item), expiry(item, now)));
    for (name, value) in item["arguments"].as_object().into_iter().flatten() {
        lines.push(format!("    with      {name}: {}{}", argument(value), origin(&item["provenance"], name)));
    }
    if let (Some(by), Some(hash)) =
        (item["progress"]["edited_by"].as_str(), item["progress"]["arguments_sha256"].as_str())
    {
        lines.push(format!("    edited    by {by}; a yes to it is --seen {hash}"));
    }
    if item["item"] == "approval" {
        lines.push(format!("    undone    {}", of("undone")));
    }
    lines.extend(items(&item["similar"]).iter().take(3).map(|one| before(one, now)));
    lines.push(format!("    next      {}", of("next")));
    lines.join("\n")
}

/// What people said to the like of it before.
fn before(one: &Value, now: i64) -> String {
    let said = items(&one["answers"]).last();
    let who = said.map(|said| text(said, "person")).unwrap_or_default();
    let why = said.map(|said| text(said, "reason")).filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let asked = ago(now, one["asked_at"].as_i64().unwrap_or(now));
    format!("    before    {} by {who}, {asked} ago{why}", text(one, "outcome"))
}

fn groups(item: &Value) -> String {
    items(&item["groups"]).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or of ")
}

fn argument(value: &Value) -> String {
    let whole = value.as_str().map_or_else(|| value.to_string(), |text| text.replace('\n', "\n              "));
    if whole.chars().count() <= SHOWN { whole } else { whole.chars().take(SHOWN).chain(['…']).collect() }
}

fn expiry(item: &Value, now: i64) -> String {
    item["expires"].as_i64().map(|until| format!("; becomes a no in {}", ago(until, now))).unwrap_or_default()
}

/// To what somebody says yes, where that is not simply what was asked.
pub(crate) struct Yes {
    /// All arguments, as JSON, edited.
    pub(crate) edit: Option<String>,
    /// The hash of what somebody else edited.
    pub(crate) seen: Option<String>,
}

/// Says yes.
pub(crate) async fn approve(global: &Global, approval: &str, reason: &str, yes: Yes) -> Outcome {
    let Yes { edit, seen } = yes;
    if changes::is_change(approval) {
        if edit.is_some() || seen.is_some() {
            return Err(Failure::Usage("a change is approved as it is: leave --edit and --seen out".to_owned()));
        }
        return changes::approve(global, approval, reason).await;
    }
    let edited: Value = match edit {
        None => Value::Null,
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            Failure::Usage(format!(
                "--edit is not a JSON object: {error}; give all arguments, as `ostler inbox -o json` shows them"
            ))
        })?,
    };
    let client = Client::find(global)?;
    let id: ApprovalId = inbox_id(&client, approval).await?;
    let said = client
        .post(&format!("/api/inbox/{id}/approve"), json!({ "reason": reason, "edited": edited, "seen": seen }))
        .await?;
    output::print(global.output, &said, |_| format!("approved {id}"))?;
    goes_on(global, id.call)
}

/// Says no.
pub(crate) async fn deny(global: &Global, approval: &str, reason: &str) -> Outcome {
    if changes::is_change(approval) {
        return changes::deny(global, approval, reason).await;
    }
    let client = Client::find(global)?;
    let id: ApprovalId = inbox_id(&client, approval).await?;
    let said = client.post(&format!("/api/inbox/{id}/deny"), json!({ "reason": reason })).await?;
    output::print(global.output, &said, |_| format!("denied {id}"))?;
    goes_on(global, id.call)
}

/// Says what came of a write in doubt.
pub(crate) async fn resolve(global: &Global, call: &str, say: Say, result: &str) -> Outcome {
    let client = Client::find(global)?;
    let id: CallId = inbox_id(&client, call).await?;
    let body = match say {
        Say::Happened => json!({ "say": "happened", "result": result }),
        Say::DidNot => json!({ "say": "did_not" }),
        Say::Abandon => json!({ "say": "abandon" }),
    };
    let said = client.post(&format!("/api/calls/{id}/resolve"), body).await?;
    output::print(global.output, &said, |_| format!("resolved {id}"))?;
    goes_on(global, id)
}

fn goes_on(global: &Global, call: CallId) -> Outcome {
    if global.output == Format::Table {
        output::talk(&format!("the session goes on: ostler trace {}", call.session));
    }
    Ok(())
}
