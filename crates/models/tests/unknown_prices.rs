//! What nobody knows the price of is never free: there is no price, and no settlement, for it.

use domain::clock::Timestamp;
use domain::descriptor::{Descriptor, ModelProvider, parse_file};
use models::price::{PriceTable, price_of};
use models::usage::Usage;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_795_334_400_000);
/// Each protocol at its vendor, at another house, and where nobody knows who bills.
const PROVIDERS: [(&str, &str); 7] = [
    ("anthropic", "https://api.anthropic.com"),
    ("openai-chat", "https://api.openai.com/v1"),
    ("openai-chat", "https://openrouter.ai/api/v1"),
    ("openai-chat", "http://127.0.0.1:1"),
    ("openai-responses", "https://api.openai.com/v1"),
    ("gemini", "https://generativelanguage.googleapis.com/v1beta"),
    ("gemini", "http://127.0.0.1:1"),
];

fn provider((protocol, url): (&str, &str), prices: &str) -> ModelProvider {
    let text = format!(
        "apiVersion: agent.os/v1\nkind: ModelProvider\nmetadata: {{name: p, owner: o}}\n\
         spec: {{protocol: {protocol}, base_url: \"{url}\"{prices}}}\n"
    );
    match parse_file("p.yaml", &text, &|_| None).expect("a provider").remove(0) {
        Descriptor::ModelProvider(provider) => provider,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_model_that_no_table_lists_has_no_price(at in 0..PROVIDERS.len(), model in "[a-z]{1,8}-[a-z0-9.-]{1,16}") {
        let known = models::price::house_of(&provider(PROVIDERS[at], "").spec.protocol);
        prop_assume!(PriceTable::compiled_in().price(known, &model, NOW).is_none());
        prop_assert!(price_of(&provider(PROVIDERS[at], ""), &model, NOW).is_err());
        let own = ", prices: {some-model: {input: 1, output: 1}}";
        prop_assert!(price_of(&provider(PROVIDERS[at], own), &model, NOW).is_err());
    }

    #[test]
    fn what_has_a_price_costs_at_least_a_micro_dollar(
        (input, output) in (0_u64..100_000, 1_u64..100_000),
        (read, written) in (0_u64..100_000, 0_u64..100_000),
        rates in (1_u32..1_000_000, 1_u32..1_000_000),
    ) {
        let own = format!(", prices: {{m: {{input: {:.6}, output: {:.6}}}}}", f64::from(rates.0) / 1e6, f64::from(rates.1) / 1e6);
        let price = price_of(&provider(PROVIDERS[3], &own), "m", NOW).expect("it is listed");
        let usage = Usage { input, output, cache_read: read, cache_write_5m: written, ..Usage::default() };
        prop_assert!(price.of(&usage).usd_micros >= 1);
        prop_assert!(price.worst(input, output).usd_micros >= 1);
    }
}
