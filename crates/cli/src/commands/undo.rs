//! `undo`: what a session did outside, how each of it is undone, and, once a person said so, that it is.

use std::io::{BufRead, IsTerminal};

use serde_json::{Value, json};

use crate::args::Global;
use crate::client::{Client, Failure, Outcome};
use crate::commands::session_id;
use crate::output::{self, items, text};

/// Shows the plan, asks once, and has it done.
pub(crate) async fn undo(global: &Global, session: &str, (reason, yes): (&str, bool)) -> Outcome {
    let client = Client::find(global)?;
    let session = session_id(&client, session).await?;
    let path = format!("/api/sessions/{session}/undo");
    let plan = client.get(&path).await?;
    let count = to_do(&plan);
    if count == 0 || global.acting_as.is_none() {
        output::print(global.output, &plan, table)?;
        if count > 0 {
            output::talk(&format!("nothing was undone: ostler undo {session} --as PERSON"));
        }
        return Ok(());
    }
    output::talk(&table(&plan));
    if !yes && !agreed(count)? {
        return Err(Failure::Waiting("nothing was undone: say yes, or add --yes".to_owned()));
    }
    let body = json!({ "plan_sha256": plan["plan_sha256"], "reason": reason });
    let came = client.post(&path, body).await?;
    output::print(global.output, &came, told)?;
    ended(&came)
}

fn to_do(plan: &Value) -> usize {
    items(&plan["steps"]).iter().filter(|step| step["state"] == "to_do" || step["state"] == "waits").count()
}

/// What was done, how it is undone, and what cannot be.
fn table(plan: &Value) -> String {
    if items(&plan["steps"]).is_empty() {
        return "(it did nothing outside)".to_owned();
    }
    let rows = items(&plan["steps"]).iter().map(|step| {
        let did = format!("{} {}", text(step, "capability"), short(&step["arguments"]));
        let how = match text(step, "state").as_str() {
            "cannot" => format!("CANNOT: {}", text(step, "why")),
            "undone" => "was undone".to_owned(),
            "waits" => format!("waits: {} {}", text(&step["by"], "capability"), short(&step["by"]["arguments"])),
            _ => format!("{} {}", text(&step["by"], "capability"), short(&step["by"]["arguments"])),
        };
        let call = text(step, "call");
        vec![call.rsplit_once('.').map_or(call.clone(), |(_, number)| number.to_owned()), did, how]
    });
    output::table(&["call", "what was done", "how it is undone"], rows)
}

fn short(arguments: &Value) -> String {
    const MOST: usize = 60;
    let whole = arguments.to_string();
    if whole.chars().count() <= MOST { whole } else { whole.chars().take(MOST).chain(['…']).collect() }
}

/// Asks the person who types.
fn agreed(count: usize) -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    output::words(&format!("Undo {}? [y/N] ", if count == 1 { "it".to_owned() } else { format!("these {count}") }));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn told(came: &Value) -> String {
    let line = |one: &Value| match text(one, "came").as_str() {
        "undone" => format!("undone   {}", text(one, "call")),
        other => format!("{other:8} {}: {}", text(one, "call"), text(one, "text")),
    };
    let left = items(&came["left"]).iter().map(|step| match text(step, "state").as_str() {
        "cannot" => format!("left     {}: it cannot be undone: {}", text(step, "call"), text(step, "why")),
        _ => format!("left     {}", text(step, "call")),
    });
    items(&came["done"]).iter().map(line).chain(left).collect::<Vec<_>>().join("\n")
}

/// How it ended, for scripts.
fn ended(came: &Value) -> Outcome {
    let any = |what: &str| items(&came["done"]).iter().any(|one| one["came"] == what);
    let session = text(came, "session");
    if any("failed") {
        return Err(Failure::Failed(anyhow::anyhow!("not all was undone: ostler trace {session}")));
    }
    if any("waits") {
        return Err(Failure::Waiting("it waits for other people: ostler inbox; then undo it again".to_owned()));
    }
    output::talk(&format!("its trace: ostler trace {session}"));
    Ok(())
}
