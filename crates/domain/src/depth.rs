//! How deep a value may nest to be taken in. What is stored wraps what was said in a few levels more, and a reader of
//! JSON gives up at 128: a value that could be read once could never be read again.

use serde_json::Value;

/// How many levels of lists and objects are taken in.
pub const MOST: usize = 64;

/// Whether a value nests deeper than [`MOST`] levels.
pub fn is_too_deep(value: &Value) -> bool {
    is_deeper(value, MOST)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(below)) => items.iter().any(|item| is_deeper(item, below)),
        (Value::Object(map), Some(below)) => map.values().any(|item| is_deeper(item, below)),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn a_value_may_nest_as_deep_as_the_limit_and_no_deeper() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| Value::Array(vec![inner]));
        assert!(!super::is_too_deep(&nested(super::MOST)));
        assert!(super::is_too_deep(&nested(super::MOST + 1)));
        assert!(super::is_too_deep(&json!({"a": {"b": nested(super::MOST - 1)}})));
    }
}
