//! One MCP session as its client, whatever carries it. The era (legacy `initialize`, or stateless) is decided by
//! `server/discover` alone: some legacy servers answer a modern request too (MCP 2026-07-28, versioning). No
//! capability of ours is declared: a server may not sample, ask a person or see roots through this door.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock, ErrorCode, Implementation,
    MetaObject, PaginatedRequestParams, ProtocolVersion, RequestMetaObject, ResourceContents, Tool,
};
use rmcp::service::{
    ClientCacheConfig, ClientInitializeError, ClientLifecycleMode, ClientServiceExt, NotificationContext, Peer,
    RunningService, ServiceError,
};
use rmcp::transport::Transport;
use rmcp::{ClientHandler, RoleClient};
use serde_json::Value;

use super::evidence::Evidence;
use super::http::{surely_not_sent, transport_words};
use super::{MAX_TOOLS, Outcome, ToolAnswer, ToolCall, ToolDefinition, Upstream};

/// The key of a request's `_meta` that carries the idempotency key.
const IDEMPOTENCY_KEY: &str = "ostler/idempotencyKey";

/// The key of a request's `_meta` that carries the trace (SEP-414).
const TRACEPARENT: &str = "traceparent";

/// How long the closing of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(6);

/// What the server tells without being asked.
struct Listener {
    tools_changed: Arc<AtomicU64>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.client_info = Implementation::new("ostler", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.tools_changed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A live MCP session.
pub(super) struct McpConnection {
    peer: Peer<RoleClient>,
    service: Mutex<Option<RunningService<RoleClient, Listener>>>,
    tools_changed: Arc<AtomicU64>,
    evidence: Evidence,
}

impl McpConnection {
    /// Shakes hands over `transport`, within `limit`.
    pub(super) async fn open<T>(transport: T, evidence: Evidence, limit: Duration) -> Result<Self, String>
    where
        T: Transport<RoleClient> + 'static,
    {
        let tools_changed = Arc::new(AtomicU64::new(0));
        let listener = Listener { tools_changed: Arc::clone(&tools_changed) };
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        let lifecycle = ClientLifecycleMode::Auto { preferred_versions, legacy_version: None };
        let shaking = listener.serve_with_lifecycle(transport, lifecycle);
        let service = match tokio::time::timeout(limit, shaking).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) => {
                let told = evidence.tell_in_the_end().await;
                return Err(format!("the handshake failed: {}{told}", opening_words(&error)));
            }
            Err(_) => return Err(format!("it did not finish the handshake within {limit:?}{}", evidence.tell())),
        };
        let peer = service.peer().clone();
        peer.set_response_cache_config(ClientCacheConfig::disabled()).await;
        Ok(McpConnection { peer, service: Mutex::new(Some(service)), tools_changed, evidence })
    }

    async fn outcome_of(&self, error: &ServiceError) -> Outcome {
        if let ServiceError::McpError(said) = error {
            let text = format!("the server answered with error {}: {}", said.code.0, said.message);
            return match said.code {
                // The call was turned away as it stands (JSON-RPC 2.0, §5.1): nothing was done.
                ErrorCode::PARSE_ERROR
                | ErrorCode::INVALID_REQUEST
                | ErrorCode::METHOD_NOT_FOUND
                | ErrorCode::INVALID_PARAMS => Outcome::Answered(ToolAnswer { text, structured: None, error: true }),
                // A server that fails inside may have done it before, or half of it.
                _ => Outcome::Unknown { error: text },
            };
        }
        let told = format!("{}{}", words(error), self.evidence.tell_in_the_end().await);
        match error {
            // A line that could not be written whole was not read whole; over HTTP it depends on what went wrong.
            ServiceError::TransportSend(sending) if sending.error.is::<std::io::Error>() => {
                Outcome::NotSent { error: format!("the call could not be sent: {told}"), retryable: true }
            }
            ServiceError::TransportSend(sending) if surely_not_sent(sending.error.as_ref()) => {
                Outcome::NotSent { error: format!("the call was not taken: {told}"), retryable: true }
            }
            _ => Outcome::Unknown { error: format!("the call was sent and its answer was lost: {told}") },
        }
    }
}

