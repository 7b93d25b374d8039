//! Usage becomes money, from a dated table that is compiled in, or from the provider's own prices. A price that is not
//! known is an error, never nothing. It must not know budgets.

mod table;

use domain::budget::Amounts;
use domain::call::CacheUse;
use domain::clock::Timestamp;
use domain::descriptor::{ModelProvider, Prices, Protocol};
use domain::id::Digest;
use domain::money::UsdMicros;
use serde_json::json;

pub use table::{Caching, PriceTable};

use crate::usage::Usage;

const MILLION: u128 = 1_000_000;

/// What a model costs, in micro-dollars per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// Sound in the input.
    pub input_audio: u64,
    /// Sound in the input, read from a cache.
    pub cache_read_audio: u64,
    /// Images in the input.
    pub input_image: u64,
    /// Sound in the output.
    pub output_audio: u64,
    /// Images in the output.
    pub output_image: u64,
}

impl Rates {
    /// Nothing costs anything; somebody wrote so.
    pub const FREE: Rates = Rates {
        input: 0,
        output: 0,
        cache_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
        input_audio: 0,
        cache_read_audio: 0,
        input_image: 0,
        output_audio: 0,
        output_image: 0,
    };

    /// Every one of them.
    pub fn all(&self) -> [u64; 10] {
        [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.input_audio,
            self.cache_read_audio,
            self.input_image,
            self.output_audio,
            self.output_image,
        ]
    }

    /// Of text. Sound and images take so many bytes of a request that its length at this rate is far above what they
    /// come to at theirs.
    fn dearest_input(&self) -> u64 {
        self.input.max(self.cache_read).max(self.cache_write_5m).max(self.cache_write_1h)
    }

    fn dearest_output(&self) -> u64 {
        self.output.max(self.output_audio).max(self.output_image)
    }

    /// In millionths of a micro-dollar.
    fn of(&self, usage: &Usage) -> u128 {
        let parts = [
            (usage.input, self.input),
            (usage.output, self.output),
            (usage.cache_read, self.cache_read),
            (usage.cache_write_5m, self.cache_write_5m),
            (usage.cache_write_1h, self.cache_write_1h),
            (usage.input_audio, self.input_audio),
            (usage.cache_read_audio, self.cache_read_audio),
            (usage.input_image, self.input_image),
            (usage.output_audio, self.output_audio),
            (usage.output_image, self.output_image),
        ];
        parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum()
    }
}

/// The price of one model, and where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// What it costs.
    pub rates: Rates,
    /// What the whole call costs once its input is longer than so many tokens.
    pub long: Option<(u64, Rates)>,
    /// What a search of the web costs that the provider makes by itself, in micro-dollars.
    pub web_search: u64,
    /// The hash of the table that says so.
    pub table: Digest,
}

impl Price {
    /// What a call came to, rounded up to the next micro-dollar. Another model that the provider asked by itself costs
    /// what the table says of it; one that the table does not know costs what this one does.
    pub fn of(&self, usage: &Usage) -> Amounts {
        let others = usage.others.iter().map(|other| {
            let price = PriceTable::compiled_in().last_price(&other.model).unwrap_or(*self);
            price.exactly(&other.usage)
        });
        amounts(others.fold(self.exactly(usage), u128::saturating_add), usage.total())
    }

    /// What the same call would have come to if there were no caches.
    pub fn uncached(&self, usage: &Usage) -> Amounts {
        let audio = usage.input_audio.saturating_add(usage.cache_read_audio);
        let text = usage.all_input().saturating_sub(audio).saturating_sub(usage.input_image);
        let mut without = usage.clone();
        (without.input, without.input_audio) = (text, audio);
        (without.cache_read, without.cache_write_5m, without.cache_write_1h, without.cache_read_audio) = (0, 0, 0, 0);
        self.of(&without)
    }

    /// What the prompt cache came to in a call.
    pub fn cached(&self, usage: &Usage) -> CacheUse {
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        CacheUse {
            input_tokens: count(usage.all_input()),
            read_tokens: count(usage.cache_read.saturating_add(usage.cache_read_audio)),
            saved_usd_micros: self.uncached(usage).usd_micros.saturating_sub(self.of(usage).usd_micros),
            written_tokens: Some(count(usage.cache_write_5m.saturating_add(usage.cache_write_1h))),
            marked_by: None,
        }
    }

