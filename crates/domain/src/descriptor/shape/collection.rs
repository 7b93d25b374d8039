//! Lists, and mappings whose keys are the person's own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::text::{WORD_PATTERN, Word};
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Reading, Shape};
use crate::descriptor::node::{Content, Node, shown};

/// The most items of a list or mapping.
const MAX_ITEMS: usize = 500;

impl<T: Shape> Shape for Vec<T> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let Content::List(items) = &node.content else { return reading.expected(node, "a list") };
        if items.len() > MAX_ITEMS {
            reading.wrong(Finding::new(&node.at, format!("this list has {} items; at most {MAX_ITEMS}", items.len())));
            return None;
        }
        let read = |(i, item): (usize, &Node)| reading.within(&format!("[{i}]"), &item.at, |r| T::read(item, r));
        // All are read, so that each tells what is wrong with it.
        items.iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
    }

    fn write(&self) -> Value {
        self.iter().map(T::write).collect()
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema(), "maxItems": MAX_ITEMS})
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let Content::Map(entries) = &node.content else { return reading.expected(node, "a mapping") };
        if entries.len() > MAX_ITEMS {
            reading.wrong(Finding::new(&node.at, format!("this has {} keys; at most {MAX_ITEMS}", entries.len())));
            return None;
        }
        let mut read = Vec::new();
        for entry in entries {
            if !Word::fits(&entry.key) {
                let message = format!("`{}` is not a word of 1 to 200 characters without spaces", shown(&entry.key));
                reading.wrong(Finding::new(&entry.key_at, message));
                read.push(None);
            }
            let value = reading.within(&entry.key, &entry.key_at, |reading| T::read(&entry.value, reading));
            read.push(value.map(|value| (entry.key.clone(), value)));
        }
        read.into_iter().collect()
    }

    fn write(&self) -> Value {
        Value::Object(self.iter().map(|(key, value)| (key.clone(), value.write())).collect::<Map<_, _>>())
    }

    fn schema() -> Value {
        let keys = json!({"pattern": WORD_PATTERN, "maxLength": 200});
        json!({"type": "object", "propertyNames": keys, "additionalProperties": T::schema(), "maxProperties": MAX_ITEMS})
    }
}
