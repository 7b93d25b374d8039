//! People, their keys, and their way into the console.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control::people;
use domain::control::KeyHolder;
use domain::id::Name;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Id};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// A person, as they are added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Added {
    name: Name,
    #[serde(default)]
    groups: Vec<Name>,
}

/// Adds a person; their key comes back this once.
pub(crate) async fn add(State(app): State<App>, who: Who, Body(added): Body<Added>) -> ApiResult<Json<Value>> {
    let minted = people::add_person(&app.gate, &who.0, &added.name, &added.groups).await?;
    let key = minted.map(|minted| minted.key);
    Ok(Json(json!({ "name": added.name, "groups": added.groups, "key": key })))
}

/// Everybody.
pub(crate) async fn list(State(app): State<App>, _: Who) -> Json<Value> {
    let registry = app.gate.registry();
    let people: Vec<Value> =
        registry.people().map(|(name, person)| json!({ "name": name, "groups": person.groups })).collect();
    Json(Value::Array(people))
}

/// Makes a key; it comes back this once.
pub(crate) async fn add_key(State(app): State<App>, who: Who, Body(holder): Body<KeyHolder>) -> ApiResult<Json<Value>> {
    let minted = people::add_key(&app.gate, &who.0, &holder).await?;
    Ok(Json(json!({ "id": minted.id, "key": minted.key })))
}

/// All keys: whose they are, never what they are.
pub(crate) async fn keys(State(app): State<App>, who: Who) -> ApiResult<Json<Value>> {
    who.admin()?;
    let registry = app.gate.registry();
    let keys = registry.keys().filter(|(_, key)| !key.revoked).map(|(id, key)| {
        let (holder, name) = match &key.holder {
            KeyHolder::Admin => ("admin", String::new()),
            KeyHolder::Person { person } => ("person", person.to_string()),
            KeyHolder::Agent { agent } => ("agent", agent.to_string()),
        };
        json!({ "id": id, "holder": holder, "name": name, "added": key.at.to_string() })
    });
    Ok(Json(keys.collect()))
}

/// Makes a key void. A person whose key it was is signed out of the console, too.
pub(crate) async fn revoke(State(app): State<App>, who: Who, Id(id): Id<String>) -> ApiResult<StatusCode> {
    people::revoke_key(&app.gate, &who.0, &id).await?;
    if let Some(KeyHolder::Person { person }) = app.gate.registry().key(&id).map(|key| &key.holder) {
        app.logins.forget(person);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who is to be signed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    person: Name,
}

/// A one-time address of the console that signs a person in.
pub(crate) async fn login(State(app): State<App>, who: Who, Body(login): Body<Login>) -> ApiResult<Json<Value>> {
    let themselves = who.person() == Some(&login.person);
    if !themselves {
        who.admin()?;
    }
    if app.gate.registry().person(&login.person).is_none() {
        return Err(ApiError::not_found(format!("person {}", login.person)));
    }
    let code = app.logins.offer(login.person, &*app.clock);
    Ok(Json(json!({ "url": format!("{}/login?code={code}", app.url) })))
}
