//! Reading one frame: JSON-RPC first, then which era it is of, then whether headers and body agree, then the method.
//! Must not know what comes of it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Fault, STATELESS, TASKS, WITH_SESSIONS, Wrong, mirror};

/// Of a header, by its name in small letters: every value, as sent.
pub type Headers<'a> = &'a dyn Fn(&str) -> Vec<&'a [u8]>;

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_KEY: &str = "io.modelcontextprotocol/clientInfo";
/// How long a client wants to be kept waiting for a person at most, in seconds.
const WAIT_KEY: &str = "ostler/wait";
/// The longest name that a client is remembered by, in characters.
const CLIENT_NAME: usize = 60;

/// Which of the two ways of the protocol a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: every request says everything about itself.
    Stateless,
    /// Before: what `initialize` said holds for a session.
    Sessions,
}

/// One frame of a client.
#[derive(Debug)]
pub enum Frame {
    /// It wants an answer.
    Request(Box<Request>),
    /// It wants none.
    Notification(Notification),
    /// An answer of the client's: nothing was asked, so nothing is done with it.
    Response,
}

/// Something a client tells.
#[derive(Debug, PartialEq)]
pub enum Notification {
    /// It does not want the answer to this request any more.
    Cancelled {
        /// The request's id.
        request: Value,
    },
    /// Nothing that matters here.
    Other,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Its id: text or a whole number.
    pub id: Value,
    /// Its era.
    pub era: Era,
    /// Who sends it, as far as it says.
    pub client: Client,
    /// Where the client wants to be told how it goes.
    pub progress: Option<Value>,
    /// What is wanted.
    pub method: Method,
}

/// What a client says about itself.
#[derive(Debug, Default, PartialEq)]
pub struct Client {
    /// Its name, cut to a bounded length.
    pub name: String,
    /// Whether a call of its may be answered by a task.
    pub takes_tasks: bool,
}

/// What is wanted.
#[derive(Debug, PartialEq)]
pub enum Method {
    /// A session of the older era, in this revision.
    Initialize(&'static str),
    /// What there is.
    Discover,
    /// A sign of life.
    Ping,
    /// The tools.
    ListTools,
    /// A tool used.
    CallTool(ToolCall),
    /// How a task is.
    GetTask(String),
    /// An answer for a task that asks nothing.
    UpdateTask(String),
    /// A task that is not wanted any more.
    CancelTask(String),
}

/// A tool used.
#[derive(Debug, PartialEq)]
pub struct ToolCall {
    /// Its name.
    pub name: String,
    /// An object.
    pub arguments: Value,
    /// How long the client wants to be kept waiting for a person at most.
    pub wait: Option<Duration>,
}

/// Reads a frame.
///
/// # Errors
/// Whatever is wrong with it; the first thing found.
pub fn read(body: &[u8], headers: Headers<'_>) -> Result<Frame, Fault> {
    let nobody = |wrong, why: &str| Fault::new(wrong, &Value::Null, era_of_header(headers), why);
    let frame: Value = serde_json::from_slice(body).map_err(|error| nobody(Wrong::Json, &error.to_string()))?;
    let Value::Object(mut frame) = frame else {
        return Err(nobody(Wrong::Frame, "a frame is one JSON object; batches are not taken"));
    };
    let id = frame.remove("id").unwrap_or(Value::Null);
    if frame.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(nobody(Wrong::Frame, "`jsonrpc` must be \"2.0\""));
    }
    let Some(Value::String(method)) = frame.remove("method") else {
        let answers = frame.contains_key("result") || frame.contains_key("error");
        return if answers { Ok(Frame::Response) } else { Err(nobody(Wrong::Frame, "`method` is missing")) };
    };
    let params = match frame.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(nobody(Wrong::Frame, "`params` must be an object")),
    };
    match &id {
        Value::Null => Ok(Frame::Notification(notification(&method, &params))),
        Value::String(_) | Value::Number(_) => {
            request(id, &method, params, headers).map(|request| Frame::Request(Box::new(request)))
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(nobody(Wrong::Frame, "`id` must be text or a whole number"))
        }
    }
}

fn notification(method: &str, params: &Map<String, Value>) -> Notification {
    match (method, params.get("requestId")) {
        ("notifications/cancelled", Some(request)) => Notification::Cancelled { request: request.clone() },
        _ => Notification::Other,
    }
}

fn era_of_header(headers: Headers<'_>) -> Era {
    let said = headers("mcp-protocol-version");
    if said.first().is_some_and(|version| *version >= STATELESS.as_bytes()) { Era::Stateless } else { Era::Sessions }
}

fn request(id: Value, method: &str, mut params: Map<String, Value>, headers: Headers<'_>) -> Result<Request, Fault> {
    let meta = match params.remove("_meta") {
        Some(Value::Object(meta)) => meta,
        _ => Map::new(),
    };
    let era = era(&id, method, &meta, headers)?;
    let client = match era {
        Era::Stateless => {
            mirror::check(&id, method, &params, headers)?;
            client_of(meta.get(CLIENT_KEY), meta.get(CAPABILITIES_KEY))
        }
        Era::Sessions => client_of(params.get("clientInfo"), None),
    };
    let progress = meta.get("progressToken").cloned();
    let wanted = Wanted { id: &id, era, client: &client, params, meta: &meta };
    let method = wanted.method(method)?;
    Ok(Request { id, era, client, progress, method })
}

