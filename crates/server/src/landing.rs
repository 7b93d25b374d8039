//! The page behind a one-time link: one request for consent, as the inbox shows it, and a form that answers it. The link
//! alone admits; opening it decides nothing and uses nothing up, since mail scanners open whatever they see. Its address
//! is kept out of the Referer, of caches and of every log.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use control::approval::Answer;
use control::error::ControlError;
use control::link::{self, Opened};
use domain::clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use crate::api::{Fields, Id, inbox};
use crate::app::App;
use crate::auth::Who;
use crate::console::inbox::evidence;
use crate::console::page::plain;
use crate::console::session::same_origin;
use crate::error::{ApiError, ApiResult};

const TITLE: &str = "Your answer is asked for";

/// `GET /answer/{token}`: shows it.
pub(crate) async fn show(State(app): State<App>, Id(token): Id<String>) -> Response {
    private(match shown(&app, &token).await {
        Ok(body) => plain(StatusCode::OK, TITLE, &body),
        Err(error) => refused(&error),
    })
}

async fn shown(app: &App, token: &str) -> ApiResult<Markup> {
    let opened = open(app, token).await?;
    let waiting = inbox::one(app, opened.link.approval).await?;
    let form = html! {
        form.decide method="post" action={ (crate::notify::PAGE) (token) } {
            input type="hidden" name="shown" value=(app.clock.now().0);
            label { "Why: kept with your decision, and told to the agent" input type="text" name="reason"; }
            button.yes name="say" value="approve" { "Approve" }
            button.no name="say" value="deny" { "Deny" }
        }
    };
    Ok(html! {
        p.meta { "This page is for " (opened.link.person) " and answers once, in their name; it was sent to " (opened.by.channel) "." }
        (evidence(&waiting, app.clock.now(), &form))
    })
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    say: String,
    /// When the form was shown.
    #[serde(default)]
    shown: Option<Timestamp>,
}

/// `POST /answer/{token}`: answers it, once.
pub(crate) async fn decide(
    State(app): State<App>,
    headers: HeaderMap,
    Id(token): Id<String>,
    said: ApiResult<Fields<Said>>,
) -> Response {
    private(match decided(&app, &headers, &token, said).await {
        Ok(body) => plain(StatusCode::OK, "Your answer is recorded", &body),
        Err(error) => refused(&error),
    })
}

async fn decided(app: &App, headers: &HeaderMap, token: &str, said: ApiResult<Fields<Said>>) -> ApiResult<Markup> {
    if !same_origin(headers) {
        return Err(ApiError::forbidden("this came from another page", "open the link again and answer there"));
    }
    let Opened { link, caller, by } = open(app, token).await?;
    let Fields(Said { reason, say, shown }) = said?;
    let approved = match say.as_str() {
        "approve" => true,
        "deny" => false,
        _ => return Err(ApiError::bad("no answer was given", "go back and choose one")),
    };
    let seen = approved.then_some(link.arguments);
    let answer = Answer { approved, reason, edited: None, seen, shown_at: shown, by_link: Some(by) };
    let verdict = inbox::answer(app, &Who(caller), link.approval, answer).await?;
    let word = if verdict.approved { "yes" } else { "no" };
    Ok(
        html! { p { (verdict.person) " said " strong { (word) } " to " span.id { (verdict.approval) } ". This link is used up." } },
    )
}

/// Opens a link; one that is over is gone.
async fn open(app: &App, token: &str) -> ApiResult<Opened> {
    link::open(&app.gate, token).await.map_err(|error| match error {
        ControlError::Conflict { reason, next } => ApiError::gone(reason, next),
        other => other.into(),
    })
}

fn refused(error: &ApiError) -> Response {
    let body = html! { p.refused { (error.reason()) } p { (error.next()) } };
    plain(error.status(), "This link answers nothing", &body)
}

/// The address of the page decides: no other page is told it, ours included.
fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}
