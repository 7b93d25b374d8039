//! What a request weighs beside its bytes: pictures, whose tokens do not follow from their bytes, and what lies at the
//! provider or elsewhere and is only named. Without it a bound of the input's tokens would be none.

use serde_json::Value;

/// The most tokens that one picture is read as.
const PICTURE: u64 = 10_000;
/// The most tokens that a model reads at once: what something named, and not sent, can come to.
const NAMED: u64 = 1_100_000;

/// What a request weighs beside its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Bytes of the body that are pictures: no tokens follow from them.
    pub picture_bytes: u64,
    /// Tokens that do not follow from the body's bytes, at most.
    pub tokens: u64,
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
        self.tokens = self.tokens.saturating_add(NAMED);
    }

    fn picture(&mut self, data: Option<&str>) {
        self.tokens = self.tokens.saturating_add(PICTURE);
        self.picture_bytes += data.map_or(0, |data| data.len() as u64);
    }
}

/// The picture's own bytes, of an address that holds them.
fn data_of(url: &Value) -> Option<&str> {
    url.as_str().filter(|url| url.starts_with("data:"))
}
