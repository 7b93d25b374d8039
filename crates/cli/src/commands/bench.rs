//! `bench`: measures Ostler on this machine and this disk, beside what the disk itself can do. It needs no server.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use server::bench::{self, Plan};

use crate::args::{Bench, Global};
use crate::client::{Outcome, data_dir};
use crate::commands::up::asked_to_stop;
use crate::output::{self, Busy, items, text};

/// How many calls the long session has; of a quick run.
const CALLS: (usize, usize) = (1000, 200);
/// How many seconds a quick run takes, about.
const QUICK: u64 = 2;

/// Measures, prints, and leaves nothing behind.
pub(crate) async fn bench(global: &Global, bench: Bench) -> Outcome {
    let stop = asked_to_stop()?;
    let disk = existing(&data_dir(global));
    let place = tempfile::Builder::new().prefix("ostler-bench-").tempdir_in(&disk).with_context(|| {
        format!("nothing can be written in {}: give a directory on the disk to measure with --data", disk.display())
    })?;
    let plan = Plan {
        takes: Duration::from_secs(if bench.quick { QUICK } else { bench.seconds.into() }),
        calls: if bench.quick { CALLS.1 } else { CALLS.0 },
        store: bench.store,
    };
    output::talk(&format!("measuring in {}, for about {} s", disk.display(), plan.takes.as_secs()));
    let progress = Mutex::new(None);
    let say = |what: &str| say(&progress, what);
    let report = tokio::select! {
        report = bench::run(place.path(), &plan, &say) => report?,
        () = stop => return Err(anyhow::anyhow!("stopped before it was done").into()),
    };
    drop(progress);
    output::print(global.output, &serde_json::to_value(&report)?, table)
}

/// The directory, or whichever of those above it is there: nothing is made that would stay.
fn existing(dir: &Path) -> PathBuf {
    let found = dir.ancestors().find(|dir| dir.is_dir());
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn say(progress: &Mutex<Option<Busy>>, what: &str) {
    let mut busy = progress.lock().unwrap_or_else(PoisonError::into_inner);
    *busy = None;
    if output::watched() {
        *busy = Some(Busy::with(what));
    } else {
        output::talk(&format!("  {what}"));
    }
}

fn table(report: &Value) -> String {
    let rows = items(&report["rows"]);
    let heading = ["what", "ostler", "limit", "ratio", "unit", "p50 ms", "p99 ms"];
    let table = output::table(&heading, rows.iter().map(line));
    let mut out = String::new();
    let load: Vec<String> = items(&report["load_before"]).iter().map(Value::to_string).collect();
    let _ =
        writeln!(out, "{} cores, load before: {}; medians of {}\n", report["cores"], load.join(" "), report["rounds"]);
    if report["optimised"] == false {
        out.push_str(
            "This binary is built without optimisation: build it with --release before you believe a figure.\n\n",
        );
    }
    let _ = writeln!(out, "{table}\n");
    for row in rows {
        let _ = writeln!(out, "{}: {}; limit: {}", text(row, "name"), text(row, "means"), text(&row["limit"], "is"));
    }
    out
}

fn line(row: &Value) -> Vec<String> {
    let number = |value: &Value| value.as_f64().map(figure).unwrap_or_default();
    vec![
        text(row, "name"),
        number(&row["ostler"]),
        number(&row["limit"]["value"]),
        number(&row["ratio"]),
        text(row, "unit"),
        number(&row["p50_ms"]),
        number(&row["p99_ms"]),
    ]
}

/// Three digits that say something, or all of a large number.
fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn a_figure_has_the_digits_that_say_something() {
        assert_eq!([0.137, 12.34, 12_345.6].map(figure), ["0.14", "12.3", "12346"]);
    }
}
