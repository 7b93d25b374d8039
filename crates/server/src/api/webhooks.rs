//! Webhooks: who outside is called, how it goes with them, and a try. Administrators' business.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control::registry::WebhookEntry;
use data::feed::{Cursor, FeedData, FeedEvent};
use domain::control::Webhook;
use domain::id::{Name, Seq};
use domain::principal::Mode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Id, events};
use crate::app::{App, VIEWS_WITHIN};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};
use crate::webhooks::{follower, receiver, try_once};

/// A receiver, as it is added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Added {
    name: Name,
    url: String,
    secret: String,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    agent: Option<Name>,
    #[serde(default)]
    allow_private: bool,
    #[serde(default)]
    for_people: bool,
    /// A cursor to begin behind; absent: now.
    #[serde(default)]
    after: Option<String>,
}

/// Adds a receiver. It is called for what happens from now on.
pub(crate) async fn add(State(app): State<App>, who: Who, Body(added): Body<Added>) -> ApiResult<Json<Value>> {
    who.admin()?;
    let Added { name, url, secret, kinds, agent, allow_private, for_people, after } = added;
    if for_people && !(kinds.is_empty() && agent.is_none()) {
        let next = "leave out kinds and agent: it is told what waits for the people who choose it";
        return Err(ApiError::bad("a webhook for people is told of no events", next));
    }
    if !kinds.is_empty() {
        events::kinds(&kinds.join(","))?;
    }
    let after = match events::after(&app, after.as_deref()).await? {
        Some(cursor) => cursor,
        None => events::now(&app).await?,
    };
    let webhook = Webhook { url, secret, kinds, agent, allow_private, after: after.to_string(), for_people };
    receiver(&app.webhooks.secrets, &webhook).map_err(|why| {
        let how = "make one with `openssl rand -base64 32` and put it into secrets.env of the data directory as";
        let secret = &webhook.secret;
        ApiError::bad(why, format!("--allow-private allows private addresses; a secret: {how} {secret}=…, and restart"))
    })?;
    control::webhooks::add(&app.gate, &who.0, &name, &webhook).await?;
    let registry = app.gate.registry();
    let entry = registry.webhook(&name).ok_or_else(|| ApiError::not_found(format!("webhook {name}")))?;
    Ok(Json(shown(&app, &name, entry)))
}

/// All receivers, and how it goes with each.
pub(crate) async fn list(State(app): State<App>, who: Who) -> ApiResult<Json<Vec<Value>>> {
    who.admin()?;
    app.views.caught_up(VIEWS_WITHIN).await;
    let registry = app.gate.registry();
    Ok(Json(registry.webhooks().map(|(name, entry)| shown(&app, name, entry)).collect()))
}

fn shown(app: &App, name: &Name, entry: &WebhookEntry) -> Value {
    let webhook = &entry.webhook;
    let status = app.webhooks.statuses.of(entry.pos);
    let position = status.position.clone().or_else(|| webhook.after.parse().ok());
    let lag = position.map(|at: Cursor| {
        let behind = app.views.reached().into_iter().map(|(shard, end)| end.0.saturating_sub(at.pos(shard).0));
        behind.sum::<u64>()
    });
    let mut value = json!({
        "name": name, "url": webhook.url, "secret": webhook.secret, "kinds": webhook.kinds, "agent": webhook.agent,
        "allow_private": webhook.allow_private, "for_people": webhook.for_people, "added": entry.at, "by": entry.by, "stopped": entry.stopped,
        "lag": lag,
    });
    if let (Value::Object(value), Ok(Value::Object(status))) = (&mut value, serde_json::to_value(&status)) {
        value.extend(status);
    }
    value
}

/// Deletes a receiver: nothing more is sent to it.
pub(crate) async fn delete(State(app): State<App>, who: Who, Id(name): Id<Name>) -> ApiResult<StatusCode> {
    let pos = control::webhooks::delete(&app.gate, &who.0, &name).await?;
    app.log.unfollow(&follower(&name, pos)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends one event of the kind `test`, now and once.
pub(crate) async fn test(State(app): State<App>, who: Who, Id(name): Id<Name>) -> ApiResult<Json<Value>> {
    who.admin()?;
    let registry = app.gate.registry();
    let entry = registry.webhook(&name).ok_or_else(|| ApiError::not_found(format!("webhook {name}")))?;
    let event = FeedEvent {
        specversion: "1.0".to_owned(),
        id: format!("evt_test_{:032x}", app.clock.random_u128()),
        source: format!("/ostler/{:032x}", app.log.store_id()),
        of_type: "ostler.test".to_owned(),
        time: app.clock.now().to_string(),
        subject: "control".to_owned(),
        kind: "test".to_owned(),
        session: None,
        agent: None,
        person: None,
        seq: Seq(0),
        trace: None,
        cause: who.name(),
        mode: Mode::Live,
        synthetic: true,
        cursor: entry.webhook.after.clone(),
        data: FeedData::default(),
    };
    let sent = try_once(&app.webhooks, &entry.webhook, &event).await;
    let (taken, said) = match sent {
        Ok(said) => (true, said),
        Err(why) => (false, why),
    };
    Ok(Json(json!({ "name": name, "id": event.id, "taken": taken, "said": said })))
}
