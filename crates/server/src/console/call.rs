//! One call, explained: from what it did back to who wanted it, under what, with whose consent.

use axum::extract::State;
use axum::response::Response;
use data::explain::render;
use domain::id::CallId;
use maud::html;

use super::page::{Reader, page};
use crate::api::{Id, calls};
use crate::app::App;
use crate::error::ApiResult;

/// `/calls/{call}`.
pub(crate) async fn show(State(app): State<App>, reader: Reader, Id(call): Id<CallId>) -> ApiResult<Response> {
    let explanation = calls::explanation(&app, call).await?;
    let body = html! {
        p { a href={ "/sessions/" (call.session) "#call-" (call.ordinal) } { "in its session" } }
        pre.whole { (render(&explanation)) }
    };
    Ok(page(&reader, &format!("Why {} · {}", explanation.what, explanation.agent), &body))
}
