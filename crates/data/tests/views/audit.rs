//! A real SQLite file, edited behind the log's back: every edit is found.

use std::path::Path;
use std::sync::Arc;

use data::audit::{AuditReport, Auditor, CheckpointKey, Kept, tree, verify};
use data::commit::Log;
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::Store;
use data::tail::{Follower, Views};
use domain::clock::{Clock, SystemClock};
use domain::control::{ControlEvent, Scope};
use domain::event::Event;
use domain::id::{Pos, Shard};
use domain::principal::Autonomy;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::story::{Story, payment, reconciliation, wants};

pub(crate) async fn open(dir: &Path) -> Log {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = SqliteStore::open(dir, clock.clone()).unwrap();
    let sealer = Sealer::open(dir, store.about(), clock.clone()).unwrap();
    Log::open(Arc::new(store), sealer, clock, "test").await.unwrap()
}

/// A store with two sessions and two control records, followed and signed.
struct Bench {
    log: Log,
    auditor: Arc<Auditor>,
    db: Connection,
    _dir: TempDir,
}

/// What an edit may touch, and what is put back after it.
const TABLES: [&str; 5] = ["record", "head", "audit_leaf", "text", "session_key"];

impl Bench {
    /// Signed every so many records, and at the end if `to_the_end`.
    async fn new(every: u64, to_the_end: bool) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path()).await;
        let auditor = Arc::new(Auditor::open(&log, dir.path()).unwrap().every(every));
        let mut follower = Follower::new(log.clone(), Some(auditor.clone()));
        let mut story = reconciliation();
        let rest = story.told.split_off(4);
        story.commit(&log).await;
        follower.catch_up().await.unwrap();
        story.told.extend(rest);
        story.commit_from(&log, 4).await;
        follower.look_everywhere();
        follower.catch_up().await.unwrap();
        let mut other = Story::begins("other", Autonomy::Autonomous);
        other.and(other.asks("Hello"));
        other.then(10, other.thinks(1, 1));
        other.commit(&log).await;
        let frozen =
            |reason: &str| ControlEvent::Frozen { what: Scope::All, reason: reason.to_owned(), by: "admin".to_owned() };
        log.commit_control(Pos(0), "admin", vec![frozen("one")]).await.unwrap();
        log.commit_control(Pos(1), "admin", vec![frozen("two")]).await.unwrap();
        follower.look_everywhere();
        follower.catch_up().await.unwrap();
        if to_the_end {
            follower.sign_all();
        }
        let db = Connection::open(dir.path().join("ostler.db")).unwrap();
        db.pragma_update(None, "synchronous", "OFF").unwrap();
        for table in TABLES {
            db.execute_batch(&format!("CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")).unwrap();
        }
        Bench { log, auditor, db, _dir: dir }
    }

    async fn verify(&self) -> AuditReport {
        verify(&self.log, self.auditor.kept(), &self.auditor.verifier()).await.unwrap()
    }

    /// Makes an edit, verifies, and takes it back. Whether the edit was found.
    async fn finds(&self, edit: &str) -> bool {
        self.db.execute_batch(edit).unwrap_or_else(|error| panic!("{edit}: {error}"));
        let report = self.verify().await;
        let back = |table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};");
        let back: String = TABLES.into_iter().map(back).collect();
        self.db.execute_batch(&format!("BEGIN; {back} COMMIT;")).unwrap();
        assert_eq!(report.ok, report.problems.is_empty());
        !report.ok
    }

    /// The session shard's first, the control shard's (whose ids are negative) last.
    fn ids(&self) -> Vec<i64> {
        let mut query = self.db.prepare("SELECT id FROM record ORDER BY id < 0, id").unwrap();
        let ids = query.query_map([], |row| row.get(0)).unwrap();
        ids.map(Result::unwrap).collect()
    }
}

