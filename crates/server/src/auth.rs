//! Who asks. Every route needs a key or a console session, but for those in one table that a test walks.
//!
//! ```text
//! request ─▶ open? ─▶ key? ─▶ console session? ─▶ handler ─▶ errors of pages become pages ─▶ headers
//!                       └─ an agent's, or unknown: refused
//! ```

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use control::identity;
use domain::id::Name;
use domain::principal::Caller;
use models::ingress::Trouble;

use crate::app::App;
use crate::console::{page, session};
use crate::error::{ApiError, ApiResult};
use crate::ingress;

/// The only ways in without a key or a console session: exact paths, and prefixes that end with `/`.
pub(crate) const OPEN_ROUTES: &[&str] =
    &["/healthz", "/readyz", "/login", "/static/", "/.well-known/", "/hooks/", "/answer/"];

/// Paths that speak to programs; all others are pages.
const FOR_PROGRAMS: &[&str] = &["/healthz", "/readyz", "/metrics", "/api/", "/.well-known/", "/hooks/", "/v1/", "/mcp"];

/// What an agent's key opens.
const FOR_AGENTS: &[&str] = &["/v1/", "/mcp"];

/// Where SDKs of one vendor put their key.
const API_KEY: &str = "x-api-key";

/// Whether a path is one of the ways in without a key.
pub(crate) fn is_open(path: &str) -> bool {
    is_one_of(OPEN_ROUTES, path)
}

fn is_one_of(paths: &[&str], path: &str) -> bool {
    paths.iter().any(|one| path == *one || (one.ends_with('/') && path.starts_with(one)))
}

/// The caller, put there by [`guard`].
#[derive(Debug, Clone)]
pub(crate) struct Who(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Who>().cloned().ok_or_else(ApiError::no_key)
    }
}

impl Who {
    /// The name under which what they do is recorded.
    pub(crate) fn name(&self) -> String {
        match &self.0 {
            Caller::Admin => "admin".to_owned(),
            Caller::Person { name, .. } => name.to_string(),
            Caller::Agent { name } => format!("agent/{name}"),
        }
    }

    /// The person, where it is one.
    pub(crate) fn person(&self) -> Option<&Name> {
        match &self.0 {
            Caller::Person { name, .. } => Some(name),
            Caller::Admin | Caller::Agent { .. } => None,
        }
    }

    /// Whether it is a person of this group.
    pub(crate) fn is_of(&self, group: &Name) -> bool {
        match &self.0 {
            Caller::Person { groups, .. } => groups.contains(group),
            Caller::Admin | Caller::Agent { .. } => false,
        }
    }

    /// An administrator, or a refusal.
    pub(crate) fn admin(&self) -> ApiResult<()> {
        match self.0 {
            Caller::Admin => Ok(()),
            Caller::Person { .. } | Caller::Agent { .. } => Err(ApiError::forbidden(
                "only an admin key may do this",
                "use the admin key in context.json of the data directory",
            )),
        }
    }

    /// An administrator or somebody of the group, or a refusal.
    pub(crate) fn admin_or_of(&self, group: &Name) -> ApiResult<()> {
        if self.is_of(group) {
            return Ok(());
        }
        self.admin().map_err(|_| {
            ApiError::forbidden(
                format!("only an admin or somebody of {group} may do this"),
                format!("ask somebody of {group}"),
            )
        })
    }
}

/// How a request came in.
enum Entry {
    /// It may: by a key, by a console session, or where neither is needed.
    Admitted,
    /// It may not.
    Refused(ApiError),
    /// Somebody looks at a page and is not signed in.
    SignIn,
}

/// Lets a request through with a key, with a console session, or where neither is needed; shows errors of pages as
/// pages; says of every answer how it may be kept and read.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_page = !is_one_of(FOR_PROGRAMS, &path);
    let entry = enter(&app, &mut request, is_page);
    let who = request.extensions().get::<Who>().cloned();
    let csrf = request.extensions().get::<session::Csrf>().cloned();
    let response = match entry {
        Entry::Admitted => next.run(request).await,
        Entry::Refused(error) => refused(&path, error),
        Entry::SignIn => Redirect::to("/login").into_response(),
    };
    let response = if is_page { page::of_error(&app, who, csrf, response).await } else { response };
    with_headers(response)
}

