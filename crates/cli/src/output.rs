//! The only place that prints: data on standard output, talk on standard error.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::args::Format;
use crate::client::Outcome;

/// Writes text to standard output. A reader that went away is no error.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// Writes words as they come.
pub(crate) fn words(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Says something to the person who typed.
pub(crate) fn talk(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{text}");
}

/// Whether a person reads along.
pub(crate) fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether what is printed as data is seen in the same place as the talk.
pub(crate) fn data_is_watched() -> bool {
    std::io::stdout().is_terminal() && watched()
}

/// Whether talk may have colour: a person reads along and has not said no (no-color.org).
#[expect(clippy::disallowed_methods, reason = "configuration is read here")]
pub(crate) fn coloured() -> bool {
    let says = |name: &str| std::env::var(name).unwrap_or_default();
    watched() && says("NO_COLOR").is_empty() && says("TERM") != "dumb"
}

/// Something that takes a while, for whoever reads along; it is gone once it is dropped.
pub(crate) struct Busy(ProgressBar);

impl Busy {
    /// Says what takes a while.
    pub(crate) fn with(what: impl Into<String>) -> Busy {
        if !watched() {
            return Busy(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(what.into());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Busy(bar)
    }

    /// Says how far it is.
    pub(crate) fn say(&self, what: String) {
        self.0.set_message(what);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Prints a value as asked; `table` makes it one for people.
pub(crate) fn print(format: Format, value: &Value, table: impl FnOnce(&Value) -> String) -> Outcome {
    match format {
        Format::Table => data(&table(value)),
        Format::Json => data(&serde_json::to_string_pretty(value)?),
        Format::Jsonl => lines(value),
        Format::Yaml => data(&serde_saphyr::to_string(value).map_err(anyhow::Error::from)?),
        Format::Csv => data(&csv(value)),
    }
    Ok(())
}

/// A list of objects, or the one in `lines`, as comma-separated values (RFC 4180) under a heading; what is no list is
/// one row.
fn csv(value: &Value) -> String {
    let rows = value.as_array().or_else(|| value["lines"].as_array());
    let rows = rows.map_or(std::slice::from_ref(value), Vec::as_slice);
    let heading: Vec<&String> =
        rows.first().and_then(Value::as_object).into_iter().flat_map(|row| row.keys()).collect();
    let quoted = |text: String| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    };
    let line = |cells: Vec<String>| cells.into_iter().map(quoted).collect::<Vec<_>>().join(",");
    let mut lines = vec![line(heading.iter().map(|key| key.to_string()).collect())];
    lines.extend(rows.iter().map(|row| line(heading.iter().map(|key| text(row, key)).collect())));
    lines.join("\n")
}

/// A list as a line for each of its values; anything else as one line.
fn lines(value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| data(&item.to_string())),
        other => data(&other.to_string()),
    }
}

/// Says that something was done: in words to the person, or as a value to a program.
pub(crate) fn done(format: Format, value: &Value, words: &str) -> Outcome {
    match format {
        Format::Table => talk(words),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv => print(format, value, |_| String::new())?,
    }
    Ok(())
}

/// A table of rows of text under a heading.
pub(crate) fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.iter().map(|title| title.to_uppercase()));
    let mut any = false;
    for row in rows {
        any = true;
        table.add_row(row);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    if any { lines.join("\n") } else { "(none)".to_owned() }
}

/// A field of an object as text; empty if absent or null.
pub(crate) fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The items of an array; none if it is no array.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// How long ago an instant in milliseconds was, in words of one unit.
pub(crate) fn ago(now_ms: i64, then_ms: i64) -> String {
    let seconds = (now_ms - then_ms).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Micro-dollars as dollars.
pub(crate) fn dollars(micros: &Value) -> String {
    domain::money::UsdMicros(micros.as_i64().unwrap_or(0)).to_string()
}
