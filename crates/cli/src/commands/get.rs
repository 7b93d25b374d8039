//! `get` and `delete`: what was applied, and whether it can run.

use domain::id::Name;
use serde_json::{Value, json};

use crate::args::Global;
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items, text};

/// Lists things of a kind, or shows one.
pub(crate) async fn get(global: &Global, what: &str, name: Option<&Name>) -> Outcome {
    let client = Client::find(global)?;
    match what {
        "result" | "results" => {
            let filter = name.map(|agent| format!("?agent={agent}")).unwrap_or_default();
            let results = client.get(&format!("/api/results{filter}")).await?;
            output::print(global.output, &results, results_table)
        }
        "person" | "people" => super::people::list(global, &client).await,
        "key" | "keys" => super::people::list_keys(global, &client).await,
        _ => {
            let kind = kind(what)?;
            let filters = kind.map(|kind| format!("kind={kind}")).into_iter();
            let filters: Vec<String> = filters.chain(name.map(|name| format!("name={name}"))).collect();
            let found = client.get(&format!("/api/resources?{}", filters.join("&"))).await?;
            match name {
                Some(name) => {
                    let one = items(&found).first().ok_or_else(|| {
                        Failure::NotFound(format!("there is no {what} {name}: list them with `ostler get {what}`"))
                    })?;
                    output::print(global.output, one, one_in_words)
                }
                None => output::print(global.output, &found, many),
            }
        }
    }
}

/// Deletes one.
pub(crate) async fn delete(global: &Global, what: &str, name: &Name) -> Outcome {
    let client = Client::find(global)?;
    let kind =
        kind(what)?.ok_or_else(|| Failure::Usage("write which kind: one thing is deleted at a time".to_owned()))?;
    client.delete(&format!("/api/resources/{kind}/{name}")).await?;
    output::done(global.output, &json!({ "kind": kind, "deleted": name }), &format!("{kind} {name} deleted"))
}

/// The kind that a word names; `None`: all of them.
fn kind(what: &str) -> Outcome<Option<&'static str>> {
    match what.to_lowercase().as_str() {
        "agent" | "agents" => Ok(Some("Agent")),
        "capability" | "capabilities" => Ok(Some("Capability")),
        "mcpserver" | "mcpservers" | "server" | "servers" => Ok(Some("McpServer")),
        "modelprovider" | "modelproviders" | "provider" | "providers" => Ok(Some("ModelProvider")),
        "all" => Ok(None),
        other => Err(Failure::Usage(format!(
            "{other} is no kind: write agents, capabilities, mcpservers, modelproviders, all, results, people or keys"
        ))),
    }
}

fn is_ready(resource: &Value) -> bool {
    items(&resource["ready"]).iter().all(|condition| condition["ok"] == true)
}

fn many(found: &Value) -> String {
    let rows = items(found).iter().map(|row| {
        let revision = text(row, "revision").chars().take(12).collect();
        let ready = if is_ready(row) { "True" } else { "False" };
        vec![text(row, "kind"), text(row, "name"), text(row, "owner"), revision, text(row, "about"), ready.to_owned()]
    });
    output::table(&["kind", "name", "owner", "revision", "about", "ready"], rows)
}

fn one_in_words(resource: &Value) -> String {
    let mut out =
        format!("{} {}\n  owner     {}\n", text(resource, "kind"), text(resource, "name"), text(resource, "owner"));
    out.push_str(&format!("  revision  {}\n  applied   {}\n", text(resource, "revision"), text(resource, "applied")));
    out.push_str(&format!("  ready     {}\n", if is_ready(resource) { "True" } else { "False" }));
    for condition in items(&resource["ready"]) {
        let mark = if condition["ok"] == true { "ok " } else { "NOT" };
        out.push_str(&format!("    {mark} {}\n", text(condition, "reason")));
        if condition["ok"] == false {
            out.push_str(&format!("        next: {}\n", text(condition, "next")));
        }
    }
    let descriptor = serde_saphyr::to_string(&resource["descriptor"]).unwrap_or_default();
    out.push_str("descriptor\n");
    descriptor.lines().for_each(|line| out.push_str(&format!("  {line}\n")));
    out
}

fn results_table(results: &Value) -> String {
    let rows = items(results).iter().map(|row| {
        let words = text(row, "text").replace('\n', " ");
        let short: String =
            if words.chars().count() > 80 { words.chars().take(79).chain(['…']).collect() } else { words };
        vec![text(row, "at"), text(row, "agent"), text(row, "session"), text(row, "end"), short]
    });
    output::table(&["at", "agent", "session", "end", "result"], rows)
}
