//! What a command can end with, other than well: each with its exit code, and with what a server said.

use serde_json::Value;

use crate::output::{items, text};

/// What a command can end with, other than well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It failed.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// The command line cannot be meant that way.
    #[error("{0}")]
    Usage(String),
    /// It was denied.
    #[error("{0}")]
    Denied(String),
    /// It waits for a person.
    #[error("{0}")]
    Waiting(String),
    /// A budget is spent.
    #[error("{0}")]
    Exhausted(String),
    /// Descriptors are wrong: what the server said, all of it.
    #[error("{}", said(.0))]
    Unfit(Value),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
}

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) | Failure::Unfit(_) | Failure::NotFound(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Denied(_) => 3,
            Failure::Waiting(_) => 4,
            Failure::Exhausted(_) => 5,
        }
    }

    /// What a server's answer other than yes comes to.
    pub(super) fn refused(status: u16, path: &str, value: &Value) -> Failure {
        let error = &value["error"];
        if error["reason"].is_null() {
            return Failure::Failed(anyhow::anyhow!(
                "the server answers {status} to {path}: is it an Ostler, and of this version? see `ostler --version`"
            ));
        }
        match status {
            400 => Failure::Usage(said(error)),
            401 | 403 => Failure::Denied(said(error)),
            402 => Failure::Exhausted(said(error)),
            404 => Failure::NotFound(said(error)),
            422 => Failure::Unfit(error.clone()),
            _ => Failure::Failed(anyhow::anyhow!(said(error))),
        }
    }
}

/// A server's error in words: the reason, what is missing or wrong, and what to do next.
fn said(error: &Value) -> String {
    let mut out = text(error, "reason");
    for diagnostic in items(&error["diagnostics"]) {
        out.push_str("\n\n");
        out.push_str(text(diagnostic, "rendered").trim_end());
    }
    for condition in items(&error["conditions"]).iter().filter(|condition| condition["ok"] == false) {
        out.push_str(&format!("\n  - {}\n    next: {}", text(condition, "reason"), text(condition, "next")));
    }
    let next = text(error, "next");
    if !next.is_empty() {
        out.push_str(&format!("\nnext: {next}"));
    }
    out
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Failed(error.into())
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Failure::Failed(error.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Failure::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_status_has_its_exit_code_and_says_what_is_next() {
        let body = json!({ "error": { "reason": "the reason", "next": "the next step" } });
        for (status, code) in [(400, 2), (401, 3), (402, 5), (403, 3), (404, 1), (409, 1), (422, 1), (429, 1), (503, 1)]
        {
            let failure = Failure::refused(status, "/api/x", &body);
            assert_eq!(failure.code(), code, "{status}");
            assert_eq!(failure.to_string(), "the reason\nnext: the next step", "{status}");
        }
    }

    #[test]
    fn what_is_missing_is_listed_with_its_next_step() {
        let conditions = json!([{ "ok": true, "reason": "fine" }, { "ok": false, "reason": "gone", "next": "get it" }]);
        let body = json!({ "error": { "reason": "not ready", "next": "", "conditions": conditions } });
        let failure = Failure::refused(409, "/api/x", &body);
        assert_eq!(failure.to_string(), "not ready\n  - gone\n    next: get it");
    }

    #[test]
    fn an_answer_that_no_ostler_gives_is_named() {
        let failure = Failure::refused(404, "/api/x", &Value::String("<html>".to_owned()));
        assert!(failure.to_string().starts_with("the server answers 404 to /api/x: is it an Ostler"), "{failure}");
    }
}