/// A refusal, in the words of whoever asked.
fn refused(path: &str, error: ApiError) -> Response {
    if !path.starts_with("/v1/") {
        return error.into_response();
    }
    let words = format!("{}; {}.", error.reason(), error.next());
    let trouble = match error.status() {
        StatusCode::UNAUTHORIZED => Trouble::UnknownKey(words),
        _ => Trouble::Refused(words),
    };
    ingress::refusal(ingress::dialect_of(path), &trouble)
}

fn enter(app: &App, request: &mut Request, is_page: bool) -> Entry {
    if is_open(request.uri().path()) {
        return Entry::Admitted;
    }
    let for_agents = is_one_of(FOR_AGENTS, request.uri().path());
    let shown = shown(request.headers(), for_agents);
    if shown.is_empty() {
        return by_cookie(app, request, is_page);
    }
    let registry = app.gate.registry();
    let caller = shown.into_iter().flatten().find_map(|key| identity::authenticate(&registry, key));
    match caller {
        Some(Caller::Admin | Caller::Person { .. }) if for_agents => {
            let reason = "/v1 and /mcp take an agent's key only";
            let next = "make one with `ostler key add agent NAME`, or see `ostler onboard NAME`";
            Entry::Refused(ApiError::forbidden(reason, next))
        }
        None => Entry::Refused(ApiError::unknown_key()),
        Some(Caller::Agent { .. }) if !for_agents => {
            let reason = "an agent's key opens the ingress and /mcp and nothing else";
            Entry::Refused(ApiError::forbidden(reason, "use an admin's or a person's key"))
        }
        Some(caller) => {
            request.extensions_mut().insert(Who(caller));
            Entry::Admitted
        }
    }
}

/// On the strength of the console's cookie: the API is only read with it, and a page is only changed from our own.
fn by_cookie(app: &App, request: &mut Request, is_page: bool) -> Entry {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    match session::signed_in(app, request.headers()) {
        Some((who, csrf)) if reads || (is_page && session::same_origin(request.headers())) => {
            request.extensions_mut().insert(who);
            request.extensions_mut().insert(csrf);
            Entry::Admitted
        }
        Some(_) if is_page => {
            Entry::Refused(ApiError::forbidden("this came from another page", "decide on the console's own page"))
        }
        Some(_) => {
            let reason = "a console session only reads the API";
            Entry::Refused(ApiError::forbidden(reason, "send `Authorization: Bearer KEY`"))
        }
        None if is_page && reads => Entry::SignIn,
        None => Entry::Refused(ApiError::no_key()),
    }
}

/// The keys that a request shows, each as far as it can be read: SDKs of one vendor send theirs in `x-api-key`.
fn shown(headers: &HeaderMap, for_agents: bool) -> Vec<Option<&str>> {
    let mut keys: Vec<_> = headers.get(header::AUTHORIZATION).map(bearer).into_iter().collect();
    if for_agents {
        keys.extend(headers.get(API_KEY).map(|key| key.to_str().ok().map(str::trim)));
    }
    keys
}

/// The key of `Authorization: Bearer KEY` (RFC 6750 §2.1; the scheme's case does not matter).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// What is said here is for whoever asked: no cache keeps it, unless it says otherwise, and no browser guesses what
/// it is or lends it to another site.
fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::{HeaderValue, bearer, is_open};

    #[test]
    fn only_listed_paths_are_open() {
        for open in ["/healthz", "/readyz", "/login", "/static/style.css", "/.well-known/agent.json"] {
            assert!(is_open(open), "{open}");
        }
        for closed in ["/", "/healthz/", "/loginx", "/login/", "/static", "//static/", "/api/people", "/metrics"] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn a_key_is_read_from_a_bearer_header_only() {
        assert_eq!(bearer(&HeaderValue::from_static("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&HeaderValue::from_static("bearer  abc ")), Some("abc"));
        for wrong in ["abc", "Basic abc", "Bearer", ""] {
            assert_eq!(bearer(&HeaderValue::from_str(wrong).unwrap()), None, "{wrong}");
        }
    }
}
