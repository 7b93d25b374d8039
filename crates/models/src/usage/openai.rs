//! `usage` of OpenAI's two protocols and of the many servers that speak the older one: input includes what a cache
//! had a part in, and each vendor says in its own field how much that was.

use serde_json::Value;

use super::{Input, Usage, count};

/// `usage` of a chat completion, or of the last chunk of a streamed one.
pub fn chat(raw: &Value) -> Usage {
    let (detail, written) = (&raw["prompt_tokens_details"], &raw["completion_tokens_details"]);
    // OpenAI; Moonshot; Mistral; DeepSeek.
    let read = [
        count(detail, "cached_tokens"),
        count(raw, "cached_tokens"),
        count(raw, "num_cached_tokens"),
        count(raw, "prompt_cache_hit_tokens"),
    ];
    let total = count(raw, "prompt_tokens");
    // Some count reasoning in the total alone.
    let output = count(raw, "completion_tokens").max(count(raw, "total_tokens").saturating_sub(total));
    let input = Input {
        total,
        read: read.into_iter().max().unwrap_or(0),
        written: count(detail, "cache_write_tokens"),
        audio: count(detail, "audio_tokens"),
        audio_read: 0,
        image: count(detail, "image_tokens"),
    };
    whole(input, (output, written), raw)
}

/// `usage` of a response.
pub fn responses(raw: &Value) -> Usage {
    let detail = &raw["input_tokens_details"];
    let input = Input {
        total: count(raw, "input_tokens"),
        read: count(detail, "cached_tokens"),
        written: count(detail, "cache_write_tokens"),
        audio: count(detail, "audio_tokens"),
        audio_read: 0,
        image: count(detail, "image_tokens"),
    };
    let output = count(raw, "output_tokens").max(count(raw, "total_tokens").saturating_sub(input.total));
    whole(input, (output, &raw["output_tokens_details"]), raw)
}

fn whole(input: Input, (output, detail): (u64, &Value), raw: &Value) -> Usage {
    let output_audio = count(detail, "audio_tokens").min(output);
    let output_image = count(detail, "image_tokens").min(output - output_audio);
    Usage {
        output: output - output_audio - output_image,
        output_audio,
        output_image,
        raw: raw.clone(),
        ..input.into_usage()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{chat, responses};

    #[test]
    fn cached_input_is_part_of_the_input() {
        let usage = chat(&json!({
            "prompt_tokens": 1000, "completion_tokens": 70, "total_tokens": 1070,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300, "audio_tokens": 40},
            "completion_tokens_details": {"reasoning_tokens": 50, "audio_tokens": 20},
        }));
        assert_eq!((usage.input, usage.cache_read, usage.cache_write_5m, usage.input_audio), (60, 600, 300, 40));
        assert_eq!((usage.output, usage.output_audio, usage.total()), (50, 20, 1070));
        let usage = responses(&json!({
            "input_tokens": 1000, "output_tokens": 70, "total_tokens": 1070,
            "input_tokens_details": {"cached_tokens": 600}, "output_tokens_details": {"reasoning_tokens": 50},
        }));
        assert_eq!((usage.input, usage.cache_read, usage.output), (400, 600, 70));
    }

    #[test]
    fn each_vendors_word_for_cached_input_is_understood() {
        for field in ["cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens"] {
            let usage = chat(&json!({"prompt_tokens": 100, "completion_tokens": 1, field: 64}));
            assert_eq!((usage.input, usage.cache_read), (36, 64), "{field}");
        }
    }

    #[test]
    fn reasoning_that_only_the_total_counts_is_output() {
        let usage = chat(&json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 65,
            "completion_tokens_details": {"reasoning_tokens": 50},
        }));
        assert_eq!(usage.output, 55);
    }

    #[test]
    fn numbers_that_contradict_each_other_are_read_the_dearer_way() {
        let usage = chat(&json!({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 90}}));
        assert_eq!((usage.input, usage.cache_read), (10, 90));
        let usage = responses(&json!({"input_tokens": 5, "input_tokens_details": {"audio_tokens": 900}}));
        assert_eq!((usage.input, usage.input_audio), (0, 5));
        assert_eq!(chat(&json!({"prompt_tokens": "ten", "completion_tokens": -3})).total(), 0);
        assert_eq!(responses(&json!(null)).total(), 0);
    }
}
