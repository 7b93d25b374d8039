//! The frame of every page: who looks, where one can go, what waits. Nothing here needs JavaScript.

use axum::extract::FromRequestParts;
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::id::Digest;
use maud::{DOCTYPE, Markup, html};

use super::session::Csrf;
use crate::api::changes;
use crate::app::App;
use crate::auth::Who;
use crate::error::ApiError;

/// Nothing but this page's own style, pictures and forms; nobody may frame it.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");
/// The style's address names its content, so it may be kept for ever.
const KEPT: &str = "public, max-age=31536000, immutable";

const PAGES: [(&str, &str); 7] = [
    ("/", "Agents"),
    ("/top", "What runs"),
    ("/sessions", "Sessions"),
    ("/inbox", "Inbox"),
    ("/budgets", "Budgets"),
    ("/grants", "Grants"),
    ("/cost", "Cost"),
];

/// Who looks at a page, the token of their forms (absent for a key: it decides through the API), and how much waits.
pub(crate) struct Reader {
    pub who: Who,
    pub csrf: Option<Csrf>,
    pub waiting: usize,
}

impl FromRequestParts<App> for Reader {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let who = Who::from_request_parts(parts, app).await?;
        let waiting = app.log.inbox().await?.len() + changes::waiting(app).len();
        Ok(Reader { who, csrf: parts.extensions.get::<Csrf>().cloned(), waiting })
    }
}

/// A whole page.
pub(super) fn page(reader: &Reader, title: &str, body: &Markup) -> Response {
    let header = html! {
        nav {
            @for (path, name) in PAGES {
                a href=(path) { (name) }
                @if path == "/inbox" && reader.waiting > 0 { span.count { (reader.waiting) } }
            }
        }
        span.who { (reader.who.name()) }
        @if let Some(token) = &reader.csrf {
            form method="post" action="/logout" { (token_field(token)) button { "Sign out" } }
        }
    };
    framed(StatusCode::OK, title, &header, body)
}

/// A page for somebody who is not signed in.
pub(crate) fn plain(status: StatusCode, title: &str, body: &Markup) -> Response {
    framed(status, title, &html! {}, body)
}

fn framed(status: StatusCode, title: &str, beside: &Markup, body: &Markup) -> Response {
    let style = format!("/static/style.css?{}", Digest::of(STYLE.as_bytes()).short());
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Ostler" }
                link rel="icon" href="/static/icon.svg";
                link rel="stylesheet" href=(style);
            }
            body {
                header { a.home href="/" { img src="/static/icon.svg" alt="" width="20" height="20"; "Ostler" } (beside) }
                main { h1 { (title) } (body) }
            }
        }
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (status, headers, markup).into_response()
}

/// Has the browser look again soon, while something moves.
pub(super) fn looking_again(mut response: Response, moves: bool) -> Response {
    if moves {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("2"));
    }
    response
}

/// An error that a page came to, as a page; any other answer as it is.
pub(crate) async fn of_error(app: &App, who: Option<Who>, csrf: Option<Csrf>, response: Response) -> Response {
    let Some(error) = response.extensions().get::<ApiError>() else { return response };
    let body = html! { p.refused { (error.reason()) } p { (error.next()) } };
    let mut shown = match who {
        Some(who) => {
            let waiting = app.log.inbox().await.map_or(0, |inbox| inbox.len()) + changes::waiting(app).len();
            page(&Reader { who, csrf, waiting }, "That did not work", &body)
        }
        None => plain(error.status(), "That did not work", &body),
    };
    *shown.status_mut() = error.status();
    for name in [header::ALLOW, header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            shown.headers_mut().insert(name, value.clone());
        }
    }
    shown
}

/// The hidden field that every form carries.
pub(super) fn token_field(token: &Csrf) -> Markup {
    html! { input type="hidden" name="csrf" value=(token.0); }
}

/// What a form says that has one field, why, besides the hidden one.
#[derive(serde::Deserialize)]
pub(crate) struct Reasoned {
    #[serde(default)]
    pub csrf: String,
    #[serde(default)]
    pub reason: String,
}

/// The style sheet.
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, KEPT)], STYLE).into_response()
}

/// A horseshoe.
pub(crate) async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "public, max-age=86400")], ICON).into_response()
}
