//! Whether the process lives, and whether it can take work.

use axum::extract::State;

use crate::app::{App, Serving};
use crate::error::{ApiError, ApiResult};

/// The process lives.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The store answers and takes what is to be written, and nobody asked the server to stop.
pub(crate) async fn ready(State(app): State<App>) -> ApiResult<String> {
    if *app.serving.borrow() != Serving::Open {
        return Err(ApiError::stopping());
    }
    app.log.counts().await?;
    if let Some(outage) = app.log.outage_still().await {
        return Err(ApiError::outage(&outage));
    }
    // What cannot be told to people keeps nothing from working: it is said, and that is all.
    let failing = app.webhooks.statuses.failing(app.gate.registry().channels().map(|(_, entry)| entry.pos));
    let told =
        format!("\n{failing} of the channels that tell people what waits cannot be reached: `ostler channel list`");
    Ok(format!("ready{}\n", if failing > 0 { told } else { String::new() }))
}
