//! `/v1/…`: the way in for agents written elsewhere. A client with its agent's key speaks to a model as it always did;
//! what it asks becomes a call of an attached session. It must not know what a call needs to be allowed.
//!
//! ```text
//! POST ─▶ an agent's key? ─▶ models::ingress::read ─▶ Runtime::attach_model ─▶ bytes as they come, the end once durable
//! ```

mod outlet;
mod starts;
mod stream;
mod trouble;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::id::Name;
use domain::principal::Caller;
use models::ingress::{self, AnswerWriter, Dialect, Incoming, Stamp, Trouble};

use crate::app::App;
use crate::auth::Who;
pub(crate) use starts::starts;
pub(crate) use trouble::{dialect_of, refusal, trouble_of};

/// The largest body that a client may send: conversations carry pictures.
pub(crate) const BODY_LIMIT: usize = 32 << 20;

/// The header in which a client names its session.
const SESSION: HeaderName = HeaderName::from_static("ostler-session");
/// The header in which it is told which call it was.
const CALL: HeaderName = HeaderName::from_static("ostler-call");

/// Headers that no provider sees and nothing is made of.
const PRIVATE: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// What a client sent, and in whose name.
pub(crate) struct Sent {
    agent: Name,
    headers: HeaderMap,
    body: Bytes,
}

impl FromRequest<App> for Sent {
    type Rejection = Response;
    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let dialect = dialect_of(request.uri().path());
        let agent = agent(&request).map_err(|trouble| refusal(dialect, &trouble))?;
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, app).await;
        let body = body.map_err(|error| {
            let reason = format!("The body cannot be read: {}. At most {BODY_LIMIT} bytes are.", error.body_text());
            refusal(dialect, &Trouble::TooLarge(reason))
        })?;
        Ok(Sent { agent, headers, body })
    }
}

/// The agent whose key was shown.
fn agent(request: &Request) -> Result<Name, Trouble> {
    match request.extensions().get::<Who>().map(|who| &who.0) {
        Some(Caller::Agent { name }) => Ok(name.clone()),
        Some(Caller::Admin | Caller::Person { .. }) => Err(Trouble::Refused(
            "/v1 takes an agent's key only; make one with `ostler key add agent NAME`.".to_owned(),
        )),
        None => {
            Err(Trouble::UnknownKey("There is no agent's key in `Authorization: Bearer` or `x-api-key`.".to_owned()))
        }
    }
}

/// `POST /v1/messages`.
pub(crate) async fn messages(State(app): State<App>, sent: Sent) -> Response {
    serve(app, Dialect::Messages, sent).await
}

/// `POST /v1/chat/completions`.
pub(crate) async fn chat(State(app): State<App>, sent: Sent) -> Response {
    serve(app, Dialect::Chat, sent).await
}

/// `POST /v1/responses`.
pub(crate) async fn responses(State(app): State<App>, sent: Sent) -> Response {
    serve(app, Dialect::Responses, sent).await
}

/// `POST /v1/messages/count_tokens`.
pub(crate) async fn count_tokens(State(app): State<App>, sent: Sent) -> Response {
    count(&app, Dialect::Messages, sent).await
}

/// `POST /v1/responses/input_tokens`.
pub(crate) async fn input_tokens(State(app): State<App>, sent: Sent) -> Response {
    count(&app, Dialect::Responses, sent).await
}

/// The provider's own count, where it speaks the client's dialect and counts; else an estimate by the length, said so in
/// a header.
async fn count(app: &App, dialect: Dialect, sent: Sent) -> Response {
    let incoming = match read(dialect, &sent) {
        Ok(incoming) => incoming,
        Err(trouble) => return refusal(dialect, &trouble),
    };
    if let Some(counted) = app.models.count_for_client(&sent.agent, &incoming).await {
        return ([json_type()], counted).into_response();
    }
    let body = ingress::counted(dialect, ingress::estimated_tokens(&incoming)).to_string();
    let estimated = (HeaderName::from_static("ostler-estimate"), HeaderValue::from_static("true"));
    ([json_type(), estimated], body).into_response()
}

/// `GET /v1/models`: what the agent's client may name.
pub(crate) async fn models(State(app): State<App>, sent: Sent) -> Response {
    ([json_type()], ingress::listed(&app.models.client_models(&sent.agent)).to_string()).into_response()
}

/// `GET /v1/models/{id}`.
pub(crate) async fn model(State(app): State<App>, Path(id): Path<String>, sent: Sent) -> Response {
    let all = app.models.client_models(&sent.agent);
    match all.into_iter().find(|(name, _)| *name == id) {
        Some(found) => ([json_type()], ingress::listed(&[found])["data"][0].to_string()).into_response(),
        None => {
            let reason =
                format!("The agent {} may not name the model {id}; GET /v1/models lists those it may.", sent.agent);
            refusal(Dialect::Chat, &Trouble::NotFound(reason))
        }
    }
}

fn json_type() -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

fn read(dialect: Dialect, sent: &Sent) -> Result<Incoming, Trouble> {
    let shown = sent.headers.iter().filter(|(name, _)| !PRIVATE.contains(&name.as_str()));
    let headers: Vec<(String, String)> =
        shown.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect();
    ingress::read(dialect, sent.body.clone(), &headers).map_err(Trouble::Malformed)
}

async fn serve(app: App, dialect: Dialect, sent: Sent) -> Response {
    let incoming = match read(dialect, &sent) {
        Ok(incoming) => Arc::new(incoming),
        Err(trouble) => return refusal(dialect, &trouble),
    };
    let key = match sent.headers.get(&SESSION).map(HeaderValue::to_str).transpose() {
        Ok(key) => key.map(str::to_owned),
        Err(_) => {
            let reason = "The header Ostler-Session is not plain text.".to_owned();
            return refusal(dialect, &Trouble::NotFound(reason));
        }
    };
    let now = app.clock.now();
    let stamp =
        Stamp { id: format!("{:032x}", app.clock.random_u128()), model: incoming.model.clone(), created: now.0 / 1000 };
    if incoming.stream {
        let writer = Mutex::new(AnswerWriter::new(&incoming, stamp));
        return stream::serve(app, (sent.agent, key), incoming, writer).await;
    }
    let quiet = Arc::new(|_: &models::Delta| {});
    match app.runtime.attach_model(&sent.agent, key, Arc::clone(&incoming), quiet).await {
        Ok(reply) => {
            let call = HeaderValue::from_str(&reply.call.to_string()).ok().map(|call| (CALL, call));
            let mut response = ([json_type()], ingress::whole(&incoming, &stamp, &reply.answer)).into_response();
            response.headers_mut().extend(call);
            response
        }
        Err(error) => refusal(dialect, &trouble_of(&error, now)),
    }
}

/// What is behind a lock that is never held over a wait.
fn locked<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
