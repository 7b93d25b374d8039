//! Our accounting beside somebody else's: 1,577 usage bodies that providers really sent, with the tokens and the prices
//! that genai-prices (MIT, `outside/LICENSE`) reads from them. Its prices are decimal dollars; ours are whole
//! micro-dollars, rounded up once per call. They agree if theirs, rounded up to the next micro-dollar, is ours: no
//! tolerance. Everything that does not is listed here with the reason.
//!
//! `cargo test -p models --test outside_prices -- --nocapture` prints the table.

use std::collections::{BTreeMap, BTreeSet};

use domain::clock::Timestamp;
use models::price::PriceTable;
use models::usage::{self, Usage};
use serde_json::Value;

/// The data set was made on 2026-08-21, from prices of the day before.
const MADE: Timestamp = Timestamp(1_787_184_000_000);

/// House, model, bodies: where the sums differ, and why.
const DIFFERENT: &[Known] = &[
    ("anthropic", "claude-sonnet-4-6", 2, "runs that compacted the conversation are billed; theirs leaves them out"),
    ("anthropic", "claude-sonnet-5", 3, "the adviser, another model, is billed; theirs leaves it out"),
    ("deepseek", "deepseek-reasoner", 1, "LiteLLM has the price of V3.2; theirs is R1's, which depended on the hour"),
    (
        "deepseek",
        "deepseek-v4-flash",
        3,
        "it depends on the hour: LiteLLM has the dearest, theirs an earlier off-peak one",
    ),
    (
        "gemini",
        "gemini-2.5-pro-preview-05-06",
        2,
        "thoughts that only the total counts are output; theirs leaves them out",
    ),
    ("mistral", "magistral-medium-latest", 1, "the alias is Medium 3.5 by now; theirs is its first model"),
    ("mistral", "magistral-small-latest", 1, "the alias is Small 4 by now; theirs is its first model"),
    ("mistral", "ministral-8b-latest", 1, "the price changed on 2025-12-02, which their catalog learned later"),
    (
        "mistral",
        "mistral-large-latest",
        13,
        "the alias is Large 3 by now; theirs is Large 2. Cached input is told apart",
    ),
    ("mistral", "mistral-medium-latest", 40, "the price changed on 2026-06-16, which their catalog learned later"),
    ("mistral", "mistral-small-latest", 3, "the price changed on 2026-03-16, which their catalog learned later"),
    ("openai", "gpt-4o-audio-preview-2024-12-17", 2, "sound has its own price; theirs bills it as text"),
    ("ovhcloud", "deepseek-r1-distill-llama-70b", 2, "billed in euro: two catalogs, two rates"),
    ("ovhcloud", "gpt-oss-120b", 4, "billed in euro: two catalogs, two rates"),
];

/// House, model, bodies: what our table does not price, so that it is refused.
const UNPRICED: &[Known] = &[
    ("cerebras", "qwen-3-coder-480b", 2, "neither catalog says a price"),
    ("deepseek", "deepseek-r1-distill-llama-70b", 2, "not DeepSeek's: theirs takes it for the reasoner"),
    ("gemini", "anthropic/claude-sonnet-4.5", 1, "not Gemini's: it was asked elsewhere"),
    ("gemini", "claude-3-7-sonnet", 1, "not Gemini's: it was asked elsewhere"),
    ("gemini", "google/gemini-2.0-flash-exp:free", 1, "another house's name"),
    ("openrouter", "google/gemini-2.0-flash-exp:free", 1, "it was free: a price of nothing is no price here"),
    ("openrouter", "o1-mini-2024-09-12", 1, "not OpenRouter's name of it"),
];

/// Why a reading of tokens differs, by protocol, model and what is counted.
const READ_DIFFERENTLY: &[(&str, &str, &str, usize)] = &[
    // Runs that compacted the conversation count.
    ("anthropic", "claude-sonnet-4-6", "input", 2),
    ("anthropic", "claude-sonnet-4-6", "output", 2),
    ("anthropic", "claude-sonnet-4-6", "written", 1),
    // Thoughts that only the total counts are output.
    ("chat", "gemini-2.5-pro-preview-05-06", "output", 2),
    // Mistral's `num_cached_tokens` counts.
    ("chat", "mistral-large-latest", "read", 8),
    ("chat", "mistral-medium-latest", "read", 21),
];

