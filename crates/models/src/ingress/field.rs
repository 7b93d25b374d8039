//! Reading a client's JSON field by field: what is wrong is said with its place. It must not know any dialect.

use serde_json::Value;

use super::Malformed;

/// A reading that may find something wrong.
pub(super) type Read<T> = Result<T, Malformed>;

impl Malformed {
    /// Something is wrong at this field.
    pub(super) fn at(field: &str, reason: impl Into<String>) -> Self {
        Malformed { field: field.to_owned(), reason: reason.into() }
    }

    /// The same, seen from outside of `parent`.
    pub(super) fn under(self, parent: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Malformed { field: format!("{parent}{dot}{}", self.field), reason: self.reason }
    }
}

/// A field that may be absent or null.
fn some<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get(field).filter(|value| !value.is_null())
}

fn wrong(field: &str, expected: &str, found: &Value) -> Malformed {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "another number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Malformed::at(field, format!("expected {expected}, found {found}"))
}

/// A text that must be there.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> Read<&'a str> {
    text_or_none(value, field)?.ok_or_else(|| Malformed::at(field, "it is missing"))
}

/// A text that may be there.
pub(super) fn text_or_none<'a>(value: &'a Value, field: &str) -> Read<Option<&'a str>> {
    some(value, field).map(|it| it.as_str().ok_or_else(|| wrong(field, "a text", it))).transpose()
}

/// Yes or no; absent: no.
pub(super) fn flag(value: &Value, field: &str) -> Read<bool> {
    Ok(flag_or_none(value, field)?.unwrap_or(false))
}

/// Yes or no, where it is said.
pub(super) fn flag_or_none(value: &Value, field: &str) -> Read<Option<bool>> {
    some(value, field).map(|it| it.as_bool().ok_or_else(|| wrong(field, "true or false", it))).transpose()
}

/// A number, where it is said.
pub(super) fn number(value: &Value, field: &str) -> Read<Option<f64>> {
    some(value, field).map(|it| it.as_f64().ok_or_else(|| wrong(field, "a number", it))).transpose()
}

/// A number of tokens, where it is said: at least 1.
pub(super) fn tokens(value: &Value, field: &str) -> Read<Option<u32>> {
    let count = |it: &Value| match it.as_u64() {
        Some(count) if count > 0 => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        _ => Err(wrong(field, "a whole number above 0", it)),
    };
    some(value, field).map(count).transpose()
}

/// A list; absent: empty.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> Read<&'a [Value]> {
    match some(value, field) {
        None => Ok(&[]),
        Some(it) => it.as_array().map(Vec::as_slice).ok_or_else(|| wrong(field, "a list", it)),
    }
}

/// A list of texts, or one text; absent: none.
pub(super) fn texts(value: &Value, field: &str) -> Read<Vec<String>> {
    if let Some(Value::String(one)) = value.get(field) {
        return Ok(vec![one.clone()]);
    }
    let text = |it: &Value| it.as_str().map(str::to_owned).ok_or_else(|| wrong(field, "texts", it));
    list(value, field)?.iter().map(text).collect()
}

/// An object that may be there.
pub(super) fn object<'a>(value: &'a Value, field: &str) -> Read<Option<&'a Value>> {
    match some(value, field) {
        None => Ok(None),
        Some(it) if it.is_object() => Ok(Some(it)),
        Some(it) => Err(wrong(field, "an object", it)),
    }
}

/// What `read` makes of each item of a list; what is wrong with one is said with its place.
pub(super) fn each<T>(items: &[Value], field: &str, mut read: impl FnMut(&Value) -> Read<T>) -> Read<Vec<T>> {
    let one = |(index, item): (usize, &Value)| {
        let said = if item.is_object() { read(item) } else { Err(wrong("", "an object", item)) };
        said.map_err(|wrong| wrong.under(&format!("{field}[{index}]")))
    };
    items.iter().enumerate().map(one).collect()
}

/// Texts on top of each other, as one.
pub(super) fn joined(texts: &[String]) -> String {
    texts.iter().filter(|text| !text.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n\n")
}
