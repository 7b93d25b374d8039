//! The event feed: what happens, as server-sent events whose ids are cursors. It is read from the log by pages, as fast
//! as the reader takes it; who asks decides what is told.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use data::feed::{Content, Cursor, Feed, FeedError, FeedEvent, Filter};
use domain::control::ControlEvent;
use domain::id::{Name, SessionId};
use domain::principal::Caller;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::Params;
use crate::app::{App, VIEWS_WITHIN};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How many may follow at once.
pub(crate) const FOLLOWERS: usize = 64;

/// How often a follower to whom nothing is told hears how far the feed is, in milliseconds.
const PASSED_EVERY_MS: i64 = 1_000;

/// What only an administrator sees today, and so is told nobody else.
const FOR_ADMINS: [&str; 2] = ["key_added", "key_revoked"];

/// From where on, and what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    agent: Option<Name>,
    #[serde(default)]
    session: Option<SessionId>,
    /// Kinds, between commas.
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    content: bool,
    #[serde(default = "yes")]
    follow: bool,
}

fn yes() -> bool {
    true
}

/// `/api/events`: from a cursor, or the beginning, and on.
pub(crate) async fn follow(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    Params(which): Params<Which>,
) -> ApiResult<Response> {
    // What a browser or library says when it comes back (WHATWG HTML, section 9.2.4) is newer than the address.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let after = after(&app, last.or(which.after.as_deref())).await?;
    let kinds = which.kind.as_deref().map(kinds).transpose()?.unwrap_or_default();
    let content = match (which.content, &who.0) {
        (false, _) => Content::None,
        (true, Caller::Admin) => Content::All,
        (true, Caller::Person { .. } | Caller::Agent { .. }) => Content::Sessions,
    };
    let hidden = if who.admin().is_ok() { BTreeSet::new() } else { FOR_ADMINS.map(str::to_owned).into() };
    let filter = Filter { agent: which.agent, session: which.session, kinds, hidden };
    let place = app
        .followers
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::full(&execution::Full { bound: "the feed's followers", retry_after_ms: 1_000 }))?;
    let feed = Feed::open(&app.log, after, filter, content).await?;
    let follower = Follower {
        app: app.clone(),
        feed,
        follow: which.follow,
        told: VecDeque::new(),
        passed_ms: None,
        over: false,
        _place: place,
    };
    let closed = async move { app.closed().await };
    let events = follower.events().map(Ok::<_, Infallible>).take_until(closed);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// The cursor that is meant; `now` is the end of the log.
pub(crate) async fn after(app: &App, given: Option<&str>) -> ApiResult<Option<Cursor>> {
    match given {
        None => Ok(None),
        Some("now") => now(app).await.map(Some),
        Some(cursor) => cursor.parse().map(Some).map_err(|why: String| {
            ApiError::bad(why, "give one that an event carried, `now`, or none to begin at the beginning")
        }),
    }
}

/// The end of the log.
pub(crate) async fn now(app: &App) -> ApiResult<Cursor> {
    if !app.views.caught_up(VIEWS_WITHIN).await {
        return Err(ApiError::unavailable("the end of the log could not be found in time"));
    }
    Ok(Cursor::start(app.log.store_id()).at(app.views.reached()))
}

/// Kinds between commas, each of which there is.
pub(crate) fn kinds(given: &str) -> ApiResult<BTreeSet<String>> {
    let known = || domain::event::Event::KINDS.iter().chain(ControlEvent::KINDS);
    let asked: BTreeSet<String> = given.split(',').map(|kind| kind.trim().to_owned()).collect();
    match asked.iter().find(|kind| !known().any(|one| one == kind)) {
        None => Ok(asked),
        Some(wrong) => {
            let all = known().copied().collect::<Vec<_>>().join(", ");
            Err(ApiError::bad(format!("there is no kind of event {wrong:?}"), format!("kinds are {all}")))
        }
    }
}

/// One that follows.
struct Follower {
    app: App,
    feed: Feed,
    follow: bool,
    told: VecDeque<FeedEvent>,
    /// When it last heard how far the feed is, where nothing was told since.
    passed_ms: Option<i64>,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Event> {
        futures::stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        })
    }

    /// The next event, once whoever reads has taken the last.
    async fn next(&mut self) -> Option<Event> {
        let mut passed = false;
        while !self.over {
            if let Some(event) = self.told.pop_front() {
                self.passed_ms = None;
                return Some(sse(&event));
            }
            match self.feed.page().await {
                Ok(Some(told)) => {
                    passed |= told.is_empty();
                    self.told.extend(told);
                }
                Ok(None) if !self.follow => {
                    self.over = true;
                    return Some(Event::default().id(self.feed.cursor().to_string()));
                }
                Ok(None) => {
                    if std::mem::take(&mut passed) && self.long_since_heard() {
                        return Some(Event::default().id(self.feed.cursor().to_string()));
                    }
                    self.over = !self.feed.wait().await;
                }
                Err(error) => {
                    tracing::error!(%error, "the feed could not read the log");
                    self.over = true;
                    return Some(Event::default().event("error").data("the log cannot be read now: come back"));
                }
            }
        }
        None
    }

    /// So that whoever is told nothing for long does not come back to read all of it again.
    fn long_since_heard(&mut self) -> bool {
        let now = self.app.clock.monotonic_ms();
        let long = self.passed_ms.is_none_or(|then| now - then >= PASSED_EVERY_MS);
        if long {
            self.passed_ms = Some(now);
        }
        long
    }
}

fn sse(event: &FeedEvent) -> Event {
    let data = serde_json::to_string(event).expect("an event of the feed is plain JSON");
    Event::default().id(&event.cursor).event(&event.kind).data(data)
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        let next = "begin at the beginning (no cursor), or at `now`";
        match error {
            FeedError::OtherStore | FeedError::Ahead => ApiError::conflict(error.to_string(), next),
            FeedError::Data(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::kinds;

    #[test]
    fn kinds_are_those_that_there_are() {
        let asked = kinds("finished, applied").unwrap();
        assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["applied", "finished"]);
        assert!(kinds("finnished").unwrap_err().reason().contains("finnished"));
        assert!(kinds("").is_err());
    }
}
