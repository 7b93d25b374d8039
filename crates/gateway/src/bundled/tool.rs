//! What the demo's tools have in common: how they are defined, read their arguments and fail.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One use of a tool, as it came in.
#[derive(Debug, Default)]
pub(super) struct ToolCall {
    /// The tool's name.
    pub(super) name: String,
    /// What the caller passed.
    pub(super) arguments: JsonObject,
    /// The idempotency key of the request's `_meta`.
    pub(super) idempotency_key: Option<String>,
}

/// Why a tool did not do what was asked. The text goes to the caller, who is often a model.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// The arguments must be changed.
    #[error("bad arguments for {tool}: {reason}")]
    Arguments {
        /// The tool's name.
        tool: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Something the caller named is not there.
    #[error("{0}")]
    NotFound(String),
    /// The demo's files must be repaired.
    #[error("{file}: {reason}")]
    Data {
        /// The file's name.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such tool.
    #[error("there is no tool `{0}`")]
    NoSuchTool(String),
}

impl ToolError {
    /// A file that cannot be read or written, or holds nonsense.
    pub(super) fn data(file: &'static str, reason: impl ToString) -> Self {
        ToolError::Data { file, reason: reason.to_string() }
    }
}

impl ToolCall {
    /// The arguments as the tool's own type.
    pub(super) fn read<A: DeserializeOwned>(&self) -> Result<A, ToolError> {
        serde_json::from_value(Value::Object(self.arguments.clone())).map_err(|error| self.bad(error))
    }

    /// Says what is wrong with the arguments.
    pub(super) fn bad(&self, reason: impl ToString) -> ToolError {
        ToolError::Arguments { tool: self.name.clone(), reason: reason.to_string() }
    }
}

/// A tool that takes an `A` and answers a `T`.
pub(super) fn define<A: JsonSchema + 'static, T: JsonSchema + 'static>(
    name: &'static str,
    description: &'static str,
    annotations: ToolAnnotations,
) -> Tool {
    Tool::new(name, description, JsonObject::new())
        .with_input_schema::<A>()
        .with_output_schema::<T>()
        .with_annotations(annotations.open_world(false))
}

/// A tool's answer as JSON.
pub(super) fn answer(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("answers have string keys and derive Serialize")
}
