//! `/mcp`: the gateway as an MCP server, for agents that keep their own loop. Each agent is shown what it may use and
//! nothing else; each call goes down the one call path. It must not know what a call needs to be allowed.
//!
//! ```text
//! POST ─▶ an agent's key? ─▶ from where? ─▶ wire::read ─▶ Runtime::attach_{offers, call, look} ─▶ JSON, or a stream
//! ```

mod asked;
mod guest;
mod origin;
mod reply;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::clock::Clock;
use domain::decision::WaitFor;
use domain::id::Name;
use domain::principal::Caller;
use execution::{AttachError, CallReply, Use, Whose};
use gateway::wire::{self, Era, Fault, Frame, Method, Notification, ToolCall, Wrong};
use serde_json::Value;

use crate::app::App;
use crate::auth::Who;
use crate::error::ApiError;
use asked::Asked;
use guest::Guests;
use slow::Open;

/// How long a client is kept waiting for a person, unless it wants less: well within the minute after which clients
/// give up.
const PATIENCE: Duration = Duration::from_secs(25);
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const OSTLER_SESSION: HeaderName = HeaderName::from_static("ostler-session");
/// The longest key that a client may name a session with, in bytes.
const LONGEST_KEY: usize = 200;

/// What `/mcp` remembers between requests.
pub(crate) struct Mcp {
    guests: Guests,
    open: Open,
    asked: Asked,
}

impl Mcp {
    /// With the secret that session ids are signed with.
    pub(crate) fn new(secret: &[u8], clock: Arc<dyn Clock>) -> Self {
        Mcp { guests: Guests::new(secret, clock), open: Open::default(), asked: Asked::default() }
    }
}

/// The agent whose key was shown, from a place that may ask.
pub(crate) struct Agent(Name);

impl FromRequest<App> for Agent {
    type Rejection = ApiError;
    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        agent(app, &request)
    }
}

fn agent(app: &App, request: &Request) -> Result<Agent, ApiError> {
    origin::check((&app.listens, &app.url), request.headers())?;
    match request.extensions().get::<Who>().map(|who| &who.0) {
        Some(Caller::Agent { name }) => Ok(Agent(name.clone())),
        Some(Caller::Admin | Caller::Person { .. }) => {
            let next = "make one with `ostler key add agent NAME`, or see `ostler onboard NAME`";
            Err(ApiError::forbidden("/mcp takes an agent's key only", next))
        }
        None => Err(ApiError::no_key()),
    }
}

/// One frame and who sent it.
pub(crate) struct Sent {
    agent: Name,
    headers: HeaderMap,
    body: Bytes,
}

impl FromRequest<App> for Sent {
    type Rejection = ApiError;
    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let Agent(agent) = agent(app, &request)?;
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, app).await;
        let body = body.map_err(|error| ApiError::body(error.status(), error.body_text()))?;
        Ok(Sent { agent, headers, body })
    }
}

/// One frame.
pub(crate) async fn post(State(app): State<App>, sent: Sent) -> Response {
    let lookup = |name: &str| sent.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    match wire::read(&sent.body, &lookup) {
        Ok(Frame::Request(request)) => {
            answer(&app, &sent, *request).await.unwrap_or_else(|refused| refused.into_response())
        }
        Ok(Frame::Notification(Notification::Cancelled { request })) => {
            cancel(&app, &sent, &request).await;
            StatusCode::ACCEPTED.into_response()
        }
        Ok(Frame::Notification(Notification::Other) | Frame::Response) => StatusCode::ACCEPTED.into_response(),
        Err(fault) => refused(&fault),
    }
}

/// A client does not want an answer any more: what only waits for somebody is taken back.
async fn cancel(app: &App, sent: &Sent, request: &Value) {
    let Some((whose, wanted)) = app.mcp.open.cancel(&sent.agent, session_id(&sent.headers), request).await else {
        return;
    };
    let name = wanted.name.clone();
    if let Err(error) = app.runtime.attach_give_up(&sent.agent, whose, wanted).await {
        tracing::warn!(agent = %sent.agent, %name, %error, "a call that its client took back may go on");
    }
}

/// A client says that its session is over.
pub(crate) async fn end(State(app): State<App>, headers: HeaderMap, Agent(agent): Agent) -> Response {
    match session_id(&headers).filter(|id| app.mcp.guests.knows(&agent, id)) {
        Some(id) => {
            app.mcp.guests.end(id);
            StatusCode::NO_CONTENT.into_response()
        }
        None => refused(&no_session(&Value::Null)),
    }
}

/// Why a request is not answered.
enum Refused {
    Fault(Fault),
    Http(ApiError),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Refused::Fault(fault)
    }
}

impl Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Fault(fault) => refused(&fault),
            Refused::Http(error) => error.into_response(),
        }
    }
}

