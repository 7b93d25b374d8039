//! Channels: where people are told what waits for them, and how it goes with each. Each person sets their own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control::channels::{self, ChannelEntry};
use domain::control::Channel;
use domain::id::Name;
use serde_json::{Value, json};

use super::{Body, Id, events};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};
use crate::notify::follower;

/// Sets the caller's own channel: they are told there of what waits for them from now on.
pub(crate) async fn set(State(app): State<App>, who: Who, Body(channel): Body<Channel>) -> ApiResult<Json<Value>> {
    if let Channel::Mail { address } = &channel {
        let next = "an address such as ana@example.com";
        gateway::mail::address(address).map_err(|why| ApiError::bad(why, next))?;
        if app.webhooks.mailer.is_none() {
            let next = "start it with `ostler up --smtp smtp://USER@HOST --mail-from ADDRESS`, or choose a webhook";
            return Err(ApiError::conflict("this server has no mail relay", next));
        }
    }
    let after = events::now(&app).await?;
    let before = who.person().and_then(|person| app.gate.registry().channel(person).cloned());
    channels::set(&app.gate, &who.0, &channel, &after.to_string()).await?;
    let registry = app.gate.registry();
    let person = who.person().ok_or_else(ApiError::no_key)?;
    if let Some(before) = before {
        app.log.unfollow(&follower(person, before.pos)).await?;
    }
    let entry = registry.channel(person).ok_or_else(|| ApiError::not_found(format!("channel of {person}")))?;
    Ok(Json(shown(&app, person, entry)))
}

/// The caller's own channel; an administrator sees everybody's.
pub(crate) async fn list(State(app): State<App>, who: Who) -> Json<Value> {
    let registry = app.gate.registry();
    let all = who.admin().is_ok();
    let mine = registry.channels().filter(|(person, _)| all || who.person() == Some(person));
    Json(mine.map(|(person, entry)| shown(&app, person, entry)).collect())
}

fn shown(app: &App, person: &Name, entry: &ChannelEntry) -> Value {
    let status = app.webhooks.statuses.of(entry.pos);
    json!({
        "person": person, "channel": entry.channel.to_string(), "set": entry.at, "told": status.taken,
        "last_told": status.last_taken, "failed": status.failed, "last_error": status.last_error,
    })
}

/// Removes a person's channel: they do it themselves, or an administrator does. Links sent there are void.
pub(crate) async fn remove(State(app): State<App>, who: Who, Id(person): Id<Name>) -> ApiResult<StatusCode> {
    let pos = channels::remove(&app.gate, &who.0, &person).await?;
    app.log.unfollow(&follower(&person, pos)).await?;
    Ok(StatusCode::NO_CONTENT)
}
