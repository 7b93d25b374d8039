//! `ps`: sessions, running or suspended, since when and on what.

use domain::clock::{Clock, SystemClock};
use domain::id::Name;
use domain::session::Phase;
use serde_json::Value;

use crate::args::Global;
use crate::client::{Client, Outcome};
use crate::output::{self, ago, items, text};

/// Lists sessions.
pub(crate) async fn ps(global: &Global, agent: Option<Name>, phase: Option<Phase>) -> Outcome {
    let client = Client::find(global)?;
    let mut filters = Vec::new();
    filters.extend(agent.map(|agent| format!("agent={agent}")));
    filters.extend(phase.map(|phase| format!("phase={phase}")));
    let sessions = client.get(&format!("/api/sessions?{}", filters.join("&"))).await?;
    output::print(global.output, &sessions, table)
}

/// Sessions as a table.
fn table(sessions: &Value) -> String {
    let now = SystemClock.now().0;
    let rows = tree(items(sessions)).into_iter().map(|(depth, row)| {
        let since = ago(now, row["since"].as_i64().unwrap_or(now));
        let mut notes = Vec::new();
        if row["scripted"] == true {
            notes.push("scripted");
        }
        if row["mode"] == "shadow" {
            notes.push("shadow");
        }
        let on = text(row, "waits_on").replace(&text(row, "session"), "…");
        let agent = format!("{}{}", "  ".repeat(depth), text(row, "agent"));
        vec![text(row, "session"), agent, text(row, "phase"), since, on, notes.join(" ")]
    });
    output::table(&["session", "agent", "phase", "since", "waits on", "notes"], rows)
}

/// Each session in its order, with those that it delegated to below it, and how deep it is.
fn tree(sessions: &[Value]) -> Vec<(usize, &Value)> {
    let listed = |id: &Value| sessions.iter().any(|row| row["session"] == *id);
    let mut all = Vec::new();
    let mut left: Vec<_> = sessions.iter().rev().filter(|row| !listed(&row["parent"])).map(|row| (0, row)).collect();
    while let Some((depth, row)) = left.pop() {
        all.push((depth, row));
        let below = sessions.iter().rev().filter(|below| below["parent"] == row["session"]);
        left.extend(below.map(|below| (depth + 1, below)));
    }
    all
}
