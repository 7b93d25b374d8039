//! `backup`, `restore`, `upgrade --rehearse`: a server's whole directory, kept, put back, and tried on a newer build.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use server::backup::Manifest;
use server::rehearse::{Finding, Rehearsal};

use crate::args::Global;
use crate::client::{Client, Failure, Outcome};
use crate::commands::store;
use crate::output::{self, Busy};

/// Writes a backup of the running server, and reads it again to see that it is whole.
pub(crate) async fn backup(global: &Global, file: &Path, without_keys: bool) -> Outcome {
    let client = Client::find(global)?;
    if file.exists() {
        return Err(Failure::Usage(format!("{} is there already: name another file", file.display())));
    }
    let aside = aside(file);
    let written = write(&client, &aside, !without_keys).await.and_then(|()| {
        let _busy = Busy::with("reading it again");
        Ok(server::backup::check(&aside)?)
    });
    let placed = written.and_then(|manifest| {
        std::fs::rename(&aside, file).with_context(|| format!("{} could not be put in place", file.display()))?;
        Ok(manifest)
    });
    let manifest = match placed {
        Ok(manifest) => manifest,
        Err(failure) => {
            remove(&aside);
            return Err(failure);
        }
    };
    let keys = if manifest.holds_keys {
        "it holds the keys: whoever has it can read everything; keep it as you keep them"
    } else {
        "it holds no keys: without master.key of the data directory nobody can read it; keep that one elsewhere"
    };
    let words = format!("{} holds {}\n{keys}; secrets.env is not in it", file.display(), held(&manifest));
    output::done(global.output, &said(&manifest, "file", file)?, &words)
}

/// Writes what the server sends, and tells how far it is.
async fn write(client: &Client, file: &Path, keys: bool) -> Outcome {
    let busy = Busy::with("the server puts the backup together");
    let mut sent = client.bytes(&format!("/api/backup?keys={keys}")).await?;
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(file);
    let mut out = made.with_context(|| format!("{} could not be made", file.display()))?;
    let (all, mut done) = (sent.content_length().unwrap_or(0), 0);
    while let Some(bytes) = sent.chunk().await? {
        out.write_all(&bytes).with_context(|| format!("{} could not be written", file.display()))?;
        done += bytes.len() as u64;
        busy.say(format!("{} of {} MB", done / 1_000_000, all.div_ceil(1_000_000)));
    }
    out.sync_all().with_context(|| format!("{} could not be written", file.display()))?;
    Ok(())
}

/// Reads a backup back into an empty data directory, and its log into a database, where one is named.
pub(crate) async fn restore(global: &Global, file: &Path, store: Option<&str>) -> Outcome {
    let store = store::named(store)?;
    let Some(dir) = &global.data else {
        return Err(Failure::Usage(
            "say where to: --data DIR, an empty directory or one that is not there yet".to_owned(),
        ));
    };
    let busy = Busy::with("restoring");
    let manifest = server::backup::restore(file, dir, store.as_ref()).await?;
    drop(busy);
    let keys =
        if manifest.holds_keys { "" } else { "\nit held no keys: put master.key and audit.key back there first" };
    let (place, with) = match &store {
        None => (dir.display().to_string(), ""),
        Some(store) => (store.to_string(), " with the same --store"),
    };
    let words = format!(
        "{place} holds {}, as it was at {}{keys}\n\
         writes that were under way then are in doubt and wait in the inbox; nothing is sent again by itself\n\
         next: ostler up --data {}{with}",
        held(&manifest),
        manifest.at,
        dir.display()
    );
    output::done(global.output, &said(&manifest, "data", dir)?, &words)
}

/// Rehearses an upgrade of a data directory to this build. Fails if anything would not go on as it is.
pub(crate) async fn rehearse(global: &Global, old: &Path) -> Outcome {
    let busy = Busy::with("rehearsing");
    let progress = |what: &str, done: u64, all: u64| {
        busy.say(if all == 0 { what.to_owned() } else { format!("{what}: {done} of {all}") });
    };
    let rehearsal = server::rehearse::rehearse(old, &progress).await?;
    drop(busy);
    output::print(global.output, &serde_json::to_value(&rehearsal)?, |_| words(&rehearsal))?;
    if rehearsal.ok {
        return Ok(());
    }
    let why = "not everything would go on as it is: stay with the older version, and send what is above to its makers";
    Err(Failure::Failed(anyhow::anyhow!(why)))
}

fn words(rehearsal: &Rehearsal) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    match rehearsal.migrations.as_slice() {
        [] => {
            line(format!("migrations  none: the store is in format {}, which is this build's", rehearsal.from_format))
        }
        steps => steps.iter().for_each(|step| line(format!("migration   {step}"))),
    }
    let Rehearsal { sessions, waiting, erased, .. } = rehearsal;
    line(format!("sessions    {sessions} folded, {waiting} of them wait, {erased} erased"));
    line(format!("changed     {}", rehearsal.changed.len()));
    rehearsal.changed.iter().for_each(|finding| line(found(finding)));
    line(format!("unreadable  {}", rehearsal.unreadable.len()));
    rehearsal.unreadable.iter().for_each(|finding| line(found(finding)));
    if rehearsal.more > 0 {
        line(format!("            and {} more", rehearsal.more));
    }
    if let Some(why) = &rehearsal.registry {
        line(format!("registry    cannot be read: {why}"));
    }
    let audit = if rehearsal.audit.ok { "everything holds" } else { "IT DOES NOT HOLD" };
    line(format!("audit       {} records: {audit}", rehearsal.audit.records));
    rehearsal.audit.problems.iter().for_each(|problem| line(format!("            {problem}")));
    let took = rehearsal.took_ms;
    line(format!("took        {} ms: {} to copy, {} to migrate", took.all, took.copy, took.migration));
    let in_use = if rehearsal.in_use { "; a server was at work on it" } else { "" };
    let verdict = if rehearsal.ok { "the upgrade would leave everything as it is" } else { "DO NOT UPGRADE" };
    line(format!("{verdict}; the directory was not touched{in_use}"));
    out
}

fn found(Finding { session, agent, phase, why }: &Finding) -> String {
    format!("            {session} of {agent}, {phase}: {why}")
}

fn held(manifest: &Manifest) -> String {
    let contents = &manifest.contents;
    format!("{} sessions, {} records and {} pieces of mail", contents.sessions, contents.records, contents.mail)
}

fn said(manifest: &Manifest, place: &str, path: &Path) -> Outcome<Value> {
    let mut value = serde_json::to_value(manifest)?;
    value[place] = json!(path);
    Ok(value)
}

fn aside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn remove(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            output::talk(&format!("{} was left behind ({error})", file.display()));
        }
        Ok(()) | Err(_) => {}
    }
}
