//! SIGKILL at each turn of one walk. Whatever the moment, after a restart the walk ends, every effect is in the mail
//! tool's own file exactly once, and the log verifies.

use std::collections::BTreeSet;

use domain::id::{Name, SessionId};

use crate::stage::{Stage, text, until};

const AGENT: &str = "reconciliation-finance";
const KEY: &str = "acme";
/// The invoices that the walk asks payment for.
const EFFECTS: [&str; 3] = ["INV-2041", "INV-2087", "INV-2198"];

fn session() -> String {
    SessionId::for_key(&AGENT.parse::<Name>().unwrap(), KEY).to_string()
}

/// Restarts, goes on to the end, and counts.
#[track_caller]
fn nothing_was_lost_or_doubled(mut stage: Stage) {
    stage.start();
    let row = stage.settle(&session());
    assert_eq!(row["phase"], "finished", "{row}");
    let drafts = stage.drafts();
    let keys: BTreeSet<&str> = drafts.iter().map(|draft| text(draft, "key")).collect();
    assert_eq!(keys.len(), drafts.len(), "an effect happened twice: {drafts:#?}");
    let mut invoices: Vec<&str> = drafts.iter().map(|draft| text(draft, "invoice_id")).collect();
    invoices.sort_unstable();
    assert_eq!(invoices, EFFECTS);
    let report = stage.json(&["audit", "verify"]);
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(stage.json(&["inbox"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn killed_while_the_model_speaks() {
    let mut stage = Stage::paced(20).with_demo();
    stage.run(&["run", AGENT, "Reconcile acme for October.", "--session", KEY, "--detach"]).with_code(0);
    until("it runs", || {
        let all = stage.json(&["ps", "--agent", AGENT]);
        (all[0]["phase"] == "running").then_some(())
    });
    stage.kill();
    nothing_was_lost_or_doubled(stage);
}

#[test]
fn killed_while_a_write_that_needs_no_consent_is_on_its_way() {
    let mut stage = Stage::demo();
    stage.run(&["run", AGENT, "Reconcile acme for October.", "--session", KEY, "--detach"]).with_code(0);
    until("the first draft is written", || (!stage.drafts().is_empty()).then_some(()));
    stage.kill();
    stage.start();
    let doubt = until("the write is in doubt", || {
        let inbox = stage.json(&["inbox"]);
        inbox.as_array().unwrap().iter().find(|item| item["item"] == "in_doubt").cloned()
    });
    assert_eq!(doubt["id"], stage.drafts()[0]["key"], "{doubt}");
    stage.kill();
    nothing_was_lost_or_doubled(stage);
}

#[test]
fn killed_while_it_waits_for_consent() {
    let mut stage = Stage::demo();
    let before = stage.reconcile();
    stage.kill();
    stage.start();
    assert_eq!(stage.dearest()["id"], before["id"], "the request is the same after the restart");
    stage.kill();
    nothing_was_lost_or_doubled(stage);
}

#[test]
fn killed_right_after_consent_was_given() {
    let mut stage = Stage::demo();
    let request = stage.reconcile();
    stage.run(&["approve", text(&request, "id"), "--as", "ana"]).with_code(0);
    stage.kill();
    nothing_was_lost_or_doubled(stage);
}

#[test]
fn killed_between_dispatch_and_outcome_and_right_after_it_was_resolved() {
    let mut stage = Stage::demo();
    let request = stage.reconcile();
    let before = stage.drafts().len();
    stage.run(&["approve", text(&request, "id"), "--as", "ana"]).with_code(0);
    let draft = until("the approved draft is written", || stage.drafts().get(before).cloned());
    stage.kill();
    stage.start();
    let call = text(&draft, "key");
    until("the write is in doubt", || {
        let inbox = stage.json(&["inbox"]);
        inbox.as_array().unwrap().iter().any(|item| item["id"] == call).then_some(())
    });
    assert_eq!(stage.drafts().len(), before + 1, "nothing was sent again by itself");
    stage.run(&["resolve", call, "happened", "--result", &draft.to_string(), "--as", "ana"]).with_code(0);
    stage.kill();
    nothing_was_lost_or_doubled(stage);
}
