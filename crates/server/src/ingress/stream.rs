//! An answer as it comes: what the model says is handed on at once, the bytes that end it once its outcome is durable.
//! A refusal that comes before the first byte has its own status; what goes wrong later is the stream's last event.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::id::Name;
use execution::{AttachError, ModelReply};
use futures::stream;
use models::ingress::{self, AnswerWriter, Dialect, Incoming, Trouble};

use super::locked;
use super::outlet::{Outlet, Taken};
use super::trouble::{refusal, trouble_of};
use crate::app::App;

/// How long a client waits for its first byte before it is told that there will be an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is said before a client is told that it still waits.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Outcome = Result<ModelReply, AttachError>;

/// An answer under way.
struct Answering {
    app: App,
    dialect: Dialect,
    outlet: Arc<Outlet>,
    writer: Arc<Mutex<AnswerWriter>>,
    /// Dropping it lets the call end by itself.
    call: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    ended: bool,
}

pub(super) async fn serve(
    app: App,
    (agent, key): (Name, Option<String>),
    incoming: Arc<Incoming>,
    writer: Mutex<AnswerWriter>,
) -> Response {
    let (dialect, outlet, writer) = (incoming.dialect, Arc::new(Outlet::default()), Arc::new(writer));
    let say = {
        let (outlet, writer) = (Arc::clone(&outlet), Arc::clone(&writer));
        Arc::new(move |delta: &models::Delta| outlet.say(&locked(&writer).delta(delta)))
    };
    let runtime = app.runtime.clone();
    let call = Box::pin(async move { runtime.attach_model(&agent, key, incoming, say).await });
    let mut answering = Answering { app, dialect, outlet, writer, call, ended: false };
    let first = tokio::select! {
        biased;
        outcome = &mut answering.call => match outcome {
            Ok(reply) => answering.finish(&reply),
            Err(error) => return answering.refuse(&error),
        },
        () = answering.outlet.news() => Bytes::new(),
        () = tokio::time::sleep(PATIENCE) => ingress::keep_alive(dialect),
    };
    let body = stream::unfold((Some(first), answering), |(first, mut answering)| async move {
        let next = match first.filter(|first| !first.is_empty()) {
            Some(first) => Some(first),
            None => answering.next().await,
        };
        next.map(|bytes| (Ok::<_, Infallible>(bytes), (None, answering)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

impl Answering {
    /// What the client reads next; `None`: that was all.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        tokio::select! {
            biased;
            () = self.outlet.news() => match self.outlet.take() {
                Some(Taken::Bytes(bytes)) => Some(bytes),
                Some(Taken::TooSlow) => {
                    self.ended = true;
                    let reason = "The client reads too slowly: the rest of the answer is in the trace.".to_owned();
                    Some(ingress::error_event(self.dialect, &Trouble::Gone(reason)))
                }
                None => Some(Bytes::new()),
            },
            outcome = &mut self.call => Some(match outcome {
                Ok(reply) => self.finish(&reply),
                Err(error) => self.fail(&error),
            }),
            () = tokio::time::sleep(KEEP_ALIVE) => Some(ingress::keep_alive(self.dialect)),
        }
    }

    /// What was said and not taken, and what ends it.
    fn finish(&mut self, reply: &ModelReply) -> Bytes {
        self.ended = true;
        let end = locked(&self.writer).finish(&reply.answer);
        self.outlet.say(&end);
        match self.outlet.take() {
            Some(Taken::Bytes(bytes)) => bytes,
            Some(Taken::TooSlow) | None => Bytes::new(),
        }
    }

    fn fail(&mut self, error: &AttachError) -> Bytes {
        self.ended = true;
        let mut last = match self.outlet.take() {
            Some(Taken::Bytes(bytes)) => bytes.to_vec(),
            Some(Taken::TooSlow) | None => Vec::new(),
        };
        last.extend_from_slice(&ingress::error_event(self.dialect, &trouble_of(error, self.app.clock.now())));
        last.into()
    }

    /// Nothing was said yet: the refusal has a status of its own.
    fn refuse(&self, error: &AttachError) -> Response {
        refusal(self.dialect, &trouble_of(error, self.app.clock.now()))
    }
}
