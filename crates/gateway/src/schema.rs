//! Do the arguments fit? JSON Schema (2020-12 unless the schema names another draft), bounded in size, never fetched
//! from anywhere. What does not fit is said where and why, so that a model can repair it. Must not know what the
//! arguments are for.

use domain::depth;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value, json};

/// The largest schema taken, in bytes of JSON.
pub const MAX_SCHEMA: usize = 64 * 1024;

/// The largest arguments taken, in bytes of JSON.
pub const MAX_ARGUMENTS: usize = 256 * 1024;

/// How many misfits are told at once.
const MISFITS_TOLD: usize = 8;

/// How much of one misfit is told, in characters.
const MISFIT_TOLD: usize = 200;

/// How often a pattern may backtrack before it counts as not matching.
const BACKTRACK_LIMIT: usize = 100_000;

/// A schema, ready to check arguments against.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    defaults: Vec<(String, Value)>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Says why it cannot be used: too large, too deep, not a schema, or one that refers to something elsewhere.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let size = schema.to_string().len();
        if size > MAX_SCHEMA {
            return Err(format!("the schema has {size} bytes; at most {MAX_SCHEMA} are taken"));
        }
        if depth::is_too_deep(schema) {
            return Err(format!("the schema nests deeper than {} levels", depth::MOST));
        }
        let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(schema).map_err(|error| cut(&error.to_string()))?;
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let defaults = properties.filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())));
        Ok(Schema { validator, defaults: defaults.collect() })
    }

    /// The arguments as they would be sent: what the model left out is filled in where the schema has a default.
    ///
    /// # Errors
    /// Says what does not fit, and where.
    pub fn effective(&self, arguments: &Value) -> Result<Map<String, Value>, String> {
        let mut effective = match arguments {
            Value::Object(map) => map.clone(),
            Value::Null => Map::new(),
            _ => return Err("the arguments must be a JSON object".to_owned()),
        };
        if depth::is_too_deep(arguments) {
            return Err(format!("the arguments nest deeper than {} levels", depth::MOST));
        }
        for (name, default) in &self.defaults {
            effective.entry(name.as_str()).or_insert_with(|| default.clone());
        }
        let whole = Value::Object(effective);
        let size = whole.to_string().len();
        if size > MAX_ARGUMENTS {
            return Err(format!("the arguments have {size} bytes; at most {MAX_ARGUMENTS} are taken"));
        }
        let mut misfits: Vec<String> = self.validator.iter_errors(&whole).take(MISFITS_TOLD + 1).map(told).collect();
        if misfits.is_empty() {
            return Ok(match whole {
                Value::Object(map) => map,
                _ => Map::new(),
            });
        }
        if misfits.len() > MISFITS_TOLD {
            misfits[MISFITS_TOLD] = "and more".to_owned();
        }
        Err(misfits.join("; "))
    }
}

/// The schema that anything fits.
pub fn open_schema() -> Value {
    json!({"type": "object"})
}

fn told(misfit: jsonschema::ValidationError<'_>) -> String {
    let place = misfit.instance_path().as_str();
    let place = if place.is_empty() { String::new() } else { format!("at {place}: ") };
    cut(&format!("{place}{misfit}"))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MISFIT_TOLD) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Schema;

    fn schema() -> Schema {
        let schema = json!({
            "type": "object",
            "properties": {
                "invoice_id": {"type": "string"},
                "currency": {"type": "string", "default": "USD"},
                "amount": {"type": "number", "minimum": 0},
            },
            "required": ["invoice_id"],
            "additionalProperties": false,
        });
        Schema::compile(&schema).unwrap()
    }

    #[test]
    fn what_is_left_out_takes_its_default() {
        let effective = schema().effective(&json!({"invoice_id": "7"})).unwrap();
        assert_eq!(Value::Object(effective), json!({"invoice_id": "7", "currency": "USD"}));
    }

    #[test]
    fn a_misfit_is_told_with_its_place() {
        let told = schema().effective(&json!({"amount": -1, "invoice": 3})).unwrap_err();
        assert!(told.contains("at /amount: -1 is less than the minimum of 0"), "{told}");
        assert!(told.contains("\"invoice_id\" is a required property"), "{told}");
        assert!(told.contains("'invoice' was unexpected"), "{told}");
    }

    #[test]
    fn only_an_object_is_arguments() {
        assert!(schema().effective(&json!(["7"])).is_err());
        assert!(schema().effective(&Value::Null).unwrap_err().contains("required"));
    }

    #[test]
    fn a_schema_that_points_elsewhere_is_refused() {
        let wrong = Schema::compile(&json!({"$ref": "https://example.com/x.json"})).unwrap_err();
        assert!(wrong.contains("example.com"), "{wrong}");
        assert!(Schema::compile(&json!({"$ref": "file:///etc/passwd"})).is_err());
    }

    #[test]
    fn a_schema_of_an_older_draft_is_taken() {
        let old = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"});
        assert!(Schema::compile(&old).is_ok());
    }

    #[test]
    fn an_endless_schema_is_refused() {
        let mut deep = json!({"type": "object"});
        for _ in 0..100 {
            deep = json!({"properties": {"x": deep}});
        }
        assert!(Schema::compile(&deep).unwrap_err().contains("deeper"));
        let large = json!({"description": "x".repeat(100_000)});
        assert!(Schema::compile(&large).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_pattern_that_would_run_for_ever_ends() {
        let evil = json!({"properties": {"x": {"pattern": "^(?=(a+)+b)(a+)+$"}}});
        let schema = Schema::compile(&evil).unwrap();
        assert!(schema.effective(&json!({"x": "a".repeat(64)})).is_err());
    }
}
