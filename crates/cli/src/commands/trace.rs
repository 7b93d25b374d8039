//! `trace` and `explain`: what a session did, and why a call was made.

use serde_json::Value;

use crate::args::{Format, Global};
use crate::client::{Client, Outcome};
use crate::commands::{call_id, session_id};
use crate::output;

/// Prints a session's trace.
pub(crate) async fn trace(global: &Global, session: &str, transcript: bool) -> Outcome {
    let client = Client::find(global)?;
    let session = session_id(&client, session).await?;
    if global.output != Format::Table {
        let trace = client.get(&format!("/api/sessions/{session}/trace")).await?;
        return output::print(global.output, &trace, |_| String::new());
    }
    let view = if transcript { "transcript" } else { "tree" };
    text(&client, &format!("/api/sessions/{session}/trace?as={view}")).await
}

/// Prints what prompt caches did for a session's model calls.
pub(crate) async fn cache(global: &Global, session: &str) -> Outcome {
    let client = Client::find(global)?;
    let session = session_id(&client, session).await?;
    if global.output != Format::Table {
        let calls = client.get(&format!("/api/sessions/{session}/cache")).await?;
        return output::print(global.output, &calls, |_| String::new());
    }
    text(&client, &format!("/api/sessions/{session}/cache?as=text")).await
}

/// Prints why a call was made.
pub(crate) async fn explain(global: &Global, call: &str) -> Outcome {
    let client = Client::find(global)?;
    let call = call_id(&client, call).await?;
    if global.output != Format::Table {
        let explanation = client.get(&format!("/api/calls/{call}/explain")).await?;
        return output::print(global.output, &explanation, |_| String::new());
    }
    text(&client, &format!("/api/calls/{call}/explain?as=text")).await
}

async fn text(client: &Client, path: &str) -> Outcome {
    match client.get(path).await? {
        Value::String(text) => output::data(&text),
        other => output::data(&other.to_string()),
    }
    Ok(())
}
