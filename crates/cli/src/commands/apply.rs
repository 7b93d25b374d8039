//! `apply`: descriptors, all of them or none. Files that a descriptor refers to are sent along.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::descriptor::Diagnostic;
use serde_json::{Value, json};

use crate::args::{Apply, Format, Global};
use crate::client::{Client, Failure, Outcome};
use crate::commands::changes;
use crate::output::{self, items, text};

/// What standard input is called, on the command line and in what is said about it.
const STDIN: (&str, &str) = ("-", "<stdin>");

/// Applies files, or directories of `*.yaml`.
pub(crate) async fn apply(global: &Global, apply: &Apply) -> Outcome {
    let client = Client::find(global)?;
    let dry_run = apply.dry_run;
    let applied = send(&client, &apply.files, (&apply.reason, dry_run)).await?;
    output::print(global.output, &applied, |value| summary(value, dry_run))?;
    if global.output == Format::Table {
        say_what_is_missing(&applied);
        if dry_run {
            output::talk("nothing was changed: leave --dry-run out to apply it");
        }
    }
    changes::told(global, &applied, dry_run)
}

/// Says how files would change authority.
pub(crate) async fn diff(global: &Global, files: &[PathBuf]) -> Outcome {
    let client = Client::find(global)?;
    let came = send(&client, files, ("", true)).await?;
    changes::differs(global, &came)
}

/// Files, as a server takes them.
pub(crate) fn bodies(files: &[PathBuf]) -> Outcome<Vec<Value>> {
    Ok(gather(files)?.iter().map(|(path, text)| body(path, text)).collect())
}

/// Sends files to a server and returns what it says was applied.
pub(crate) async fn send(client: &Client, files: &[PathBuf], (reason, dry_run): (&str, bool)) -> Outcome<Value> {
    let files = gather(files)?;
    let bodies: Vec<Value> = files.iter().map(|(path, text)| body(path, text)).collect();
    let sent = client.post("/api/apply", json!({ "files": bodies, "dry_run": dry_run, "reason": reason })).await;
    sent.map_err(|failure| match failure {
        Failure::Unfit(error) if output::coloured() => Failure::Unfit(in_colour(error, &files)),
        other => other,
    })
}

/// A file, with the files that it refers to, by the paths as they are written in it.
fn body(path: &Path, text: &str) -> Value {
    let mut attachments = BTreeMap::new();
    for reference in domain::descriptor::references(text) {
        let beside = path.parent().unwrap_or(Path::new(".")).join(&reference);
        // A file that is missing is the server's to report, at the line that names it.
        if let Ok(text) = std::fs::read_to_string(&beside) {
            attachments.insert(reference, text);
        }
    }
    json!({ "path": path.display().to_string(), "text": text, "attachments": attachments })
}

/// Reads the files named, and the YAML files of directories named, in order of name.
fn gather(paths: &[PathBuf]) -> Outcome<Vec<(PathBuf, String)>> {
    let mut read = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN.0 {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input could not be read")?;
            read.push((PathBuf::from(STDIN.1), text));
            continue;
        }
        let all = if path.is_dir() { yaml_files(path)? } else { vec![path.clone()] };
        for path in all {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("{} could not be read", path.display()))?;
            read.push((path, text));
        }
    }
    Ok(read)
}

fn yaml_files(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("{} could not be listed", dir.display()))?;
    let mut inside: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    inside.retain(|path| path.is_file() && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    inside.sort();
    if inside.is_empty() {
        return Err(Failure::Usage(format!("{} holds no *.yaml", dir.display())));
    }
    Ok(inside)
}

/// The same, drawn again for a terminal.
fn in_colour(mut error: Value, files: &[(PathBuf, String)]) -> Value {
    for diagnostic in error["diagnostics"].as_array_mut().into_iter().flatten() {
        let file = text(diagnostic, "file");
        let source = files.iter().find(|(path, _)| path.display().to_string() == file);
        let whole = serde_json::from_value::<Diagnostic>(diagnostic.clone()).ok();
        if let (Some((_, source)), Some(whole)) = (source, whole) {
            diagnostic["rendered"] = whole.render_in_colour(source).into();
        }
    }
    error
}

fn summary(applied: &Value, dry_run: bool) -> String {
    let rows = items(&applied["applied"]).iter().map(|row| {
        let ready = items(&row["ready"]).iter().all(|condition| condition["ok"] == true);
        let change = if dry_run { format!("{} (dry run)", text(row, "change")) } else { text(row, "change") };
        let revision = text(row, "revision").chars().take(12).collect();
        vec![text(row, "kind"), text(row, "name"), revision, change, if ready { "True" } else { "False" }.to_owned()]
    });
    output::table(&["kind", "name", "revision", "change", "ready"], rows)
}

fn say_what_is_missing(applied: &Value) {
    for row in items(&applied["applied"]) {
        for condition in items(&row["ready"]).iter().filter(|condition| condition["ok"] == false) {
            output::talk(&format!(
                "{}: {}\n  next: {}",
                text(row, "name"),
                text(condition, "reason"),
                text(condition, "next")
            ));
        }
    }
}
