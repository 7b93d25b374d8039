//! What may be spent, and how it stands: each budget of the windows that run, with what was added to it, by whom and why.

use axum::extract::State;
use axum::response::Response;
use control::budget::amount_text;
use control::budget::change::{self, Shown};
use domain::budget::{Meter, Window};
use maud::{Markup, PreEscaped, html};

use super::page::{Reader, page};
use super::words::{instant, mark};
use crate::app::App;
use crate::error::ApiResult;

/// How long the bar of a whole budget is.
const BAR: i64 = 160;

/// `/budgets`.
pub(crate) async fn show(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let all = change::show(&app.gate, None).await?;
    let body = html! {
        @if all.is_empty() {
            p { "Nothing bounds anybody: write " code { "spec.budgets" } " in a descriptor, or " code { "ostler budget set" } "." }
        } @else {
            table {
                tr {
                    th { "whose" } th { "of what" } th.number { "may be spent" } th.number { "spent" } th.number { "held" }
                    th.number { "left" } th { "" } th { "until" }
                }
                @for budget in &all { (line(budget)) }
            }
            p.meta {
                "Held is what calls in flight may come to at most: it is settled at what they really came to. A budget that "
                "is spent refuses, waits or asks, as the agent's descriptor says; one that is only tied up is waited for."
            }
        }
        @if all.iter().any(|budget| !budget.added.is_empty()) { (added(&all)) }
    };
    Ok(page(&reader, "Budgets", &body))
}

fn line(budget: &Shown) -> Markup {
    let amount = |amount: i64| amount_text(budget.meter, amount);
    html! {
        tr {
            td {
                @match budget.subject.strip_prefix("agent/") {
                    Some(agent) => a href={ "/cost/" (agent) } { (agent) },
                    None => (budget.subject),
                }
            }
            td { (of_what(budget)) }
            td.number { (amount(budget.cap)) }
            td.number { (amount(budget.spent)) }
            td.number { (amount(budget.held)) }
            td.number { (amount(budget.left)) }
            td { (bar(budget)) " " (standing(budget)) }
            td { @if let Some(until) = budget.until { (instant(until)) } }
        }
    }
}

/// What a budget counts, and per what.
fn of_what(budget: &Shown) -> String {
    let what = match budget.meter {
        Meter::UsdMicros => "money",
        Meter::Calls => "calls",
        Meter::Tokens => "tokens",
        Meter::ExternalActions => "external actions",
        Meter::ComputeMs => "compute time",
    };
    let per = match budget.per {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Session => "session",
    };
    format!("{what} per {per}")
}

/// Spent and tied up are two things: the one is over for this window, the other passes.
fn standing(budget: &Shown) -> Markup {
    if budget.left > 0 {
        return html! {};
    }
    if budget.spent >= budget.cap { mark("failed", "exhausted") } else { mark("suspended", "tied up") }
}

fn bar(budget: &Shown) -> Markup {
    let part = |amount: i64| {
        let length = i128::from(amount.max(0)) * i128::from(BAR) / i128::from(budget.cap.max(1));
        i64::try_from(length).unwrap_or(BAR).min(BAR)
    };
    let spent = part(budget.spent);
    let held = part(budget.held).min(BAR - spent);
    PreEscaped(format!(
        r#"<svg class="bar" width="{BAR}" height="12" aria-hidden="true"><rect class="shade4" width="{BAR}" height="12" rx="2"/><rect class="shade2" x="{spent}" width="{held}" height="12"/><rect class="shade0" width="{spent}" height="12" rx="2"/></svg>"#
    ))
}

fn added(all: &[Shown]) -> Markup {
    html! {
        h2 { "Added to the windows that run" }
        table {
            tr { th { "whose" } th { "of what" } th.number { "more" } th { "by" } th { "when" } th { "why" } }
            @for budget in all {
                @for added in &budget.added {
                    tr {
                        td { (budget.subject) }
                        td { (of_what(budget)) }
                        td.number { (amount_text(budget.meter, added.amount)) }
                        td { (added.by) }
                        td { (instant(added.at)) }
                        td { (added.reason) }
                    }
                }
            }
        }
    }
}
