//! `channel`: where people are told what waits for them.

use domain::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::args::{Channel, Global, SetChannel};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, ago, items, text};

/// `channel set`, `list`, `remove`.
pub(crate) async fn channel(global: &Global, channel: Channel) -> Outcome {
    let client = Client::find(global)?;
    match channel {
        Channel::Set(SetChannel { webhook, mail }) => {
            let body = match webhook {
                Some(webhook) => json!({ "by": "webhook", "webhook": webhook }),
                None => json!({ "by": "mail", "address": mail }),
            };
            let set = client.post("/api/channels", body).await?;
            let (person, there) = (text(&set, "person"), text(&set, "channel"));
            let words =
                format!("{person} is told there of what waits: {there}\nwhoever can read it can answer as {person}");
            output::done(global.output, &set, &words)
        }
        Channel::List => output::print(global.output, &client.get("/api/channels").await?, table),
        Channel::Remove { person } => {
            let whose = person.or_else(|| global.acting_as.clone());
            let how = "say whose: `channel remove PERSON`, or `channel remove --as PERSON`";
            let whose = whose.ok_or_else(|| Failure::Usage(how.to_owned()))?;
            client.delete(&format!("/api/channels/{whose}")).await?;
            output::done(
                global.output,
                &json!({ "removed": whose }),
                &format!("{whose} is told nothing there any more"),
            )
        }
    }
}

fn table(channels: &Value) -> String {
    let now = SystemClock.now().0;
    let rows = items(channels).iter().map(|row| {
        let error = &row["last_error"];
        let wrong = match error["at"].as_i64() {
            Some(at) => format!("{} ago: {}", ago(now, at), text(error, "what")),
            None => String::new(),
        };
        let state = match row["failed"].as_i64().unwrap_or(0) {
            0 => "ok".to_owned(),
            failed => format!("failing ({failed})"),
        };
        vec![text(row, "person"), text(row, "channel"), state, text(row, "told"), wrong]
    });
    output::table(&["person", "told by", "state", "told", "last error"], rows)
}
