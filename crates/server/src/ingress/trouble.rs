//! Why a client gets no answer: what went wrong, as its dialect has it, with the status that its SDK understands. What
//! asking again does not mend is said to be final, so that no SDK asks again.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::clock::Timestamp;
use domain::decision::{RefusedBy, WaitFor};
use execution::AttachError;
use models::ingress::{Dialect, Malformed, Trouble, error_body};
use models::provider::ProviderError;

/// What SDKs of both vendors go by, whatever the status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// When to come back to a budget that is tied up and does not say when, in milliseconds.
const SOON_MS: i64 = 1_000;

/// The dialect that a path is of.
pub(crate) fn dialect_of(path: &str) -> Dialect {
    if path.starts_with("/v1/messages") {
        Dialect::Messages
    } else if path.starts_with("/v1/responses") {
        Dialect::Responses
    } else {
        Dialect::Chat
    }
}

/// The answer that says so.
pub(crate) fn refusal(dialect: Dialect, trouble: &Trouble) -> Response {
    let content = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (status(trouble), [content], error_body(dialect, trouble).to_string()).into_response();
    let headers = response.headers_mut();
    // What has been tried as often as it may be is not tried again from outside.
    let again = matches!(trouble, Trouble::Busy { .. });
    headers.insert(SHOULD_RETRY, HeaderValue::from_static(if again { "true" } else { "false" }));
    if let Trouble::Busy { retry_after_ms, .. } = trouble {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)));
    }
    if let Trouble::UnknownKey(_) = trouble {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::Malformed(_) => StatusCode::BAD_REQUEST,
        Trouble::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Trouble::UnknownKey(_) => StatusCode::UNAUTHORIZED,
        Trouble::NotFound(_) => StatusCode::NOT_FOUND,
        Trouble::Refused(_) => StatusCode::FORBIDDEN,
        Trouble::Exhausted(_) => StatusCode::PAYMENT_REQUIRED,
        Trouble::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        Trouble::Upstream { .. } => StatusCode::BAD_GATEWAY,
        Trouble::Gone(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What went wrong, for the client.
pub(crate) fn trouble_of(error: &AttachError, now: Timestamp) -> Trouble {
    let words = error.to_string();
    match error {
        AttachError::Full(full) => busy(words, full.retry_after_ms),
        AttachError::NotAttached(_) => Trouble::NotFound(words),
        AttachError::Stopped(_) => Trouble::Refused(words),
        AttachError::Refused(refusal) => match refusal.by {
            RefusedBy::Budget => Trouble::Exhausted(words),
            RefusedBy::Arguments => Trouble::Malformed(Malformed { field: "body".to_owned(), reason: words }),
            RefusedBy::Identity | RefusedBy::Policy | RefusedBy::Approval | RefusedBy::Readiness | RefusedBy::Bound => {
                Trouble::Refused(words)
            }
        },
        AttachError::Waits { why: WaitFor::TiedUp { .. }, until, .. } => {
            busy(words, until.map_or(SOON_MS, |until| until.since_ms(now)).clamp(SOON_MS, 60 * SOON_MS))
        }
        AttachError::Waits { .. } => Trouble::Refused(words),
        AttachError::Upstream(error) => upstream(error, words),
        AttachError::Lost(_) => Trouble::Gone(words),
    }
}

fn busy(reason: String, after_ms: i64) -> Trouble {
    Trouble::Busy { reason, retry_after_ms: after_ms.max(0).unsigned_abs() }
}

/// What a provider says of the request itself is the client's business; all else is not.
fn upstream(error: &ProviderError, words: String) -> Trouble {
    match error {
        ProviderError::Crowded { retry_after_ms, .. } => busy(words, *retry_after_ms),
        ProviderError::Rejected { status: 400 | 404 | 413 | 422, .. } => {
            Trouble::Malformed(Malformed { field: "body".to_owned(), reason: words })
        }
        ProviderError::Rejected { retryable, .. } | ProviderError::NotSent { retryable, .. } => {
            Trouble::Upstream { reason: words, retryable: *retryable }
        }
        ProviderError::Unknown { .. } | ProviderError::Rubbish { .. } => {
            Trouble::Upstream { reason: words, retryable: false }
        }
    }
}
