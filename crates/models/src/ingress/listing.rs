//! What a client asks beside the conversation: which models there are, and how long a request is.

use serde_json::{Value, json};

use super::{Dialect, Incoming};

/// A token of a prompt has about so many bytes of its words.
const BYTES_PER_TOKEN: u64 = 4;

/// The input tokens of a request, as far as its length tells: an estimate, for a provider that does not count.
pub fn estimated_tokens(incoming: &Incoming) -> u64 {
    let bytes = (incoming.body.len() as u64).saturating_sub(incoming.weight.picture_bytes);
    bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(incoming.weight.tokens(&incoming.model))
}

/// The answer to a request to count.
pub fn counted(dialect: Dialect, tokens: u64) -> Value {
    match dialect {
        Dialect::Messages => json!({"input_tokens": tokens}),
        Dialect::Chat | Dialect::Responses => json!({"object": "response.input_tokens", "input_tokens": tokens}),
    }
}

/// The models that a client may ask for, each with its provider: one list that the SDKs of both vendors read.
pub fn listed(models: &[(String, String)]) -> Value {
    let one = |(id, provider): &(String, String)| {
        json!({
            "id": id, "object": "model", "created": 0, "owned_by": provider,
            "type": "model", "display_name": id, "created_at": "1970-01-01T00:00:00Z",
        })
    };
    let ids: Vec<&str> = models.iter().map(|(id, _)| id.as_str()).collect();
    json!({
        "object": "list", "data": models.iter().map(one).collect::<Vec<_>>(),
        "has_more": false, "first_id": ids.first(), "last_id": ids.last(),
    })
}
