//! A backup of this server, as a tar that is sent as fast as it is taken.

use std::io::{BufWriter, Write};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Params;
use crate::app::App;
use crate::auth::Who;
use crate::backup::prepare;
use crate::error::{ApiError, ApiResult};

/// How many bytes are sent at once, and how many such pieces wait for a slow reader.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

/// What goes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct What {
    #[serde(default = "yes")]
    keys: bool,
}

fn yes() -> bool {
    true
}

/// `/api/backup`: the store at one instant, with its keys unless they are not wanted. Whoever only asks for its head
/// gets no length: a backup has one once it was taken, and a look takes none.
pub(crate) async fn backup(
    State(app): State<App>,
    method: Method,
    who: Who,
    Params(what): Params<What>,
) -> ApiResult<Response> {
    who.admin()?;
    let kind = (header::CONTENT_TYPE, "application/x-tar".to_owned());
    if method == Method::HEAD {
        return Ok([kind].into_response());
    }
    let place = app
        .backing_up
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::full(&execution::Full { bound: "backups at once", retry_after_ms: 5_000 }))?;
    let failed = |error: anyhow::Error| ApiError::unavailable(format!("the backup failed: {error:#}"));
    let prepared = prepare(&app.log, &app.data, what.keys).await.map_err(failed)?;
    let bytes = prepared.bytes().map_err(failed)?;
    let (pieces, waiting) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let broken = pieces.clone();
        if let Err(error) = prepared.write(BufWriter::with_capacity(PIECE, Sender(pieces))) {
            tracing::warn!(%error, "a backup was not sent to its end");
            // Cut off, so that nobody takes it for whole.
            let _ = broken.blocking_send(Err(std::io::Error::other("the backup was cut short")));
        }
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(waiting));
    let headers = [kind, (header::CONTENT_LENGTH, bytes.to_string())];
    Ok((headers, body).into_response())
}

/// The way of bytes to whoever reads; it ends when they go away.
struct Sender(mpsc::Sender<std::io::Result<Bytes>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
