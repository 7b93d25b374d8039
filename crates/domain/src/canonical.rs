//! Canonical JSON (RFC 8785, JCS): one text per value, so that a hash of arguments means the arguments.

use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::Value;

/// The canonical text of a value: keys sorted by UTF-16 code units, no white space, shortest numbers.
pub fn to_string(value: &Value) -> String {
    let mut out = String::with_capacity(256);
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::String(text) => write_text(out, text),
        Value::Number(number) => write_number(out, number),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            if !entries.is_sorted_by(|a, b| in_order(a.0, b.0).is_le()) {
                entries.sort_by(|a, b| in_order(a.0, b.0));
            }
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

/// By UTF-16 code units; of ASCII those are the bytes.
fn in_order(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        return one.cmp(other);
    }
    one.encode_utf16().cmp(other.encode_utf16())
}

fn write_text(out: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::to_string(text).expect("a text is JSON"));
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// ECMAScript's number text: integers without a point up to 1e21, otherwise the shortest digits that read back.
fn write_number(out: &mut String, number: &serde_json::Number) {
    if number.is_i64() || number.is_u64() {
        write!(out, "{number}").expect("writing to a string cannot fail");
        return;
    }
    let float = number.as_f64().unwrap_or(0.0);
    if float == 0.0 {
        out.push('0');
    } else if float.fract() == 0.0 && float.abs() < 1e21 {
        write!(out, "{float:.0}").expect("writing to a string cannot fail");
    } else if (1e-6..1e21).contains(&float.abs()) {
        write!(out, "{float}").expect("writing to a string cannot fail");
    } else {
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        write!(out, "{digits}e{sign}{exponent}").expect("writing to a string cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_numbers_are_shortest() {
        let value = json!({"b": [1.0, 2.50, 1e30, 1e-7], "a": {"z": null, "y": "é\n"}});
        assert_eq!(super::to_string(&value), r#"{"a":{"y":"é\n","z":null},"b":[1,2.5,1e+30,1e-7]}"#);
    }
}
