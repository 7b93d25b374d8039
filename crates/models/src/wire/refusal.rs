//! Error bodies and error events, of all protocols: an object under `error` with a kind and a message.
//!
//! ```text
//! Anthropic  {"type": "error", "error": {"type", "message", "details"?}, "request_id"}
//! OpenAI     {"error": {"message", "type", "code", "param"}}; in a stream of Responses also {"type": "error", "code", "message"}
//! Gemini     {"error": {"code": 429, "status", "message", "details": [{"retryDelay": "7s"}]}}, at times in a list
//! ```

use serde_json::Value;

use crate::provider::ProviderError;

/// The longest part of a provider's own words that is kept, in characters.
const WORDS_KEPT: usize = 500;
/// What a provider calls an account that has nothing left: asking again does not help.
const SPENT: [&str; 4] =
    ["enforced_spend_limit_reached", "insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// What an answer with an HTTP status other than 200 means.
pub fn refused(status: u16, body: &[u8], retry_after_ms: Option<u64>) -> ProviderError {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = reason(&error).unwrap_or_else(|| shorten(&String::from_utf8_lossy(body)));
    refusal(status, reason, (&error, retry_after_ms))
}

fn refusal(status: u16, reason: String, (error, retry_after_ms): (&Value, Option<u64>)) -> ProviderError {
    if is_lost(status) {
        return ProviderError::Unknown { reason: format!("HTTP {status}: {reason}") };
    }
    let retryable = (status == 429 || status >= 500) && !is_spent(error);
    let retry_after_ms = retry_after_ms.or_else(|| retry_delay_ms(inner(error)));
    ProviderError::Rejected { status, reason, retryable, retry_after_ms }
}

/// What an error event means that comes before the model said anything.
pub(super) fn refused_in_stream(event: &Value) -> ProviderError {
    let error = inner(event);
    let numbered = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let status = numbered.unwrap_or_else(|| match kind(error) {
        Some("invalid_request_error") => 400,
        Some("authentication_error" | "invalid_api_key") => 401,
        Some("billing_error") => 402,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("request_too_large") => 413,
        Some("rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota") => 429,
        Some("overloaded_error" | "server_is_overloaded" | "slow_down") => 529,
        _ => 500,
    });
    let reason = reason(event).unwrap_or_else(|| "it gave no reason".to_owned());
    refusal(status, reason, (event, None))
}

/// Something between us and the provider gave up waiting: the provider may have gone on, and bill.
fn is_lost(status: u16) -> bool {
    matches!(status, 408 | 504 | 524)
}

fn is_spent(error: &Value) -> bool {
    let inner = inner(error);
    let said = [&inner["details"]["error_code"], &inner["code"], &inner["type"]];
    said.into_iter().filter_map(Value::as_str).any(|word| SPENT.contains(&word))
}

/// The object that says what went wrong.
fn inner(error: &Value) -> &Value {
    let outer = error.get(0).unwrap_or(error);
    match &outer["error"] {
        inner @ Value::Object(_) => inner,
        _ => match &outer["response"]["error"] {
            inner @ Value::Object(_) => inner,
            _ => outer,
        },
    }
}

fn kind(inner: &Value) -> Option<&str> {
    let kinds = ["type", "status", "code"].map(|key| inner[key].as_str());
    kinds.into_iter().flatten().find(|kind| *kind != "error")
}

/// Gemini says in words of its own when to come back: `"retryDelay": "7s"`.
fn retry_delay_ms(inner: &Value) -> Option<u64> {
    let details = inner["details"].as_array()?;
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (seconds >= 0.0 && seconds.is_finite()).then_some((seconds * 1000.0).ceil() as u64)
}

/// The provider's own words, with its kind and its id of the request.
pub(super) fn reason(error: &Value) -> Option<String> {
    let inner = inner(error);
    let message = inner["message"].as_str().or_else(|| error["error"].as_str())?;
    let mut reason = shorten(message);
    if let Some(kind) = kind(inner) {
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
