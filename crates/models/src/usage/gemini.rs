//! `usageMetadata` of Gemini: each count has a list beside it that says how much of it was text, sound, an image. The
//! output leaves out thoughts, and the prompt leaves out what the provider's own tools put into it.

use serde_json::Value;

use super::{Input, Usage, count};

/// The final totals of an answer: of a stream, `usageMetadata` of its last chunk.
pub fn gemini(raw: &Value) -> Usage {
    let prompt = |modality| {
        of(raw, "promptTokensDetails", modality).saturating_add(of(raw, "toolUsePromptTokensDetails", modality))
    };
    let input = Input {
        total: count(raw, "promptTokenCount").saturating_add(count(raw, "toolUsePromptTokenCount")),
        read: count(raw, "cachedContentTokenCount"),
        written: 0,
        audio: prompt("AUDIO"),
        audio_read: of(raw, "cacheTokensDetails", "AUDIO"),
        // What is cached of them costs what cached text costs.
        image: prompt("IMAGE").saturating_sub(of(raw, "cacheTokensDetails", "IMAGE")),
    };
    let said = count(raw, "candidatesTokenCount");
    let output_audio = of(raw, "candidatesTokensDetails", "AUDIO").min(said);
    let output_image = of(raw, "candidatesTokensDetails", "IMAGE").min(said - output_audio);
    Usage {
        output: (said - output_audio - output_image).saturating_add(count(raw, "thoughtsTokenCount")),
        output_audio,
        output_image,
        raw: raw.clone(),
        ..input.into_usage()
    }
}

fn of(raw: &Value, list: &str, modality: &str) -> u64 {
    let entries = raw[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let counts = entries.iter().filter(|entry| entry["modality"] == modality).map(|entry| count(entry, "tokenCount"));
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::gemini;

    #[test]
    fn thoughts_are_output_and_tools_prompts_are_input() {
        let usage = gemini(&json!({
            "promptTokenCount": 209, "candidatesTokenCount": 206, "thoughtsTokenCount": 131,
            "toolUsePromptTokenCount": 286, "totalTokenCount": 832,
        }));
        assert_eq!((usage.input, usage.output, usage.total()), (495, 337, 832));
    }

    #[test]
    fn sound_and_images_are_told_apart_from_text() {
        let list = |kinds: &[(&str, u64)]| {
            kinds.iter().map(|(kind, tokens)| json!({"modality": kind, "tokenCount": tokens})).collect::<Vec<_>>()
        };
        let usage = gemini(&json!({
            "promptTokenCount": 1000, "promptTokensDetails": list(&[("TEXT", 100), ("AUDIO", 600), ("IMAGE", 300)]),
            "cachedContentTokenCount": 450, "cacheTokensDetails": list(&[("AUDIO", 400), ("TEXT", 50)]),
            "candidatesTokenCount": 90, "candidatesTokensDetails": list(&[("IMAGE", 70), ("TEXT", 20)]),
        }));
        assert_eq!((usage.input, usage.input_audio, usage.input_image), (50, 200, 300));
        assert_eq!((usage.cache_read, usage.cache_read_audio), (50, 400));
        assert_eq!((usage.output, usage.output_image, usage.total()), (20, 70, 1090));
    }
}
