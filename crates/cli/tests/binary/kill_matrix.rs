//! SIGKILL at each turn of one walk, on both stores. Whatever the moment, after a restart the walk ends, every effect is
//! in the mail tool's own file exactly once, and the log verifies.

use std::collections::BTreeSet;

use domain::id::{Name, SessionId};

use crate::server::cluster;
use crate::stage::{Stage, text, until};

const AGENT: &str = "reconciliation-finance";
const KEY: &str = "acme";
const WORDS: &str = "Reconcile acme for October.";
/// The invoices that the walk asks payment for.
const EFFECTS: [&str; 3] = ["INV-2041", "INV-2087", "INV-2198"];
/// How fast the scripted model speaks, in milliseconds for each word, where it is to be interrupted.
const SLOWLY: u32 = 20;

/// A moment at which the server is killed, and how its model speaks until then.
type Moment = (&'static str, u32, fn(&mut Stage));

const MOMENTS: [Moment; 8] = [
    ("while the model speaks", SLOWLY, while_the_model_speaks),
    ("while a write is on its way", 0, while_a_write_is_on_its_way),
    ("while it waits for consent", 0, while_it_waits_for_consent),
    ("right after consent", 0, right_after_consent),
    ("between dispatch and outcome", 0, between_dispatch_and_outcome),
    ("before a timer falls due", 0, before_a_timer),
    ("while a timer falls due", 0, while_a_timer_falls_due),
    ("right after a timer", SLOWLY, right_after_a_timer),
];

fn session() -> String {
    SessionId::for_key(&AGENT.parse::<Name>().unwrap(), KEY).to_string()
}

fn phase(stage: &Stage) -> Option<String> {
    let all = stage.json(&["ps", "--agent", AGENT]);
    all[0]["phase"].as_str().map(str::to_owned)
}

fn in_doubt(stage: &Stage) -> serde_json::Value {
    until("the write is in doubt", || {
        let inbox = stage.json(&["inbox"]);
        inbox.as_array().unwrap().iter().find(|item| item["item"] == "in_doubt").cloned()
    })
}

fn while_the_model_speaks(stage: &mut Stage) {
    stage.run(&["run", AGENT, WORDS, "--session", KEY, "--detach"]).with_code(0);
    until("it runs", || (phase(stage).as_deref() == Some("running")).then_some(()));
}

fn while_a_write_is_on_its_way(stage: &mut Stage) {
    stage.run(&["run", AGENT, WORDS, "--session", KEY, "--detach"]).with_code(0);
    until("the first draft is written", || (!stage.drafts().is_empty()).then_some(()));
    stage.kill();
    stage.start();
    assert_eq!(in_doubt(stage)["id"], stage.drafts()[0]["key"]);
}

fn while_it_waits_for_consent(stage: &mut Stage) {
    let before = stage.reconcile();
    stage.kill();
    stage.start();
    assert_eq!(stage.dearest()["id"], before["id"], "the request is the same after the restart");
}

fn right_after_consent(stage: &mut Stage) {
    let request = stage.reconcile();
    stage.run(&["approve", text(&request, "id"), "--as", "ana"]).with_code(0);
}

fn between_dispatch_and_outcome(stage: &mut Stage) {
    let request = stage.reconcile();
    let before = stage.drafts().len();
    stage.run(&["approve", text(&request, "id"), "--as", "ana"]).with_code(0);
    let draft = until("the approved draft is written", || stage.drafts().get(before).cloned());
    stage.kill();
    stage.start();
    assert_eq!(in_doubt(stage)["id"], draft["key"]);
    assert_eq!(stage.drafts().len(), before + 1, "nothing was sent again by itself");
    let result = draft.to_string();
    stage.run(&["resolve", text(&draft, "key"), "happened", "--result", &result, "--as", "ana"]).with_code(0);
}

fn later(stage: &Stage, after: &str) {
    stage.run(&["send", AGENT, WORDS, "--session", KEY, "--in", after]).with_code(0);
}

fn before_a_timer(stage: &mut Stage) {
    later(stage, "6s");
    assert_eq!(phase(stage), None, "it is not due");
}

fn while_a_timer_falls_due(stage: &mut Stage) {
    later(stage, "1s");
    stage.kill();
    // It falls due while nobody is there.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    stage.start();
    until("it started", || phase(stage));
}

fn right_after_a_timer(stage: &mut Stage) {
    later(stage, "1s");
    until("it started", || phase(stage));
}

/// What one line of the table counts.
#[derive(Default)]
struct Counted {
    performed: usize,
    lost: usize,
    doubled: usize,
}

/// Restarts, goes on to the end, and counts.
fn to_the_end(stage: &mut Stage) -> Counted {
    stage.start();
    let row = stage.settle(&session());
    assert_eq!(row["phase"], "finished", "{row}");
    let drafts = stage.drafts();
    let keys: BTreeSet<&str> = drafts.iter().map(|draft| text(draft, "key")).collect();
    let of = |invoice: &&str| drafts.iter().any(|draft| text(draft, "invoice_id") == *invoice);
    let performed = EFFECTS.iter().filter(|invoice| of(invoice)).count();
    let report = stage.json(&["audit", "verify"]);
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(stage.json(&["inbox"]).as_array().map(Vec::len), Some(0));
    assert_eq!(stage.json(&["ps", "--agent", AGENT]).as_array().map(Vec::len), Some(1), "it started once");
    // The same twice under one key, or under two.
    let doubled = (drafts.len() - keys.len()).max(drafts.len().saturating_sub(performed));
    Counted { performed, lost: EFFECTS.len() - performed, doubled }
}

/// Kills a server at each moment; `store` says where each has its log.
fn table(title: &str, store: impl Fn() -> Option<String>) {
    println!("{title:32}{:>8}{:>11}{:>6}{:>9}", "points", "performed", "lost", "doubled");
    let mut all = Counted::default();
    for (name, pace, moment) in MOMENTS {
        let mut stage = Stage::paced_on(pace, store()).with_demo();
        moment(&mut stage);
        stage.kill();
        let Counted { performed, lost, doubled } = to_the_end(&mut stage);
        println!("{name:32}{:>8}{performed:>11}{lost:>6}{doubled:>9}", 1);
        assert_eq!((performed, lost, doubled), (EFFECTS.len(), 0, 0), "{name}: {:#?}", stage.drafts());
        all = Counted { performed: all.performed + performed, lost: all.lost + lost, doubled: all.doubled + doubled };
    }
    println!("{:32}{:>8}{:>11}{:>6}{:>9}", "all", MOMENTS.len(), all.performed, all.lost, all.doubled);
}

#[test]
fn killed_at_each_moment_nothing_is_lost_and_nothing_is_doubled() {
    table("SIGKILL, SQLite", || None);
}

#[test]
fn killed_at_each_moment_nothing_is_lost_and_nothing_is_doubled_on_postgresql() {
    let Some(cluster) = cluster() else { return };
    table("SIGKILL, PostgreSQL", || Some(cluster.database()));
}
