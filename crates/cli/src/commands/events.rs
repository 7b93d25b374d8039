//! `events`: the event feed, an event a line. It keeps the cursor of the last event it printed, so it goes on where it
//! was when the server comes back.

use std::time::Duration;

use serde_json::Value;

use crate::args::{Events, Format, Global};
use crate::client::{Client, Failure, Outcome, Stream, Told};
use crate::commands::session_id;
use crate::output::{self, text};

/// How long to wait before a server that went away is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Prints what happened and, with `--follow`, what happens.
pub(crate) async fn events(global: &Global, events: Events) -> Outcome {
    let client = Client::find(global)?;
    let mut query = vec![format!("follow={}", events.follow), format!("content={}", events.content)];
    query.extend(events.agent.as_ref().map(|agent| format!("agent={agent}")));
    query.extend(events.kind.as_ref().map(|kinds| format!("kind={kinds}")));
    if let Some(session) = &events.session {
        query.push(format!("session={}", session_id(&client, session).await?));
    }
    let query = query.join("&");
    let mut cursor = events.after;
    let mut stream = open(&client, &query, cursor.as_deref()).await?;
    loop {
        let ended = tell(global, &mut stream, &mut cursor).await;
        if !events.follow {
            return ended;
        }
        output::talk("the server went away; waiting for it");
        stream = again(global, &query, &mut cursor).await?;
    }
}

async fn open(client: &Client, query: &str, cursor: Option<&str>) -> Outcome<Stream> {
    let after = cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
    client.stream(&format!("/api/events?{query}{after}")).await
}

/// Prints until the stream ends.
async fn tell(global: &Global, stream: &mut Stream, cursor: &mut Option<String>) -> Outcome {
    while let Some(Told { kind, id, data }) = stream.told().await? {
        if kind == "error" {
            return Err(Failure::Failed(anyhow::anyhow!("the server cannot go on: {data}")));
        }
        if !data.is_empty() {
            print(global.output, &serde_json::from_str(&data)?)?;
        }
        *cursor = id.or(cursor.take());
    }
    Ok(())
}

/// The stream again, once a server answers. What is refused for good ends it.
async fn again(global: &Global, query: &str, cursor: &mut Option<String>) -> Outcome<Stream> {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let client = Client::find(global)?;
        match open(&client, query, cursor.as_deref()).await {
            Err(Failure::Failed(_)) => {}
            other => return other,
        }
    }
}

fn print(format: Format, event: &Value) -> Outcome {
    match format {
        Format::Table => output::data(&line(event)),
        // A feed has no end that a list could be closed at.
        Format::Json | Format::Jsonl | Format::Csv => output::data(&event.to_string()),
        Format::Yaml => {
            output::data("---");
            output::print(format, event, |_| String::new())?;
        }
    }
    Ok(())
}

/// One event for people: when, what, whose.
fn line(event: &Value) -> String {
    let data = &event["data"];
    let about = if event["agent"].is_null() { text(event, "cause") } else { text(event, "agent") };
    let call = text(data, "call").rsplit_once('.').map(|(_, number)| format!("call {number}")).unwrap_or_default();
    let rest = [call, text(data, "what"), text(data, "end")];
    let rest: Vec<_> = rest.into_iter().filter(|word| !word.is_empty()).collect();
    let line = format!(
        "{}  {:<20} {:<30} {about} {}",
        text(event, "time"),
        text(event, "kind"),
        text(event, "subject"),
        rest.join(" ")
    );
    let content = &data["content"];
    let content = if content.is_null() { String::new() } else { format!("\n    {content}") };
    format!("{}{content}", line.trim_end())
}
