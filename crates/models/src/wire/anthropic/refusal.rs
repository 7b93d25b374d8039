//! Error bodies and error events: `{"type": "error", "error": {"type": …, "message": …}, "request_id": …}`
//! (Anthropic API reference, "Errors").

use serde_json::Value;

use crate::provider::ProviderError;

/// The longest part of a provider's own words that is kept, in characters.
const WORDS_KEPT: usize = 500;

/// What an answer with an HTTP status other than 200 means.
pub fn refused(status: u16, body: &[u8], retry_after_ms: Option<u64>) -> ProviderError {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = reason(&error).unwrap_or_else(|| shorten(&String::from_utf8_lossy(body)));
    if is_lost(status) {
        return ProviderError::Unknown { reason: format!("HTTP {status}: {reason}") };
    }
    let spend_limit = error["error"]["details"]["error_code"] == "enforced_spend_limit_reached";
    let retryable = (status == 429 || status >= 500) && !spend_limit;
    ProviderError::Rejected { status, reason, retryable, retry_after_ms }
}

/// What an error event means that comes before the model said anything, `None` if it is no error event.
pub(super) fn refused_in_stream(event: &Value) -> ProviderError {
    let status = match event["error"]["type"].as_str() {
        Some("invalid_request_error") => 400,
        Some("authentication_error") => 401,
        Some("billing_error") => 402,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("request_too_large") => 413,
        Some("rate_limit_error") => 429,
        Some("overloaded_error") => 529,
        _ => 500,
    };
    refused(status, event.to_string().as_bytes(), None)
}

/// Something between us and the provider gave up waiting: the provider may have gone on, and bill.
fn is_lost(status: u16) -> bool {
    matches!(status, 408 | 504 | 524)
}

/// The provider's own words, with its kind and its id of the request.
pub(super) fn reason(error: &Value) -> Option<String> {
    let kind = error["error"]["type"].as_str();
    let message =
        error["error"]["message"].as_str().or_else(|| error["error"].as_str()).or(error["message"].as_str())?;
    let mut reason = shorten(message);
    if let Some(kind) = kind {
        reason = format!("{kind}: {reason}");
    }
    if let Some(id) = error["request_id"].as_str() {
        reason = format!("{reason} (request {})", shorten(id));
    }
    Some(reason)
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "it gave no reason".to_owned();
    }
    let kept: String = text.chars().take(WORDS_KEPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(WORDS_KEPT).is_some() { kept + "…" } else { kept }
}