type Known = (&'static str, &'static str, usize, &'static str);

#[derive(serde::Deserialize)]
struct Body {
    protocol: String,
    model: Option<String>,
    usage: Value,
    #[serde(default)]
    tokens: BTreeMap<String, u64>,
    #[serde(default)]
    usd: BTreeMap<String, String>,
    priced: bool,
}

fn bodies() -> Vec<Body> {
    let lines = include_str!("outside/usages.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("each line is a body")).collect()
}

fn read(body: &Body) -> Option<Usage> {
    match body.protocol.as_str() {
        "anthropic" => Some(usage::anthropic(&body.usage)),
        "chat" => Some(usage::chat(&body.usage)),
        "responses" => Some(usage::responses(&body.usage)),
        "gemini" => Some(usage::gemini(&body.usage)),
        "bedrock" => Some(usage::bedrock(&body.usage)),
        _ => None,
    }
}

/// Decimal dollars as whole micro-dollars, rounded up.
fn micros(dollars: &str) -> i64 {
    let (whole, part) = dollars.split_once('.').unwrap_or((dollars, ""));
    let (kept, cut) = part.split_at(part.len().min(6));
    let up = i64::from(cut.bytes().any(|digit| digit != b'0'));
    let number = |digits: &str| digits.parse::<i64>().expect("a decimal number");
    number(whole) * 1_000_000 + number(&format!("{kept:0<6}")) + up
}

/// By house, or by house and model, how many sums.
#[derive(Default)]
struct Compared {
    agree: BTreeMap<String, usize>,
    different: BTreeMap<(String, String), usize>,
    unpriced: BTreeMap<(String, String), usize>,
}

fn compare() -> Compared {
    let mut found = Compared::default();
    for body in bodies() {
        let (Some(usage), Some(model)) = (read(&body), body.model.as_deref()) else { continue };
        for (house, theirs) in &body.usd {
            let which = (house.clone(), model.to_owned());
            let Some(price) = PriceTable::compiled_in().price(Some(house), model, MADE) else {
                *found.unpriced.entry(which).or_default() += 1;
                continue;
            };
            let ours = price.of(&usage).usd_micros;
            assert!(ours > 0 || usage.total() == 0, "{which:?}: nothing that is priced is free");
            if ours == micros(theirs) {
                *found.agree.entry(house.clone()).or_default() += 1;
            } else {
                *found.different.entry(which).or_default() += 1;
            }
        }
    }
    found
}

fn assert_listed(what: &str, found: &BTreeMap<(String, String), usize>, list: &[Known]) {
    let listed: BTreeMap<(String, String), usize> =
        list.iter().map(|(house, model, bodies, _)| ((house.to_string(), model.to_string()), *bodies)).collect();
    assert_eq!(found, &listed, "{what}: what was found is not what is listed with its reason");
}

#[test]
fn every_recorded_usage_costs_what_an_independent_implementation_says() {
    let found = compare();
    println!("{:12} {:>6} {:>9} {:>8}", "house", "agree", "different", "unpriced");
    for house in found.agree.keys().chain(found.different.keys().map(|(house, _)| house)).collect::<BTreeSet<_>>() {
        let of = |map: &BTreeMap<(String, String), usize>| -> usize {
            map.iter().filter(|((at, _), _)| at == house).map(|(_, bodies)| bodies).sum()
        };
        let agree = found.agree.get(house).copied().unwrap_or(0);
        println!("{house:12} {agree:>6} {:>9} {:>8}", of(&found.different), of(&found.unpriced));
    }
    for (house, model, bodies, why) in DIFFERENT {
        println!("differs:  {house} {model} ({bodies}): {why}");
    }
    for (house, model, bodies, why) in UNPRICED {
        println!("unpriced: {house} {model} ({bodies}): {why}");
    }
    assert_listed("different", &found.different, DIFFERENT);
    assert_listed("unpriced", &found.unpriced, UNPRICED);
    let (all, priced) = (bodies().len(), bodies().iter().filter(|body| body.priced).count());
    let compared = bodies().iter().filter(|body| !body.usd.is_empty()).count();
    println!("{all} bodies, {priced} that their table prices, {compared} of houses that ours knows");
    assert_eq!((all, priced, compared), (1577, 1298, 1279));
    assert_eq!(found.agree.values().sum::<usize>(), 1226);
}

#[test]
fn every_recorded_usage_is_read_alike() {
    let (mut found, mut read_at_all) = (BTreeMap::new(), 0);
    for body in bodies() {
        let Some(usage) = read(&body) else { continue };
        read_at_all += 1;
        let theirs = |key: &str| body.tokens.get(key).copied().unwrap_or(0);
        let pairs = [
            ("input", usage.all_input(), theirs("input_tokens")),
            ("output", usage.all_output(), theirs("output_tokens")),
            ("read", usage.cache_read + usage.cache_read_audio, theirs("cache_read_tokens")),
            ("written", usage.cache_write_5m + usage.cache_write_1h, theirs("cache_write_tokens")),
            ("sound", usage.input_audio + usage.cache_read_audio, theirs("input_audio_tokens")),
            ("searches", usage.web_searches, theirs("web_searches")),
        ];
        for (what, ..) in pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs) {
            let model = body.model.clone().unwrap_or_default();
            *found.entry((body.protocol.clone(), model, what.to_owned())).or_insert(0) += 1;
        }
    }
    let listed: BTreeMap<_, _> = READ_DIFFERENTLY
        .iter()
        .map(|(protocol, model, what, bodies)| ((protocol.to_string(), model.to_string(), what.to_string()), *bodies))
        .collect();
    assert_eq!((found, read_at_all), (listed, 1557));
}
