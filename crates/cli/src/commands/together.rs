//! `approve` of several requests at once: what differs between them is told, and each is answered for itself.

use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::client::{Client, Failure, Outcome};
use crate::commands::inbox_id;
use crate::output::{self, items, text};

/// Says yes to each of these, or to all that are of the shape of one.
pub(crate) async fn approve(global: &Global, (given, like): (&[String], Option<&str>), reason: &str) -> Outcome {
    let client = Client::find(global)?;
    let inbox = client.get("/api/inbox").await?;
    let mut wanted = Vec::new();
    for id in given.iter().map(String::as_str).chain(like) {
        wanted.push(inbox_id::<domain::id::ApprovalId>(&client, id).await?.to_string());
    }
    let named = |item: &&Value| wanted.contains(&text(item, "id"));
    let shape = items(&inbox).iter().find(named).map(|item| text(item, "batch")).filter(|_| like.is_some());
    let of_it = |item: &&Value| match &shape {
        Some(shape) => text(item, "batch") == *shape,
        None => named(item),
    };
    let all: Vec<&Value> = items(&inbox).iter().filter(of_it).collect();
    if all.is_empty() {
        return Err(Failure::NotFound("none of these waits any more: see `ostler inbox`".to_owned()));
    }
    let ids: Map<String, Value> =
        all.iter().map(|item| (text(item, "id"), item["progress"]["arguments_sha256"].clone())).collect();
    let said = client.post("/api/inbox/answers", json!({ "ids": ids, "approved": true, "reason": reason })).await?;
    output::print(global.output, &said, |said| told(&all, said))?;
    let failed = items(&said["answers"]).iter().filter(|one| one["done"] != true).count();
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::Failed(anyhow::anyhow!("{failed} of {} were not approved: each says why", all.len())))
}

/// A line per request: what came of it, and in what it differs from the first.
fn told(all: &[&Value], said: &Value) -> String {
    let lines = items(&said["answers"]).iter().map(|outcome| {
        let id = text(outcome, "id");
        let item = all.iter().find(|item| text(item, "id") == id);
        let differs = item.map(|item| differs(&all[0]["arguments"], &item["arguments"])).unwrap_or_default();
        match outcome["error"].as_str() {
            None => format!("approved {id}{differs}"),
            Some(error) => format!("NOT      {id}: {error}"),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn differs(first: &Value, this: &Value) -> String {
    let fields = this.as_object().into_iter().flatten();
    let other = fields.filter(|(name, value)| first.get(name.as_str()) != Some(*value));
    other.map(|(name, value)| format!("  {name}: {value}")).collect()
}
