//! Marks that make a provider keep the beginning of a prompt: for our own agents, and for clients that set none. A
//! client's own marks are never touched. It changes nothing that a model reads, and must not know who asks.
//!
//! Writing a prefix costs more than reading it once, so each call but the first writes its end only if what the cache
//! saved this conversation so far pays for it, should nothing be read again. What earlier calls did is worked out from
//! the conversation itself: nothing is remembered.

mod messages;
mod openai;

use domain::clock::Timestamp;
use domain::descriptor::Protocol;
use serde_json::Value;

use crate::price::{PriceTable, Rates, house_of};

/// The most marks that a request may have.
pub const MOST_MARKS: usize = 4;
/// A mark stands at least every so many blocks of what is new: a provider looks 20 back for what it kept.
pub const EVERY_BLOCKS: usize = 15;
/// What a shorter prefix is not kept at, where the table does not say.
const MIN_TOKENS: u64 = 1024;
/// Bytes of JSON to a token, as a rule.
const BYTES_PER_TOKEN: u64 = 4;

/// Marks the body of a request in the provider's protocol, unless it has marks already.
pub fn mark(protocol: &Protocol, model: &str, body: &mut Value) {
    match protocol {
        Protocol::Anthropic { .. } => messages::mark(&Worth::of(house_of(protocol), model), body),
        // Others speak these protocols, too, and refuse fields that they do not know.
        Protocol::OpenaiChat { .. } if house_of(protocol) == Some("openai") => {
            openai::mark_chat(breakpoints(protocol, model), body);
        }
        Protocol::OpenaiResponses { .. } if house_of(protocol) == Some("openai") => {
            openai::mark_responses(breakpoints(protocol, model), body);
        }
        Protocol::OpenaiChat { .. }
        | Protocol::OpenaiResponses { .. }
        // They keep prefixes by themselves.
        | Protocol::Gemini { .. }
        | Protocol::Scripted { .. } => {}
    }
}

/// Marks a body of Anthropic's own protocol.
pub fn mark_messages(model: &str, body: &mut Value) {
    messages::mark(&Worth::of(Some("anthropic"), model), body);
}

fn breakpoints(protocol: &Protocol, model: &str) -> bool {
    PriceTable::compiled_in().caching(house_of(protocol), model).breakpoints
}

/// When a prefix is worth keeping, for one model.
#[derive(Debug, Clone, Copy)]
struct Worth {
    min_tokens: u64,
    rates: Rates,
}

impl Worth {
    fn of(house: Option<&str>, model: &str) -> Self {
        let table = PriceTable::compiled_in();
        let usual = Rates { input: 100, cache_read: 10, cache_write_5m: 125, ..Rates::FREE };
        // Only how prices stand to each other matters: the day does not.
        let rates = table.price(house, model, Timestamp(0)).map_or(usual, |price| price.rates);
        Worth { min_tokens: table.caching(house, model).min_tokens.unwrap_or(MIN_TOKENS), rates }
    }

    /// Of how many tokens a prefix is kept even if the count is off: it goes by bytes.
    fn surely_kept(&self) -> u64 {
        self.min_tokens.saturating_mul(3) / 2
    }

    /// What reading so many tokens saves.
    fn saved(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.rates.input.saturating_sub(self.rates.cache_read))
    }

    /// What writing so many tokens costs beyond their input.
    fn extra(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.rates.cache_write_5m.saturating_sub(self.rates.input))
    }
}

/// Whether the key is anywhere in it.
fn mentions(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(fields) => fields.contains_key(key) || fields.values().any(|value| mentions(value, key)),
        Value::Array(items) => items.iter().any(|item| mentions(item, key)),
        _ => false,
    }
}