    fn exactly(&self, usage: &Usage) -> u128 {
        let searches = u128::from(usage.web_searches) * u128::from(self.web_search) * MILLION;
        self.rates_for(usage.all_input()).of(usage).saturating_add(searches)
    }

    /// What a call can come to at most.
    pub fn worst(&self, input_tokens: u64, output_tokens: u64) -> Amounts {
        let rates = self.rates_for(input_tokens);
        let input = rates.dearest_input().max(self.rates.dearest_input());
        let output = rates.dearest_output().max(self.rates.dearest_output());
        let whole = u128::from(input_tokens) * u128::from(input) + u128::from(output_tokens) * u128::from(output);
        amounts(whole, input_tokens.saturating_add(output_tokens))
    }

    fn rates_for(&self, input_tokens: u64) -> &Rates {
        match &self.long {
            Some((above, rates)) if input_tokens > *above => rates,
            _ => &self.rates,
        }
    }
}

/// One request through a door, and what its tokens cost in millionths of a micro-dollar.
fn amounts(whole: u128, tokens: u64) -> Amounts {
    let usd_micros = i64::try_from(whole.div_ceil(MILLION)).unwrap_or(i64::MAX);
    Amounts { usd_micros, calls: 1, tokens: i64::try_from(tokens).unwrap_or(i64::MAX), ..Amounts::default() }
}