/// Edits of one record, each of which changes what it says.
fn edits_of(id: i64) -> Vec<String> {
    let set = |what: &str| format!("UPDATE record SET {what} WHERE id = {id}");
    vec![
        set("session = CAST(zeroblob(15) || x'07' AS BLOB)"),
        set("seq = seq + 1"),
        set("prev = prev + 1"),
        set("epoch = epoch + 1"),
        set("at = at + 1"),
        set("principal = zeroblob(32)"),
        set("trace = CAST(zeroblob(15) || x'01' AS BLOB)"),
        set("span = span + 1"),
        set("parent = coalesce(parent, 0) + 1"),
        set("cause = cause || ' '"),
        set("control_pos = control_pos + 1"),
        set("mode = 1 - mode"),
        set("synthetic = 1 - synthetic"),
        set("key = key + 1"),
        set("codec = codec + 1"),
        set("headers = '[]'"),
        set("headers = replace(headers, '\"v\":1', '\"v\":2')"),
        set("headers = 'x' || headers"),
        set("body = x''"),
        set("body = substr(body, 1, length(body) - 1)"),
        set("body = (SELECT body FROM record AS other WHERE other.id <> record.id LIMIT 1)"),
        format!("DELETE FROM record WHERE id = {id}"),
    ]
}

#[tokio::test]
async fn a_log_that_nobody_touched_has_nothing_wrong() {
    let bench = Bench::new(4, true).await;
    let report = bench.verify().await;
    assert!(report.ok, "{:#?}", report.problems);
    let records: Vec<_> = report.shards.iter().map(|shard| (shard.shard, shard.records, shard.signed_to)).collect();
    assert_eq!(records, [(Shard(0), 10, Pos(10)), (Shard::CONTROL, 2, Pos(2))]);
    assert_eq!(report.shards[0].checkpoints, 3);
    assert_eq!(report.not_checked.len(), 1, "{:?}", report.not_checked);
}

#[tokio::test]
async fn a_log_that_goes_on_while_it_is_verified_has_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), Some(Auditor::open(&log, dir.path()).unwrap().every(3)));
    let writing = {
        let log = log.clone();
        tokio::spawn(async move {
            for i in 0..40 {
                let mut story = Story::begins(&format!("busy-{i}"), Autonomy::Autonomous);
                story.and(story.asks("Hello"));
                story.then(10, story.thinks(1, 1));
                story.commit(&log).await;
            }
        })
    };
    while !writing.is_finished() {
        let report = views.verify().await.unwrap().unwrap();
        assert!(report.ok, "{:#?}", report.problems);
    }
    views.stop().await;
    assert_eq!(views.verify().await.unwrap().unwrap().shards[0].signed_to, Pos(80));
}

#[tokio::test]
async fn every_edit_of_every_record_is_found() {
    let bench = Bench::new(4, true).await;
    let (mut made, mut missed) = (0, Vec::new());
    for id in bench.ids() {
        for edit in edits_of(id) {
            made += 1;
            if !bench.finds(&edit).await {
                missed.push(edit);
            }
        }
    }
    assert_eq!(made, 12 * 22);
    assert_eq!(missed, Vec::<String>::new());
    assert!(bench.verify().await.ok);
}

#[tokio::test]
async fn every_flipped_byte_of_a_body_is_found() {
    let bench = Bench::new(4, true).await;
    let id = bench.ids()[3];
    let query = format!("SELECT length(body) FROM record WHERE id = {id}");
    let length: u32 = bench.db.query_row(&query, [], |row| row.get(0)).unwrap();
    for at in (0..length as usize).step_by(length as usize / 24) {
        let body: Vec<u8> =
            bench.db.query_row(&format!("SELECT body FROM record WHERE id = {id}"), [], |row| row.get(0)).unwrap();
        let mut flipped = body;
        flipped[at] ^= 1;
        let hex: String = flipped.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(bench.finds(&format!("UPDATE record SET body = x'{hex}' WHERE id = {id}")).await, "byte {at}");
    }
}

