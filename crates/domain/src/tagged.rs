//! Enums of structs whose kind stands beside their fields, `{"kind": "suspended", "why": …}`, read in one pass. serde's
//! own way (`#[serde(tag = "…")]`) keeps each value in memory twice before it knows its kind; here the kind is read
//! first, as it is written first, and the fields behind it go straight where they belong. A value whose kind stands
//! elsewhere is read too, by way of a [`Value`]. What is written is the same, byte for byte.
//!
//! It serves types that derive serde's outer tags with `remote = "Self"`, by [`tagged!`].

mod read;
mod write;

pub(crate) use self::read::Tagged as Read;
pub(crate) use self::write::Tagged as Write;

/// Says that a type's kind stands in the field `$tag` beside its other fields. The type derives both traits with
/// `#[serde(remote = "Self")]`, and its variants have named fields or none.
macro_rules! tagged {
    ($type:ty, $tag:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$type>::serialize(self, $crate::tagged::Write::new($tag, serializer))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$type>::deserialize($crate::tagged::Read::new($tag, deserializer))
            }
        }
    };
}

pub(crate) use tagged;

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self", rename_all = "snake_case")]
    enum Fast {
        Nothing,
        Said { words: String, inner: Option<Box<Fast>>, raw: Value },
    }
    tagged!(Fast, "kind");

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Slow {
        Nothing,
        Said { words: String, inner: Option<Box<Slow>>, raw: Value },
    }

    #[test]
    fn it_is_written_as_serde_writes_it() {
        let raw = json!({"kind": "of another", "n": 1.5});
        let slow = Slow::Said { words: "a".to_owned(), inner: Some(Box::new(Slow::Nothing)), raw: raw.clone() };
        let fast = Fast::Said { words: "a".to_owned(), inner: Some(Box::new(Fast::Nothing)), raw };
        let text = serde_json::to_string(&slow).unwrap();
        assert_eq!(serde_json::to_string(&fast).unwrap(), text);
        assert_eq!(serde_json::to_value(&fast).unwrap(), serde_json::to_value(&slow).unwrap());
        assert_eq!(serde_json::from_str::<Fast>(&text).unwrap(), fast);
        assert_eq!(serde_json::from_value::<Fast>(serde_json::to_value(&slow).unwrap()).unwrap(), fast);
    }

    #[test]
    fn the_kind_may_stand_anywhere_and_fields_that_nobody_knows_are_passed_over() {
        let said = Fast::Said { words: "a".to_owned(), inner: None, raw: Value::Null };
        for text in [
            r#"{"words":"a","raw":null,"kind":"said","newer":[{"kind":"nothing"}]}"#,
            r#"{"kind":"said","newer":1,"raw":null,"words":"a"}"#,
        ] {
            assert_eq!(serde_json::from_str::<Fast>(text).unwrap(), said, "{text}");
        }
        assert_eq!(serde_json::from_str::<Fast>(r#"{"kind":"nothing","newer":1}"#).unwrap(), Fast::Nothing);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let why = |text: &str| serde_json::from_str::<Fast>(text).unwrap_err().to_string();
        assert!(why(r#"{"kind":"sang"}"#).contains("unknown variant `sang`, expected `nothing` or `said`"));
        assert!(why(r#"{"words":"a"}"#).contains("missing field `kind`"), "{}", why(r#"{"words":"a"}"#));
        assert!(why("{}").contains("missing field `kind`"));
        assert!(why(r#"{"kind":"said"}"#).contains("missing field `words`"));
        assert!(why("7").contains("a map with its `kind`"), "{}", why("7"));
    }
}
