//! A server whose log is on PostgreSQL: what it does there, what it says when it cannot, and that nobody sees the
//! password.

use std::path::Path;

use crate::server::{Cluster, PASSWORD, PASSWORD_IN_URL, cluster};
use crate::stage::{Said, Stage, ostler, until};

/// `ostler up` on a store that it must not start on.
#[track_caller]
fn refused(data: &Path, store: &str) -> String {
    let mut command = ostler();
    command.args(["up", "--listen", "127.0.0.1:0", "--store", store, "--data"]).arg(data);
    let said: Said = command.output().unwrap().into();
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(said.err.trim_end().lines().count(), 1, "one sentence, not {:?}", said.err);
    said.err
}

fn is_not_in(text: &str) {
    assert!(!text.contains(PASSWORD) && !text.contains(PASSWORD_IN_URL), "{text}");
}

#[test]
fn a_store_that_cannot_be_had_is_named_with_what_to_do_and_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(dir.path(), &format!("postgres://ana:{PASSWORD_IN_URL}@127.0.0.1:1/ostler"));
    assert!(
        said.contains("postgres://ana@127.0.0.1:1/ostler") && said.contains("is PostgreSQL running there"),
        "{said}"
    );
    is_not_in(&said);
    let said = refused(dir.path(), &format!("mysql://ana:{PASSWORD_IN_URL}@127.0.0.1/ostler"));
    assert!(said.contains("does not begin with postgres://"), "{said}");
    is_not_in(&said);
    let said = refused(dir.path(), &format!("postgres://ana:{PASSWORD_IN_URL}@127.0.0.1/ostler?sslmode=verify-ca"));
    assert!(said.contains("write verify-full"), "{said}");
    is_not_in(&said);
    let Some(cluster) = cluster() else { return };
    let url = cluster.database();
    let said = refused(dir.path(), &url.replace(PASSWORD_IN_URL, "wrong"));
    assert!(said.contains("check the user and the password"), "{said}");
    let said = refused(dir.path(), &cluster.url("nowhere"));
    assert!(said.contains("createdb"), "{said}");
    is_not_in(&said);
}

/// A database of a server of this test's own, or none.
fn stage(cluster: &Cluster) -> Stage {
    Stage::on(cluster.database())
}

#[test]
fn the_password_is_in_no_argument_no_log_and_no_file() {
    let Some(cluster) = cluster() else { return };
    let mut stage = stage(cluster);
    assert_eq!(stage.stop(), Some(0));
    // Given among the arguments, where it is seen for as long as nobody takes it away.
    let url = cluster.database();
    let mut up = ostler();
    let log = std::fs::File::create(stage.path("up.log")).unwrap();
    std::fs::remove_file(stage.path("master.key")).unwrap();
    std::fs::remove_file(stage.path("context.json")).unwrap();
    up.args(["up", "--scripted-only", "--listen", "127.0.0.1:0", "--store", &url, "--data"]).arg(stage.dir());
    let mut up = up.stderr(log).stdout(std::process::Stdio::null()).spawn().unwrap();
    until("the server is up", || stage.path("context.json").exists().then_some(()));
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", up.id())).unwrap();
    assert!(arguments.contains("--scripted-only"), "{arguments}");
    is_not_in(&arguments);
    stage.run(&["get", "people"]).with_code(0);
    up.kill().unwrap();
    up.wait().unwrap();
    for file in std::fs::read_dir(stage.dir()).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            is_not_in(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        }
    }
}

#[test]
fn two_servers_on_one_database_do_not_disturb_each_other() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.database();
    let mut first = Stage::on(url.clone());
    let other = tempfile::tempdir().unwrap();
    let said = refused(other.path(), &url);
    assert!(said.contains("from the data directory of another Ostler on the same store"), "{said}");
    let mut second = Stage::beside(&first);
    first.run(&["person", "add", "ana", "--group", "finance"]).with_code(0);
    until("the other server sees it", || second.run(&["get", "people"]).out.contains("ana").then_some(()));
    assert_eq!(first.stop(), Some(0));
    second.run(&["person", "add", "ben", "--group", "finance"]).with_code(0);
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn an_agent_works_through_kills_with_its_log_on_postgresql() {
    let Some(cluster) = cluster() else { return };
    let mut stage = stage(cluster).with_demo();
    let asked = stage.reconcile();
    stage.kill();
    stage.start();
    // Under the name of who is gone: nothing waits for a lease to run out.
    assert_eq!(stage.dearest()["id"], asked["id"]);
    let session = asked["session"].as_str().unwrap().to_owned();
    assert_eq!(stage.settle(&session)["phase"], "finished");
    let drafts = stage.drafts().len();
    assert!(drafts > 0);
    stage.run(&["audit", "verify"]).with_code(0);
    assert_eq!(stage.stop(), Some(0));
    stage.start();
    assert_eq!(stage.settle(&session)["phase"], "finished");
    assert_eq!(stage.drafts().len(), drafts);
}

#[test]
fn the_demo_walks_to_its_end_with_its_log_on_postgresql() {
    let Some(cluster) = cluster() else { return };
    let args = ["demo", "--exit", "-o", "json", "--store", &cluster.database()];
    let said: Said = ostler().args(args).output().unwrap().into();
    let summary = said.with_code(0).json();
    assert_eq!((&summary["phase"], &summary["agents"]), (&"finished".into(), &5.into()));
    assert_eq!(summary["killed_between_intent_and_outcome"], 1);
}
