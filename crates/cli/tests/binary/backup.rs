//! `backup`, `restore`, `upgrade --rehearse`: a server's directory kept while it works, put back, and tried on this
//! build.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Said, Stage, ostler, root, text, until};

/// A store that the first format's own binary left behind, with a session that waits for consent.
const FORMAT_1: &str = "crates/data/tests/format1";

fn run(args: &[&str]) -> Said {
    ostler().args(args).output().unwrap().into()
}

/// `ostler restore`, not started yet.
pub(crate) fn restore(file: &str, dir: &Path, store: Option<String>) -> Command {
    let mut command = ostler();
    command.args(["restore", file, "--data", shown(dir)]).envs(store.map(|store| ("OSTLER_STORE", store)));
    command
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn backed_up(stage: &Stage, more: &[&str]) -> String {
    let file = stage.path("kept.tar").display().to_string();
    let said = stage.run(&[&["backup", &file][..], more].concat()).with_code(0);
    assert!(said.err.contains("keys"), "{said:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    file
}

/// A server on what was restored, with the demo's files beside it.
pub(crate) fn restored(file: &str, store: Option<String>) -> Stage {
    let mut stage = Stage::stopped(store.clone());
    let said: Said = restore(file, stage.dir(), store).output().unwrap().into();
    let said = said.with_code(0);
    assert!(said.err.contains("in doubt") && said.err.contains("ostler up --data"), "{said:?}");
    stage.with_files();
    stage.start();
    stage
}

#[test]
fn what_was_backed_up_while_work_went_on_verifies_and_goes_on_elsewhere() {
    let mut stage = Stage::demo();
    let request = stage.reconcile();
    let file = std::thread::scope(|threads| {
        let work = threads.spawn(|| {
            for key in 0..20 {
                stage
                    .run(&["send", "note-keeper", "Calculate 6 * 7", "--session", &format!("load-{key}")])
                    .with_code(0);
            }
        });
        let file = backed_up(&stage, &[]);
        work.join().unwrap();
        file
    });
    assert!(!stage.path("backup.tmp").exists() && !stage.path("kept.tar.part").exists());
    let again = stage.run(&["backup", &file]).with_code(2);
    assert!(again.err.contains("is there already"), "{}", again.err);
    let drafts = stage.path("drafts.jsonl");
    stage.stop();

    let there = restored(&file, None);
    fs::copy(drafts, there.path("drafts.jsonl")).unwrap();
    assert_eq!(there.json(&["audit", "verify"])["ok"], true);
    assert_eq!(there.dearest()["id"], request["id"]);
    for row in there.json(&["ps"]).as_array().unwrap() {
        there.run(&["trace", text(row, "session")]).with_code(0);
    }
    assert_eq!(there.settle(text(&request, "session"))["phase"], "finished");
    there.run(&["run", "note-keeper", "Calculate 1 + 1"]).with_code(0);
    assert_eq!(there.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_write_that_was_under_way_is_in_doubt_after_a_restore_and_is_not_sent_again() {
    let mut stage = Stage::demo();
    let parts = fs::read_to_string(root().join("examples/demo/parts.yaml")).unwrap();
    let slow = stage.write("slow.yaml", &parts.replace("--delay-ms, \"800\"", "--delay-ms, \"600000\""));
    stage.run(&["apply", "-f", &slow]).with_code(0);
    stage.run(&["run", "reconciliation-finance", "Reconcile acme for October.", "--detach"]).with_code(0);
    let draft = until("the first draft is written", || stage.drafts().first().cloned());
    let file = backed_up(&stage, &[]);
    stage.kill();
    let there = restored(&file, None);
    let doubt = until("the write is in doubt", || {
        let inbox = there.json(&["inbox"]);
        inbox.as_array().unwrap().iter().find(|item| item["item"] == "in_doubt").cloned()
    });
    assert_eq!(doubt["id"], draft["key"]);
    assert!(there.drafts().is_empty(), "it was sent again");
}

#[test]
fn a_backup_without_keys_says_so_and_opens_once_they_are_back() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let file = backed_up(&stage, &["--without-keys"]);
    let bytes = fs::read(&file).unwrap();
    let key = fs::read(stage.path("master.key")).unwrap();
    assert!(!bytes.windows(key.len()).any(|window| window == key));
    let mut there = Stage::stopped(None);
    let said = run(&["restore", &file, "--data", shown(there.dir())]).with_code(0);
    assert!(said.err.contains("it held no keys"), "{said:?}");
    let refused: Said = there.up(&[]).output().unwrap().into();
    assert!(refused.with_code(1).err.contains("master.key is missing"));
    for name in ["master.key", "audit.key"] {
        fs::copy(stage.path(name), there.path(name)).unwrap();
    }
    there.start();
    assert_eq!(there.dearest()["id"], request["id"]);
}

#[test]
fn nothing_is_restored_over_what_is_there_or_from_what_is_not_whole() {
    let stage = Stage::demo();
    let file = backed_up(&stage, &[]);
    let over = run(&["restore", &file, "--data", shown(stage.dir())]).with_code(1);
    assert!(over.err.contains("is not empty"), "{}", over.err);
    let target = stage.path("elsewhere");
    let refused = |file: &Path, why: &str| {
        let said = run(&["restore", shown(file), "--data", shown(&target)]).with_code(1);
        assert!(said.err.contains(why), "{said:?}");
        assert!(!target.exists());
        let beside =
            fs::read_dir(stage.dir()).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        assert_eq!(beside.filter(|name| name.contains("restoring")).count(), 0);
    };
    let whole = fs::read(&file).unwrap();
    let broken = stage.path("broken.tar");
    let middle = whole.len() / 2;
    fs::write(&broken, [&whole[..middle], &[whole[middle] ^ 1], &whole[middle + 1..]].concat()).unwrap();
    refused(&broken, "is damaged");
    fs::write(&broken, &whole[..middle]).unwrap();
    refused(&broken, "is damaged");
    fs::write(&broken, "not a backup").unwrap();
    refused(&broken, "is not a backup");
    run(&["restore", &file]).with_code(2);
}

/// A copy of the first format's store, readable by its owner only.
fn format_1() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ostler.db", "master.key"] {
        let to = dir.path().join(name);
        fs::copy(root().join(FORMAT_1).join(name), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn sql(dir: &Path, statement: &str) {
    let db = rusqlite::Connection::open(dir.join("ostler.db")).unwrap();
    assert_eq!(db.execute(statement, []).unwrap(), 1, "{statement}");
}

fn rehearsed(dir: &Path) -> Said {
    run(&["upgrade", "--rehearse", shown(dir), "-o", "json"])
}

#[test]
fn an_upgrade_is_rehearsed_on_a_copy_and_the_directory_is_not_touched() {
    let dir = format_1();
    let before = files(dir.path());
    let report = rehearsed(dir.path()).with_code(0).json();
    assert_eq!(files(dir.path()), before);
    assert_eq!((&report["ok"], &report["in_use"], &report["from_format"]), (&json!(true), &json!(false), &json!(1)));
    assert!(report["to_format"].as_u64() > Some(1) && !report["migrations"].as_array().unwrap().is_empty(), "{report}");
    assert_eq!((&report["waiting"], &report["audit"]["ok"]), (&json!(1), &json!(true)), "{report}");
    assert!(report["audit"]["records"].as_u64() > Some(10), "{report}");
    let words = run(&["upgrade", "--rehearse", shown(dir.path())]).with_code(0);
    assert!(words.out.contains("the upgrade would leave everything as it is"), "{}", words.out);
}

#[test]
fn a_rehearsal_names_what_would_change_and_what_cannot_be_read() {
    let changed = format_1();
    sql(changed.path(), "UPDATE head SET waits_on = 'nothing at all' WHERE phase = 'suspended'");
    let said = rehearsed(changed.path()).with_code(1);
    let why = said.json()["changed"][0]["why"].clone();
    assert!(why.as_str().unwrap().starts_with("it waited on \"nothing at all\" and would wait on"), "{why}");

    let unreadable = format_1();
    sql(
        unreadable.path(),
        "DELETE FROM record WHERE seq = 2 AND session = (SELECT session FROM head WHERE phase = 'suspended')",
    );
    let report = rehearsed(unreadable.path()).with_code(1).json();
    assert!(report["unreadable"][0]["why"].as_str().unwrap().contains("missing"), "{report}");
    assert_eq!(report["audit"]["ok"], false, "{report}");
}

#[test]
fn an_upgrade_is_rehearsed_while_a_server_is_at_work() {
    let stage = Stage::demo();
    stage.reconcile();
    let report = rehearsed(stage.dir()).with_code(0).json();
    assert_eq!((&report["ok"], &report["in_use"], &report["waiting"]), (&json!(true), &json!(true), &json!(1)));
    stage.run(&["run", "note-keeper", "Calculate 6 * 7"]).with_code(0);
}

#[test]
fn a_directory_of_a_newer_ostler_is_refused_in_one_sentence() {
    let dir = format_1();
    sql(dir.path(), "UPDATE meta SET format = 99, min_format = 99");
    for said in [rehearsed(dir.path()), run(&["up", "--listen", "127.0.0.1:0", "--data", shown(dir.path())])] {
        let said = said.with_code(1);
        assert!(said.err.contains("needs a newer Ostler") && said.err.contains("format 99"), "{said:?}");
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
    }
    let missing: Value = json!(rehearsed(&dir.path().join("nowhere")).with_code(1).err);
    assert!(missing.as_str().unwrap().contains("nowhere"), "{missing}");
}
