//! Requests of one shape, on one page: what they share once, what differs a column each. Each that is ticked is answered
//! for itself, and to exactly what this page shows of it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use domain::clock::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::arguments::{arguments, plain};
use super::page::{Reader, page, token_field};
use super::session::own_form;
use super::words::{ago, count, money};
use crate::api::inbox::batch::{self, Answers};
use crate::api::inbox::{self, Waiting};
use crate::api::{Fields, Id};
use crate::app::App;
use crate::error::{ApiError, ApiResult};

/// What the name of a ticked request's field begins with.
const TICKED: &str = "id.";

/// `/inbox/together/{id}`.
pub(crate) async fn show(State(app): State<App>, reader: Reader, Id(shape): Id<String>) -> ApiResult<Response> {
    let all = inbox::waiting(&app).await?;
    let mine: Vec<&Waiting> = all.iter().filter(|one| one.batch == shape && one.is_for(&reader.who)).collect();
    let Some(first) = mine.first() else {
        let none =
            html! { p { a href="/inbox" { "All that waits" } } p { "Nothing of this shape waits for you any more." } };
        return Ok(page(&reader, "Answer together", &none));
    };
    let differing = batch::differing(&mine);
    let mut shared = first.arguments.clone();
    if let Value::Object(shared) = &mut shared {
        shared.retain(|name, _| !differing.contains(&name));
    }
    let now = app.clock.now();
    let body = html! {
        p { a href="/inbox" { "All that waits" } }
        h2 { (first.agent) " wants to use " (first.what) ", " (count(mine.len() as i64, "time")) }
        h3 { "The same in each" }
        (arguments(&shared))
        form method="post" action={ "/inbox/together/" (shape) } {
            @if let Some(token) = &reader.csrf { (token_field(token)) }
            input type="hidden" name="shown" value=(now.0);
            table {
                tr { th { "answer" } th { "worth" } @for name in &differing { th { (name) } } th { "asked" } th {} }
                @for one in &mine { (row(one, &differing, now)) }
            }
            div.decide {
                label { "Why: kept with each decision, and told to the agent" input type="text" name="reason"; }
                @if reader.csrf.is_some() {
                    button.yes name="say" value="yes" { "Approve what is ticked" }
                    button.no name="say" value="no" { "Deny what is ticked" }
                }
            }
        }
    };
    Ok(page(&reader, "Answer together", &body))
}

fn row(one: &Waiting, differing: &[&String], now: Timestamp) -> Markup {
    let seen = one.progress.as_ref().map(|progress| progress.arguments_sha256.to_string()).unwrap_or_default();
    html! {
        tr {
            td { input type="checkbox" name={ (TICKED) (one.id) } value=(seen) checked; }
            td { @if let Some(value) = one.value_usd_micros { (money(value)) } @else { "unknown" } }
            @for name in differing { td { (one.arguments.get(name.as_str()).map(plain).unwrap_or_default()) } }
            td { (ago(now, one.since)) }
            td { a href={ "/inbox/" (one.id) } { "alone" } }
        }
    }
}

/// Answers what is ticked.
pub(crate) async fn decide(
    State(app): State<App>,
    reader: Reader,
    Id(_): Id<String>,
    Fields(said): Fields<BTreeMap<String, String>>,
) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), said.get("csrf").map_or("", String::as_str))?;
    let approved = match said.get("say").map(String::as_str) {
        Some("yes") => true,
        Some("no") => false,
        Some(_) | None => return Err(ApiError::bad("no answer was given", "go back and choose one")),
    };
    let ticked =
        said.iter().filter_map(|(name, seen)| Some((name.strip_prefix(TICKED)?.parse().ok()?, seen.parse().ok())));
    let shown = said.get("shown").and_then(|shown| shown.parse().ok()).map(Timestamp);
    let reason = said.get("reason").cloned().unwrap_or_default();
    let outcomes = batch::all(&app, &reader.who, Answers::of(ticked.collect(), approved, (reason, shown))).await;
    let body = html! {
        p { a href="/inbox" { "All that waits" } }
        table {
            @for outcome in &outcomes {
                tr { td.id { (outcome.id) } td { @if let Some(error) = &outcome.error { (error) } @else if approved { "approved" } @else { "denied" } } }
            }
        }
        @if outcomes.is_empty() { p { "Nothing was ticked." } }
    };
    Ok(page(&reader, "Answered together", &body))
}
