//! A server-sent event, written.

use serde_json::Value;

/// Writes an event; without a name there is only data.
pub(super) fn put(out: &mut Vec<u8>, name: Option<&str>, data: &Value) {
    if let Some(name) = name {
        out.extend_from_slice(format!("event: {name}\n").as_bytes());
    }
    out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
}
