//! The dated price table that is compiled in: who bills, which models, what they cost and used to cost, and what is
//! known of their caches. Where it was taken from stands beside it, in `data/README.md`.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::clock::Timestamp;
use domain::id::Digest;
use domain::money::UsdMicros;
use serde::Deserialize;

use super::{Price, Rates};

/// What a search of the web costs that a provider makes by itself, in micro-dollars, where the table does not say:
/// the most that it says anywhere.
pub(super) const DEAREST_SEARCH: u64 = 35_000;

/// The table that is compiled in.
#[derive(Debug)]
pub struct PriceTable {
    hash: Digest,
    taken: String,
    houses: Vec<House>,
}

#[derive(Debug, Deserialize)]
struct File {
    taken: String,
    houses: Vec<House>,
}

/// Who bills.
#[derive(Debug, Deserialize)]
struct House {
    name: String,
    hosts: Vec<String>,
    models: Vec<Entry>,
    /// By every name of a model, in small letters, its place in `models`.
    #[serde(skip)]
    names: HashMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    revisions: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
    retires: Option<String>,
    context_tokens: Option<u64>,
    cache_min_tokens: Option<u64>,
    #[serde(default)]
    cache_breakpoints: bool,
    web_search: Option<f64>,
    #[serde(flatten)]
    now: Said,
    /// What it cost earlier, oldest first.
    #[serde(default)]
    before: Vec<Before>,
}

#[derive(Debug, Deserialize)]
struct Before {
    until: String,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Deserialize)]
struct Said {
    prices: Dollars,
    long: Option<Long>,
}

#[derive(Debug, Deserialize)]
struct Long {
    above_input_tokens: u64,
    prices: Dollars,
}

/// As the file writes them: dollars per million tokens. What it leaves out costs what stands for it.
#[derive(Debug, Deserialize)]
struct Dollars {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    cache_write_1h: Option<f64>,
    input_audio: Option<f64>,
    cache_read_audio: Option<f64>,
    input_image: Option<f64>,
    output_audio: Option<f64>,
    output_image: Option<f64>,
}

impl Dollars {
    fn rates(&self) -> Rates {
        let or = |dollars: Option<f64>, otherwise: u64| dollars.map_or(otherwise, micros);
        let (input, output) = (micros(self.input), micros(self.output));
        let (cache_read, cache_write_5m) = (or(self.cache_read, input), or(self.cache_write, input));
        Rates {
            input,
            output,
            cache_read,
            cache_write_5m,
            cache_write_1h: or(self.cache_write_1h, cache_write_5m),
            input_audio: or(self.input_audio, input),
            cache_read_audio: or(self.cache_read_audio, cache_read),
            input_image: or(self.input_image, input),
            output_audio: or(self.output_audio, output),
            output_image: or(self.output_image, output),
        }
    }
}

impl Said {
    fn price(&self, table: Digest, web_search: u64) -> Price {
        let long = self.long.as_ref().map(|long| (long.above_input_tokens, long.prices.rates()));
        Price { rates: self.prices.rates(), long, web_search, table }
    }
}

/// Dollars to micro-dollars; a fraction of one is rounded up.
fn micros(dollars: f64) -> u64 {
    UsdMicros::from_dollars(dollars).and_then(|micros| u64::try_from(micros.0).ok()).unwrap_or(u64::MAX)
}

/// What is known of a model's prompt cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caching {
    /// A shorter prefix is not kept.
    pub min_tokens: Option<u64>,
    /// Whether a request to OpenAI may mark where a prefix ends.
    pub breakpoints: bool,
}

