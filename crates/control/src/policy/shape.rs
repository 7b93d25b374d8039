//! The types of a tool's arguments, as Cedar knows them: made of its JSON Schema, and used twice, to write the typed
//! schema that policies are validated against and to turn real arguments into values of just those types. What has no
//! single type is left out: a policy that reads it is refused. Must not know any policy.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use serde_json::{Map, Value};

/// How deep arguments are typed; what nests deeper has no type.
const MAX_DEPTH: usize = 6;

/// How many fields of one record are typed.
const MAX_FIELDS: usize = 500;

/// The digits behind the point that a decimal of Cedar holds.
const DECIMALS: usize = 4;

/// A type of Cedar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Whole,
    Truth,
    Decimal,
    Set(Box<Shape>),
    Record(Fields),
}

/// A field's type, and whether it is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// The fields of a record.
pub(crate) type Fields = BTreeMap<String, Field>;

/// The arguments that a JSON Schema describes.
pub(crate) fn fields(schema: &Value) -> Fields {
    match shape(schema, schema, 0) {
        Some(Shape::Record(fields)) => fields,
        Some(Shape::Text | Shape::Whole | Shape::Truth | Shape::Decimal | Shape::Set(_)) | None => Fields::new(),
    }
}

fn shape(schema: &Value, root: &Value, depth: usize) -> Option<Shape> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return shape(root.pointer(pointer.strip_prefix('#')?)?, root, depth + 1);
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(either).and_then(Value::as_array) {
            return one_of(branches, root, depth + 1);
        }
    }
    match schema.get("type") {
        Some(Value::String(word)) => of_word(word, schema, root, depth),
        Some(Value::Array(words)) => {
            let mut words = words.iter().filter_map(Value::as_str).filter(|word| *word != "null");
            let only = words.next().filter(|_| words.next().is_none())?;
            of_word(only, schema, root, depth)
        }
        Some(_) => None,
        None if schema.get("properties").is_some() => of_word("object", schema, root, depth),
        None => {
            listed(schema.get("const").map(std::slice::from_ref).or(schema.get("enum")?.as_array().map(Vec::as_slice))?)
        }
    }
}

/// The one type that all branches have, nothing apart.
fn one_of(branches: &[Value], root: &Value, depth: usize) -> Option<Shape> {
    let mut shapes = branches.iter().filter(|branch| branch["type"] != "null").map(|branch| shape(branch, root, depth));
    let first = shapes.next()??;
    shapes.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

fn listed(values: &[Value]) -> Option<Shape> {
    let all = |fits: fn(&Value) -> bool| !values.is_empty() && values.iter().all(fits);
    if all(Value::is_string) {
        Some(Shape::Text)
    } else if all(Value::is_boolean) {
        Some(Shape::Truth)
    } else if all(Value::is_i64) {
        Some(Shape::Whole)
    } else {
        None
    }
}

fn of_word(word: &str, schema: &Value, root: &Value, depth: usize) -> Option<Shape> {
    match word {
        "string" => Some(Shape::Text),
        "integer" => Some(Shape::Whole),
        "boolean" => Some(Shape::Truth),
        "number" => Some(Shape::Decimal),
        "array" => shape(schema.get("items")?, root, depth + 1).map(|item| Shape::Set(Box::new(item))),
        "object" => {
            let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let properties = schema.get("properties").and_then(Value::as_object)?;
            let typed = properties.iter().take(MAX_FIELDS).filter_map(|(name, property)| {
                let nullable = property["type"].as_array().is_some_and(|types| types.iter().any(|of| of == "null"))
                    || ["anyOf", "oneOf"].iter().any(|either| {
                        property[*either].as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "null"))
                    });
                let required = !nullable && required.iter().any(|known| known.as_str() == Some(name));
                let shape = shape(property, root, depth + 1)?;
                Some((name.clone(), Field { shape, required }))
            });
            Some(Shape::Record(typed.collect()))
        }
        _ => None,
    }
}

/// A record type, as a Cedar schema writes it.
pub(crate) fn written(fields: &Fields) -> String {
    let each = fields.iter().map(|(name, field)| {
        let optional = if field.required { "" } else { "?" };
        format!("{name:?}{optional}: {}", field.shape.written())
    });
    format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
}

impl Shape {
    fn written(&self) -> String {
        match self {
            Shape::Text => "String".to_owned(),
            Shape::Whole => "Long".to_owned(),
            Shape::Truth => "Bool".to_owned(),
            Shape::Decimal => "decimal".to_owned(),
            Shape::Set(item) => format!("Set<{}>", item.written()),
            Shape::Record(fields) => written(fields),
        }
    }

