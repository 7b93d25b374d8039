//! Marks that make a provider keep the beginning of a prompt: for our own agents, and for clients that set none. A
//! client's own marks are never touched. It changes nothing that a model reads, and must not know who asks.
//!
//! Writing a prefix costs more than reading it once, so each call but the first writes its end only if what the cache
//! saved this conversation so far pays for it, should nothing be read again. What earlier calls did is worked out from
//! the conversation itself: nothing is remembered.

mod messages;
mod openai;

use domain::call::MarkedBy;
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
/// The marks that are set here, as they are written. In what somebody says, quotes are escaped.
const OURS: [&str; 2] = [r#""cache_control":{"type":"ephemeral"}"#, r#""prompt_cache_breakpoint":{"mode":"explicit"}"#];
/// Bytes of JSON to a token, as a rule.
const BYTES_PER_TOKEN: u64 = 4;

/// The marks that a body takes, by where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// Anthropic's, on blocks.
    Messages,
    /// OpenAI's: its key, and its marks where the model takes them.
    Chat { breakpoints: bool },
    /// The same, of its responses.
    Responses { breakpoints: bool },
    /// Anthropic's, on the parts of a chat that is handed on.
    Relayed,
    /// None: it keeps prefixes by itself, or may refuse fields that it does not know.
    Nothing,
}

impl Marks {
    fn of(protocol: &Protocol, model: &str) -> Self {
        let table = PriceTable::compiled_in();
        let breakpoints = || table.caching(Some("openai"), model).breakpoints;
        let relays = |base_url: &str| table.house_at(base_url) == Some("openrouter");
        match protocol {
            Protocol::Anthropic { .. } => Marks::Messages,
            Protocol::OpenaiChat { base_url, .. } if is_openais(base_url) => Marks::Chat { breakpoints: breakpoints() },
            Protocol::OpenaiChat { base_url, .. } if relays(base_url) && is_anthropics(model) => Marks::Relayed,
            Protocol::OpenaiResponses { base_url, .. } if is_openais(base_url) => {
                Marks::Responses { breakpoints: breakpoints() }
            }
            Protocol::OpenaiChat { .. }
            | Protocol::OpenaiResponses { .. }
            | Protocol::Gemini { .. }
            | Protocol::Scripted { .. } => Marks::Nothing,
        }
    }
}

/// Whether a server is OpenAI's own, not one that is compatible with it.
pub(crate) fn is_openais(base_url: &str) -> bool {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    ["openai.com", "openai.azure.com"].iter().any(|vendor| host.ends_with(vendor))
}

fn is_anthropics(model: &str) -> bool {
    model.trim_start_matches('~').starts_with("anthropic/")
}

/// Marks the body of a request in the provider's protocol, unless it has marks already.
pub fn mark(protocol: &Protocol, model: &str, body: &mut Value) {
    match Marks::of(protocol, model) {
        Marks::Messages => messages::mark(&Worth::of(house_of(protocol), model), body),
        Marks::Chat { breakpoints } => openai::mark_chat(breakpoints, body),
        Marks::Responses { breakpoints } => openai::mark_responses(breakpoints, body),
        Marks::Relayed => openai::mark_relayed(body),
        Marks::Nothing => {}
    }
}

/// Who makes the provider keep what this body begins with. `own`: what the client sent, where that goes on as it is.
pub fn marked_by(protocol: &Protocol, own: Option<&Value>, body: &[u8]) -> Option<MarkedBy> {
    let ours = || std::str::from_utf8(body).is_ok_and(|body| OURS.iter().any(|mark| body.contains(mark)));
    if own.is_some_and(is_marked) {
        Some(MarkedBy::Client)
    } else if ours() {
        Some(MarkedBy::Ostler)
    } else {
        // Without marks, Anthropic keeps nothing.
        let by_itself = !matches!(protocol, Protocol::Anthropic { .. } | Protocol::Scripted { .. });
        by_itself.then_some(MarkedBy::Provider)
    }
}

/// Whether a body has marks, in any protocol.
fn is_marked(body: &Value) -> bool {
    let (fields, parts) = (["cache_control", "prompt_cache_options"], ["tools", "system", "messages", "input"]);
    let marked = |part: &Value| ["cache_control", "prompt_cache_breakpoint"].iter().any(|mark| mentions(part, mark));
    fields.iter().any(|field| body.get(field).is_some()) || parts.iter().any(|part| body.get(part).is_some_and(marked))
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
