//! Tools for a model that cannot call any: it is told of them in words, held to JSON of one shape, and what it writes
//! is read as uses of tools. Whoever holds a model to a schema can do it: it must not know a protocol.
//!
//! ```text
//! {"tool": "ledger-read", "arguments": {…}}  ──▶ Content::Use        {"answer": "…"}  ──▶ Content::Text
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::call::Stop;
use domain::message::{Content, Message, Part, Role};
use serde_json::{Value, json};

use crate::provider::{Answer, Delta, Format, Options, Provider, ProviderError, Request, Sink, Tool, ToolChoice};

/// What the schema is called.
const NAME: &str = "answer_or_tool";

/// A provider whose models are held to JSON instead of calling tools.
pub struct Constrained {
    inner: Arc<dyn Provider>,
}

impl Constrained {
    /// Over this provider.
    pub fn new(inner: Arc<dyn Provider>) -> Self {
        Constrained { inner }
    }
}

#[async_trait]
impl Provider for Constrained {
    fn body(&self, request: &Request) -> Bytes {
        self.inner.body(&in_words(request))
    }

    /// Nothing of the JSON is shown while it is written: only what it comes to.
    async fn send(&self, request: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        let reasoning = |delta| match delta {
            reasoning @ Delta::Reasoning(_) => sink(reasoning),
            Delta::Text(_) | Delta::UseStarted { .. } | Delta::Arguments { .. } | Delta::Raw(_) => {}
        };
        let answer = self.inner.send(&in_words(request), body, &reasoning).await?;
        let answer = read(request, answer);
        for part in &answer.message.parts {
            match &part.content {
                Content::Text { text } => sink(Delta::Text(text.clone())),
                Content::Use { use_id, capability, arguments, .. } => {
                    sink(Delta::UseStarted { index: 0, id: use_id.clone(), name: capability.clone() });
                    sink(Delta::Arguments { index: 0, piece: arguments.to_string() });
                }
                Content::Reasoning { .. } | Content::Result { .. } | Content::Other { .. } => {}
            }
        }
        Ok(answer)
    }

    fn is_scripted(&self) -> bool {
        self.inner.is_scripted()
    }
}

/// The request as a model reads it that knows nothing of tools.
fn in_words(request: &Request) -> Request {
    let mut tools: Vec<&Tool> = request.tools.iter().collect();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    let told = if request.options.tool_choice == Some(ToolChoice::None) { Vec::new() } else { tools };
    let format = if told.is_empty() { request.options.format.clone() } else { Some(shape(request, &told)) };
    let instructions = if told.is_empty() { request.instructions.to_string() } else { explained(request, &told) };
    let options = Options { tool_choice: None, parallel_tools: None, format, ..request.options.clone() };
    let messages = request.messages.iter().map(|message| Arc::new(said_in_words(message))).collect();
    let (instructions, tools) = (instructions.into(), [].into());
    Request { instructions, tools, options, messages, verbatim: None, ..request.clone() }
}

/// What a model may write: one use of one tool, or an answer, as far as it is free to choose.
fn shape(request: &Request, tools: &[&Tool]) -> Format {
    let only = match &request.options.tool_choice {
        Some(ToolChoice::Tool(name)) => Some(name),
        Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Any) | None => None,
    };
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let wanted = tools.iter().filter(|tool| only.is_none_or(|name| tool.name == *name));
    let mut ways: Vec<Value> = wanted
        .map(|tool| {
            let mut arguments = tool.input_schema.clone();
            arguments.sort_all_objects();
            object(json!({"tool": {"const": tool.name}, "arguments": arguments}), &["tool", "arguments"])
        })
        .collect();
    if !matches!(request.options.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool(_))) {
        ways.push(object(json!({"answer": {"type": "string"}}), &["answer"]));
    }
    Format::Schema { name: NAME.to_owned(), schema: json!({"anyOf": ways}) }
}

fn explained(request: &Request, tools: &[&Tool]) -> String {
    let mut text = format!(
        "{}\n\nYou write one JSON object and nothing else. To use a tool: {{\"tool\": NAME, \"arguments\": {{…}}}}; its \
         result comes next. To answer: {{\"answer\": TEXT}}. The tools:",
        request.instructions.trim_end()
    );
    for tool in tools {
        let mut schema = tool.input_schema.clone();
        schema.sort_all_objects();
        text = format!("{text}\n- {}: {} Arguments: {schema}", tool.name, tool.description);
    }
    text.trim_start().to_owned()
}

/// What was said before, as the model would have written it.
fn said_in_words(message: &Message) -> Message {
    let content = |content: &Content| match content {
        Content::Use { capability, arguments, malformed, .. } => {
            let written = json!({"tool": capability, "arguments": arguments}).to_string();
            Content::Text { text: malformed.clone().unwrap_or(written) }
        }
        Content::Result { text, error, .. } => {
            let kind = if *error { "The tool failed" } else { "The tool's result" };
            Content::Text { text: format!("{kind}: {text}") }
        }
        Content::Text { text } if message.role == Role::Agent => {
            Content::Text { text: json!({"answer": text}).to_string() }
        }
        other @ (Content::Text { .. } | Content::Reasoning { .. } | Content::Other { .. }) => other.clone(),
    };
    let parts = message.parts.iter().map(|part| Part { content: content(&part.content), ..part.clone() });
    let role = if message.role == Role::Capability { Role::Person } else { message.role };
    Message { role, parts: parts.collect() }
}

/// What the JSON comes to. What is not of the shape stays what it is: words.
fn read(request: &Request, mut answer: Answer) -> Answer {
    let written: String = answer.message.parts.iter().filter_map(|part| words(&part.content)).collect();
    let Ok(Value::Object(mut said)) = serde_json::from_str::<Value>(written.trim()) else { return answer };
    let content = match (said.remove("tool"), said.remove("arguments"), said.remove("answer")) {
        (Some(Value::String(capability)), arguments, _) if request.tools.iter().any(|tool| tool.name == capability) => {
            answer.stop = Stop::Use;
            let use_id = format!("call_{}", uses_before(request));
            let arguments = arguments.unwrap_or_else(|| json!({}));
            Content::Use { use_id, capability, arguments, malformed: None }
        }
        (None, _, Some(Value::String(text))) => Content::Text { text },
        _ => return answer,
    };
    let mut content = Some(content);
    let kept = |part: Part| match words(&part.content) {
        Some(_) => content.take().map(|content| Part { content, ..part }),
        None => Some(part),
    };
    answer.message.parts = answer.message.parts.into_iter().filter_map(kept).collect();
    answer
}

fn words(content: &Content) -> Option<&str> {
    match content {
        Content::Text { text } => Some(text),
        Content::Reasoning { .. } | Content::Use { .. } | Content::Result { .. } | Content::Other { .. } => None,
    }
}

fn uses_before(request: &Request) -> usize {
    let said = request.messages.iter().flat_map(|message| &message.parts);
    said.filter(|part| matches!(part.content, Content::Use { .. })).count()
}
