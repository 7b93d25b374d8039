//! What agents cost, in numbers and as a picture drawn on the server.

use axum::extract::State;
use axum::response::Response;
use data::spend::{By, Cost, Tally};
use maud::{Markup, PreEscaped, html};

use super::page::{Reader, page};
use super::words::{grouped, lasting, mark, money};
use crate::api::cost;
use crate::app::App;
use crate::error::ApiResult;

const DAY_MS: i64 = 86_400_000;
/// How long the longest bar is.
const LONGEST_BAR: i64 = 200;

/// `/cost`: the last 24 hours.
pub(crate) async fn show(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let since = app.clock.now().plus_ms(-DAY_MS);
    let mut tables = Vec::new();
    for (word, by) in [("agent", By::Agent), ("model", By::Model), ("tool", By::Tool)] {
        tables.push((word, cost::spent(&app, by, since).await?));
    }
    let body = html! {
        @if tables.iter().all(|(_, cost)| cost.lines.is_empty()) { p { "Nothing was spent in the last 24 hours." } }
        @for (word, cost) in &tables {
            @if !cost.lines.is_empty() { h2 { "By " (word) } (table(word, cost)) }
        }
        @if tables.iter().any(|(_, cost)| cost.total.scripted_calls > 0) {
            p.meta { (mark("scripted", "scripted")) "A script stood in for a model: it is priced like one, and nobody was billed." }
        }
    };
    Ok(page(&reader, "Cost, last 24 hours", &body))
}

/// What does not apply to what is counted is left out: a model has no external actions, a tool no tokens.
fn table(by: &str, cost: &Cost) -> Markup {
    let most = cost.lines.iter().map(|line| line.tally.amounts.usd_micros).max().unwrap_or(0);
    html! {
        table {
            tr {
                th { (by) } th.number { "calls" }
                @if by != "tool" { th.number { "tokens" } }
                @if by != "model" { th.number { "external actions" } }
                @if by == "agent" { th.number { "compute" } }
                th.number { "cost" } th { "" }
            }
            @for line in &cost.lines {
                tr {
                    td { (line.name) " " @if line.tally.scripted_calls > 0 { (mark("scripted", "scripted")) } }
                    (figures(by, &line.tally))
                    td { (bar(line.tally.amounts.usd_micros, most)) }
                }
            }
            tr.total { td { "together" } (figures(by, &cost.total)) td {} }
        }
    }
}

fn figures(by: &str, tally: &Tally) -> Markup {
    let amounts = &tally.amounts;
    html! {
        td.number { (grouped(amounts.calls)) }
        @if by != "tool" { td.number { (grouped(amounts.tokens)) } }
        @if by != "model" { td.number { (grouped(amounts.external_actions)) } }
        @if by == "agent" { td.number { (lasting(amounts.compute_ms)) } }
        td.number {
            (money(amounts.usd_micros))
            @if tally.possibly_billed_usd_micros > 0 { div.meta { (money(tally.possibly_billed_usd_micros)) " possibly billed" } }
        }
    }
}

fn bar(amount: i64, most: i64) -> Markup {
    let width = if most > 0 { amount.saturating_mul(LONGEST_BAR) / most } else { 0 };
    PreEscaped(format!(
        r#"<svg class="bar" width="{LONGEST_BAR}" height="12" aria-hidden="true"><rect width="{width}" height="12" rx="2"/></svg>"#
    ))
}
