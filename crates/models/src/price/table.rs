//! The dated price table that is compiled in. Its source stands beside it, in `data/README.md`.

use std::sync::LazyLock;

use domain::id::Digest;
use domain::money::UsdMicros;
use serde::Deserialize;

use super::{Price, Rates};

/// The table that is compiled in.
#[derive(Debug)]
pub struct PriceTable {
    hash: Digest,
    taken: String,
    models: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct File {
    taken: String,
    models: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    revisions: Vec<String>,
    retires: Option<String>,
    context_tokens: u64,
    prices: Dollars,
    long: Option<Long>,
}

#[derive(Debug, Deserialize)]
struct Long {
    above_input_tokens: u64,
    prices: Dollars,
}

/// As the file writes them: dollars per million tokens.
#[derive(Debug, Deserialize)]
struct Dollars {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write_5m: f64,
    cache_write_1h: f64,
}

impl Dollars {
    fn rates(&self) -> Rates {
        Rates {
            input: micros(self.input),
            output: micros(self.output),
            cache_read: micros(self.cache_read),
            cache_write_5m: micros(self.cache_write_5m),
            cache_write_1h: micros(self.cache_write_1h),
        }
    }
}

/// Dollars to micro-dollars; a fraction of one is rounded up.
fn micros(dollars: f64) -> u64 {
    UsdMicros::from_dollars(dollars).and_then(|micros| u64::try_from(micros.0).ok()).unwrap_or(u64::MAX)
}

impl PriceTable {
    /// The table.
    pub fn compiled_in() -> &'static PriceTable {
        static TABLE: LazyLock<PriceTable> = LazyLock::new(|| {
            let text = include_str!("../../data/prices.json");
            let File { taken, models } =
                serde_json::from_str(text).expect("a test reads the table that is compiled in");
            PriceTable { hash: Digest::of(text.as_bytes()), taken, models }
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

    /// What a model costs, by its name or by one of its dated ids.
    pub fn price(&self, model: &str) -> Option<Price> {
        let entry = self.entry(model)?;
        let long = entry.long.as_ref().map(|long| (long.above_input_tokens, long.prices.rates()));
        Some(Price { rates: entry.prices.rates(), long, table: self.hash })
    }

    /// The dated ids of a model, oldest first; `None` if it is not in the table.
    pub fn revisions(&self, model: &str) -> Option<&[String]> {
        self.entry(model).map(|entry| &entry.revisions[..])
    }

    /// The day that the provider takes a model away, as `2026-11-30`, where one is known.
    pub fn retires(&self, model: &str) -> Option<&str> {
        self.entry(model)?.retires.as_deref()
    }

    /// How many tokens of input a model reads at most.
    pub fn context_tokens(&self, model: &str) -> Option<u64> {
        self.entry(model).map(|entry| entry.context_tokens)
    }

    fn entry(&self, model: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.name == model || entry.revisions.iter().any(|id| id == model))
    }
}

#[cfg(test)]
mod tests {
    use super::{PriceTable, Rates};

    #[test]
    fn every_entry_of_the_table_can_be_read_and_costs_something() {
        let table = PriceTable::compiled_in();
        assert_eq!((table.models.len(), table.taken()), (16, "2026-11-22"));
        for entry in &table.models {
            let price = table.price(&entry.name).unwrap();
            let Rates { input, output, cache_read, cache_write_5m, cache_write_1h } = price.rates;
            assert!(0 < cache_read && cache_read < input && input < cache_write_5m, "{}", entry.name);
            assert!(cache_write_5m < cache_write_1h && cache_write_1h < output, "{}", entry.name);
            assert!(entry.revisions.iter().all(|id| table.price(id) == Some(price)), "{}", entry.name);
        }
    }

    #[test]
    fn an_unknown_model_has_no_price() {
        assert_eq!(PriceTable::compiled_in().price("claude-opus-4-7-20260214"), None);
        assert_eq!(PriceTable::compiled_in().revisions("gpt-4o"), None);
    }

    #[test]
    fn a_model_about_to_retire_says_when() {
        assert_eq!(PriceTable::compiled_in().retires("claude-sonnet-4-5-20250929"), Some("2026-11-30"));
        assert_eq!(PriceTable::compiled_in().retires("claude-opus-5-5"), None);
        assert_eq!(PriceTable::compiled_in().context_tokens("claude-opus-4-5"), Some(200_000));
    }
}
