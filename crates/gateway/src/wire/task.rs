//! Tasks (extension `io.modelcontextprotocol/tasks`): a call that waits for a person, answered by a handle to ask by.
//! The handle is the call's own id, so a task is as durable as the log. Must not know what the call waits for.

use domain::clock::Timestamp;
use serde_json::{Value, json};

use super::frame::Era;

/// How often a client should ask, in milliseconds: people decide in minutes.
const POLL_MS: u64 = 2_000;

/// How a call stands, as its client is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The call's id.
    pub id: String,
    /// How far it is.
    pub state: TaskState,
    /// In words.
    pub message: String,
    /// When it was wanted.
    pub created: Timestamp,
    /// When it was last heard of.
    pub updated: Timestamp,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// It is not decided, or not done.
    Working,
    /// It came to this: the result of `tools/call`.
    Completed(Value),
    /// It was ended before it came to anything.
    Cancelled,
}

impl Task {
    /// Answers `tools/call` in place of its result.
    pub fn created(&self) -> Value {
        let mut result = self.fields();
        result["resultType"] = json!("task");
        result
    }

    /// Answers `tasks/get`.
    pub fn told(&self) -> Value {
        let mut result = super::shown(Era::Stateless);
        if let (Some(result), Value::Object(fields)) = (result.as_object_mut(), self.fields()) {
            result.extend(fields);
        }
        if let TaskState::Completed(of) = &self.state {
            result["result"] = of.clone();
        }
        result
    }

    fn fields(&self) -> Value {
        let status = match self.state {
            TaskState::Working => "working",
            TaskState::Completed(_) => "completed",
            TaskState::Cancelled => "cancelled",
        };
        json!({
            "taskId": self.id,
            "status": status,
            "statusMessage": self.message,
            "createdAt": self.created.to_string(),
            "lastUpdatedAt": self.updated.to_string(),
            "ttlMs": null,
            "pollIntervalMs": POLL_MS,
        })
    }
}
