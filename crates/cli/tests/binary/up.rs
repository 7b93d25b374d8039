//! A server on a data directory: who may have it, what it leaves, what it refuses to touch.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use rusqlite::Connection;

use crate::stage::{Said, Stage, ostler, until};

/// `ostler up` on a directory where it must not start.
#[track_caller]
fn refused(data: &Path) -> String {
    let mut command = ostler();
    command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let said = Said::from(command.output().unwrap()).with_code(1);
    assert!(said.out.is_empty(), "{said:?}");
    assert_eq!(said.err.trim_end().lines().count(), 1, "one sentence, not {:?}", said.err);
    said.err
}

/// A process that goes with the test, however the test ends.
struct Gone(Child);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused_with_the_holders_pid() {
    let stage = Stage::empty();
    let said = refused(stage.dir());
    assert!(said.contains(&format!("is in use by the process with pid {}", stage.pid())), "{said}");
    stage.run(&["ps"]).with_code(0);
}

#[test]
fn a_stop_lets_calls_in_flight_end_and_a_restart_keeps_everything() {
    let mut stage = Stage::demo();
    let sent = ["run", "reconciliation-finance", "Reconcile acme for October.", "--session", "acme", "--detach"];
    stage.run(&sent).with_code(0);
    until("a draft is on its way", || (!stage.drafts().is_empty()).then_some(()));
    let key = std::fs::read_to_string(stage.path("admin.key")).unwrap();
    let kept = |stage: &Stage| (stage.json(&["get", "all"]), stage.json(&["get", "people"]));
    let before = kept(&stage);
    assert_eq!(stage.stop(), Some(0));
    let log = std::fs::read_to_string(stage.path("up.log")).unwrap();
    assert!(log.contains("stopping: calls in flight end first"), "{log}");
    stage.start();
    assert_eq!(std::fs::read_to_string(stage.path("admin.key")).unwrap(), key);
    assert_eq!(kept(&stage), before);
    stage.run(&["inbox", "--as", "ana"]).with_code(0);
    until("it waits for consent", || {
        let inbox = stage.json(&["inbox"]);
        let items = inbox.as_array().unwrap();
        assert!(items.iter().all(|item| item["item"] == "approval"), "what was in flight ended, and is not in doubt");
        (items.len() == 2).then_some(())
    });
    assert_eq!(stage.drafts().len(), 1);
}

#[test]
fn what_opens_the_server_is_readable_by_its_owner_only() {
    let stage = Stage::demo();
    for file in ["context.json", "admin.key", "master.key", "people/ana.key"] {
        let mode = std::fs::metadata(stage.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let context = std::fs::read_to_string(stage.path("context.json")).unwrap();
    let context: serde_json::Value = serde_json::from_str(&context).unwrap();
    assert!(context["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{context}");
    assert_eq!(context["pid"], stage.pid());
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ostler.db");
    let other = Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('mine');").unwrap();
    other.close().unwrap();
    let before = std::fs::read(&file).unwrap();
    let said = refused(dir.path());
    assert!(said.contains("is not an Ostler store") && said.contains("another program's"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    std::fs::write(&file, "Dear diary").unwrap();
    assert!(refused(dir.path()).contains("it is not a SQLite database"));
    assert_eq!(std::fs::read(&file).unwrap(), b"Dear diary");
}

#[test]
fn a_newer_format_is_left_alone() {
    let mut stage = Stage::empty();
    stage.stop();
    let store = Connection::open(stage.path("ostler.db")).unwrap();
    store.execute("UPDATE meta SET format = 99, min_format = 99", []).unwrap();
    store.close().unwrap();
    let before = std::fs::read(stage.path("ostler.db")).unwrap();
    let said = refused(stage.dir());
    assert!(said.contains("needs a newer Ostler") && said.contains("format 99"), "{said}");
    assert_eq!(std::fs::read(stage.path("ostler.db")).unwrap(), before);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for wrong in [file.join("data"), Path::new("/proc/ostler-data").to_owned()] {
        let said = refused(&wrong);
        assert!(said.contains(&wrong.display().to_string()) && said.contains("--data"), "{said}");
    }
    if rustix::process::geteuid().is_root() {
        return; // Nothing is forbidden to root.
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    assert!(refused(dir.path()).contains("no permission"));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut command = ostler();
    command.args(["up", "--listen", &address, "--data"]).arg(dir.path());
    let said = Said::from(command.output().unwrap()).with_code(1);
    assert!(said.err.contains(&address) && said.err.contains("--listen"), "{}", said.err);
}

#[test]
fn without_a_directory_it_uses_the_users_own() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join(".local/share/ostler");
    let at_home = |args: &[&str]| {
        let mut command = ostler();
        command.args(args).env("HOME", home.path()).env_remove("XDG_DATA_HOME").stderr(Stdio::null());
        command
    };
    let _server = Gone(at_home(&["up", "--listen", "127.0.0.1:0"]).spawn().unwrap());
    until("a client finds it without being told", || at_home(&["ps"]).status().unwrap().success().then_some(()));
    assert!(data.join("context.json").exists());
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o077, 0, "nobody else looks in");
}

#[test]
fn descriptors_that_do_not_apply_at_start_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yaml");
    std::fs::write(&file, "kind: Agnet\n").unwrap();
    let mut command = ostler();
    command.args(["up", "--listen", "127.0.0.1:0", "-f"]).arg(&file).arg("--data").arg(dir.path().join("data"));
    let said = Said::from(command.output().unwrap()).with_code(1);
    assert!(said.err.contains("wrong.yaml:1:") && said.err.contains("did you mean `Agent`?"), "{}", said.err);
}
