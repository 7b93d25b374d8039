//! Usage becomes money, from a dated table that is compiled in, or from the provider's own prices. A price that is not
//! known is an error, never nothing. It must not know budgets.

mod table;

use domain::budget::Amounts;
use domain::descriptor::{ModelProvider, Prices};
use domain::id::Digest;
use domain::money::UsdMicros;
use serde_json::json;

pub use table::PriceTable;

use crate::provider::Usage;

/// What a model costs, in micro-dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Input neither read from nor written to a cache.
    pub input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache for five minutes.
    pub cache_write_5m: u64,
    /// Input written to a cache for one hour.
    pub cache_write_1h: u64,
}

impl Rates {
    /// Nothing costs anything; somebody wrote so.
    pub const FREE: Rates = Rates { input: 0, output: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 };

    fn dearest_input(&self) -> u64 {
        self.input.max(self.cache_read).max(self.cache_write_5m).max(self.cache_write_1h)
    }
}

/// The price of one model, and where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// What it costs.
    pub rates: Rates,
    /// What the whole call costs once its input is longer than so many tokens.
    pub long: Option<(u64, Rates)>,
    /// The hash of the table that says so.
    pub table: Digest,
}

impl Price {
    /// What a call came to, rounded up to the next micro-dollar.
    pub fn of(&self, usage: &Usage) -> Amounts {
        let rates = self.rates_for(usage.all_input());
        let parts = [
            (usage.input.saturating_add(usage.input_audio).saturating_add(usage.input_image), rates.input),
            (usage.all_output(), rates.output),
            (usage.cache_read.saturating_add(usage.cache_read_audio), rates.cache_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
        ];
        amounts(&parts, usage.total())
    }

    /// What a call can come to at most.
    pub fn worst(&self, input_tokens: u64, output_tokens: u64) -> Amounts {
        let rates = self.rates_for(input_tokens);
        let input = rates.dearest_input().max(self.rates.dearest_input());
        let output = rates.output.max(self.rates.output);
        amounts(&[(input_tokens, input), (output_tokens, output)], input_tokens.saturating_add(output_tokens))
    }

    fn rates_for(&self, input_tokens: u64) -> &Rates {
        match &self.long {
            Some((above, rates)) if input_tokens > *above => rates,
            _ => &self.rates,
        }
    }
}

/// One request through a door, and what its tokens cost.
fn amounts(parts: &[(u64, u64)], tokens: u64) -> Amounts {
    let whole: u128 = parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum();
    let usd_micros = i64::try_from(whole.div_ceil(1_000_000)).unwrap_or(i64::MAX);
    Amounts { usd_micros, calls: 1, tokens: i64::try_from(tokens).unwrap_or(i64::MAX), ..Amounts::default() }
}

/// What a model of this provider costs: the provider's own prices where it has them, otherwise the table's.
///
/// # Errors
/// When nobody says, with what to do about it.
pub fn price_of(provider: &ModelProvider, model: &str) -> Result<Price, String> {
    let name = &provider.metadata.name;
    match &provider.spec.prices {
        Prices::Catalog => PriceTable::compiled_in().price(model).ok_or_else(|| {
            let taken = PriceTable::compiled_in().taken();
            format!(
                "the price of {model} is not in the table of {taken}: say it under `prices:` of the provider {name}"
            )
        }),
        Prices::Table(own) => match own.get(model) {
            Some(price) => Ok(own_price(model, price)),
            None => Err(format!("the provider {name} lists no price of {model}: add it under its `prices:`")),
        },
    }
}

/// Whether a model has a known price, for the control plane to ask.
///
/// # Errors
/// As [`price_of`].
pub fn price_check(provider: &ModelProvider, model: &str) -> Result<(), String> {
    price_of(provider, model).map(|_| ())
}

fn own_price(model: &str, price: &domain::descriptor::Price) -> Price {
    let rate = |price: UsdMicros| u64::try_from(price.0).unwrap_or(0);
    let rates = match *price {
        domain::descriptor::Price::Free => Rates::FREE,
        domain::descriptor::Price::PerMillionTokens { input, output, cache_read, cache_write, cache_write_1h } => {
            let written = cache_write.unwrap_or(input);
            Rates {
                input: rate(input),
                output: rate(output),
                cache_read: rate(cache_read.unwrap_or(input)),
                cache_write_5m: rate(written),
                cache_write_1h: rate(cache_write_1h.unwrap_or(written)),
            }
        }
    };
    let Rates { input, output, cache_read, cache_write_5m, cache_write_1h } = rates;
    let written_out = json!([model, input, output, cache_read, cache_write_5m, cache_write_1h]);
    Price { rates, long: None, table: Digest::of_json(&written_out) }
}

#[cfg(test)]
mod tests {
    use domain::descriptor::{self, Metadata, ModelProvider, ModelProviderSpec, Prices, Protocol};
    use domain::money::UsdMicros;

