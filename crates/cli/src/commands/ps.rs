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
    let rows = items(sessions).iter().map(|row| {
        let since = ago(now, row["since"].as_i64().unwrap_or(now));
        let mut notes = Vec::new();
        if row["scripted"] == true {
            notes.push("scripted");
        }
        if row["mode"] == "shadow" {
            notes.push("shadow");
        }
        let on = text(row, "waits_on").replace(&text(row, "session"), "…");
        vec![text(row, "session"), text(row, "agent"), text(row, "phase"), since, on, notes.join(" ")]
    });
    output::table(&["session", "agent", "phase", "since", "waits on", "notes"], rows)
}
