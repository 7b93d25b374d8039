//! Whoever waits is told: server-sent events of one session, from the runtime's announcements. A watcher that fell
//! behind is told to look at the log; when the server stops, the stream ends.

use std::convert::Infallible;
use std::future::ready;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::id::SessionId;
use execution::Progress;
use futures::{Stream, StreamExt};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::api::Id;
use crate::app::App;
use crate::auth::Who;

/// Events `delta` (words of the model), `committed` (a record's number) and `behind` (look at the log). A session may
/// be watched before its first record is there.
pub(crate) async fn stream(
    State(app): State<App>,
    _: Who,
    Id(id): Id<SessionId>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let steps = BroadcastStream::new(app.runtime.watch()).filter_map(move |step| {
        ready(match step {
            Ok((session, Progress::Delta(words))) if session == id => Some(Event::default().event("delta").data(words)),
            Ok((session, Progress::Committed(seq))) if session == id => {
                Some(Event::default().event("committed").data(seq.0.to_string()))
            }
            Ok(_) => None,
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                Some(Event::default().event("behind").data(missed.to_string()))
            }
        })
    });
    let closed = async move { app.closed().await };
    Sse::new(steps.map(Ok).take_until(closed)).keep_alive(KeepAlive::default())
}