async fn answer(app: &App, sent: &Sent, request: wire::Request) -> Result<Response, Refused> {
    let guest = guest(app, sent, &request)?;
    let (id, era) = (&request.id, request.era);
    let result = match request.method {
        Method::Initialize(revision) => {
            let begun = app.mcp.guests.begin(&sent.agent);
            let body = json(&wire::complete(id, &wire::initialized(revision)));
            return Ok(([(SESSION, begun)], body).into_response());
        }
        Method::Discover => wire::discovered(),
        Method::Ping => wire::shown(era),
        Method::ListTools => {
            let offers = app.runtime.attach_offers(&sent.agent).await;
            let offers = offers.map_err(|error| Fault::new(Wrong::Inside, id, era, error.to_string()))?;
            wire::tools(era, &offers)
        }
        Method::CallTool(ref call) => return call_tool(app, sent, (&request, call), guest).await,
        Method::GetTask(ref task) => reply::task(app, &sent.agent, task, id).await?.told(),
        Method::UpdateTask(ref task) => {
            // Nothing is asked of a client: that it is one of its own is all.
            reply::task(app, &sent.agent, task, id).await?;
            wire::shown(era)
        }
        Method::CancelTask(ref task) => {
            let call = reply::task(app, &sent.agent, task, id).await?.id.parse();
            if let Ok(call) = call {
                // One that was sent goes on, and says how it ended.
                let taken = app.runtime.attach_withdraw(&sent.agent, call).await;
                taken.map_err(|error| Fault::new(Wrong::Inside, id, era, error.to_string()))?;
            }
            wire::shown(era)
        }
    };
    Ok(json(&wire::complete(id, &result)))
}

/// What a call without a session of its own belongs to.
fn guest(app: &App, sent: &Sent, request: &wire::Request) -> Result<String, Fault> {
    match (request.era, session_id(&sent.headers)) {
        (Era::Sessions, Some(id)) if app.mcp.guests.knows(&sent.agent, id) => Ok(guest::of_session(id)),
        (Era::Sessions, Some(_)) => Err(no_session(&request.id)),
        (Era::Sessions, None) | (Era::Stateless, _) => Ok(guest::of_client(&request.client.name, app.clock.now())),
    }
}

fn no_session(id: &Value) -> Fault {
    let message = "this session is over, or was never begun here: send `initialize` without a session id";
    Fault::new(Wrong::Session, id, Era::Sessions, message)
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION).and_then(|id| id.to_str().ok())
}

async fn call_tool(
    app: &App,
    sent: &Sent,
    (request, call): (&wire::Request, &ToolCall),
    otherwise: String,
) -> Result<Response, Refused> {
    let whose = match own_session(&sent.headers).map_err(Refused::Http)? {
        Some(key) => Whose::Key(key),
        None => Whose::Asked { otherwise },
    };
    let patience = match request.client.takes_tasks {
        true => Duration::ZERO,
        false => call.wait.into_iter().chain(preferred(&sent.headers)).fold(PATIENCE, Duration::min),
    };
    let wanted = Use { name: call.name.clone(), arguments: call.arguments.clone() };
    let (era, id, tasks) = (request.era, request.id.clone(), request.client.takes_tasks);
    let begun = (whose.clone(), wanted.clone());
    let kept = app.mcp.open.keep(&sent.agent, (session_id(&sent.headers), &request.id), begun);
    let (agent, app_of_call) = (sent.agent.clone(), app.clone());
    let ends = async move {
        let reply = used(&app_of_call, &agent, (whose, wanted), patience).await;
        wire::complete(&id, &reply::told(&app_of_call, era, tasks, reply))
    };
    let streams = sent
        .headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/event-stream")));
    Ok(slow::answer(ends, kept, (streams, request.progress.clone())).await)
}

/// The use of a capability; refused where people have more before them already than one agent may ask.
async fn used(
    app: &App,
    agent: &Name,
    (whose, wanted): (Whose, Use),
    patience: Duration,
) -> Result<CallReply, AttachError> {
    let reads = |name: &Name| {
        app.gate.registry().capability(name).is_some_and(|it| !it.descriptor.spec.effect.changes_something())
    };
    if !wanted.name.parse().is_ok_and(|name| reads(&name))
        && let Some(full) = app.mcp.asked.full(app, agent).await
    {
        return Err(AttachError::Full(full));
    }
    let reply = app.runtime.attach_call(agent, whose, wanted, patience).await;
    if let Ok(CallReply::Waits { why: WaitFor::Approval { approval }, .. }) = &reply {
        app.mcp.asked.more(agent, *approval);
    }
    reply
}

/// The session that a client says its call is of.
fn own_session(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(OSTLER_SESSION) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => {
            let reason = format!("Ostler-Session is 1 to {LONGEST_KEY} characters of plain ASCII");
            Err(ApiError::bad(reason, "shorten it, or leave it out"))
        }
    }
}

/// `Prefer: wait=SECONDS` (RFC 7240 §4.3).
fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut each = all.flat_map(|value| value.split(','));
    each.find_map(|one| one.trim().strip_prefix("wait=")?.trim().parse().ok().map(Duration::from_secs))
}

fn json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// What is wrong, as the era says it: older clients read errors from answers that are well.
fn refused(fault: &Fault) -> Response {
    let status = match (fault.wrong, fault.era) {
        (Wrong::Method, Era::Stateless) | (Wrong::Session, _) => StatusCode::NOT_FOUND,
        (Wrong::Method, Era::Sessions) | (Wrong::Parameters | Wrong::Inside, _) => StatusCode::OK,
        (Wrong::Json | Wrong::Frame | Wrong::Metadata, _) => StatusCode::BAD_REQUEST,
        (Wrong::Headers | Wrong::Capability | Wrong::Revision, _) => StatusCode::BAD_REQUEST,
    };
    (status, json(&fault.body())).into_response()
}
