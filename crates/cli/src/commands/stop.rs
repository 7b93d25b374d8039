//! `suspend`, `resume`, `kill`, `freeze`, `unfreeze`: stopping one session, or more.

use serde_json::{Value, json};

use crate::args::{Format, Freeze, Global, What};
use crate::client::{Client, Outcome};
use crate::commands::session_id;
use crate::output::{self, text};

/// Holds a session where it is.
pub(crate) async fn suspend(global: &Global, session: &str, reason: &str) -> Outcome {
    tell(global, session, ("suspend", json!({ "reason": reason }))).await
}

/// Lets a session go on that was suspended.
pub(crate) async fn resume(global: &Global, session: &str) -> Outcome {
    tell(global, session, ("resume", json!({}))).await
}

/// Ends a session for good.
pub(crate) async fn kill(global: &Global, session: &str, reason: &str) -> Outcome {
    tell(global, session, ("kill", json!({ "reason": reason }))).await
}

async fn tell(global: &Global, session: &str, (wish, body): (&str, Value)) -> Outcome {
    let client = Client::find(global)?;
    let id = session_id(&client, session).await?;
    let came = client.post(&format!("/api/sessions/{id}/{wish}"), body).await?;
    if came["recorded"] == true || global.output != Format::Table {
        return output::print(global.output, &came, |came| text(came, "said"));
    }
    output::talk(&text(&came, "said"));
    Ok(())
}

/// Stops something.
pub(crate) async fn freeze(global: &Global, freeze: &Freeze) -> Outcome {
    let client = Client::find(global)?;
    let what = scope(&client, &freeze.what).await?;
    let done = client.post("/api/freeze", json!({ "what": what, "reason": freeze.reason })).await?;
    match done["stopping"].as_u64() {
        None | Some(0) => {}
        Some(left) => output::talk(&format!("{left} calls that were under way are still being stopped")),
    }
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
        format!("let go on as of control position {}: what waited for it is woken", text(done, "control_pos"))
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
