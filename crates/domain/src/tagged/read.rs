//! Reading: the kind, then its fields.

use std::fmt;

use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, Unexpected, VariantAccess, Visitor};
use serde_json::Value;

/// Reads an enum from a map that names its variant.
pub(crate) struct Tagged<D> {
    tag: &'static str,
    from: D,
}

impl<D> Tagged<D> {
    pub(crate) fn new(tag: &'static str, from: D) -> Tagged<D> {
        Tagged { tag, from }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tagged<D> {
    type Error = D::Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.from.deserialize_map(Map { tag: self.tag, of: visitor })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, D::Error> {
        Err(D::Error::custom("only an enum is read by its tag"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Expects the map, for who expects the enum.
struct Map<V> {
    tag: &'static str,
    of: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Map<V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a map with its `{}`", self.tag)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        match map.next_key_seed(Key(self.tag))? {
            None => Err(A::Error::missing_field(self.tag)),
            Some(Ok(())) => self.of.visit_enum(Fields(map)),
            Some(Err(other)) => {
                let mut fields = vec![(other, map.next_value()?)];
                while let Some(field) = map.next_entry::<String, Value>()? {
                    fields.push(field);
                }
                let at = fields.iter().position(|(name, _)| name == self.tag);
                fields[..=at.ok_or_else(|| A::Error::missing_field(self.tag))?].rotate_right(1);
                let mut map = MapDeserializer::<_, serde_json::Error>::new(fields.into_iter());
                map.next_key::<IgnoredAny>().map_err(A::Error::custom)?;
                self.of.visit_enum(Fields(map)).map_err(A::Error::custom)
            }
        }
    }
}

/// Whether a key is the tag; else which it is.
struct Key(&'static str);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Result<(), String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Result<(), String>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(if name == self.0 { Ok(()) } else { Err(name.to_owned()) })
    }
}

/// A map whose next value names the variant, and whose other entries are the variant's fields.
struct Fields<A>(A);

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Fields<A> {
    type Error = A::Error;
    type Variant = Fields<A>;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Fields<A>), A::Error> {
        Ok((self.0.next_value_seed(seed)?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn unit_variant(mut self) -> Result<(), A::Error> {
        while self.0.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], to: V) -> Result<V::Value, A::Error> {
        to.visit_map(self.0)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, to: V) -> Result<V::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &to))
    }
}
