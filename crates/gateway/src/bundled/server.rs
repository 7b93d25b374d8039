//! Puts the demo's tools on MCP. rmcp speaks both the legacy `initialize` and the modern stateless form, so there is
//! one handler for the two. A tool that refuses answers with `isError` and a sentence; only a call that cannot be
//! delivered at all is a protocol error.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, RequestMetaObject, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;

use super::IDEMPOTENCY_META_KEY;
use super::erp::Erp;
use super::input::InputOpen;
use super::mail::{DRAFT_EMAIL, Mail};
use super::tool::{ToolCall, ToolError};

/// Whose tools are served.
#[derive(Debug)]
pub(super) enum Desk {
    Erp(Erp),
    Mail(Mail),
}

impl Desk {
    /// The desk of this name over a folder of data; `None` if there is no such desk.
    pub(super) fn open(which: &str, folder: &Path) -> Option<Self> {
        match which {
            "erp" => Some(Desk::Erp(Erp::open(folder))),
            "mail" => Some(Desk::Mail(Mail::open(folder))),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Desk::Erp(_) => "ostler-demo-erp",
            Desk::Mail(_) => "ostler-demo-mail",
        }
    }

    fn tools(&self) -> Vec<Tool> {
        match self {
            Desk::Erp(_) => Erp::tools(),
            Desk::Mail(_) => Mail::tools(),
        }
    }

    fn call(&self, call: &ToolCall) -> Result<Value, ToolError> {
        match self {
            Desk::Erp(erp) => erp.call(call),
            Desk::Mail(mail) => mail.call(call),
        }
    }
}

/// One connection's server.
pub(super) struct DemoServer {
    desk: Arc<Desk>,
    draft_delay: Duration,
    open: InputOpen,
}

impl DemoServer {
    /// Serves `desk`, holding the answer of `draft_email` back for `draft_delay` or until the input ends.
    pub(super) fn new(desk: Desk, draft_delay: Duration, open: InputOpen) -> Self {
        DemoServer { desk: Arc::new(desk), draft_delay, open }
    }

    async fn hold_answer(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.draft_delay) => {}
            () = self.open.clone().ended() => {}
        }
    }
}

impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(self.desk.name(), env!("CARGO_PKG_VERSION")))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.desk.tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.desk.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = ToolCall {
            name: request.name.into_owned(),
            arguments: request.arguments.unwrap_or_default(),
            idempotency_key: idempotency_key(&context.meta)?,
        };
        let holds = call.name == DRAFT_EMAIL && !self.draft_delay.is_zero();
        let desk = Arc::clone(&self.desk);
        let outcome = tokio::task::spawn_blocking(move || desk.call(&call)).await;
        match outcome.map_err(|error| ErrorData::internal_error(error.to_string(), None))? {
            Ok(answer) => {
                if holds {
                    self.hold_answer().await;
                }
                Ok(CallToolResult::structured(answer).into())
            }
            Err(error @ ToolError::NoSuchTool(_)) => Err(ErrorData::invalid_params(error.to_string(), None)),
            Err(error) => Ok(CallToolResult::error(vec![ContentBlock::text(error.to_string())]).into()),
        }
    }
}

fn idempotency_key(meta: &RequestMetaObject) -> Result<Option<String>, ErrorData> {
    match meta.get(IDEMPOTENCY_META_KEY) {
        None => Ok(None),
        Some(Value::String(key)) => Ok(Some(key.clone())),
        Some(_) => Err(ErrorData::invalid_params(format!("{IDEMPOTENCY_META_KEY} must be a string"), None)),
    }
}

#[cfg(test)]
mod tests;
