//! The client's own body for a provider that speaks its dialect. It changes what must change and nothing else.

use bytes::Bytes;
use domain::descriptor::Protocol;
use serde_json::{Value, json};

use super::splice::splice;
use super::{Dialect, Incoming};
use crate::cache;

/// The least that a model may think, in tokens, where thinking is asked for by the token.
const LEAST_THINKING: u32 = 1024;

/// The body for a provider that speaks the client's own dialect: every byte as the client sent it, but for the model,
/// the output cap, what makes a stream tell its usage and, where `mark` says whose they would be, cache marks if the
/// client has none.
pub fn verbatim(incoming: &Incoming, model: &str, max_output_tokens: u32, mark: Option<&Protocol>) -> Bytes {
    let before = &*incoming.parsed;
    let mut after = before.clone();
    set(&mut after, "model", model.into());
    match incoming.dialect {
        Dialect::Messages => {
            set(&mut after, "max_tokens", max_output_tokens.into());
            bound_thinking(&mut after, max_output_tokens);
        }
        Dialect::Chat => {
            bound_chat(&mut after, max_output_tokens);
            if incoming.stream {
                tell_usage(&mut after);
            }
        }
        Dialect::Responses => set(&mut after, "max_output_tokens", max_output_tokens.into()),
    }
    if let Some(protocol) = mark {
        cache::mark(protocol, model, &mut after);
    }
    splice(&incoming.body, before, &after)
}

/// The body of a question how long this is: every byte as the client sent it, but for the model.
pub fn question(incoming: &Incoming, model: &str) -> Bytes {
    let mut after = (*incoming.parsed).clone();
    set(&mut after, "model", model.into());
    splice(&incoming.body, &incoming.parsed, &after)
}

fn set(body: &mut Value, field: &str, value: Value) {
    if body[field] != value {
        body[field] = value;
    }
}

/// Both names of the cap count; one that allows less than that stays.
fn bound_chat(body: &mut Value, most: u32) {
    let mut bound = false;
    for field in ["max_completion_tokens", "max_tokens"] {
        let Some(said) = body.get(field).and_then(Value::as_u64) else { continue };
        bound = true;
        if said > u64::from(most) {
            set(body, field, most.into());
        }
    }
    if !bound {
        set(body, "max_completion_tokens", most.into());
    }
}

fn tell_usage(body: &mut Value) {
    match body.get_mut("stream_options").filter(|options| options.is_object()) {
        Some(options) => set(options, "include_usage", true.into()),
        None => set(body, "stream_options", json!({"include_usage": true})),
    }
}

/// What may be thought must be less than what may be said; where there is no room for thinking, there is none.
fn bound_thinking(body: &mut Value, most: u32) {
    let Some(budget) = body["thinking"]["budget_tokens"].as_u64() else { return };
    if budget < u64::from(most) {
        return;
    }
    if most > LEAST_THINKING {
        set(&mut body["thinking"], "budget_tokens", (most - 1).into());
    } else {
        set(body, "thinking", json!({"type": "disabled"}));
    }
}
