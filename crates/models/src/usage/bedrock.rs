//! `usage` of Bedrock's Converse. Its input leaves out what a cache had a part in.

use serde_json::Value;

use super::{Usage, count};

/// The final totals of an answer: of a stream, those of its `metadata` event.
pub fn bedrock(raw: &Value) -> Usage {
    let details = raw["cacheDetails"].as_array().map(Vec::as_slice).unwrap_or_default();
    let written = count(raw, "cacheWriteInputTokens");
    let long = details.iter().filter(|detail| detail["ttl"] == "1h").map(|detail| count(detail, "inputTokens"));
    let long = long.fold(0, u64::saturating_add);
    Usage {
        input: count(raw, "inputTokens"),
        output: count(raw, "outputTokens"),
        cache_read: count(raw, "cacheReadInputTokens"),
        cache_write_5m: written.saturating_sub(long),
        cache_write_1h: long,
        raw: raw.clone(),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::bedrock;

    #[test]
    fn what_is_written_for_an_hour_is_in_the_list() {
        let list = json!([{"ttl": "5m", "inputTokens": 297}, {"ttl": "1h", "inputTokens": 3}]);
        let usage = bedrock(&json!({
            "inputTokens": 3, "outputTokens": 61, "cacheReadInputTokens": 2074, "cacheWriteInputTokens": 300,
            "cacheDetails": list, "totalTokens": 2438,
        }));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h, usage.total()), (297, 3, 2438));
    }
}