impl PriceTable {
    /// The table.
    pub fn compiled_in() -> &'static PriceTable {
        static TABLE: LazyLock<PriceTable> = LazyLock::new(|| {
            let text = include_str!("../../data/prices.json");
            let File { taken, mut houses } =
                serde_json::from_str(text).expect("a test reads the table that is compiled in");
            houses.iter_mut().for_each(House::index);
            PriceTable { hash: Digest::of(text.as_bytes()), taken, houses }
        });
        &TABLE
    }

    /// Its hash.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// The day it was taken, as `2026-11-22`.
    pub fn taken(&self) -> &str {
        &self.taken
    }

    /// Who bills for what is sent to this address, where the table knows it.
    pub fn house_at(&self, base_url: &str) -> Option<&str> {
        let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        let house = self.houses.iter().find(|house| house.hosts.iter().any(|known| known == host))?;
        Some(&house.name)
    }

    /// What a model cost at a time: at whoever bills, or, where nobody is named, at the first house that has it.
    pub fn price(&self, house: Option<&str>, model: &str, at: Timestamp) -> Option<Price> {
        let entry = self.entry(house, model)?;
        let day = at.to_string();
        let said = entry.before.iter().find(|before| day < before.until).map_or(&entry.now, |before| &before.said);
        Some(said.price(self.hash, entry.web_search.map_or(DEAREST_SEARCH, micros)))
    }

    /// What a model costs by the table's last word.
    pub(super) fn last_price(&self, model: &str) -> Option<Price> {
        self.price(None, model, Timestamp(i64::MAX / 1_000_000))
    }

    /// The dated ids of a model, oldest first; `None` if it is not in the table.
    pub fn revisions(&self, house: Option<&str>, model: &str) -> Option<&[String]> {
        self.entry(house, model).map(|entry| &entry.revisions[..])
    }

    /// The day that the provider takes a model away, as `2026-11-30`, where one is known.
    pub fn retires(&self, house: Option<&str>, model: &str) -> Option<&str> {
        self.entry(house, model)?.retires.as_deref()
    }

    /// How many tokens of input a model reads at most, where that is known.
    pub fn context_tokens(&self, house: Option<&str>, model: &str) -> Option<u64> {
        self.entry(house, model)?.context_tokens
    }

    /// What is known of its prompt cache; of an unknown model, nothing.
    pub fn caching(&self, house: Option<&str>, model: &str) -> Caching {
        let known = self.entry(house, model);
        let known = known.map(|entry| (entry.cache_min_tokens, entry.cache_breakpoints));
        known.map_or(Caching::default(), |(min_tokens, breakpoints)| Caching { min_tokens, breakpoints })
    }

    fn entry(&self, house: Option<&str>, model: &str) -> Option<&Entry> {
        let name = model.to_ascii_lowercase();
        let mut houses = self.houses.iter().filter(|one| house.is_none_or(|house| one.name == house));
        houses.find_map(|house| house.names.get(&name).map(|at| &house.models[*at]))
    }
}

impl House {
    fn index(&mut self) {
        for (at, entry) in self.models.iter().enumerate() {
            for name in entry.also.iter().chain(&entry.revisions).chain([&entry.name]) {
                self.names.insert(name.to_ascii_lowercase(), at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;

    use super::PriceTable;

    /// 2026-11-22.
    const NOW: Timestamp = Timestamp(1_795_305_600_000);

    #[test]
    fn every_entry_of_the_table_can_be_read_and_costs_something() {
        let table = PriceTable::compiled_in();
        assert_eq!((table.houses.len(), table.taken()), (13, "2026-11-22"));
        let mut entries = 0;
        for house in &table.houses {
            for entry in &house.models {
                entries += 1;
                let whose = Some(house.name.as_str());
                for rates in [Timestamp(0), NOW].map(|at| table.price(whose, &entry.name, at).unwrap().rates) {
                    assert!(rates.all().into_iter().all(|rate| rate > 0), "{} {}", house.name, entry.name);
                }
                let price = table.price(whose, &entry.name, NOW);
                assert!(entry.revisions.iter().all(|id| table.price(whose, id, NOW) == price), "{}", entry.name);
                assert!((1..=super::DEAREST_SEARCH).contains(&price.unwrap().web_search), "{}", entry.name);
            }
        }
        assert!(entries > 1200, "{entries}");
    }

    #[test]
    fn an_unknown_model_has_no_price() {
        let table = PriceTable::compiled_in();
        assert_eq!(table.price(None, "claude-opus-4-7-20260214", NOW), None);
        assert_eq!(table.price(Some("anthropic"), "gpt-4o", NOW), None);
        assert_eq!(table.price(Some("openrouter"), "google/gemini-2.0-flash-exp:free", NOW), None);
        assert_eq!(table.revisions(None, "claude-0"), None);
    }

    #[test]
    fn who_bills_is_found_by_where_it_is_reached() {
        let table = PriceTable::compiled_in();
        assert_eq!(table.house_at("https://api.mistral.ai/v1"), Some("mistral"));
        assert_eq!(table.house_at("https://api.x.ai:443"), Some("xai"));
        assert_eq!(table.house_at("http://localhost:8000/api.mistral.ai"), None);
    }

    #[test]
    fn a_model_about_to_retire_says_when() {
        let table = PriceTable::compiled_in();
        assert_eq!(table.retires(None, "claude-sonnet-4-5-20250929"), Some("2026-11-30"));
        assert_eq!(table.retires(None, "claude-opus-5-5"), None);
        assert_eq!(table.context_tokens(None, "claude-opus-4-5"), Some(200_000));
        assert_eq!(table.caching(None, "Claude-Opus-4-7").min_tokens, Some(2048));
        assert!(table.caching(Some("openai"), "gpt-5.6-sol").breakpoints);
        assert!(!table.caching(Some("openai"), "gpt-5.5").breakpoints);
    }

    #[test]
    fn what_a_model_used_to_cost_is_what_it_cost_then() {
        let table = PriceTable::compiled_in();
        let cost = |at: i64| table.price(Some("anthropic"), "claude-opus-4-6", Timestamp(at)).unwrap();
        let (then, now) = (cost(1_770_000_000_000), cost(NOW.0));
        assert_eq!((then.long.map(|(above, _)| above), now.long), (Some(200_000), None));
    }
}
