//! `cost`: what agents cost, by tokens, external actions, compute time and money.

use serde_json::Value;

use crate::args::{By, Global, Since};
use crate::client::{Client, Outcome};
use crate::output::{self, dollars, items, text};

/// Prints spend.
pub(crate) async fn cost(global: &Global, by: By, since: &Since) -> Outcome {
    let client = Client::find(global)?;
    let by = by.as_str();
    let cost = client.get(&format!("/api/cost?by={by}&since={}", since.as_str())).await?;
    output::print(global.output, &cost, |cost| table(cost, by))
}

fn table(cost: &Value, by: &str) -> String {
    let row = |name: String, row: &Value| {
        let seconds = row["compute_ms"].as_i64().unwrap_or(0) as f64 / 1000.0;
        vec![
            name,
            text(row, "tokens"),
            text(row, "calls"),
            text(row, "external_actions"),
            format!("{seconds:.3} s"),
            dollars(&row["usd_micros"]),
            dollars(&row["possibly_billed_usd_micros"]),
            share(row),
            marks(row),
            dollars(&row["saved_usd_micros"]),
            dollars(&row["scripted_usd_micros"]),
        ]
    };
    let mut rows: Vec<Vec<String>> = items(&cost["lines"]).iter().map(|item| row(text(item, "name"), item)).collect();
    rows.push(row("total".to_owned(), &cost["total"]));
    let heading = [
        by,
        "tokens",
        "calls",
        "external actions",
        "compute",
        "cost",
        "possibly billed",
        "cached",
        "marks",
        "saved",
        "scripted",
    ];
    output::table(&heading, rows)
}

/// Which part of the input was read from a prompt cache, of models that say so.
fn share(row: &Value) -> String {
    let (input, cached) = (row["input_tokens"].as_i64().unwrap_or(0), row["cached_tokens"].as_i64().unwrap_or(0));
    if input > 0 { format!("{} %", cached.saturating_mul(100) / input) } else { "-".to_owned() }
}

/// Who made providers keep what prompts begin with, by the input that it was of, the most first.
fn marks(row: &Value) -> String {
    let input = |whose: &&str| row["marked"][*whose]["input_tokens"].as_i64().unwrap_or(0);
    let mut whose: Vec<_> = ["ostler", "client", "provider"].into_iter().filter(|whose| input(whose) > 0).collect();
    whose.sort_by_key(|whose| std::cmp::Reverse(input(whose)));
    if whose.is_empty() { "-".to_owned() } else { whose.join(", ") }
}
