//! The port to one MCP server: list its tools, use one. What came of a use is one of three things, and the difference
//! between them is the whole point: surely nothing was sent, an answer came, or nobody knows. Must not know agents,
//! budgets or approvals.

mod evidence;
mod http;
mod mcp;
mod stdio;

use std::time::Duration;

use async_trait::async_trait;
use domain::descriptor::{McpServer, Transport};
use domain::id::Name;
use serde_json::{Map, Value};

pub use stdio::Host;

use crate::secret::Secrets;

/// How long a server has to start and shake hands.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one call may take where the descriptor does not say.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How many tools one server may list; what goes beyond is not seen.
pub const MAX_TOOLS: usize = 1000;

/// Where a server is and how to reach it: the `McpServer` descriptor, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub at: At,
    /// The secrets that it is given, by name: a child process finds them in its environment; a server at a URL is
    /// sent the one it has as bearer token.
    pub secrets: Vec<String>,
    /// How long it has to start and shake hands.
    pub handshake: Duration,
    /// How long one call may take.
    pub timeout: Duration,
}

impl Spec {
    /// What a descriptor says.
    pub fn of(server: &McpServer) -> Self {
        let at = match server.spec.transport.clone() {
            Transport::Stdio { command, args } => At::Stdio { command, args },
            Transport::Http { url } => At::Http { url },
        };
        let timeout = u64::try_from(server.spec.timeout_ms).map_or(CALL_TIMEOUT, Duration::from_millis);
        let (name, secrets) = (server.metadata.name.clone(), server.spec.secrets.clone());
        Spec { name, at, secrets, handshake: HANDSHAKE_TIMEOUT, timeout }
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    /// A child process that speaks on its standard input and output.
    Stdio {
        /// The program; `ostler` is the running executable.
        command: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A streamable HTTP endpoint.
    Http {
        /// Its URL.
        url: String,
    },
}

/// A tool as its server defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDefinition {
    /// Its name there.
    pub name: String,
    /// Its title.
    pub title: Option<String>,
    /// What it does, in the server's words.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
    /// JSON Schema of its structured result.
    pub output_schema: Option<Value>,
    /// The server's own hints. Never believed.
    pub annotations: Option<Value>,
}

impl ToolDefinition {
    /// With everything that it says put through `change`; its name stays.
    pub(crate) fn map_texts(self, change: impl Fn(Value) -> Value) -> Self {
        let text = |text: Option<String>| match text.map(|text| change(Value::String(text))) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        ToolDefinition {
            title: text(self.title),
            description: text(self.description),
            input_schema: change(self.input_schema),
            output_schema: self.output_schema.map(&change),
            annotations: self.annotations.map(&change),
            name: self.name,
        }
    }
}

/// One use of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The tool's name at its server.
    pub tool: String,
    /// The effective arguments.
    pub arguments: Map<String, Value>,
    /// The same for every attempt at the same call; sent as `_meta["ostler/idempotencyKey"]`.
    pub idempotency_key: String,
    /// W3C Trace Context, where there is one; sent as `_meta.traceparent`.
    pub traceparent: Option<String>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolAnswer {
    /// Its words; what is not text is described.
    pub text: String,
    /// Its structured result, where it gave one.
    pub structured: Option<Value>,
    /// Whether the tool or its server says that it failed.
    pub error: bool,
}

/// What came of a use.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Surely nothing happened: it never left, or was turned away at the door.
    NotSent {
        /// Why, in one sentence.
        error: String,
        /// Whether trying again later may help.
        retryable: bool,
    },
    /// The server answered.
    Answered(ToolAnswer),
    /// It was sent, and nobody knows what came of it.
    Unknown {
        /// What is known, in one sentence.
        error: String,
    },
}

/// One live connection to a server.
#[async_trait]
pub trait Upstream: Send + Sync + 'static {
    /// The tools it offers. `Err` says what went wrong, in one sentence.
    async fn tools(&self) -> Result<Vec<ToolDefinition>, String>;

    /// Uses one. The caller bounds how long it waits; dropping the future tells the server to stop where it can.
    async fn call(&self, call: ToolCall) -> Outcome;

    /// Whether the connection still stands.
    fn is_alive(&self) -> bool;

    /// Grows whenever the server says that its tools changed.
    fn tools_changed(&self) -> u64;

    /// What is known of a server that fails, to be put after a sentence; empty when there is nothing to tell.
    fn evidence(&self) -> String;

    /// Ends the connection, and its process where it has one.
    async fn close(&self);
}

/// Opens a connection to a real server. `Err` says what went wrong, in one sentence.
pub(crate) async fn connect(
    spec: &Spec,
    secrets: &Secrets,
    host: &Host,
) -> Result<std::sync::Arc<dyn Upstream>, String> {
    match &spec.at {
        At::Stdio { command, args } => stdio::connect(spec, (command, args), secrets, host).await,
        At::Http { url } => http::connect(spec, url, secrets).await,
    }
}
