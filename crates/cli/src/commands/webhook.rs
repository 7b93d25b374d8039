//! `webhook`: who outside is called when something happens.

use domain::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::args::{AddWebhook, Global, Webhook};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, ago, items, text};

/// `webhook add`, `list`, `delete`, `test`.
pub(crate) async fn webhook(global: &Global, webhook: Webhook) -> Outcome {
    let client = Client::find(global)?;
    match webhook {
        Webhook::Add(added) => add(global, &client, added).await,
        Webhook::List => output::print(global.output, &client.get("/api/webhooks").await?, table),
        Webhook::Delete { name } => {
            client.delete(&format!("/api/webhooks/{name}")).await?;
            output::done(global.output, &json!({ "deleted": name }), &format!("{name} is called no more"))
        }
        Webhook::Test { name } => {
            let tried = client.post(&format!("/api/webhooks/{name}/test"), json!({})).await?;
            output::print(global.output, &tried, |tried| text(tried, "said"))?;
            if tried["taken"] == true {
                return Ok(());
            }
            Err(Failure::Failed(anyhow::anyhow!("{name} did not take it: look there, then test it again")))
        }
    }
}

async fn add(global: &Global, client: &Client, added: AddWebhook) -> Outcome {
    let AddWebhook { name, address, secret, kinds, agent, after, allow_private, for_people } = added;
    let kinds: Vec<&str> = kinds.as_deref().map(|kinds| kinds.split(',').collect()).unwrap_or_default();
    let body = json!({
        "name": name, "url": address, "secret": secret, "kinds": kinds, "agent": agent, "after": after,
        "allow_private": allow_private, "for_people": for_people,
    });
    let webhook = client.post("/api/webhooks", body).await?;
    let words = if for_people {
        format!("people can choose {name}\nnext: ostler channel set --webhook {name} --as PERSON")
    } else {
        format!("{name} is called for what happens from now on\nnext: ostler webhook test {name}")
    };
    output::done(global.output, &webhook, &words)
}

fn table(webhooks: &Value) -> String {
    let now = SystemClock.now().0;
    let rows = items(webhooks).iter().map(|row| {
        let kinds: Vec<&str> = items(&row["kinds"]).iter().filter_map(Value::as_str).collect();
        let what = [kinds.join(","), text(row, "agent")].into_iter().filter(|word| !word.is_empty());
        let what = what.collect::<Vec<_>>().join(" of ");
        let error = &row["last_error"];
        let wrong = match error["at"].as_i64() {
            Some(at) => format!("{} ago: {}", ago(now, at), text(error, "what")),
            None => String::new(),
        };
        vec![
            text(row, "name"),
            text(row, "url"),
            match (row["for_people"] == true, what.is_empty()) {
                (true, _) => "people who choose it".to_owned(),
                (false, true) => "everything".to_owned(),
                (false, false) => what,
            },
            state(row),
            text(row, "lag"),
            text(row, "taken"),
            wrong,
        ]
    });
    output::table(&["name", "url", "called for", "state", "behind", "taken", "last error"], rows)
}

fn state(row: &Value) -> String {
    match (row["stopped"].is_null(), row["failed"].as_i64().unwrap_or(0)) {
        (false, _) => "stopped".to_owned(),
        (true, 0) => "ok".to_owned(),
        (true, failed) => format!("retrying ({failed})"),
    }
}
