//! Why a client gets no answer, in the form that its SDK reads errors in. Which status goes with it is the server's
//! business.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Dialect, Malformed};

/// Why a client gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// What it sent cannot be read.
    #[error("{0}")]
    Malformed(Malformed),
    /// What it sent is too long.
    #[error("{0}")]
    TooLarge(String),
    /// It showed no key, or none that is known.
    #[error("{0}")]
    UnknownKey(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It may not: a policy, a freeze, a suspension, a missing descriptor.
    #[error("{0}")]
    Refused(String),
    /// Its budget is spent.
    #[error("{0}")]
    Exhausted(String),
    /// There is no room now.
    #[error("{reason}")]
    Busy {
        /// For what.
        reason: String,
        /// When to come again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The provider failed.
    #[error("{reason}")]
    Upstream {
        /// What it said.
        reason: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
    /// It was cut off: a kill, a freeze, a stop of the server.
    #[error("{0}")]
    Gone(String),
}

impl Trouble {
    /// Whether asking again may help. An SDK that is told otherwise must not.
    pub fn may_be_retried(&self) -> bool {
        match self {
            Trouble::Busy { .. } => true,
            Trouble::Upstream { retryable, .. } => *retryable,
            Trouble::Malformed(_)
            | Trouble::TooLarge(_)
            | Trouble::UnknownKey(_)
            | Trouble::NotFound(_)
            | Trouble::Refused(_)
            | Trouble::Exhausted(_)
            | Trouble::Gone(_) => false,
        }
    }

    /// Anthropic's word for it.
    fn anthropic(&self) -> &'static str {
        match self {
            Trouble::Malformed(_) => "invalid_request_error",
            Trouble::TooLarge(_) => "request_too_large",
            Trouble::UnknownKey(_) => "authentication_error",
            Trouble::NotFound(_) => "not_found_error",
            Trouble::Refused(_) => "permission_error",
            Trouble::Exhausted(_) => "billing_error",
            Trouble::Busy { .. } => "rate_limit_error",
            Trouble::Upstream { .. } | Trouble::Gone(_) => "api_error",
        }
    }

    /// OpenAI's words for it: the type, and the code.
    fn openai(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Trouble::Malformed(_) | Trouble::TooLarge(_) => ("invalid_request_error", None),
            Trouble::UnknownKey(_) => ("invalid_request_error", Some("invalid_api_key")),
            Trouble::NotFound(_) => ("invalid_request_error", Some("not_found")),
            Trouble::Refused(_) => ("invalid_request_error", Some("permission_denied")),
            Trouble::Exhausted(_) => ("insufficient_quota", Some("insufficient_quota")),
            Trouble::Busy { .. } => ("requests", Some("rate_limit_exceeded")),
            Trouble::Upstream { .. } | Trouble::Gone(_) => ("server_error", None),
        }
    }
}

/// The body of an error, as the dialect has it.
pub fn error_body(dialect: Dialect, trouble: &Trouble) -> Value {
    let message = trouble.to_string();
    match dialect {
        Dialect::Messages => json!({"type": "error", "error": {"type": trouble.anthropic(), "message": message}}),
        Dialect::Chat | Dialect::Responses => {
            let (kind, code) = trouble.openai();
            let param = if let Trouble::Malformed(it) = trouble { Some(it.field.as_str()) } else { None };
            json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
        }
    }
}

/// What ends a stream that has begun and goes wrong.
pub fn error_event(dialect: Dialect, trouble: &Trouble) -> Bytes {
    match dialect {
        Dialect::Messages => format!("event: error\ndata: {}\n\n", error_body(dialect, trouble)),
        Dialect::Chat => format!("data: {}\n\n", error_body(dialect, trouble)),
        Dialect::Responses => {
            let (kind, code) = trouble.openai();
            let event = json!({
                "type": "error", "code": code.unwrap_or(kind), "message": trouble.to_string(), "param": null,
                "sequence_number": 0,
            });
            format!("event: error\ndata: {event}\n\n")
        }
    }
    .into()
}
