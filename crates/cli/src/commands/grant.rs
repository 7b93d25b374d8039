//! `grant`: what agents may do without asking each time, and which grants past answers speak for.

use domain::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::args::{AddGrant, Global, Grant};
use crate::client::{Client, Outcome};
use crate::output::{self, ago, dollars, items, text};

/// `grant add`, `second`, `list`, `revoke`, `propose`.
pub(crate) async fn grant(global: &Global, grant: Grant) -> Outcome {
    let client = Client::find(global)?;
    match grant {
        Grant::Add(wanted) => add(global, &client, *wanted).await,
        Grant::Second { name } => {
            let done = client.post(&format!("/api/grants/{name}/second"), json!({})).await?;
            output::done(global.output, &done, &format!("{name} is given by you, too"))
        }
        Grant::List => output::print(global.output, &client.get("/api/grants").await?, table),
        Grant::Revoke { name, reason } => {
            let done = client.post(&format!("/api/grants/{name}/revoke"), json!({ "reason": reason })).await?;
            output::done(global.output, &done, &format!("{name} holds no more"))
        }
        Grant::Propose { agent } => {
            let of = agent.map(|agent| format!("?agent={agent}")).unwrap_or_default();
            output::print(global.output, &client.get(&format!("/api/grants/proposals{of}")).await?, proposed)
        }
    }
}

async fn add(global: &Global, client: &Client, wanted: AddGrant) -> Outcome {
    let AddGrant { agent, capability, until, times, usd, each_usd, when, name, reason } = wanted;
    let body = json!({
        "agent": agent, "capability": capability, "until": until, "times": times, "usd": usd, "each_usd": each_usd,
        "when": when, "name": name, "reason": reason,
    });
    let given = client.post("/api/grants", body).await?;
    let name = text(&given, "name");
    let words = match given["grant"]["lacks"].as_str() {
        None => format!("{name} holds: {agent} does not ask for {capability} within it"),
        Some(lacks) => format!("{name} is given, but {lacks}\nnext: ostler grant second {name} --as ANOTHER"),
    };
    output::done(global.output, &given, &words)
}

fn table(grants: &Value) -> String {
    let now = SystemClock.now().0;
    let rows = items(grants).iter().map(|row| {
        let people: Vec<&str> = items(&row["by"]).iter().filter_map(Value::as_str).collect();
        let state = match row["lacks"].as_str() {
            Some(lacks) => lacks.to_owned(),
            None => format!("holds, ends in {}", ago(row["until"].as_i64().unwrap_or(now), now)),
        };
        vec![
            text(row, "name"),
            text(row, "agent"),
            text(row, "capability"),
            bounds(row),
            used(row),
            people.join(", "),
            state,
        ]
    });
    output::table(&["name", "agent", "capability", "only where", "used", "given by", "state"], rows)
}

fn bounds(row: &Value) -> String {
    let mut words = Vec::new();
    words.extend(row["when"].as_str().map(str::to_owned));
    if !row["each_usd_micros"].is_null() {
        words.push(format!("each up to {}", dollars(&row["each_usd_micros"])));
    }
    words.join(", ")
}

fn used(row: &Value) -> String {
    let each = items(&row["used"]).iter().map(|shown| {
        let taken = shown["spent"].as_i64().unwrap_or(0) + shown["held"].as_i64().unwrap_or(0);
        match shown["meter"] == "usd_micros" {
            true => format!("{} of {}", dollars(&json!(taken)), dollars(&shown["cap"])),
            false => format!("{taken} of {} calls", shown["cap"]),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

fn proposed(proposals: &Value) -> String {
    let each = items(proposals).iter().map(|row| {
        format!(
            "{} of {}: {}\n    next      {}",
            text(row, "capability"),
            text(row, "agent"),
            text(row, "text"),
            text(row, "next")
        )
    });
    let all: Vec<String> = each.collect();
    if all.is_empty() { "(past answers speak for no standing grant)".to_owned() } else { all.join("\n\n") }
}
