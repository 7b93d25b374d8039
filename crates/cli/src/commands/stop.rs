//! `kill`, `freeze`, `unfreeze`: the kill switch.

use serde_json::{Value, json};

use crate::args::{Freeze, Global, What};
use crate::client::{Client, Outcome};
use crate::commands::session_id;
use crate::output::{self, text};

/// Ends a session for good.
pub(crate) async fn kill(global: &Global, session: &str, reason: &str) -> Outcome {
    let client = Client::find(global)?;
    let id = session_id(&client, session).await?;
    let done = client.post(&format!("/api/sessions/{id}/kill"), json!({ "reason": reason })).await?;
    output::print(global.output, &done, |done| match text(done, "phase").as_str() {
        "killed" => format!("{id} killed"),
        phase => format!("{id} is {phase} still: it ends with the call that is in flight"),
    })
}

/// Stops something.
pub(crate) async fn freeze(global: &Global, freeze: &Freeze) -> Outcome {
    let client = Client::find(global)?;
    let what = scope(&client, &freeze.what).await?;
    let done = client.post("/api/freeze", json!({ "what": what, "reason": freeze.reason })).await?;
    output::print(global.output, &done, |done| {
        format!("frozen as of control position {}: nothing of it is sent from now on", text(done, "control_pos"))
    })
}

/// Lets something go on.
pub(crate) async fn unfreeze(global: &Global, what: &What) -> Outcome {
    let client = Client::find(global)?;
    let what = scope(&client, what).await?;
    let done = client.post("/api/unfreeze", json!({ "what": what })).await?;
    output::print(global.output, &done, |done| {
        format!("let go on as of control position {}", text(done, "control_pos"))
    })
}

async fn scope(client: &Client, what: &What) -> Outcome<Value> {
    Ok(match what {
        What { agent: Some(agent), .. } => json!({ "scope": "agent", "agent": agent }),
        What { revision: Some(revision), .. } => json!({ "scope": "revision", "revision": revision }),
        What { session: Some(session), .. } => {
            json!({ "scope": "session", "session": session_id(client, session).await? })
        }
        What { person: Some(person), .. } => json!({ "scope": "person", "person": person }),
        What { .. } => json!({ "scope": "all" }),
    })
}
