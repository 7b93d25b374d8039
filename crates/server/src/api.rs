//! The native REST API: one file per noun. Each decodes, asks a plane, and encodes.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod budget;
pub(crate) mod calls;
pub(crate) mod changes;
pub(crate) mod channels;
pub(crate) mod cost;
pub(crate) mod events;
pub(crate) mod freeze;
pub(crate) mod grants;
pub(crate) mod health;
pub(crate) mod inbox;
pub(crate) mod messages;
pub(crate) mod people;
pub(crate) mod policies;
pub(crate) mod replay;
pub(crate) mod resources;
pub(crate) mod results;
pub(crate) mod sessions;
pub(crate) mod shadow;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod triggers;
pub(crate) mod undo;
pub(crate) mod webhooks;

use axum::extract::{Form, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::auth::Who;
use crate::error::ApiError;

/// The description of this API (OpenAPI 3.1), kept by hand beside it and held to it by tests.
const OPENAPI: &str = include_str!("api/openapi.json");

/// `/api/openapi.json`.
pub(crate) async fn openapi(_: Who) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// A JSON body, or a refusal that says where it is wrong. No body is an empty object.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| ApiError::body(error.status(), error.body_text()))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Body).map_err(|error| {
            ApiError::bad(
                format!("the body is not what this takes: {error}"),
                "see /api/openapi.json or `ostler --help`",
            )
        })
    }
}

/// The fields of a form, or a refusal that says what is wrong with it.
pub(crate) struct Fields<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let form = Form::<T>::from_request(request, state).await;
        form.map(|Form(fields)| Fields(fields)).map_err(|error| ApiError::body(error.status(), error.body_text()))
    }
}

/// A path segment that parses into an id, or a refusal that says what one looks like.
pub(crate) struct Id<T>(pub T);

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
    S: Send + Sync,
{
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Segments(text) = Segments::<String>::from_request_parts(parts, state).await?;
        text.parse()
            .map(Id)
            .map_err(|error: T::Err| ApiError::bad(error.to_string(), "list what there is with `ostler ps`"))
    }
}

/// The parameters of a path, or a refusal that says which is wrong.
pub(crate) struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Segments(segments))
            .map_err(|error| ApiError::bad(error.body_text(), "look at the path"))
    }
}

/// Query parameters, or a refusal that says which is wrong.
pub(crate) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(params)| Params(params)).map_err(|error| ApiError::bad(error.body_text(), "look at the query"))
    }
}
