//! `replay`: what sessions did, asked about again with one thing changed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{apply, session_id};
use crate::args::{Format, Global, Replay, Swap};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items, text};

/// Asks about them, and prints what changes.
pub(crate) async fn replay(global: &Global, replay: &Replay) -> Outcome {
    let client = Client::find(global)?;
    let mut sessions = Vec::new();
    for given in &replay.sessions {
        sessions.push(session_id(&client, given).await?);
    }
    let mut body = json!({ "sessions": sessions });
    if let Some(agent) = &replay.agent {
        body["agent"] = json!(agent);
    }
    if let Some(since) = &replay.since {
        body["since"] = since.as_str().into();
    }
    match &replay.with {
        Swap::Policy(file) => body["files"] = apply::bodies(std::slice::from_ref(file))?.into(),
        Swap::Revision(given) => {
            let file = PathBuf::from(given);
            match file.exists() {
                true => body["files"] = apply::bodies(&[file])?.into(),
                false if given.chars().all(|c| c.is_ascii_hexdigit()) => body["revision"] = given.as_str().into(),
                false => {
                    let why = format!("{given} is no file, and no beginning of a revision's hash");
                    return Err(Failure::Usage(format!("{why}: `ostler get agent NAME -o yaml` has it")));
                }
            }
        }
    }
    let replayed = client.post("/api/replay", body).await?;
    output::print(global.output, &replayed, changes)?;
    if global.output == Format::Table {
        said(&replayed).iter().for_each(|line| output::talk(line));
    }
    Ok(())
}

fn changes(replayed: &Value) -> String {
    let flips = items(&replayed["flips"]);
    let mut out = format!("{}\n", text(replayed, "closing"));
    if flips.is_empty() {
        return out;
    }
    let rows = flips.iter().map(|flip| {
        let rules: Vec<String> = items(&flip["rules"]).iter().map(|rule| text(rule, "id")).collect();
        let mark = if flip["off_record"] == true { "*" } else { "" };
        vec![
            format!("{}{mark}", text(flip, "call")),
            text(flip, "tool"),
            text(flip, "was"),
            text(flip, "would"),
            rules.join(", "),
        ]
    });
    out.push('\n');
    out.push_str(&output::table(&["call", "tool", "was", "would be", "by rule"], rows));
    let mut told: Vec<String> = Vec::new();
    for flip in flips {
        let reason = format!("{}: {}", text(flip, "tool"), text(flip, "reason"));
        if !told.contains(&reason) {
            told.push(reason);
        }
    }
    for reason in told {
        out.push_str(&format!("\n{reason}\n"));
    }
    out
}

/// What was asked again and what was not.
fn said(replayed: &Value) -> Vec<String> {
    let count = |field: &str| replayed[field].as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "{} sessions: their records were folded again, and the rules asked about each call as it was made then. Budgets, \
         people and upstreams were not asked; nothing was sent or changed.",
        count("sessions")
    )];
    if items(&replayed["flips"]).iter().any(|flip| flip["off_record"] == true) {
        lines.push(
            "* an earlier answer of this session is another one, too: it may not have come to this call".to_owned(),
        );
    }
    let see: Vec<String> = items(&replayed["models_see"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if !see.is_empty() {
        lines.push(format!(
            "{} model answers are off the record: the model would see another {}; what it called then is asked about as it \
             called it",
            count("model_calls_not_run"),
            see.join(", another ")
        ));
    }
    if count("refused_otherwise") > 0 {
        lines.push(format!("{} calls were refused by something else than the rules", count("refused_otherwise")));
    }
    for untold in items(&replayed["untold"]) {
        lines.push(format!("not told: {} {}: {}", text(untold, "call"), text(untold, "tool"), text(untold, "why")));
    }
    lines
}