#[tokio::test]
async fn records_that_were_swapped_inserted_or_cut_off_are_found() {
    let bench = Bench::new(4, true).await;
    let ids = bench.ids();
    let columns = "session, seq, prev, epoch, at, principal, trace, span, parent, cause, control_pos, mode, synthetic, \
                   key, codec, headers, body";
    let copy = |from: i64, to: i64| {
        format!("INSERT INTO record (id, {columns}) SELECT {to}, {columns} FROM record WHERE id = {from};")
    };
    let move_to = |from: i64, to: i64| format!("UPDATE record SET id = {to} WHERE id = {from};");
    let last = ids[9];
    let mut edits = vec![
        copy(last, last + 1),
        copy(ids[0], last + 1),
        copy(ids[11], ids[11] + 1),
        format!("DELETE FROM record WHERE id >= {}", ids[7]),
        format!("DELETE FROM record WHERE id = {last}; DELETE FROM head WHERE pos = 10"),
        "DELETE FROM record".to_owned(),
        (3..=9).rev().map(|i| move_to(ids[i], ids[i] + 1)).collect::<String>() + &copy(ids[2], ids[3]),
    ];
    edits.extend(
        ids[..10]
            .windows(2)
            .map(|pair| move_to(pair[0], 99_999) + &move_to(pair[1], pair[0]) + &move_to(99_999, pair[1])),
    );
    for edit in edits {
        assert!(bench.finds(&edit).await, "{edit}");
    }
}

#[tokio::test]
async fn other_tables_that_prove_something_are_watched_too() {
    let bench = Bench::new(4, true).await;
    for edit in [
        "UPDATE text SET body = replace(body, 'ana', 'eve')",
        "DELETE FROM text",
        "UPDATE head SET seq = seq + 1",
        "UPDATE head SET seq = seq - 1, pos = pos - 1",
        "DELETE FROM head",
        "UPDATE audit_leaf SET hash = zeroblob(32) WHERE pos = 5",
        "UPDATE session_key SET wrapped = zeroblob(60)",
        "DELETE FROM session_key",
    ] {
        assert!(bench.finds(edit).await, "{edit}");
    }
}

#[tokio::test]
async fn a_past_rewritten_with_everything_but_the_audit_key_is_found_by_what_was_signed() {
    let bench = Bench::new(4, false).await;
    // Somebody with the master key, but not audit.key, tells the same story with another amount, from the start.
    let forged = tempfile::tempdir().unwrap();
    let log = open(forged.path()).await;
    let mut story = reconciliation();
    story.told[0].2[1] = story.asks("Reconcile invoice INV-7 of 9,999.00 USD");
    story.commit(&log).await;
    let report = verify(&log, bench.auditor.kept(), &bench.auditor.verifier()).await.unwrap();
    let told: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|line| line.contains("are not those that were signed")), "{told:#?}");
    assert!(told[0].starts_with("shard 0, position 4: the first 4 records"), "{told:#?}");
}

#[tokio::test]
async fn a_checkpoint_of_another_key_or_of_a_longer_log_is_a_problem() {
    let bench = Bench::new(4, true).await;
    let forger = CheckpointKey::from_seed([9; 32]);
    let last = bench.auditor.kept().last(Shard(0)).unwrap();
    let name = bench.auditor.verifier().name().to_owned();
    let kept = Kept::in_memory();
    kept.add(forger.sign(&name, Shard(0), last.size, last.root, SystemClock.now())).unwrap();
    let report = verify(&bench.log, &kept, &bench.auditor.verifier()).await.unwrap();
    assert!(report.problems[0].what.contains("no good signature"), "{:?}", report.problems);
    let kept = Kept::in_memory();
    kept.add(forger.sign(&name, Shard(0), 99, last.root, SystemClock.now())).unwrap();
    let report = verify(&bench.log, &kept, &forger.verifier(&name)).await.unwrap();
    assert!(report.problems[0].what.contains("99 records were signed"), "{:?}", report.problems);
}

