//! `get` and `delete`: what was applied, and whether it can run.

use domain::id::Name;
use serde_json::{Value, json};

use crate::args::Global;
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items, text};

/// What can be listed.
enum Listed {
    /// What was applied, of one kind or of all.
    Descriptors(Option<&'static str>),
    /// What agents answered.
    Results,
    /// Who decides.
    People,
    /// What opens the server.
    Keys,
}

/// Lists things of a kind, or shows one.
pub(crate) async fn get(global: &Global, what: &str, name: Option<&Name>) -> Outcome {
    let listed = listed(what)?;
    let client = Client::find(global)?;
    match listed {
        Listed::Descriptors(kind) => descriptors(global, &client, (what, kind), name).await,
        Listed::Results => {
            let filter = name.map(|agent| format!("?agent={agent}")).unwrap_or_default();
            let results = client.get(&format!("/api/results{filter}")).await?;
            output::print(global.output, &results, results_table)
        }
        Listed::People => super::people::list(global, &client).await,
        Listed::Keys => super::people::list_keys(global, &client).await,
    }
}

async fn descriptors(
    global: &Global,
    client: &Client,
    (what, kind): (&str, Option<&'static str>),
    name: Option<&Name>,
) -> Outcome {
    let filters = kind.map(|kind| format!("kind={kind}")).into_iter();
    let filters: Vec<String> = filters.chain(name.map(|name| format!("name={name}"))).collect();
    let found = client.get(&format!("/api/resources?{}", filters.join("&"))).await?;
    let Some(name) = name else { return output::print(global.output, &found, many) };
    let missing = || Failure::NotFound(format!("there is no {what} {name}: list them with `ostler get {what}`"));
    output::print(global.output, items(&found).first().ok_or_else(missing)?, one_in_words)
}

/// Deletes one.
pub(crate) async fn delete(global: &Global, what: &str, name: &Name) -> Outcome {
    let Listed::Descriptors(Some(kind)) = listed(what)? else {
        let how =
            "write agent, capability, mcpserver, modelprovider or policy: a key is revoked with `ostler key revoke`";
        return Err(Failure::Usage(how.to_owned()));
    };
    let came = Client::find(global)?.delete(&format!("/api/resources/{kind}/{name}")).await?;
    if came["waits"].is_object() {
        return super::changes::told(global, &came, false);
    }
    output::done(global.output, &json!({ "kind": kind, "deleted": name }), &format!("{kind} {name} deleted"))
}

fn listed(what: &str) -> Outcome<Listed> {
    match what.to_lowercase().as_str() {
        "all" => Ok(Listed::Descriptors(None)),
        "agent" | "agents" => Ok(Listed::Descriptors(Some("Agent"))),
        "capability" | "capabilities" => Ok(Listed::Descriptors(Some("Capability"))),
        "mcpserver" | "mcpservers" | "server" | "servers" => Ok(Listed::Descriptors(Some("McpServer"))),
        "modelprovider" | "modelproviders" | "provider" | "providers" => Ok(Listed::Descriptors(Some("ModelProvider"))),
        "policy" | "policies" => Ok(Listed::Descriptors(Some("Policy"))),
        "result" | "results" => Ok(Listed::Results),
        "person" | "people" => Ok(Listed::People),
        "key" | "keys" => Ok(Listed::Keys),
        other => Err(Failure::Usage(format!(
            "{other} is no kind: write agents, capabilities, mcpservers, modelproviders, policies, all, results, people or keys"
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
    items(&resource["triggers"]).iter().for_each(|trigger| out.push_str(&trigger_in_words(trigger)));
    let descriptor = serde_saphyr::to_string(&resource["descriptor"]).unwrap_or_default();
    out.push_str("descriptor\n");
    descriptor.lines().for_each(|line| out.push_str(&format!("  {line}\n")));
    out
}

fn trigger_in_words(trigger: &Value) -> String {
    let mut out = format!("  trigger   {}: {}\n", text(trigger, "name"), text(trigger, "on"));
    let next: Vec<_> = items(&trigger["next"]).iter().filter_map(Value::as_str).collect();
    if !next.is_empty() {
        out.push_str(&format!("    next    {}\n", next.join(", ")));
    }
    if let Some(last) = trigger.get("last") {
        out.push_str(&format!(
            "    last    {} {} ({})\n",
            text(last, "since"),
            text(last, "session"),
            text(last, "phase")
        ));
    }
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