    fn value(&self, value: &Value) -> Result<RestrictedExpression, String> {
        match self {
            Shape::Text => value.as_str().map(|text| RestrictedExpression::new_string(text.to_owned())).ok_or("a text"),
            Shape::Whole => whole(value).map(RestrictedExpression::new_long).ok_or("a whole number of 64 bits"),
            Shape::Truth => value.as_bool().map(RestrictedExpression::new_bool).ok_or("true or false"),
            Shape::Decimal => decimal(value)
                .map(RestrictedExpression::new_decimal)
                .ok_or("a number with at most 4 digits behind the point"),
            Shape::Set(item) => {
                let items = value.as_array().ok_or_else(|| "is not a list".to_owned())?;
                let items = items.iter().map(|one| item.value(one)).collect::<Result<Vec<_>, _>>()?;
                return Ok(RestrictedExpression::new_set(items));
            }
            Shape::Record(fields) => {
                let map = value.as_object().ok_or_else(|| "is not a mapping".to_owned())?;
                return record(fields, map, &|_| true);
            }
        }
        .map_err(|wanted| format!("is not {wanted}"))
    }
}

/// The fields of a record that are wanted, as values.
///
/// # Errors
/// Names the field whose value is not of its type, or that is missing.
pub(crate) fn record(
    fields: &Fields,
    map: &Map<String, Value>,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<RestrictedExpression, String> {
    let mut pairs = Vec::new();
    for (name, field) in fields.iter().filter(|(name, _)| wanted(name)) {
        match map.get(name) {
            None | Some(Value::Null) if field.required => return Err(format!("`{name}` is missing")),
            None | Some(Value::Null) => {}
            Some(value) => {
                let value = field
                    .shape
                    .value(value)
                    .map_err(|why| if why.starts_with('`') { why } else { format!("`{name}` {why}") })?;
                pairs.push((name.clone(), value));
            }
        }
    }
    RestrictedExpression::new_record(pairs).map_err(|error| error.to_string())
}

fn whole(value: &Value) -> Option<i64> {
    let exact = |number: f64| (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(exact))
}

fn decimal(value: &Value) -> Option<String> {
    value.as_f64().and_then(decimal_of)
}

/// A number as Cedar writes decimals; `None` where digits would be lost.
pub(crate) fn decimal_of(number: f64) -> Option<String> {
    let text = Some(number).filter(|number| number.abs() < 9.0e14).map(|number| number.to_string())?;
    match text.split_once('.') {
        None => Some(format!("{text}.0")),
        Some((_, behind)) if behind.len() <= DECIMALS => Some(text),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_json_schema_becomes_a_record_of_cedar() {
        let schema = json!({
            "type": "object",
            "required": ["to", "note"],
            "properties": {
                "to": {"type": "array", "items": {"$ref": "#/$defs/mail"}},
                "amount_usd": {"type": "number"},
                "copies": {"type": ["integer", "null"]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "kind": {"enum": ["a", "b"]},
                "mixed": {"type": ["string", "integer"]},
                "free": {"type": "object"},
                "at": {"type": "object", "properties": {"x y": {"type": "boolean"}}, "required": ["x y"]},
            },
            "$defs": {"mail": {"type": "string", "format": "email"}},
        });
        let fields = fields(&schema);
        let expected = "{\"amount_usd\"?: decimal, \"at\"?: {\"x y\": Bool}, \"copies\"?: Long, \"kind\"?: String, \
                        \"note\"?: String, \"to\": Set<String>}";
        assert_eq!(written(&fields), expected);
        let sent = json!({"to": ["a@b"], "amount_usd": 12.5, "copies": 2.0, "note": null});
        assert!(record(&fields, sent.as_object().unwrap(), &|_| true).is_ok());
    }

    #[test]
    fn what_is_not_of_its_type_is_said() {
        let fields =
            fields(&json!({"properties": {"n": {"type": "number"}, "i": {"type": "integer"}}, "required": ["i"]}));
        for (sent, why) in [
            (json!({"n": 0.12345, "i": 1}), "`n` is not a number with at most 4 digits"),
            (json!({"n": 1e300, "i": 1}), "`n` is not a number"),
            (json!({"i": 1.5}), "`i` is not a whole number"),
            (json!({"i": "1"}), "`i` is not a whole number"),
            (json!({"n": 1}), "`i` is missing"),
        ] {
            let error = record(&fields, sent.as_object().unwrap(), &|_| true).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let unwanted = json!({"n": 0.12345});
        assert!(record(&fields, unwanted.as_object().unwrap(), &|name| name == "n").is_err());
        assert!(record(&fields, unwanted.as_object().unwrap(), &|_| false).is_ok(), "nobody asks");
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}});
        assert!(!written(&fields(&schema)).is_empty());
    }
}