#[tokio::test]
async fn a_tree_that_does_not_go_on_from_the_last_checkpoint_is_not_signed() {
    let bench = Bench::new(4, true).await;
    bench.db.execute_batch("UPDATE audit_leaf SET hash = zeroblob(32) WHERE pos = 2 AND shard = 0").unwrap();
    let signed = bench.auditor.kept().of(Shard(0)).len();
    let mut follower = Follower::new(bench.log.clone(), Some(bench.auditor.clone()));
    let mut more = Story::begins("more", Autonomy::Autonomous);
    more.and(more.asks("Hello"));
    more.commit(&bench.log).await;
    follower.catch_up().await.unwrap();
    follower.sign_all();
    assert_eq!(bench.auditor.kept().of(Shard(0)).len(), signed);
}

#[tokio::test]
async fn an_erased_session_still_verifies_and_the_report_says_so() {
    let bench = Bench::new(4, true).await;
    bench.log.erase(reconciliation().session).await.unwrap();
    let report = bench.verify().await;
    assert!(report.ok, "{:#?}", report.problems);
    assert!(report.not_checked[0].contains("8 records were erased"), "{:?}", report.not_checked);
}

#[tokio::test]
async fn a_record_is_proven_to_be_in_what_was_signed() {
    let bench = Bench::new(4, true).await;
    let rows = bench.log.tail(Shard(0), Pos(0), 100).await.unwrap();
    let leaves: Vec<_> = rows.iter().map(|row| data::record::leaf(&row.envelope, row.body_hash)).collect();
    let checkpoints = bench.auditor.kept().of(Shard(0));
    let (first, last) = (&checkpoints[0], &checkpoints[2]);
    let proof = tree::inclusion_proof(&leaves, 6).unwrap();
    assert!(tree::is_included(leaves[6], 6, last.size, &proof, last.root));
    let proof = tree::consistency_proof(&leaves, first.size as usize).unwrap();
    assert!(tree::is_consistent(first.size, last.size, first.root, last.root, &proof));
}

/// What is wrong with a story that was committed as it is told.
async fn problems(story: &Story) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let auditor = Auditor::open(&log, dir.path()).unwrap();
    story.commit(&log).await;
    let report = verify(&log, auditor.kept(), &auditor.verifier()).await.unwrap();
    report.problems.into_iter().map(|problem| problem.what).collect()
}

#[tokio::test]
async fn an_outcome_without_an_intent_is_a_problem() {
    let mut story = Story::begins("x", Autonomy::Autonomous);
    story.and(story.answers(3, "done", domain::message::Trust::Trusted));
    assert_eq!(problems(&story).await, ["attempt 1 of call 3 has an outcome and no intent"]);
}

#[tokio::test]
async fn a_consent_that_was_denied_not_given_or_for_something_else_is_a_problem() {
    let told = |change: &dyn Fn(&mut Story)| {
        let mut story = reconciliation();
        change(&mut story);
        story
    };
    let denied = told(&|s| s.told[5].2[0] = s.decides(5, false, None));
    assert!(problems(&denied).await[0].contains("which was denied"));
    let never = told(&|s| drop(s.told[5].2.remove(0)));
    assert!(problems(&never).await[0].contains("which nobody gave"));
    let mut other = payment();
    other["amount_usd"] = json!(9_999);
    let changed = told(&|s| s.told[5].2[1] = s.uses(5, "email-draft", &other, Some(1)));
    assert!(problems(&changed).await[0].contains("other arguments"));
    let edited = told(&|s| {
        s.told[5].2[0] = s.decides(5, true, Some(other.clone()));
        s.told[5].2[1] = s.uses(5, "email-draft", &other, Some(1));
    });
    assert_eq!(problems(&edited).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_write_that_was_sent_in_shadow_is_a_problem() {
    let mut story = Story::begins("shadow", Autonomy::Shadow);
    story.and(story.thinks(1, 1));
    story.then(10, story.says(1, vec![wants("email-draft", &payment())]));
    let mut sent = story.uses(2, "email-draft", &payment(), None);
    if let Event::CallRequested { effect, .. } = &mut sent {
        *effect = domain::capability::Effect::Write;
    }
    story.and(sent);
    assert!(problems(&story).await[0].contains("was sent in shadow"));
}
