//! Surgery on the bytes of a JSON text: what a change names is replaced or added, and every other byte stays, white
//! space and order included. It must not know what the text means.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of an object and where their values are, in the text's order; a field that is there twice is there twice.
pub(super) struct Fields<'a>(pub(super) Vec<(String, &'a RawValue)>);

/// The items of a list.
struct Items<'a>(Vec<&'a RawValue>);

/// Where a value is in the text, and what stands there instead.
type Edits = BTreeMap<usize, (Range<usize>, String)>;

/// The text `body`, which says `before`, changed so that it says `after`. What is the same in both keeps its bytes.
/// An object that loses a field is written anew.
pub(super) fn splice(body: &Bytes, before: &Value, after: &Value) -> Bytes {
    if before == after {
        return body.clone();
    }
    let mut edits = Edits::new();
    let Some(whole) = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
    else {
        return after.to_string().into();
    };
    change(body, whole, (before, after), &mut edits);
    let (mut spliced, mut kept) = (Vec::with_capacity(body.len() + 256), 0);
    for (range, text) in edits.into_values() {
        spliced.extend_from_slice(&body[kept..range.start]);
        spliced.extend_from_slice(text.as_bytes());
        kept = range.end;
    }
    spliced.extend_from_slice(&body[kept..]);
    spliced.into()
}

fn change(body: &[u8], at: &RawValue, (before, after): (&Value, &Value), edits: &mut Edits) {
    if before == after {
        return;
    }
    let changed = match (before, after) {
        (Value::Object(_), Value::Object(_)) => change_fields(body, at, (before, after), edits),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => change_items(body, at, (old, new), edits),
        _ => None,
    };
    if changed.is_none() {
        let range = place(body, at);
        edits.insert(range.start, (range, after.to_string()));
    }
}

fn change_fields(body: &[u8], at: &RawValue, (before, after): (&Value, &Value), edits: &mut Edits) -> Option<()> {
    let (before, after) = (before.as_object()?, after.as_object()?);
    if before.keys().any(|key| !after.contains_key(key)) {
        return None;
    }
    let Fields(fields) = serde_json::from_str(at.get()).ok()?;
    let mut added = String::new();
    for (key, new) in after {
        // Of a field that is there twice the last one counts.
        match fields.iter().rfind(|(name, _)| name == key) {
            Some((_, place)) => change(body, place, (&before[key], new), edits),
            None => {
                let comma = if fields.is_empty() && added.is_empty() { "" } else { "," };
                added.push_str(&format!("{comma}{}:{new}", Value::from(key.as_str())));
            }
        }
    }
    if !added.is_empty() {
        // Right behind the last value, so that the bracket stays where it is.
        let end = match fields.last() {
            Some((_, last)) => place(body, last).end,
            None => place(body, at).start + 1,
        };
        edits.entry(end).or_insert((end..end, String::new())).1.push_str(&added);
    }
    Some(())
}

fn change_items(body: &[u8], at: &RawValue, (old, new): (&[Value], &[Value]), edits: &mut Edits) -> Option<()> {
    let Items(items) = serde_json::from_str(at.get()).ok()?;
    for (place, pair) in items.into_iter().zip(old.iter().zip(new)) {
        change(body, place, pair, edits);
    }
    Some(())
}

/// Where a value that was borrowed from the text is in it.
fn place(body: &[u8], value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - body.as_ptr().addr();
    start..start + value.get().len()
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        input.deserialize_map(Read).map(Fields)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Vec<&'de RawValue>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(items)
            }
        }
        input.deserialize_seq(Read).map(Items)
    }
}
