//! What agents cost, in numbers and as a picture drawn on the server.

use axum::extract::{Path, State};
use axum::response::Response;
use data::spend::{self, By, Cost, Spent, SpentOn, Tally};
use domain::call::MarkedBy;
use domain::clock::Timestamp;
use domain::id::{IdError, Name};
use maud::{Markup, PreEscaped, html};

use super::page::{Reader, page};
use super::picture::picture;
use super::words::{grouped, lasting, mark, money};
use crate::api::cost;
use crate::app::App;
use crate::error::{ApiError, ApiResult};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// How long the longest bar is.
const LONGEST_BAR: i64 = 200;
/// How many hours the picture shows.
const HOURS: usize = 24;

/// `/cost`: the last 24 hours.
pub(crate) async fn show(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let rows = cost::rows(&app, day(&app)).await?;
    let series = spend::by_hour(&rows, (day(&app), HOURS), |row, _| Some(row.agent.to_string()));
    let body = html! { (picture("Spend by agent and hour", &series)) (tables(&app, None).await?) };
    Ok(page(&reader, "Cost, last 24 hours", &body))
}

/// `/cost/NAME`: the same of one agent, and what prompt caches came to.
pub(crate) async fn of_agent(State(app): State<App>, reader: Reader, Path(agent): Path<String>) -> ApiResult<Response> {
    let name: Name = agent.parse().map_err(|error: IdError| ApiError::bad(error.to_string(), "see /cost"))?;
    let rows: Vec<_> = cost::rows(&app, day(&app)).await?.into_iter().filter(|row| row.agent == name).collect();
    let series = spend::by_hour(&rows, (day(&app), HOURS), |_, spent| on(spent));
    let whole = spend::cost(&rows, By::Agent, day(&app), |_| None).total;
    let body = html! {
        (picture("Spend by model, tool and hour", &series))
        (caches(&whole))
        (tables(&app, Some(&name)).await?)
    };
    Ok(page(&reader, &format!("Cost of {name}, last 24 hours"), &body))
}

/// The start of the first of the hours that are shown.
fn day(app: &App) -> Timestamp {
    app.clock.now().plus_ms(HOUR_MS - DAY_MS)
}

async fn tables(app: &App, agent: Option<&Name>) -> ApiResult<Markup> {
    let rows = cost::rows(app, day(app)).await?;
    let rows: Vec<_> = rows.into_iter().filter(|row| agent.is_none_or(|name| row.agent == *name)).collect();
    let of = |(word, by)| (word, spend::cost(&rows, by, day(app), |agent| cost::owner(app, agent)));
    let every = [("agent", By::Agent), ("owner", By::Owner), ("model", By::Model), ("tool", By::Tool)];
    let tables = every.map(of);
    let shown = tables.iter().filter(|(word, cost)| !cost.lines.is_empty() && (agent.is_none() || *word != "owner"));
    Ok(html! {
        @if rows.is_empty() { p { "Nothing was spent in the last 24 hours." } }
        @for (word, cost) in shown { h2 { "By " (word) } (table(word, cost)) }
        @if tables.iter().any(|(_, cost)| cost.total.scripted_calls > 0) {
            p.meta { (mark("scripted", "scripted")) "A script stood in for a model: it is priced like one, and nobody was billed." }
        }
    })
}

fn on(spent: &Spent) -> Option<String> {
    match &spent.on {
        SpentOn::Model(name) | SpentOn::Capability(name) => Some(name.clone()),
        SpentOn::Compute | SpentOn::Input(_) | SpentOn::Cached(_) => None,
    }
}

/// By whose doing a provider kept what prompts begin with, as the page says it.
const WHOSE: [(MarkedBy, &str); 3] = [
    (MarkedBy::Provider, "provider-cached: kept by the provider itself, with or without Ostler"),
    (MarkedBy::Client, "client-cached: by marks of the client's own, passed on as they are"),
    (MarkedBy::Ostler, "by marks that Ostler set"),
];

/// What prompt caches came to, beside the baseline that it is measured against.
fn caches(whole: &Tally) -> Markup {
    let Some(rate) = whole.hit_rate() else {
        return html! { p.meta { "No model said what it cached." } };
    };
    let uncached = whole.amounts.usd_micros.saturating_add(whole.saved_usd_micros);
    html! {
        h2 { "Prompt caches" }
        table {
            tr { th { "baseline" } th.number { "cost" } th.number { "saved" } }
            tr { td { "uncached: the same calls if nothing were cached" } td.number { (money(uncached)) } td.number { "" } }
            @for (whose, words) in WHOSE {
                @let marked = whole.marked.by(whose);
                tr {
                    td { (words) ", of " (grouped(marked.input_tokens)) " input tokens" }
                    td.number { "" }
                    td.number { (money(marked.saved_usd_micros)) }
                }
            }
            tr { td { "as billed" } td.number { (money(whole.amounts.usd_micros)) } td.number { (money(whole.saved_usd_micros)) } }
        }
        p.meta {
            (grouped(whole.cached_tokens)) " of " (grouped(whole.input_tokens)) " input tokens were read from a cache ("
            (rate / 10) "." (rate % 10) " %). Only what Ostler's own marks saved would not have been saved without it."
        }
    }
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
                    td { @if by == "agent" { a href={"/cost/" (line.name)} { (line.name) } } @else { (line.name) } " " @if line.tally.scripted_calls > 0 { (mark("scripted", "scripted")) } }
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
