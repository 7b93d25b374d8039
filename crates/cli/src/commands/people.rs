//! `person`, `key`, `login`: who may do what with this server, and their way into the console.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use domain::id::Name;
use serde_json::{Value, json};

use crate::args::{Format, Global, Key, KeyKind, Person};
use crate::client::{Client, Failure, Outcome, person_key};
use crate::output::{self, items, text};

/// `person add`, `person list`.
pub(crate) async fn person(global: &Global, person: Person) -> Outcome {
    let client = Client::find(global)?;
    match person {
        Person::List => list(global, &client).await,
        Person::Add { name, groups } => {
            let added = add(&client, &name, &groups).await?;
            output::print(global.output, &added, |added| {
                let key = added["key"].as_str().map(|key| format!("\nkey {key} (shown once)")).unwrap_or_default();
                format!("{name} belongs to {}{key}", named_groups(added))
            })?;
            keep(&client, &name, &added)
        }
    }
}

/// Adds a person; a new one's key comes back.
pub(crate) async fn add(client: &Client, name: &Name, groups: &[Name]) -> Outcome<Value> {
    client.post("/api/people", json!({ "name": name, "groups": groups })).await
}

/// Keeps a key that came back in the data directory, where there is one, for `--as`.
fn keep(client: &Client, name: &Name, added: &Value) -> Outcome {
    if let (Some(data), Some(key)) = (client.data(), added["key"].as_str()) {
        write_key(&person_key(data, name), key)?;
        output::talk(&format!("kept for `--as {name}` in the data directory"));
    }
    Ok(())
}

/// Writes a file that only its owner can read.
pub(crate) fn write_key(file: &Path, key: &str) -> Outcome {
    let dir = file.parent().unwrap_or(Path::new("."));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("{} could not be made", dir.display()))?;
    let mut options = std::fs::OpenOptions::new();
    let mut out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} could not be written", file.display()))?;
    writeln!(out, "{key}")?;
    Ok(())
}

fn named_groups(person: &Value) -> String {
    let groups: Vec<&str> = items(&person["groups"]).iter().filter_map(Value::as_str).collect();
    if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") }
}

/// Lists people.
pub(crate) async fn list(global: &Global, client: &Client) -> Outcome {
    let people = client.get("/api/people").await?;
    output::print(global.output, &people, |people| {
        let rows = items(people).iter().map(|row| vec![text(row, "name"), named_groups(row)]);
        output::table(&["person", "groups"], rows)
    })
}

/// `key add`, `key list`, `key revoke`.
pub(crate) async fn key(global: &Global, key: Key) -> Outcome {
    match key {
        Key::List => list_keys(global, &Client::find(global)?).await,
        Key::Revoke { id } => {
            let client = Client::find(global)?;
            client.delete(&format!("/api/keys/{id}")).await?;
            output::done(global.output, &json!({ "revoked": id }), &format!("{id} revoked: it opens nothing any more"))
        }
        Key::Add { kind, name } => {
            let holder = holder(kind, name.as_ref())?;
            let client = Client::find(global)?;
            let added = client.post("/api/keys", holder).await?;
            output::print(global.output, &added, |added| {
                format!("{}\nkey {} (shown once)", text(added, "id"), text(added, "key"))
            })?;
            match name {
                Some(person) if kind == KeyKind::Person => keep(&client, &person, &added),
                Some(_) | None => Ok(()),
            }
        }
    }
}

fn holder(kind: KeyKind, name: Option<&Name>) -> Outcome<Value> {
    match (kind, name) {
        (KeyKind::Admin, None) => Ok(json!({ "holder": "admin" })),
        (KeyKind::Person, Some(name)) => Ok(json!({ "holder": "person", "person": name })),
        (KeyKind::Agent, Some(name)) => Ok(json!({ "holder": "agent", "agent": name })),
        (KeyKind::Admin, Some(_)) | (KeyKind::Person | KeyKind::Agent, None) => {
            let how = "write `key add admin`, `key add person NAME` or `key add agent NAME`";
            Err(Failure::Usage(how.to_owned()))
        }
    }
}

/// Lists keys.
pub(crate) async fn list_keys(global: &Global, client: &Client) -> Outcome {
    let keys = client.get("/api/keys").await?;
    output::print(global.output, &keys, |keys| {
        let rows = items(keys)
            .iter()
            .map(|row| vec![text(row, "id"), text(row, "holder"), text(row, "name"), text(row, "added")]);
        output::table(&["id", "holder", "name", "added"], rows)
    })
}

/// Prints a one-time address of the console.
pub(crate) async fn login(global: &Global, person: &Name) -> Outcome {
    let client = Client::find(global)?;
    let login = sign_in(&client, person).await?;
    output::print(global.output, &login, |login| text(login, "url"))?;
    if global.output == Format::Table {
        output::talk(&format!("open it in a browser: it signs {person} in, once"));
    }
    Ok(())
}

/// A one-time address of the console.
pub(crate) async fn sign_in(client: &Client, person: &Name) -> Outcome<Value> {
    client.post("/api/logins", json!({ "person": person })).await
}
