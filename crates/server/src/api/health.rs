//! Whether the process lives, and whether it can take work.

use axum::extract::State;

use crate::app::{App, Serving};
use crate::error::{ApiError, ApiResult};

/// The process lives.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The store answers and takes what is to be written, and nobody asked the server to stop.
pub(crate) async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    if *app.serving.borrow() != Serving::Open {
        return Err(ApiError::stopping());
    }
    app.log.counts().await?;
    if let Some(outage) = app.log.outage_still().await {
        return Err(ApiError::outage(&outage));
    }
    Ok("ready\n")
}
