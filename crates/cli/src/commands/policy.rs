//! `policy`: what is in force, what it would say to a call, and tables of calls with what is expected.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::apply;
use crate::args::{Explain, Global, Policy};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items, text};

/// `policy show`, `schema`, `test`, `explain`.
pub(crate) async fn policy(global: &Global, policy: Policy) -> Outcome {
    if let Policy::Test { file, with } = policy {
        let files = apply::bodies(&with)?;
        return test(global, &file, files).await;
    }
    let client = Client::find(global)?;
    match policy {
        Policy::Test { .. } => Ok(()),
        Policy::Show { agent } => {
            output::print(global.output, &client.get(&format!("/api/policies/{agent}")).await?, shown)
        }
        Policy::Schema => {
            let schema = client.get("/api/policies").await?;
            output::print(global.output, &schema, |schema| text(schema, "cedar"))
        }
        Policy::Explain(explain) => {
            let answers = client.post("/api/policies/ask", json!({ "cases": [case(&explain)?] })).await?;
            output::print(global.output, &answers["answers"][0], explained)
        }
    }
}

fn case(explain: &Explain) -> Outcome<Value> {
    let input: Value = serde_json::from_str(&explain.input)
        .map_err(|error| Failure::Usage(format!("the arguments are not JSON: {error}; write '{{\"to\": \"…\"}}'")))?;
    let mut case = json!({"agent": explain.agent, "tool": explain.tool, "input": input,
        "provenance": {"tainted": explain.tainted, "unvouched": explain.unvouched}});
    for (field, value) in
        [("value_usd", json!(explain.value)), ("at", json!(explain.at)), ("on_behalf_of", json!(explain.on_behalf_of))]
    {
        if !value.is_null() {
            case[field] = value;
        }
    }
    Ok(case)
}

fn shown(shown: &Value) -> String {
    let mut out = String::new();
    for part in items(&shown["texts"]) {
        let from = match part["from"].as_str() {
            Some("default") => "the default policy, for every agent".to_owned(),
            Some("descriptor") => "the agent's own descriptor".to_owned(),
            Some(name) => format!("the policy {name}"),
            None => String::new(),
        };
        out.push_str(&format!("// ── {from} ──\n{}\n\n", text(part, "cedar").trim_end()));
        if let Some(broken) = part["broken"].as_str() {
            out.push_str(&format!("// It cannot be read, so everything is refused: {broken}\n\n"));
        }
    }
    out.push_str(&format!("// policy set {}, revision {}\n", text(shown, "policy_set"), text(shown, "revision")));
    out
}

