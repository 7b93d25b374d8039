//! What a request weighs beside its bytes: pictures, whose tokens do not follow from their bytes, and what lies at the
//! provider or elsewhere and is only named. Without it a bound of the input's tokens would be none.

use serde_json::Value;

/// The most tokens that one picture is read as. What providers' own documents say (November 2026): Anthropic at most 4,784;
/// Gemini at most 2,240; OpenAI by tiles of 512 pixels 85 + 8 × 170, by patches of 32 at most 10,000 of them (`original`),
/// or 1,536 × 2.46. All of them have a bound because they scale a picture down first.
const PICTURE: u64 = 10_000;
/// The same of [`DEAR`]: 2,833 tokens and 5,667 for each of at most 8 tiles, for a picture is scaled to 2,048 × 768.
const DEAR_PICTURE: u64 = 2_833 + 8 * 5_667;
/// The family whose pictures are counted dearer than all others'.
const DEAR: &str = "gpt-4o-mini";
/// The most tokens that a model reads at once: what something named, and not sent, can come to. The largest context of
/// the price table.
const NAMED: u64 = 2_000_000;

/// What a request weighs beside its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Bytes of the body that are pictures: no tokens follow from them.
    pub picture_bytes: u64,
    /// Pictures, sent or named.
    pub pictures: u64,
    /// Files and answers that are named, and not sent.
    pub named: u64,
}

impl Weight {
    /// Adds a block that is no text, in any dialect.
    pub(super) fn add(&mut self, block: &Value) {
        match block["type"].as_str() {
            Some("image") => self.picture(block["source"]["data"].as_str()),
            Some("image_url") => self.picture(data_of(&block["image_url"]["url"])),
            Some("input_image") => self.picture(data_of(&block["image_url"])),
            Some("document") if ["text", "content"].iter().any(|kind| block["source"]["type"] == *kind) => {}
            Some("document" | "container_upload" | "file" | "input_file" | "item_reference") => self.named(),
            _ => {}
        }
    }

    /// Adds something that is named, and not sent.
    pub(super) fn named(&mut self) {
        self.named += 1;
    }

    /// Tokens that do not follow from the body's bytes, at most, where this model reads it.
    pub fn tokens(&self, model: &str) -> u64 {
        let picture = if model.contains(DEAR) { DEAR_PICTURE } else { PICTURE };
        let (pictures, named) = (self.pictures.saturating_mul(picture), self.named.saturating_mul(NAMED));
        pictures.saturating_add(named)
    }

    fn picture(&mut self, data: Option<&str>) {
        self.pictures += 1;
        self.picture_bytes += data.map_or(0, |data| data.len() as u64);
    }
}

/// The picture's own bytes, of an address that holds them.
fn data_of(url: &Value) -> Option<&str> {
    url.as_str().filter(|url| url.starts_with("data:"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{NAMED, Weight};

    /// The largest number of this name, wherever it stands.
    fn largest(of: &Value, name: &str) -> u64 {
        let own = of[name].as_u64().unwrap_or(0);
        let inner: Vec<u64> = match of {
            Value::Object(fields) => fields.values().map(|field| largest(field, name)).collect(),
            Value::Array(items) => items.iter().map(|item| largest(item, name)).collect(),
            _ => Vec::new(),
        };
        inner.into_iter().fold(own, u64::max)
    }

    #[test]
    fn no_model_of_the_table_reads_more_than_what_is_named_is_taken_for() {
        let table: Value = serde_json::from_str(include_str!("../../data/prices.json")).unwrap();
        let context = largest(&table, "context_tokens");
        assert!((1_000_000..=NAMED).contains(&context), "{context}");
    }

    #[test]
    fn a_picture_weighs_what_its_model_counts_it_as() {
        let mut weight = Weight::default();
        weight.add(&json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}));
        let of = |model: &str| weight.tokens(model);
        assert_eq!((of("gpt-4o"), of("gpt-4o-mini-2024-07-18")), (10_000, 48_169));
        assert!(weight.picture_bytes > 0);
    }
}
