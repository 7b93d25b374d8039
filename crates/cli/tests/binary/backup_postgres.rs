//! A log on PostgreSQL backed up while work goes on, and restored: into another database, and into a directory; and the
//! other way round.

use std::collections::BTreeMap;

use crate::backup::{backed_up, restore, restored};
use crate::server::{Cluster, PASSWORD, PASSWORD_IN_URL, cluster};
use crate::stage::{Said, Stage, text};

/// The name of a database by its URL.
fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap().split('?').next().unwrap()
}

/// What every table of the log holds, hashed; not who owns what at the moment.
fn tables(cluster: &Cluster, url: &str) -> BTreeMap<String, String> {
    let database = name(url);
    let all = "SELECT relname FROM pg_class WHERE relnamespace = 'ostler'::regnamespace AND relkind = 'r'";
    let all = cluster.sql(database, all);
    let of = |table: &str| match table {
        "shard" => "(SELECT shard, epoch, pos FROM ostler.shard)".to_owned(),
        other => format!("ostler.{other}"),
    };
    let hash = |table: &str| {
        let rows = format!("SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} t", of(table));
        (table.to_owned(), cluster.sql(database, &rows))
    };
    all.lines().map(hash).collect()
}

/// Goes on with what was restored.
#[track_caller]
fn goes_on(there: &Stage, request: &serde_json::Value) {
    assert_eq!(there.json(&["audit", "verify"])["ok"], true);
    assert_eq!(there.dearest()["id"], request["id"]);
    for row in there.json(&["ps"]).as_array().unwrap() {
        there.run(&["trace", text(row, "session")]).with_code(0);
    }
    assert_eq!(there.settle(text(request, "session"))["phase"], "finished");
    there.run(&["run", "note-keeper", "Calculate 1 + 1"]).with_code(0);
    assert_eq!(there.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_log_on_postgresql_is_backed_up_at_work_and_goes_on_in_another_database_and_in_a_directory() {
    let Some(cluster) = cluster() else { return };
    let mut stage = Stage::on(cluster.database()).with_demo();
    let request = stage.reconcile();
    let file = std::thread::scope(|threads| {
        let work = threads.spawn(|| {
            for key in 0..10 {
                let session = format!("load-{key}");
                stage.run(&["send", "note-keeper", "Calculate 6 * 7", "--session", &session]).with_code(0);
            }
        });
        let file = backed_up(&stage, &[]);
        work.join().unwrap();
        file
    });
    assert!(!stage.path("backup.tmp").exists());
    let drafts = std::fs::read(stage.path("drafts.jsonl")).unwrap();
    stage.kill();

    for store in [Some(cluster.database()), None] {
        let there = restored(&file, store.clone());
        std::fs::write(there.path("drafts.jsonl"), &drafts).unwrap();
        assert_eq!(there.path("ostler.db").exists(), store.is_none());
        goes_on(&there, &request);
    }
}

#[test]
fn every_row_comes_back_and_nothing_is_restored_over_a_log() {
    let Some(cluster) = cluster() else { return };
    let (from, to) = (cluster.database(), cluster.database());
    let mut stage = Stage::on(from.clone()).with_demo();
    stage.run(&["run", "note-keeper", "Calculate 6 * 7"]).with_code(0);
    stage.reconcile();
    let file = backed_up(&stage, &[]);
    stage.kill();
    let dir = tempfile::tempdir().unwrap();
    let said: Said = restore(&file, &dir.path().join("first"), Some(to.clone())).output().unwrap().into();
    let said = said.with_code(0);
    assert!(said.err.contains("with the same --store") && !said.err.contains(PASSWORD), "{said:?}");
    let (before, after) = (tables(cluster, &from), tables(cluster, &to));
    assert!(before.len() > 15 && before["record"].len() > 32, "{before:?}");
    assert_eq!(before, after);

    let again: Said = restore(&file, &dir.path().join("second"), Some(to.clone())).output().unwrap().into();
    let again = again.with_code(1);
    assert!(again.err.contains("holds the log of an Ostler already"), "{again:?}");
    assert!(!again.err.contains(PASSWORD_IN_URL) && !dir.path().join("second").exists(), "{again:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    assert_eq!(tables(cluster, &to), after);
}

#[test]
fn a_log_of_a_directory_goes_on_in_a_database() {
    let Some(cluster) = cluster() else { return };
    let mut stage = Stage::demo();
    let request = stage.reconcile();
    let file = backed_up(&stage, &[]);
    let drafts = stage.path("drafts.jsonl");
    stage.stop();
    let there = restored(&file, Some(cluster.database()));
    std::fs::copy(drafts, there.path("drafts.jsonl")).unwrap();
    goes_on(&there, &request);
}
