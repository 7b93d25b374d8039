//! The one place where a refusal or an error becomes an HTTP status. The body is always
//! `{"error": {"kind", "reason", "next"}}`: what is wrong, and what to do next. A page shows the same words.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::error::ControlError;
use data::error::DataError;
use domain::id::{Name, SessionId};
use serde_json::{Value, json};

/// When a change that others got in the way of may be tried again, in seconds.
const BUSY_S: i64 = 1;

/// An answer that is not what was asked for.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    reason: String,
    next: String,
    extra: Option<Box<Value>>,
    beside: Beside,
}

/// What stands beside the body.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    /// How to show a key (RFC 9110 §11.6.1).
    Bearer,
    /// When to come back, in seconds.
    RetryAfter(i64),
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>, next: impl Into<String>) -> Self {
        ApiError { status, kind, reason: reason.into(), next: next.into(), extra: None, beside: Beside::Nothing }
    }

    fn with(self, beside: Beside) -> Self {
        ApiError { beside, ..self }
    }

    fn telling(self, extra: Value) -> Self {
        ApiError { extra: Some(Box::new(extra)), ..self }
    }

    /// The status and the body that it is told with.
    pub(crate) fn told(&self) -> (u16, Value) {
        let mut error = json!({ "kind": self.kind, "reason": self.reason, "next": self.next });
        if let (Value::Object(error), Some(Value::Object(extra))) = (&mut error, self.extra.as_deref()) {
            error.extend(extra.clone());
        }
        (self.status.as_u16(), json!({ "error": error }))
    }

    /// The request itself is wrong.
    pub(crate) fn bad(reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason, next)
    }

    /// The body is too large, or broke off.
    pub(crate) fn body(status: StatusCode, reason: impl std::fmt::Display) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let reason = format!("the body is larger than {} bytes", crate::routes::BODY_LIMIT);
            return Self::new(status, "too_large", reason, "send less at once");
        }
        Self::bad(format!("the body could not be read: {reason}"), "send it again")
    }

    /// More was sent than is taken here.
    pub(crate) fn too_large(most: usize) -> Self {
        let reason = format!("the body is larger than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", reason, "send less at once")
    }

    /// Nothing here is signed like this. What is wrong is not said.
    pub(crate) fn bad_signature() -> Self {
        let next = "sign it as Standard Webhooks says, with the trigger's secret and the time of now";
        Self::new(StatusCode::UNAUTHORIZED, "bad_signature", "this request is not signed for anything here", next)
    }

    /// No key was shown.
    pub(crate) fn no_key() -> Self {
        let next = "send `Authorization: Bearer KEY`; the admin key is in context.json of the data directory";
        Self::unauthorized("no_key", "this needs a key", next)
    }

    /// A key was shown that is none.
    pub(crate) fn unknown_key() -> Self {
        let next = "send a key that was not revoked; the admin key is in context.json of the data directory";
        Self::unauthorized("unknown_key", "this key is not known here", next)
    }

    fn unauthorized(kind: &'static str, reason: &str, next: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, kind, reason, next).with(Beside::Bearer)
    }

    /// Whoever asks may not.
    pub(crate) fn forbidden(reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", reason, next)
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no {what}"),
            "list what there is with `ostler get` or `ostler ps`",
        )
    }

    /// There is no such path.
    pub(crate) fn no_such_path(path: &str) -> Self {
        let next = "the paths are listed in /api/openapi.json; pages start at /";
        Self::new(StatusCode::NOT_FOUND, "no_such_path", format!("there is nothing at {path}"), next)
    }

    /// The path is there, for another method.
    pub(crate) fn not_that_way(method: &Method, path: &str) -> Self {
        let reason = format!("{path} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", reason, "see /api/openapi.json")
    }

    /// It was done already, or what it rests on is not there.
    pub(crate) fn conflict(reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", reason, next)
    }

    /// It was there, and is over for good.
    pub(crate) fn gone(reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", reason, next)
    }

    /// The words of a session were erased.
    pub(crate) fn erased(session: SessionId) -> Self {
        Self::conflict(
            format!("what session {session} said was erased"),
            "its records still prove that it happened: `ostler audit verify`",
        )
    }

    /// What was sent is malformed; nothing was changed.
    pub(crate) fn unfit(reason: impl Into<String>, extra: Value) -> Self {
        let next = "mend it and apply again; nothing was changed";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", reason, next).telling(extra)
    }

    /// An agent that cannot run yet, with what is missing.
    pub(crate) fn not_ready(agent: &Name, conditions: Value) -> Self {
        let next = format!("see what is missing with `ostler get agent {agent}`");
        let reason = format!("{agent} is not ready to run");
        Self::new(StatusCode::CONFLICT, "not_ready", reason, next).telling(conditions)
    }

    /// A named bound is full: come back later.
    pub(crate) fn full(full: &execution::Full) -> Self {
        let seconds = full.retry_after_ms.saturating_add(999) / 1000;
        Self::new(StatusCode::TOO_MANY_REQUESTS, "full", full.to_string(), "try again after the time given")
            .with(Beside::RetryAfter(seconds))
    }

    /// It cannot be done now.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        let next = "try again; if it stays so, look at the server's own log";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason, next)
    }

    /// The store does not take what is to be written.
    pub(crate) fn outage(outage: &data::commit::Outage) -> Self {
        let waiting = outage.sessions.len();
        let reason = format!("{}; since {}, sessions that wait for it: {waiting}", outage.why, outage.since);
        let next = "nothing needs to be started again: what waits goes on by itself";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "outage", reason, next).with(Beside::RetryAfter(BUSY_S))
    }

    /// The server is stopping.
    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping", "try again once it is up")
    }

    /// What is there cannot be read by this version, or at all. Trying again does not help.
    fn unreadable(reason: impl Into<String>) -> Self {
        let next = "run `ostler audit verify`; nothing else is affected";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", reason, next)
    }

    /// The reason, for pages.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// What to do next, for pages.
    pub(crate) fn next(&self) -> &str {
        &self.next
    }

    /// The status, for pages.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(kind = self.kind, reason = self.reason, "a request failed");
        }
        let (_, body) = self.told();
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.beside {
            Beside::Nothing => None,
            Beside::Bearer => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Beside::RetryAfter(seconds) => headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds)),
        };
        // Where it is a page that was asked for, it is shown as one.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DataError> for ApiError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Store(_) => ApiError::unavailable(error.to_string()),
            DataError::Stopped => ApiError::stopping(),
            DataError::Erased { .. }
            | DataError::Seal(_)
            | DataError::UnknownEvent { .. }
            | DataError::Damaged { .. } => ApiError::unreadable(error.to_string()),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let of = |status, kind, reason, next| ApiError::new(status, kind, reason, next);
        match error {
            ControlError::Invalid { reason, next } => of(StatusCode::UNPROCESSABLE_ENTITY, "unfit", reason, next),
            ControlError::Policies(_) => {
                let next = "Mend it and apply again; nothing was applied.".to_owned();
                of(StatusCode::UNPROCESSABLE_ENTITY, "unfit", error.to_string(), next)
            }
            ControlError::Forbidden { reason, next } => of(StatusCode::FORBIDDEN, "forbidden", reason, next),
            ControlError::NotFound { reason, next } => of(StatusCode::NOT_FOUND, "not_found", reason, next),
            ControlError::Conflict { reason, next } => of(StatusCode::CONFLICT, "conflict", reason, next),
            ControlError::Busy => ApiError::unavailable(error.to_string()).with(Beside::RetryAfter(BUSY_S)),
            ControlError::Unreadable { .. } => ApiError::unreadable(error.to_string()),
            ControlError::Log(error) => error.into(),
            ControlError::NotRecorded(_) => ApiError::unavailable(error.to_string()),
        }
    }
}

impl From<execution::AcceptError> for ApiError {
    fn from(error: execution::AcceptError) -> Self {
        match error {
            execution::AcceptError::Full(full) => ApiError::full(&full),
            execution::AcceptError::Data(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiError, IntoResponse, StatusCode, header};

    #[test]
    fn a_full_bound_says_when_to_come_back_in_whole_seconds() {
        let full = execution::Full { bound: "mailbox", retry_after_ms: 1_001 };
        let response = ApiError::full(&full).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn a_damaged_session_is_an_error_that_trying_again_does_not_mend() {
        let session = "ses_7118b9dzpa41qsdez6a7967f91".parse().unwrap();
        let error = data::error::DataError::Damaged { session, why: "a record is missing".to_owned() };
        let response = ApiError::from(error).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
    }
}