/// What a model of this provider costs now: the provider's own prices where it has them, otherwise the table's.
///
/// # Errors
/// When nobody says, with what to do about it.
pub fn price_of(provider: &ModelProvider, model: &str, now: Timestamp) -> Result<Price, String> {
    let name = &provider.metadata.name;
    let table = PriceTable::compiled_in();
    match &provider.spec.prices {
        Prices::Catalog => table.price(house_of(&provider.spec.protocol), model, now).ok_or_else(|| {
            let taken = table.taken();
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

/// Who bills for what is sent to a provider: whoever is reached at its address; of an address that the table does not
/// know, whose protocol it is. A script plays any of them: none.
pub fn house_of(protocol: &Protocol) -> Option<&'static str> {
    let at = |base_url, otherwise| Some(PriceTable::compiled_in().house_at(base_url).unwrap_or(otherwise));
    match protocol {
        Protocol::Anthropic { base_url, .. } => at(base_url, "anthropic"),
        Protocol::OpenaiChat { base_url, .. } | Protocol::OpenaiResponses { base_url, .. } => at(base_url, "openai"),
        Protocol::Gemini { base_url, .. } => at(base_url, "gemini"),
        Protocol::Scripted { .. } => None,
    }
}

/// Whether a model has a known price, for the control plane to ask.
///
/// # Errors
/// As [`price_of`].
pub fn price_check(provider: &ModelProvider, model: &str) -> Result<(), String> {
    price_of(provider, model, Timestamp(0)).map(|_| ())
}

fn own_price(model: &str, price: &domain::descriptor::Price) -> Price {
    let rate = |price: UsdMicros| u64::try_from(price.0).unwrap_or(0);
    let rates = match *price {
        domain::descriptor::Price::Free => Rates::FREE,
        domain::descriptor::Price::PerMillionTokens { input, output, cache_read, cache_write, cache_write_1h } => {
            let (read, written) = (cache_read.unwrap_or(input), cache_write.unwrap_or(input));
            Rates {
                input: rate(input),
                output: rate(output),
                cache_read: rate(read),
                cache_write_5m: rate(written),
                cache_write_1h: rate(cache_write_1h.unwrap_or(written)),
                input_audio: rate(input),
                cache_read_audio: rate(read),
                input_image: rate(input),
                output_audio: rate(output),
                output_image: rate(output),
            }
        }
    };
    let web_search = if rates == Rates::FREE { 0 } else { table::DEAREST_SEARCH };
    let Rates { input, output, cache_read, cache_write_5m, cache_write_1h, .. } = rates;
    let written_out = json!([model, input, output, cache_read, cache_write_5m, cache_write_1h]);
    Price { rates, long: None, web_search, table: Digest::of_json(&written_out) }
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::descriptor::{self, Metadata, ModelProvider, ModelProviderSpec, Prices, Protocol};
    use domain::money::UsdMicros;

    use super::{Price, PriceTable, Rates, price_check, price_of};
    use crate::usage::{Other, Usage};

    const NOW: Timestamp = Timestamp(1_795_305_600_000);

    fn usage(input: u64, output: u64, cached: [u64; 3]) -> Usage {
        let [cache_read, cache_write_5m, cache_write_1h] = cached;
        Usage { input, output, cache_read, cache_write_5m, cache_write_1h, ..Usage::default() }
    }

    fn opus() -> Price {
        PriceTable::compiled_in().price(None, "claude-opus-4-7", NOW).unwrap()
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
        let haiku = PriceTable::compiled_in().price(None, "claude-haiku-5-5", NOW).unwrap();
        assert_eq!(haiku.of(&usage(100_000, 1000, [0; 3])).usd_micros, 10_000 + 500);
        assert_eq!(haiku.of(&usage(1, 1000, [100_000, 0, 0])).usd_micros, 5001 + 2500);
    }

    #[test]
    fn the_worst_case_is_never_below_what_the_same_tokens_can_cost() {
        for name in ["claude-opus-4-7", "claude-haiku-5-5"] {
            let price = PriceTable::compiled_in().price(None, name, NOW).unwrap();
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
    fn sound_images_and_searches_have_their_own_price() {
        let at = |house, model| PriceTable::compiled_in().price(Some(house), model, NOW).unwrap();
        let heard = Usage { input: 100, input_audio: 1000, cache_read_audio: 1000, ..Usage::default() };
        // 100 × 0.3 + 1000 × 1 + 1000 × 0.1
        assert_eq!(at("gemini", "gemini-2.5-flash").of(&heard).usd_micros, 30 + 1000 + 100);
        let drawn = Usage { output: 10, output_image: 1000, ..Usage::default() };
        assert_eq!(at("gemini", "gemini-2.5-flash-image").of(&drawn).usd_micros, 25 + 30_000);
        let searched = Usage { input: 1, web_searches: 3, ..Usage::default() };
        assert_eq!(opus().of(&searched).usd_micros, 5 + 30_000);
    }

    #[test]
    fn another_model_costs_what_it_costs() {
        let adviser = |model: &str| Other { model: model.to_owned(), usage: usage(1000, 0, [0; 3]) };
        let with = |model| Usage { others: vec![adviser(model)], ..usage(10, 0, [0; 3]) };
        assert_eq!(opus().of(&with("claude-haiku-4-5")).usd_micros, 50 + 1000);
        assert_eq!(opus().of(&with("nobody-knows")).usd_micros, 50 + 5000);
        assert_eq!(opus().of(&with("nobody-knows")).tokens, 1010);
    }

    #[test]
    fn without_caches_the_same_call_costs_its_input() {
        let cached = usage(1000, 100, [10_000, 2000, 400]);
        assert_eq!(opus().uncached(&cached), opus().of(&usage(13_400, 100, [0; 3])));
    }

    #[test]
    fn huge_numbers_do_not_wrap() {
        let amounts = opus().of(&usage(u64::MAX, u64::MAX, [u64::MAX; 3]));
        assert_eq!((amounts.usd_micros, amounts.tokens), (i64::MAX, i64::MAX));
    }

    fn provider(prices: Prices) -> ModelProvider {
        let name = "anthropic".parse().expect("a name");
        let metadata =
            Metadata { name, owner: "it".parse().expect("a name"), labels: Default::default(), protected: false };
        let protocol = Protocol::Anthropic { base_url: "https://models.example".to_owned(), key: None };
        ModelProvider {
            metadata,
            spec: ModelProviderSpec {
                protocol,
                prices,
                limits: domain::descriptor::Places { concurrent: 1, queue: 0 },
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
        let price = price_of(&provider, "small", NOW).unwrap();
        assert_eq!(price.of(&usage(1, 1, [1, 1, 1])).usd_micros, 3 + 9 + 3 + 4 + 4);
        assert_ne!(price.table, PriceTable::compiled_in().hash());
        assert_eq!(price_of(&provider, "local", NOW).unwrap().rates, Rates::FREE);
        assert_eq!(price_of(&provider, "local", NOW).unwrap().of(&usage(9, 9, [9; 3])).tokens, 45);
        assert!(price_check(&provider, "claude-opus-4-7").unwrap_err().contains("lists no price of claude-opus-4-7"));
    }

    #[test]
    fn an_unknown_price_is_an_error_that_says_what_to_do() {
        let error = price_check(&provider(Prices::Catalog), "gpt-0").unwrap_err();
        assert!(error.contains("2026-11-22") && error.contains("`prices:` of the provider anthropic"), "{error}");
        assert_eq!(price_of(&provider(Prices::Catalog), "claude-opus-4-7", NOW), Ok(opus()));
    }
}
