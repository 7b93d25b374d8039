//! One call, explained: from what it did back to who wanted it, under what, with whose consent.

use axum::extract::State;
use axum::response::Response;
use data::explain::{Explanation, render};
use domain::id::CallId;
use maud::{Markup, html};

use super::page::{Reader, page};
use super::step::refusal;
use crate::api::{Id, calls};
use crate::app::App;
use crate::error::ApiResult;

/// `/calls/{call}`.
pub(crate) async fn show(State(app): State<App>, reader: Reader, Id(call): Id<CallId>) -> ApiResult<Response> {
    let explanation = calls::explanation(&app, call).await?;
    let body = html! {
        p { a href={ "/sessions/" (call.session) "#call-" (call.ordinal) } { "in its session" } }
        @if explanation.refusal.is_some() || !explanation.rules.is_empty() { (decided(&explanation)) }
        pre.whole { (render(&explanation)) }
    };
    Ok(page(&reader, &format!("Why {} · {}", explanation.what, explanation.agent), &body))
}

/// What decided it: why, by which rule, as it is written, and what would have let it pass.
fn decided(explanation: &Explanation) -> Markup {
    html! {
        section.decided {
            h2 { "What decided it" }
            @if let Some(no) = &explanation.refusal { (refusal(no)) }
            @for rule in &explanation.rules {
                p { (rule.does) " by the rule " strong { (rule.id) } " of " (rule.from) ":" }
                pre { (rule.text) }
            }
            @if !explanation.would.is_empty() {
                p { "It would have been allowed" }
                ul { @for would in &explanation.would { li { (would) } } }
            }
        }
    }
}
