//! JSON as a person writes it in YAML: taken as it stands, for whoever it is meant for.

use serde_json::{Map, Number, Value, json};

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Reading, Shape};
use crate::descriptor::node::{Content, Node, Plain, shown};

/// A JSON object.
pub(in crate::descriptor) struct JsonObject(pub(in crate::descriptor) Value);

impl Shape for JsonObject {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match &node.content {
            Content::Map(_) => value(node, reading).map(JsonObject),
            Content::Plain(_) | Content::Quoted(_) | Content::List(_) => reading.expected(node, "a mapping"),
        }
    }

    fn write(&self) -> Value {
        self.0.clone()
    }

    fn schema() -> Value {
        json!({"type": "object"})
    }
}

fn value(node: &Node, reading: &mut Reading<'_>) -> Option<Value> {
    match &node.content {
        Content::Quoted(text) => Some(Value::String(text.clone())),
        Content::Plain(text) => match Plain::of(text) {
            Plain::Null => Some(Value::Null),
            Plain::Bool(truth) => Some(Value::Bool(truth)),
            Plain::Text => Some(Value::String(text.clone())),
            Plain::Number => match serde_json::from_str::<Number>(text) {
                Ok(number) => Some(Value::Number(number)),
                Err(_) => {
                    let finding = Finding::new(&node.at, format!("`{}` is not a number of JSON", shown(text)));
                    reading.wrong(finding.help("write plain digits, or put it in quotes"));
                    None
                }
            },
        },
        Content::List(items) => {
            let read = |(i, item): (usize, &Node)| reading.within(&format!("[{i}]"), &item.at, |r| value(item, r));
            items.iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
        }
        Content::Map(entries) => {
            let read = |entry: &crate::descriptor::node::Entry| {
                let read = reading.within(&entry.key, &entry.key_at, |reading| value(&entry.value, reading));
                read.map(|value| (entry.key.clone(), value))
            };
            let read: Option<Map<_, _>> = entries.iter().map(read).collect::<Vec<_>>().into_iter().collect();
            read.map(Value::Object)
        }
    }
}