fn client_of(info: Option<&Value>, capabilities: Option<&Value>) -> Client {
    let name = info.and_then(|info| info["name"].as_str()).unwrap_or_default();
    let takes_tasks = capabilities.is_some_and(|can| can["extensions"][TASKS].is_object());
    Client { name: name.chars().take(CLIENT_NAME).collect(), takes_tasks }
}

/// A request with per-request metadata is of the newer era; the metadata must be whole, and of a revision that is
/// spoken. Everything else is of the older.
fn era(id: &Value, method: &str, meta: &Map<String, Value>, headers: Headers<'_>) -> Result<Era, Fault> {
    let said = meta.get(VERSION_KEY).and_then(Value::as_str);
    let header = mirror::only(headers, "mcp-protocol-version").map_err(|why| mirror::fault(id, why))?;
    let Some(said) = said else {
        if method == "initialize" {
            return Ok(Era::Sessions);
        }
        let missing = || {
            let why = format!("`_meta` must say `{VERSION_KEY}` and `{CAPABILITIES_KEY}`");
            Fault::new(Wrong::Metadata, id, Era::Stateless, why)
        };
        return match header {
            Some(STATELESS) => Err(missing()),
            Some(known) if WITH_SESSIONS.contains(&known) => Ok(Era::Sessions),
            Some(other) => Err(Fault::revision(id, Era::Stateless, other)),
            None if method == "server/discover" => Err(missing()),
            None => Ok(Era::Sessions),
        };
    };
    match header {
        None => return Err(mirror::fault(id, "the header MCP-Protocol-Version is missing".to_owned())),
        Some(header) if header != said => {
            let why = format!("MCP-Protocol-Version says {header}, `_meta` says {said}");
            return Err(mirror::fault(id, why));
        }
        Some(_) => {}
    }
    if said != STATELESS {
        return Err(Fault::revision(id, Era::Stateless, said));
    }
    if !meta.get(CAPABILITIES_KEY).is_some_and(Value::is_object) {
        let why = format!("`_meta` must say `{CAPABILITIES_KEY}`, an object");
        return Err(Fault::new(Wrong::Metadata, id, Era::Stateless, why));
    }
    Ok(Era::Stateless)
}

/// A request whose method is not read yet.
struct Wanted<'a> {
    id: &'a Value,
    era: Era,
    client: &'a Client,
    params: Map<String, Value>,
    meta: &'a Map<String, Value>,
}

impl Wanted<'_> {
    fn fault(&self, wrong: Wrong, why: impl Into<String>) -> Fault {
        Fault::new(wrong, self.id, self.era, why)
    }

    fn method(mut self, method: &str) -> Result<Method, Fault> {
        match (method, self.era) {
            ("initialize", Era::Sessions) => Ok(Method::Initialize(self.revision())),
            ("ping", Era::Sessions) => Ok(Method::Ping),
            ("server/discover", Era::Stateless) => Ok(Method::Discover),
            ("tools/list", _) if self.params.contains_key("cursor") => {
                Err(self.fault(Wrong::Parameters, "this cursor was not given out here: all tools are on one page"))
            }
            ("tools/list", _) => Ok(Method::ListTools),
            ("tools/call", _) => self.tool_call().map(Method::CallTool),
            ("tasks/get", Era::Stateless) => self.task().map(Method::GetTask),
            ("tasks/update", Era::Stateless) => self.task().map(Method::UpdateTask),
            ("tasks/cancel", Era::Stateless) => self.task().map(Method::CancelTask),
            (other, _) => {
                Err(self.fault(Wrong::Method, format!("there is no method {other} here: it shows tools only")))
            }
        }
    }

    /// The client's revision where it is spoken, or else the newest with sessions (MCP 2025-11-25, lifecycle).
    fn revision(&self) -> &'static str {
        let said = self.params.get("protocolVersion").and_then(Value::as_str);
        let spoken = WITH_SESSIONS.into_iter().find(|revision| said == Some(*revision));
        spoken.unwrap_or(WITH_SESSIONS[0])
    }

    fn tool_call(&mut self) -> Result<ToolCall, Fault> {
        let Some(Value::String(name)) = self.params.remove("name") else {
            return Err(self.fault(Wrong::Parameters, "`name` must name a tool"));
        };
        let arguments = match self.params.remove("arguments") {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(arguments @ Value::Object(_)) => arguments,
            Some(_) => return Err(self.fault(Wrong::Parameters, "`arguments` must be an object")),
        };
        let seconds = self.meta.get(WAIT_KEY).and_then(Value::as_f64).filter(|seconds| *seconds >= 0.0);
        let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(ToolCall { name, arguments, wait })
    }

    fn task(&mut self) -> Result<String, Fault> {
        if !self.client.takes_tasks {
            let needs = serde_json::json!({"requiredCapabilities": {"extensions": {TASKS: {}}}});
            let why = format!("tasks need the client's capability {TASKS}");
            return Err(self.fault(Wrong::Capability, why).with(needs));
        }
        match self.params.remove("taskId") {
            Some(Value::String(task)) => Ok(task),
            _ => Err(self.fault(Wrong::Parameters, "`taskId` must name a task")),
        }
    }
}
