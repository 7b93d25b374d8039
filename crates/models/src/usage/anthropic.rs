//! `usage` of Anthropic Messages. Its input leaves out what a cache had a part in. Where the provider ran the model
//! more than once, for a server tool or to compact the conversation, `iterations` says each run.

use serde_json::Value;

use super::{Other, Usage, count};

/// The final totals of a message: of a stream, every `usage` object of its events merged, the latest number of each
/// field.
pub fn anthropic(raw: &Value) -> Usage {
    let runs = raw["iterations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (by_others, own): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run["model"].is_string());
    // The totals leave out the runs that compacted the conversation: each field is at least what its runs add up to.
    let ran = own.into_iter().map(one).fold(Usage::default(), |sum, run| plus(&sum, &run));
    let said = one(raw);
    let mut usage = at_least(&said, &ran);
    usage.web_searches = count(&raw["server_tool_use"], "web_search_requests");
    usage.others = by_others.into_iter().filter_map(other).collect();
    usage.raw = raw.clone();
    usage
}

fn other(run: &Value) -> Option<Other> {
    Some(Other { model: run["model"].as_str()?.to_owned(), usage: one(run) })
}

fn one(raw: &Value) -> Usage {
    let detail = &raw["cache_creation"];
    let (short, long) = (count(detail, "ephemeral_5m_input_tokens"), count(detail, "ephemeral_1h_input_tokens"));
    // The detail of a stream is of its start, and its total grows with every run of a server tool: what the detail
    // does not explain was written as the dearer part of it was.
    let unexplained = count(raw, "cache_creation_input_tokens").saturating_sub(short.saturating_add(long));
    let (short, long) = if long > 0 { (short, long + unexplained) } else { (short + unexplained, 0) };
    Usage {
        input: count(raw, "input_tokens"),
        output: count(raw, "output_tokens"),
        cache_read: count(raw, "cache_read_input_tokens"),
        cache_write_5m: short,
        cache_write_1h: long,
        ..Usage::default()
    }
}

fn plus(a: &Usage, b: &Usage) -> Usage {
    each(a, b, u64::saturating_add)
}

fn at_least(a: &Usage, b: &Usage) -> Usage {
    each(a, b, u64::max)
}

fn each(a: &Usage, b: &Usage, with: fn(u64, u64) -> u64) -> Usage {
    Usage {
        input: with(a.input, b.input),
        output: with(a.output, b.output),
        cache_read: with(a.cache_read, b.cache_read),
        cache_write_5m: with(a.cache_write_5m, b.cache_write_5m),
        cache_write_1h: with(a.cache_write_1h, b.cache_write_1h),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::anthropic;

    #[test]
    fn writes_for_five_minutes_and_for_an_hour_are_told_apart() {
        let usage = anthropic(&json!({
            "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            "server_tool_use": {"web_search_requests": 2},
        }));
        assert_eq!((usage.input, usage.output, usage.cache_read), (10, 5, 100));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h, usage.web_searches), (20, 30, 2));
        assert_eq!(usage.total(), 165);
    }

    #[test]
    fn a_detail_of_the_streams_start_does_not_hide_what_was_written_later() {
        let streamed = |detail| anthropic(&json!({"cache_creation_input_tokens": 900, "cache_creation": detail}));
        let short = streamed(json!({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0}));
        assert_eq!((short.cache_write_5m, short.cache_write_1h), (900, 0));
        let long = streamed(json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100}));
        assert_eq!((long.cache_write_5m, long.cache_write_1h), (0, 900));
        let silent = streamed(json!(null));
        assert_eq!((silent.cache_write_5m, silent.cache_write_1h), (900, 0));
        let only = anthropic(&json!({"cache_creation": {"ephemeral_1h_input_tokens": 7}}));
        assert_eq!(only.cache_write_1h, 7);
    }

    #[test]
    fn a_run_that_compacted_the_conversation_is_counted() {
        let usage = anthropic(&json!({
            "input_tokens": 180, "output_tokens": 8, "iterations": [
                {"type": "compaction", "input_tokens": 100, "output_tokens": 82, "cache_creation_input_tokens": 55_096},
                {"type": "message", "input_tokens": 180, "output_tokens": 8},
            ],
        }));
        assert_eq!((usage.input, usage.output, usage.cache_write_5m), (280, 90, 55_096));
    }

    #[test]
    fn an_adviser_is_another_model() {
        let usage = anthropic(&json!({
            "input_tokens": 30, "output_tokens": 3, "iterations": [
                {"type": "message", "input_tokens": 30, "output_tokens": 3},
                {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 1000, "output_tokens": 20},
            ],
        }));
        assert_eq!((usage.input, usage.output, usage.total()), (30, 3, 1053));
        assert_eq!((usage.others[0].model.as_str(), usage.others[0].usage.input), ("claude-opus-4-8", 1000));
    }
}