#[async_trait]
impl Upstream for McpConnection {
    async fn tools(&self) -> Result<Vec<ToolDefinition>, String> {
        let mut tools = Vec::new();
        let mut page = PaginatedRequestParams::default();
        loop {
            let listed = self.peer.list_tools(Some(page)).await;
            let listed = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    let told = self.evidence.tell_in_the_end().await;
                    return Err(format!("its tools could not be listed: {}{told}", words(&error)));
                }
            };
            // A page without tools ends the list, too: a server that turns pages for ever gets nowhere.
            let is_last = listed.next_cursor.is_none() || listed.tools.is_empty();
            tools.extend(listed.tools.into_iter().map(definition_of));
            if is_last || tools.len() >= MAX_TOOLS {
                tools.truncate(MAX_TOOLS);
                return Ok(tools);
            }
            page = PaginatedRequestParams::default().with_cursor(listed.next_cursor);
        }
    }

    async fn call(&self, call: ToolCall) -> Outcome {
        if self.peer.is_transport_closed() {
            let error = format!("the connection is closed{}", self.evidence.tell());
            return Outcome::NotSent { error, retryable: true };
        }
        let mut meta = MetaObject::new();
        meta.insert(IDEMPOTENCY_KEY.to_owned(), Value::String(call.idempotency_key));
        if let Some(traceparent) = call.traceparent {
            meta.insert(TRACEPARENT.to_owned(), Value::String(traceparent));
        }
        let mut params = CallToolRequestParams::new(call.tool).with_arguments(call.arguments);
        params.meta = Some(RequestMetaObject(meta));
        match self.peer.call_tool_once(params).await {
            Ok(CallToolResponse::Complete(result)) => Outcome::Answered(answer_of(result)),
            Ok(CallToolResponse::InputRequired(_)) => {
                let text = "the server asks for input from a person before it goes on, which is not supported; the \
                            call was given up";
                Outcome::Answered(ToolAnswer { text: text.to_owned(), structured: None, error: true })
            }
            Ok(_) => Outcome::Unknown { error: "the server answered that it goes on later, as a task".to_owned() },
            Err(error) => self.outcome_of(&error).await,
        }
    }

    fn is_alive(&self) -> bool {
        !self.peer.is_transport_closed()
    }

    fn tools_changed(&self) -> u64 {
        self.tools_changed.load(Ordering::Relaxed)
    }

    fn evidence(&self) -> String {
        self.evidence.tell()
    }

    async fn close(&self) {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut service) = service {
            // What fails to close is dropped, which kills it.
            let _ = service.close_with_timeout(CLOSE_TIMEOUT).await;
        }
        self.evidence.wait_for_the_end(CLOSE_TIMEOUT).await;
    }
}

fn opening_words(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => transport_words(error),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => opening_words(fallback),
        other => other.to_string(),
    }
}

fn words(error: &ServiceError) -> String {
    match error {
        ServiceError::TransportSend(error) => transport_words(error),
        other => other.to_string(),
    }
}

fn definition_of(tool: Tool) -> ToolDefinition {
    ToolDefinition {
        name: tool.name.into_owned(),
        title: tool.title,
        description: tool.description.map(Into::into),
        input_schema: Value::Object(tool.input_schema.as_ref().clone()),
        output_schema: tool.output_schema.map(|schema| Value::Object(schema.as_ref().clone())),
        annotations: tool.annotations.and_then(|hints| serde_json::to_value(hints).ok()),
    }
}

fn answer_of(result: CallToolResult) -> ToolAnswer {
    let words: Vec<String> = result.content.into_iter().map(words_of).collect();
    let text = match (&result.structured_content, words.is_empty()) {
        (Some(structured), true) => structured.to_string(),
        _ => words.join("\n"),
    };
    ToolAnswer { text, structured: result.structured_content, error: result.is_error.unwrap_or(false) }
}

/// What a model reads of one block: text as it is, anything else described.
fn words_of(block: ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => format!("[image, {}, not shown]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[audio, {}, not shown]", audio.mime_type),
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[resource {uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, .. } => format!("[resource {uri}, not text, not shown]"),
            _ => "[a resource of an unknown kind, not shown]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[link to {}: {}]", link.name, link.uri),
        _ => "[content of an unknown kind, not shown]".to_owned(),
    }
}
