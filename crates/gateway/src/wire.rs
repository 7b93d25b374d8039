//! MCP as a server: the frames of streamable HTTP, read and written. One endpoint speaks two eras at once: revision
//! 2026-07-28, in which every request says everything about itself, and those before it, which begin with
//! `initialize`. Only tools are shown, so only that part of the protocol is here. Pure: no I/O, no status codes, and
//! nothing about whether a call may be made.
//!
//! ```text
//! bytes and headers ─▶ read ─▶ Frame::{Request, Notification, Response} | Fault
//!                                        │
//!                          result(..) ◀──┴──▶ Fault::body
//! ```

mod frame;
mod mirror;
mod said;
mod task;
#[cfg(test)]
mod tests;

pub use frame::{Client, Era, Frame, Headers, Method, Notification, Request, ToolCall, read};
pub use said::{complete, discovered, initialized, progress, shown, tool_result, tools};
pub use task::{Task, TaskState};

use serde_json::{Value, json};

/// The revision without sessions.
pub const STATELESS: &str = "2026-07-28";

/// The revisions that begin with `initialize`, newest first. Of tools they say the same.
pub const WITH_SESSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// The extension under which a call may be answered by a task.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Every revision that is spoken, newest first.
pub fn revisions() -> Vec<&'static str> {
    std::iter::once(STATELESS).chain(WITH_SESSIONS).collect()
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// No JSON.
    Json,
    /// JSON, and no frame of JSON-RPC 2.0.
    Frame,
    /// A method that is not here.
    Method,
    /// Parameters that do not fit the method.
    Parameters,
    /// What a request of 2026-07-28 has to say about itself is missing.
    Metadata,
    /// Headers that do not say what the body says.
    Headers,
    /// The client did not say that it can take what was asked for.
    Capability,
    /// A revision that is not spoken.
    Revision,
    /// A session that is over, or was never begun here.
    Session,
    /// Something failed on this side.
    Inside,
}

impl Wrong {
    /// The code of JSON-RPC 2.0, §5.1, or of MCP 2026-07-28, "Error Codes".
    fn code(self) -> i64 {
        match self {
            Wrong::Json => -32700,
            Wrong::Frame | Wrong::Session => -32600,
            Wrong::Method => -32601,
            Wrong::Parameters | Wrong::Metadata => -32602,
            Wrong::Headers => -32020,
            Wrong::Capability => -32021,
            Wrong::Revision => -32022,
            Wrong::Inside => -32603,
        }
    }
}

/// A request that is not answered, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What is wrong.
    pub wrong: Wrong,
    /// The era of the request, as far as that is known.
    pub era: Era,
    said: Box<Said>,
}

/// What is said of it.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    /// The request's id; null where it could not be read.
    id: Value,
    message: String,
    data: Option<Value>,
}

impl Fault {
    /// A fault of the request `id`.
    pub fn new(wrong: Wrong, id: &Value, era: Era, message: impl Into<String>) -> Self {
        Fault { wrong, era, said: Box::new(Said { id: id.clone(), message: message.into(), data: None }) }
    }

    pub(crate) fn with(mut self, data: Value) -> Self {
        self.said.data = Some(data);
        self
    }

    /// A revision that is not spoken, with those that are.
    pub(crate) fn revision(id: &Value, era: Era, requested: &str) -> Self {
        let data = json!({"supported": revisions(), "requested": requested});
        let message = format!("protocol revision {requested} is not spoken here");
        Fault::new(Wrong::Revision, id, era, message).with(data)
    }

    /// The error response.
    pub fn body(&self) -> Value {
        let mut error = json!({"code": self.wrong.code(), "message": self.said.message});
        if let Some(data) = &self.said.data {
            error["data"] = data.clone();
        }
        json!({"jsonrpc": "2.0", "id": self.said.id, "error": error})
    }
}