    use super::{Price, PriceTable, Rates, price_check, price_of};
    use crate::provider::Usage;

    fn usage(input: u64, output: u64, cached: [u64; 3]) -> Usage {
        let [cache_read, cache_write_5m, cache_write_1h] = cached;
        Usage { input, output, cache_read, cache_write_5m, cache_write_1h, ..Usage::default() }
    }

    fn opus() -> Price {
        PriceTable::compiled_in().price("claude-opus-4-7").unwrap()
    }

    #[test]
    fn each_kind_of_token_has_its_own_price() {
        let amounts = opus().of(&usage(1000, 100, [10_000, 2000, 400]));
        // 1000 × 5 + 100 × 25 + 10,000 × 0.5 + 2000 × 6.25 + 400 × 10 micro-dollars
        assert_eq!(amounts.usd_micros, 5000 + 2500 + 5000 + 12_500 + 4000);
        assert_eq!((amounts.tokens, amounts.calls), (13_500, 1));
    }

    #[test]
    fn a_fraction_of_a_micro_dollar_is_rounded_up() {
        assert_eq!(opus().of(&usage(0, 0, [1, 0, 0])).usd_micros, 1);
        assert_eq!(opus().of(&usage(0, 0, [3, 0, 0])).usd_micros, 2);
        assert_eq!(opus().of(&usage(0, 0, [0; 3])).usd_micros, 0);
    }

    #[test]
    fn a_long_input_costs_more_where_the_table_says_so() {
        let haiku = PriceTable::compiled_in().price("claude-haiku-5-5").unwrap();
        assert_eq!(haiku.of(&usage(100_000, 1000, [0; 3])).usd_micros, 10_000 + 500);
        assert_eq!(haiku.of(&usage(1, 1000, [100_000, 0, 0])).usd_micros, 5001 + 2500);
    }

    #[test]
    fn the_worst_case_is_never_below_what_the_same_tokens_can_cost() {
        for name in ["claude-opus-4-7", "claude-haiku-5-5"] {
            let price = PriceTable::compiled_in().price(name).unwrap();
            for input in [1, 999, 100_000, 100_001, 900_000] {
                let worst = price.worst(input, 4096);
                for cached in [[0, 0, 0], [input, 0, 0], [0, input, 0], [0, 0, input]] {
                    let plain = input - cached.iter().sum::<u64>();
                    assert!(price.of(&usage(plain, 4096, cached)).usd_micros <= worst.usd_micros);
                }
                assert_eq!(worst.tokens, i64::try_from(input).unwrap() + 4096);
            }
        }
    }

    #[test]
    fn huge_numbers_do_not_wrap() {
        let amounts = opus().of(&usage(u64::MAX, u64::MAX, [u64::MAX; 3]));
        assert_eq!((amounts.usd_micros, amounts.tokens), (i64::MAX, i64::MAX));
    }

    fn provider(prices: Prices) -> ModelProvider {
        let name = "anthropic".parse().expect("a name");
        let metadata = Metadata { name, owner: "it".parse().expect("a name"), labels: Default::default() };
        let protocol = Protocol::Anthropic { base_url: "https://models.example".to_owned(), key: None };
        ModelProvider {
            metadata,
            spec: ModelProviderSpec {
                protocol,
                prices,
                concurrent: 1,
                revisions: Default::default(),
                tool_calls: Default::default(),
            },
        }
    }

    #[test]
    fn the_providers_own_prices_stand_for_the_table() {
        let own = descriptor::Price::PerMillionTokens {
            input: UsdMicros(3_000_000),
            output: UsdMicros(9_000_000),
            cache_read: None,
            cache_write: Some(UsdMicros(4_000_000)),
            cache_write_1h: None,
        };
        let table = [("small".to_owned(), own), ("local".to_owned(), descriptor::Price::Free)];
        let provider = provider(Prices::Table(table.into()));
        let price = price_of(&provider, "small").unwrap();
        assert_eq!(price.of(&usage(1, 1, [1, 1, 1])).usd_micros, 3 + 9 + 3 + 4 + 4);
        assert_ne!(price.table, PriceTable::compiled_in().hash());
        assert_eq!(price_of(&provider, "local").unwrap().rates, Rates::FREE);
        assert_eq!(price_of(&provider, "local").unwrap().of(&usage(9, 9, [9; 3])).tokens, 45);
        assert!(price_check(&provider, "claude-opus-4-7").unwrap_err().contains("lists no price of claude-opus-4-7"));
    }

    #[test]
    fn an_unknown_price_is_an_error_that_says_what_to_do() {
        let error = price_check(&provider(Prices::Catalog), "gpt-4o").unwrap_err();
        assert!(error.contains("2026-11-22") && error.contains("`prices:` of the provider anthropic"), "{error}");
        assert_eq!(price_of(&provider(Prices::Catalog), "claude-opus-4-7"), Ok(opus()));
    }
}
