//! A provider's reasoning on its way through a client that speaks another dialect: sealed into the field that the
//! client hands back unread, so that the provider gets its own block back unchanged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a sealed block begins with.
const MARK: &str = "ostler:";
/// Stands in for the seal of a block that was shown while it was said; the sealed one follows.
pub(super) const SHOWN: &str = "ostler:";

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// Its place among the parts of the answer.
    at: usize,
    /// What a person may read of it.
    text: String,
    raw: Value,
}

/// What a client hands back of reasoning.
#[derive(Debug, PartialEq)]
pub(super) enum Thought {
    /// A block of another provider's, and its place in the answer.
    Sealed(usize, String, Value),
    /// It was only shown; the sealed one is elsewhere.
    Shown,
    /// The dialect's own.
    Own,
}

/// The block, sealed.
pub(super) fn seal(at: usize, text: &str, raw: &Value) -> String {
    let sealed = Sealed { at, text: text.to_owned(), raw: raw.clone() };
    let json = serde_json::to_vec(&sealed).expect("a JSON value can be written");
    format!("{MARK}{}", STANDARD_NO_PAD.encode(json))
}

/// What such a field holds.
pub(super) fn open(field: Option<&str>) -> Thought {
    let Some(sealed) = field.and_then(|field| field.strip_prefix(MARK)) else { return Thought::Own };
    let json = STANDARD_NO_PAD.decode(sealed).unwrap_or_default();
    match serde_json::from_slice(&json) {
        Ok(Sealed { at, text, raw }) => Thought::Sealed(at, text, raw),
        Err(_) => Thought::Shown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{SHOWN, Thought, open, seal};

    #[test]
    fn a_sealed_block_comes_back_as_it_was() {
        let raw = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": []});
        let back = open(Some(&seal(2, "First", &raw)));
        assert_eq!(back, Thought::Sealed(2, "First".to_owned(), raw));
    }

    #[test]
    fn what_was_only_shown_and_what_is_the_dialects_own_are_told_apart() {
        assert_eq!(open(Some(SHOWN)), Thought::Shown);
        assert_eq!(open(Some("EqQBCgIYAhIM")), Thought::Own);
        assert_eq!(open(None), Thought::Own);
    }
}
