//! `bench` on the real binary: every row has its limit and its ratio, and nothing is left behind. How fast it is, no
//! test says.

use crate::stage::{Said, ostler};

#[test]
fn every_figure_stands_beside_its_limit_and_nothing_is_left() {
    let disk = tempfile::tempdir().unwrap();
    let mut command = ostler();
    command.args(["bench", "--quick", "-o", "json", "--data"]).arg(disk.path().join("not/made"));
    let said = Said::from(command.output().unwrap()).with_code(0);
    let report = said.json();
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let expected = [
        "log path, 1",
        "log path, 64",
        "log path, 256",
        "full path, 256",
        "one session alone",
        "rehydrate 50 records",
        "wake and answer",
        "a long session",
    ];
    assert_eq!(names, expected);
    for row in rows {
        for figure in [&row["ostler"], &row["limit"]["value"], &row["ratio"]] {
            assert!(figure.as_f64().is_some_and(|figure| figure > 0.0), "{row}");
        }
        assert!(
            !row["means"].as_str().unwrap().is_empty() && !row["limit"]["is"].as_str().unwrap().is_empty(),
            "{row}"
        );
    }
    assert!(said.err.contains("everything at work"), "progress is said: {}", said.err);
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let mut command = ostler();
    command.args(["bench", "--quick", "--data", "/proc/1"]);
    let said = Said::from(command.output().unwrap()).with_code(1);
    assert!(said.err.contains("/proc/1") && said.err.contains("--data"), "{}", said.err);
}
