//! Signing in with a one-time code, and out. The address shows a button: opening it, or previewing it, signs nobody in.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::page::{Reader, plain};
use super::session::{own_form, same_origin};
use crate::api::{Fields, Params};
use crate::app::App;
use crate::error::ApiResult;

/// A one-time code.
#[derive(Deserialize)]
pub(crate) struct Code {
    #[serde(default)]
    code: String,
}

/// `/login`.
pub(crate) async fn show(Params(Code { code }): Params<Code>) -> Response {
    let body = html! {
        @if code.is_empty() {
            p { "A one-time address signs you in. Get one on the machine that runs Ostler:" }
            (how())
        } @else {
            p { "This address signs you in, once." }
            form method="post" action="/login" {
                input type="hidden" name="code" value=(code);
                button.yes { "Sign in" }
            }
        }
    };
    plain(StatusCode::OK, "Sign in", &body)
}

/// A code becomes a cookie.
pub(crate) async fn sign_in(State(app): State<App>, headers: HeaderMap, form: ApiResult<Fields<Code>>) -> Response {
    // Whatever cannot be read carries no code.
    let taken = form.ok().filter(|_| same_origin(&headers)).and_then(|form| app.logins.take(&form.0.code, &*app.clock));
    match taken {
        Some(cookie) => ([(header::SET_COOKIE, app.logins.set_cookie(&cookie))], Redirect::to("/")).into_response(),
        None => {
            let body = html! {
                p.refused { "This address was used already, is too old, or came from another page." }
                p { "Get another on the machine that runs Ostler:" }
                (how())
            };
            plain(StatusCode::FORBIDDEN, "Sign in", &body)
        }
    }
}

fn how() -> Markup {
    html! { pre { "ostler login PERSON" } }
}

/// The token of the form.
#[derive(Deserialize)]
pub(crate) struct Token {
    #[serde(default)]
    csrf: String,
}

/// Signs out.
pub(crate) async fn sign_out(
    State(app): State<App>,
    reader: Reader,
    headers: HeaderMap,
    Fields(Token { csrf }): Fields<Token>,
) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), &csrf)?;
    app.logins.end(&headers);
    Ok(([(header::SET_COOKIE, app.logins.set_cookie(""))], Redirect::to("/login")).into_response())
}
