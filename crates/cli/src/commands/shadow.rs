//! `shadow import`, `shadow report`, `shadow promote`: an agent beside the people who do the work now. In shadow,
//! nothing is sent.

use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::args::{Format, Global, Shadow};
use crate::client::{Client, Failure, Outcome};
use crate::output::{self, items, text};

/// The column that a file of cases must have.
const CASE: &str = "case";

/// The three of them.
pub(crate) async fn shadow(global: &Global, shadow: Shadow) -> Outcome {
    let client = Client::find(global)?;
    match shadow {
        Shadow::Import { agent, file } => {
            let cases = read(&file)?;
            let count = cases.len();
            let done = client.post(&format!("/api/shadow/{agent}/cases"), json!({ "cases": cases })).await?;
            output::print(global.output, &done, |_| format!("{count} rows imported for {agent}"))?;
            if global.output == Format::Table {
                output::talk(&format!("next: ostler shadow report {agent}"));
            }
            Ok(())
        }
        Shadow::Report { agent } => {
            let report = client.get(&format!("/api/shadow/{agent}/report")).await?;
            output::print(global.output, &report, words)
        }
        Shadow::Promote { agent, to } => {
            let done = client.post(&format!("/api/shadow/{agent}/promote"), json!({ "to": to })).await?;
            output::print(global.output, &done, |done| {
                format!("{agent} is {} from now on, at its present revision", text(done, "autonomy"))
            })
        }
    }
}

/// A CSV with a heading and a column `case`: what a person did in one case per row.
fn read(file: &Path) -> Outcome<Vec<Value>> {
    let named = file.display();
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("{named} could not be read"))?;
    let heading = reader.headers().with_context(|| format!("{named} has no heading"))?.clone();
    if !heading.iter().any(|column| column == CASE) {
        let has = heading.iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("{named}:1 has no column `{CASE}`, the key of each case; it has {has}")));
    }
    let mut cases = Vec::new();
    for row in reader.records() {
        let row = row.with_context(|| format!("{named} has a row that does not fit its heading"))?;
        let line = row.position().map_or(0, csv::Position::line);
        let did: Map<String, Value> =
            heading.iter().zip(row.iter()).map(|(column, value)| (column.to_owned(), value.into())).collect();
        if did[CASE] == "" {
            return Err(Failure::Usage(format!("{named}:{line} has no `{CASE}`: say which case the row is about")));
        }
        cases.push(json!({ "case": did[CASE], "did": did }));
    }
    if cases.is_empty() {
        return Err(Failure::Usage(format!("{named} has a heading and no row: write one per case")));
    }
    Ok(cases)
}

fn words(report: &Value) -> String {
    let mut out = format!("{}\n", text(report, "note"));
    for (field, title) in [("matches", "matches"), ("differences", "differences"), ("not_comparable", "not comparable")]
    {
        let cases = items(&report[field]);
        out.push_str(&format!("\n{title}: {}\n", cases.len()));
        cases.iter().for_each(|case| out.push_str(&block(case)));
    }
    let columns: Vec<&str> = items(&report["columns_not_compared"]).iter().filter_map(Value::as_str).collect();
    if !columns.is_empty() {
        out.push_str(&format!("\nno recorded write has an argument for: {}\n", columns.join(", ")));
    }
    let agreement = report["agreement"].as_f64().map(|share| format!("{:.1} % agree. ", share * 100.0));
    let met = if report["gate"]["met"] == true { "It may be promoted:" } else { "It may not be promoted yet:" };
    out.push_str(&format!("\n{}{met}\n", agreement.unwrap_or_default()));
    for reason in items(&report["gate"]["reasons"]) {
        out.push_str(&format!("  {}\n", reason.as_str().unwrap_or_default()));
    }
    out
}

fn block(case: &Value) -> String {
    let fields = items(&case["fields"]);
    if fields.is_empty() {
        return format!("  {}  {}\n", text(case, "case"), text(case, "detail"));
    }
    let critical = if case["critical"] == true { "  (critical)" } else { "" };
    let mut out = format!("  {}{critical}  in {}\n", text(case, "case"), text(case, "session"));
    for field in fields {
        let of = |name: &str| text(field, name);
        out.push_str(&format!("    {}: the person {}, the agent {}\n", of("field"), of("person"), of("agent")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_csv(text: &str) -> Outcome<Vec<Value>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn each_row_is_what_a_person_did_in_a_case() {
        let cases = of_csv("case,tool,amount_usd\nINV-1,email-draft,10\nINV-2,,\n").unwrap();
        assert_eq!(
            cases[0],
            json!({"case": "INV-1", "did": {"case": "INV-1", "tool": "email-draft", "amount_usd": "10"}})
        );
        assert_eq!(cases.len(), 2);
    }

    #[test]
    fn a_file_without_cases_is_refused_with_its_place() {
        for (text, expected) in [
            ("id,tool\nx,y\n", ":1 has no column `case`, the key of each case; it has id, tool"),
            ("case,tool\n,y\n", ":2 has no `case`"),
            ("case,tool\n", "has a heading and no row"),
            ("case,tool\na\n", "has a row that does not fit its heading"),
        ] {
            let failure = of_csv(text).unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }
}