fn explained(answer: &Value) -> String {
    let mut out = format!("{}: {}\n", text(answer, "decision"), text(answer, "reason"));
    for rule in items(&answer["rules"]) {
        out.push_str(&format!("\nrule {}\n", text(rule, "id")));
        text(rule, "text").lines().for_each(|line| out.push_str(&format!("    {line}\n")));
    }
    let because = answer["because"].as_object().into_iter().flatten();
    let because: Vec<String> = because.map(|(name, value)| format!("  {name} = {}\n", plain(value))).collect();
    if !because.is_empty() {
        out.push_str(&format!("\nbecause\n{}", because.concat()));
    }
    for (index, would) in items(&answer["would"]).iter().enumerate() {
        let lead = if index == 0 { "\nit would be allowed\n" } else { "" };
        out.push_str(&format!("{lead}  {}\n", plain(would)));
    }
    if answer["next"] != "" {
        out.push_str(&format!("\nnext: {}\n", text(answer, "next")));
    }
    out
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a table may expect of a call, beside what the call is.
const EXPECTED: [&str; 4] = ["expect", "rule", "by", "name"];

/// What a server answers; with none running, what the files alone do.
async fn answers(global: &Global, body: Value) -> Outcome<Value> {
    let files = !items(&body["files"]).is_empty();
    match Client::find(global) {
        Ok(client) if !files || client.answers().await => client.post("/api/policies/ask", body).await,
        Err(failure) if !files => {
            let why = anyhow::anyhow!("{failure}; or name the descriptors with -f: then no server is needed");
            Err(Failure::Failed(why))
        }
        Ok(_) | Err(_) => {
            output::talk("no server is running: these files are all there is, and tools take what the calls write");
            Client::offline(body)
        }
    }
}

async fn test(global: &Global, file: &Path, files: Vec<Value>) -> Outcome {
    let written = std::fs::read_to_string(file).with_context(|| format!("{} could not be read", file.display()))?;
    let table: Value = serde_saphyr::from_str(&written)
        .map_err(|error| Failure::Usage(format!("{} is not YAML: {error}", file.display())))?;
    let calls = items(&table["calls"]);
    if calls.is_empty() {
        let how = "it lists no `calls`: write calls: [{tool: NAME, input: {…}, expect: allow}]";
        return Err(Failure::Usage(format!("{}: {how}", file.display())));
    }
    let mut cases = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        cases.push(with_defaults(&table, call).ok_or_else(|| {
            let how = "a call is a mapping with `tool`, and `expect: allow`, `ask`, `record` or `deny`";
            Failure::Usage(format!("{}, call {}: {how}", file.display(), index + 1))
        })?);
    }
    let answers = answers(global, json!({ "cases": cases, "files": files })).await?;
    let rows: Vec<Value> =
        calls.iter().zip(items(&answers["answers"])).map(|(call, got)| compared(call, got)).collect();
    let wrong = rows.iter().filter(|row| row["ok"] == false).count();
    output::print(global.output, &json!({ "calls": rows, "differ": wrong }), tested)?;
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::Failed(anyhow::anyhow!("{wrong} of {} calls are not decided as expected", calls.len()))),
    }
}

/// The call itself, with what the table says of all calls.
fn with_defaults(table: &Value, call: &Value) -> Option<Value> {
    let mut case = table.as_object()?.clone();
    case.remove("calls");
    case.extend(call.as_object()?.clone());
    let expected = case.get("expect")?.as_str()?;
    ["allow", "ask", "record", "deny"].contains(&expected).then_some(())?;
    case.get("tool")?;
    EXPECTED.iter().for_each(|field| drop(case.remove(*field)));
    Some(Value::Object(case))
}

fn compared(call: &Value, got: &Value) -> Value {
    let rules: Vec<&str> = items(&got["rules"]).iter().filter_map(|rule| rule["id"].as_str()).collect();
    let mut differs = Vec::new();
    if call["expect"] != got["decision"] {
        differs.push(format!("expected {}, got {}", plain(&call["expect"]), text(got, "decision")));
    }
    if let Some(rule) = call["rule"].as_str().filter(|rule| !rules.contains(rule)) {
        differs.push(format!("expected the rule {rule}, got {}", rules.join(", ")));
    }
    if call["by"].is_string() && call["by"] != got["by"] {
        differs.push(format!("expected {} to be asked, got {}", plain(&call["by"]), plain(&got["by"])));
    }
    let name =
        call["name"].as_str().map_or_else(|| format!("{} {}", plain(&call["tool"]), call["input"]), str::to_owned);
    json!({"call": name, "decision": got["decision"], "rules": rules, "ok": differs.is_empty(), "differs": differs,
           "reason": got["reason"], "would": got["would"]})
}

fn tested(tested: &Value) -> String {
    let rows = items(&tested["calls"]).iter().map(|row| {
        let rules: Vec<String> = items(&row["rules"]).iter().map(plain).collect();
        let mark = if row["ok"] == true { "ok" } else { "DIFFERS" };
        vec![mark.to_owned(), text(row, "call"), text(row, "decision"), rules.join(", ")]
    });
    let mut out = output::table(&["", "call", "decision", "by rule"], rows);
    for row in items(&tested["calls"]).iter().filter(|row| row["ok"] == false) {
        out.push_str(&format!("\n{}\n", text(row, "call")));
        items(&row["differs"]).iter().for_each(|differs| out.push_str(&format!("  {}\n", plain(differs))));
        out.push_str(&format!("  {}\n", text(row, "reason")));
        items(&row["would"]).iter().for_each(|would| out.push_str(&format!("  would be allowed {}\n", plain(would))));
    }
    out
}
