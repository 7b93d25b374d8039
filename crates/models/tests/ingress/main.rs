//! What clients ask and are answered, in each dialect: what is read, what must stay as it is byte for byte, and what
//! their SDKs are told.

mod golden;
mod read;
mod refused;
mod verbatim;
mod write;

use bytes::Bytes;
use models::ingress::{Dialect, Incoming, read};
use serde_json::Value;

pub(crate) const ALL: [Dialect; 3] = [Dialect::Messages, Dialect::Chat, Dialect::Responses];

pub(crate) const MESSAGES: &str = include_str!("../golden/ingress/messages.request.json");
pub(crate) const CHAT: &str = include_str!("../golden/ingress/chat.request.json");
pub(crate) const RESPONSES: &str = include_str!("../golden/ingress/responses.request.json");

pub(crate) fn incoming(dialect: Dialect, body: &str) -> Incoming {
    read(dialect, Bytes::copy_from_slice(body.as_bytes()), &[]).unwrap_or_else(|wrong| panic!("{wrong}: {body}"))
}

/// The request of a dialect that has everything in it.
pub(crate) fn rich(dialect: Dialect) -> Incoming {
    incoming(
        dialect,
        match dialect {
            Dialect::Messages => MESSAGES,
            Dialect::Chat => CHAT,
            Dialect::Responses => RESPONSES,
        },
    )
}

/// That request with some fields said otherwise.
pub(crate) fn with(dialect: Dialect, fields: Value) -> Result<Incoming, String> {
    let mut body: Value = serde_json::from_slice(&rich(dialect).body).expect("it is there");
    fields.as_object().expect("it is there").iter().for_each(|(field, value)| body[field] = value.clone());
    read(dialect, body.to_string().into(), &[]).map_err(|wrong| wrong.to_string())
}
