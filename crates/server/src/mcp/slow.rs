//! An answer that takes its time. One that comes soon is a JSON object; a later one is the end of a stream that says
//! meanwhile that somebody is still there. A client of the older era may say that it does not want it any more: it is
//! not waited for then, and whoever asks is told what was begun.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use domain::id::Name;
use execution::{Use, Whose};
use gateway::wire;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

/// How soon an answer has to come to be one JSON object.
const SOON: Duration = Duration::from_secs(1);
/// How often a stream says something.
const EVERY: Duration = Duration::from_secs(5);
/// Tells proxies to hand on what comes (MCP 2026-07-28, streamable HTTP).
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

type Key = (Name, String, String);

/// What a client began: a call, and whose it is.
type Begun = (Whose, Use);

/// A request that is being answered, as whoever takes it back finds it.
struct Answering {
    cancelled: Arc<Notify>,
    begun: Begun,
    /// Closed once nobody waits for the answer.
    over: oneshot::Receiver<()>,
}

/// Requests that are being answered, of those clients that may take them back.
#[derive(Default)]
pub(super) struct Open(Arc<Mutex<BTreeMap<Key, Answering>>>);

/// A request that is being answered.
pub(super) struct Kept {
    all: Arc<Mutex<BTreeMap<Key, Answering>>>,
    key: Option<Key>,
    cancelled: Arc<Notify>,
    _over: oneshot::Sender<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

impl Open {
    /// Keeps a request while it is answered. Without a session there is nothing to take it back by.
    pub(super) fn keep(&self, agent: &Name, (session, request): (Option<&str>, &Value), begun: Begun) -> Kept {
        let cancelled = Arc::new(Notify::new());
        let (_over, over) = oneshot::channel();
        let key = session.map(|session| (agent.clone(), session.to_owned(), request.to_string()));
        if let Some(key) = &key {
            let answering = Answering { cancelled: cancelled.clone(), begun, over };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), answering);
        }
        Kept { all: self.0.clone(), key, cancelled, _over }
    }

    /// The client does not want this answer any more: what it began, once nobody waits for that.
    pub(super) async fn cancel(&self, agent: &Name, session: Option<&str>, request: &Value) -> Option<Begun> {
        let key = (agent.clone(), session?.to_owned(), request.to_string());
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let Answering { cancelled, begun, over } = found?;
        cancelled.notify_one();
        // It ends by being dropped.
        over.await.ok();
        Some(begun)
    }
}

/// An answer on its way.
struct Way<F> {
    ends: Pin<Box<F>>,
    kept: Kept,
    progress: Option<Value>,
    said: u64,
}

/// Answers with what `ends` comes to; as a stream where it takes longer and the client takes one.
pub(super) async fn answer<F>(ends: F, kept: Kept, (streams, progress): (bool, Option<Value>)) -> Response
where
    F: Future<Output = Value> + Send + 'static,
{
    let mut way = Way { ends: Box::pin(ends), kept, progress, said: 0 };
    let cancelled = way.kept.cancelled.clone();
    tokio::select! {
        biased;
        answer = &mut way.ends => super::json(&answer),
        () = cancelled.notified() => StatusCode::ACCEPTED.into_response(),
        () = tokio::time::sleep(SOON), if streams => {
            let events = futures::stream::unfold(Some(way), |way| async { next(way?).await });
            ([UNBUFFERED], Sse::new(events)).into_response()
        }
    }
}

async fn next<F>(mut way: Way<F>) -> Option<(Result<Event, Infallible>, Option<Way<F>>)>
where
    F: Future<Output = Value> + Send + 'static,
{
    let cancelled = way.kept.cancelled.clone();
    tokio::select! {
        biased;
        answer = &mut way.ends => Some((Ok(Event::default().data(answer.to_string())), None)),
        () = cancelled.notified() => None,
        () = tokio::time::sleep(EVERY) => {
            way.said += 1;
            let said = match &way.progress {
                Some(token) => Event::default().data(wire::progress(token, way.said, "it is not done yet").to_string()),
                None => Event::default().comment("it is not done yet"),
            };
            Some((Ok(said), Some(way)))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};
    use serde_json::json;

    use super::{Begun, Duration, Open, Use, Whose, answer};

    fn begun() -> Begun {
        (Whose::Key("k".to_owned()), Use { name: "pay".to_owned(), arguments: json!({"amount_usd": 1}) })
    }

    #[tokio::test]
    async fn what_is_not_wanted_any_more_is_not_waited_for() {
        let (open, agent, other) = (Open::default(), "ana".parse().unwrap(), "ben".parse().unwrap());
        let kept = open.keep(&agent, (Some("s"), &json!(7)), begun());
        assert_eq!(open.cancel(&agent, Some("t"), &json!(7)).await, None);
        assert_eq!(open.cancel(&agent, Some("s"), &json!("7")).await, None);
        assert_eq!(open.cancel(&other, Some("s"), &json!(7)).await, None);
        assert_eq!(answer(async { json!(1) }, kept, (true, None)).await.status(), StatusCode::OK);
        let kept = open.keep(&agent, (Some("s"), &json!(7)), begun());
        let seven = json!(7);
        let (cancelled, never) =
            tokio::join!(open.cancel(&agent, Some("s"), &seven), answer(std::future::pending(), kept, (true, None)));
        assert_eq!((cancelled, never.status()), (Some(begun()), StatusCode::ACCEPTED));
        assert!(open.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_says_so_in_a_stream_that_ends_with_the_answer() {
        let takes = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            json!({"done": true})
        };
        let open = Open::default();
        let kept = || open.keep(&"ana".parse().unwrap(), (None, &json!(1)), begun());
        let long = answer(takes(12), kept(), (true, Some(json!("p")))).await;
        assert_eq!(long.headers()[header::CONTENT_TYPE], "text/event-stream");
        let body = axum::body::to_bytes(long.into_body(), 10_000).await.unwrap();
        let said: Vec<&str> = std::str::from_utf8(&body).unwrap().trim().split("\n\n").collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[1].contains(r#""progress":2"#) && said[1].contains(r#""progressToken":"p""#), "{said:?}");
        assert_eq!(said[2], r#"data: {"done":true}"#);
        let whole = answer(takes(12), kept(), (false, None)).await;
        assert_eq!(whole.headers()[header::CONTENT_TYPE], "application/json");
    }
}
