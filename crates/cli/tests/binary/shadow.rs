//! An agent in shadow beside the people who do the work: compared, never sent, promoted by a person only.

use crate::stage::{Stage, text};

/// Drafts reminders, in shadow; two cases are enough to promote it.
const AGENT: &str = "apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-trial, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500}
  autonomy:
    mode: shadow
    human: {source: csv, case: input.invoice_id, compare: [amount_usd]}
    promote: {agreement_gt: 0.5, min_cases: 2, critical: 0}
";

fn stage() -> Stage {
    let stage = Stage::demo();
    let file = stage.write("trial.yaml", AGENT);
    stage.run(&["apply", "-f", &file]).with_code(0);
    stage
}

fn remind(stage: &Stage, invoice: &str) {
    let said =
        stage.run(&["run", "dunning-trial", &format!("Remind globex of {invoice}."), "--case", invoice]).with_code(0);
    assert!(said.err.contains("[shadow: what it would write is recorded, and never sent]"), "{}", said.err);
}

fn import(stage: &Stage, rows: &str) {
    let file = stage.write("people.csv", &format!("case,tool,amount_usd\n{rows}"));
    stage.run(&["shadow", "import", "dunning-trial", &file]).with_code(0);
}

#[test]
fn what_the_agent_would_do_is_compared_with_what_people_did_and_nothing_is_sent() {
    let stage = stage();
    let invoices = globex(&stage);
    for invoice in &invoices[..3] {
        remind(&stage, &invoice.0);
    }
    let row = |at: usize, amount: &str| format!("{},email-draft,{amount}\n", invoices[at].0);
    import(&stage, &[row(0, &invoices[0].1), row(1, "1.00"), row(3, "5")].concat());
    let report = stage.json(&["shadow", "report", "dunning-trial"]);
    let cases =
        |field: &str| -> Vec<&str> { report[field].as_array().unwrap().iter().map(|c| text(c, "case")).collect() };
    assert_eq!(cases("matches"), [invoices[0].0.as_str()], "{report:#}");
    assert_eq!(cases("differences"), [invoices[1].0.as_str()], "{report:#}");
    assert_eq!(cases("not_comparable").len(), 2, "one that nobody did, one that it has not worked on: {report:#}");
    let words = stage.run(&["shadow", "report", "dunning-trial"]).with_code(0).out;
    for expected in
        ["nothing of this was sent", "matches: 1", "differences: 1", "not comparable: 2", "50.0 %", "the person 1.00"]
    {
        assert!(words.contains(expected), "{expected} in\n{words}");
    }
    assert_eq!(stage.drafts().len(), 0);
    let transcript = stage.run(&["get", "results", "dunning-trial"]).with_code(0).out;
    assert!(transcript.contains("Recorded, not sent"), "{transcript}");
}

#[test]
fn promotion_takes_a_report_and_a_person() {
    let stage = stage();
    let promote =
        |who: &[&str]| stage.run(&[&["shadow", "promote", "dunning-trial", "--to", "autonomous"], who].concat());
    let early = promote(&["--as", "ana"]).with_code(1);
    assert!(early.err.contains("There is no report for dunning-trial"), "{}", early.err);
    let invoices = globex(&stage);
    remind(&stage, &invoices[0].0);
    import(&stage, &format!("{},email-draft,{}\n", invoices[0].0, invoices[0].1));
    assert!(
        promote(&["--as", "ana"]).with_code(1).err.contains("1 cases were compared, 2 are wanted"),
        "too few cases"
    );
    remind(&stage, &invoices[1].0);
    import(&stage, &format!("{},email-draft,{}\n", invoices[1].0, invoices[1].1));
    assert!(promote(&[]).with_code(3).err.contains("An administrator's key may not"), "the administrator's key");
    promote(&["--as", "ben"]).with_code(3);
    assert_eq!(stage.drafts().len(), 0, "nothing was sent in shadow");
    let done = promote(&["--as", "ana"]).with_code(0);
    assert!(done.out.contains("dunning-trial is autonomous from now on"), "{}", done.out);
    let cheap = invoices.iter().find(|(_, amount)| amount.parse::<f64>().unwrap() < 500.0).unwrap();
    stage.run(&["run", "dunning-trial", &format!("Remind globex of {}.", cheap.0)]).with_code(0);
    assert_eq!(stage.drafts().len(), 1, "from now on it writes");
}

/// Open invoices of globex: id and amount.
fn globex(stage: &Stage) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(stage.path("invoices.csv")).unwrap();
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let open = rows.filter(|row| row[1] == "globex" && row.last() == Some(&"open"));
    open.map(|row| (row[0].to_owned(), row[row.len() - 3].to_owned())).collect()
}
