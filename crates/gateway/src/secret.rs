//! Credentials: added here, for the upstream they belong to, and never seen by a model, a record or a log. Must not
//! know where they came from: whoever builds the door reads them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// A value shorter than this is not scrubbed: it would tear holes into ordinary text.
pub const MIN_SCRUBBED: usize = 4;

/// Secrets by name.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Arc<BTreeMap<String, String>>,
    /// What to look for and what to put there, longest first, so that a secret within a secret leaves nothing over.
    needles: Arc<Vec<(String, String)>>,
}

impl Secrets {
    /// These secrets; empty values count as missing.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values: BTreeMap<_, _> = values.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut needles: Vec<_> = values.iter().flat_map(|(name, value)| needles_of(name, value)).collect();
        needles.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Secrets { values: Arc::new(values), needles: Arc::new(needles) }
    }

    /// The lines `NAME=value` of a `secrets.env`: blank lines and lines that start with `#` are skipped, one pair of
    /// quotes around a value is taken off. `Err` names the line that is neither.
    pub fn parse_env(text: &str) -> Result<Vec<(String, String)>, String> {
        let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| {
                let (name, value) = line.split_once('=').ok_or_else(|| format!("line {number} is not NAME=value"))?;
                let (name, value) = (name.trim(), value.trim());
                if name.is_empty() {
                    return Err(format!("line {number} has no name before '='"));
                }
                let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
                Ok((name.to_owned(), unquoted.unwrap_or(value).to_owned()))
            })
            .collect()
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Those of `names` that are not there, in their order.
    pub fn missing<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        names.into_iter().filter(|name| !self.has(name)).map(str::to_owned).collect()
    }

    /// The value, for the one upstream it belongs to.
    pub(crate) fn reveal(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The text with every secret replaced by `[secret NAME]`.
    pub fn scrub(&self, text: String) -> String {
        self.needles.iter().fold(text, |text, (value, stand_in)| {
            if text.contains(value.as_str()) { text.replace(value.as_str(), stand_in) } else { text }
        })
    }

    /// The value with every secret in a key or a string replaced.
    pub fn scrub_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.scrub(text)),
            Value::Array(items) => items.into_iter().map(|item| self.scrub_json(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(k, v)| (self.scrub(k), self.scrub_json(v))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

/// A secret as it may turn up in text: as it is, and as it is written inside a JSON string.
fn needles_of(name: &str, value: &str) -> Vec<(String, String)> {
    if value.len() < MIN_SCRUBBED {
        return Vec::new();
    }
    let quoted = Value::String(value.to_owned()).to_string();
    let stand_in = format!("[secret {name}]");
    vec![(value.to_owned(), stand_in.clone()), (quoted[1..quoted.len() - 1].to_owned(), stand_in)]
}

/// The names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Secrets;

    fn secrets() -> Secrets {
        Secrets::new([
            ("TOKEN".to_owned(), "tok-123".to_owned()),
            ("LONGER".to_owned(), "tok-123-and-more".to_owned()),
            ("QUOTED".to_owned(), "a\"b\\c".to_owned()),
            ("EMPTY".to_owned(), String::new()),
            ("PIN".to_owned(), "12".to_owned()),
        ])
    }

    #[test]
    fn a_secret_is_scrubbed_from_text_and_json() {
        let secrets = secrets();
        assert_eq!(secrets.scrub("x tok-123 y tok-123-and-more".into()), "x [secret TOKEN] y [secret LONGER]");
        assert_eq!(secrets.scrub(r#"{"k":"a\"b\\c"}"#.into()), r#"{"k":"[secret QUOTED]"}"#);
        let value = json!({"a": ["tok-123", 12], "tok-123": null});
        assert_eq!(secrets.scrub_json(value), json!({"a": ["[secret TOKEN]", 12], "[secret TOKEN]": null}));
    }

    #[test]
    fn a_value_too_short_to_be_a_secret_is_left_alone() {
        assert_eq!(secrets().scrub("room 12".into()), "room 12");
    }

    #[test]
    fn an_empty_secret_is_a_missing_one() {
        assert_eq!(secrets().missing(["TOKEN", "EMPTY", "NONE"]), ["EMPTY", "NONE"]);
    }

    #[test]
    fn debug_shows_names_only() {
        assert_eq!(format!("{:?}", secrets()), r#"{"LONGER", "PIN", "QUOTED", "TOKEN"}"#);
    }

    #[test]
    fn a_secrets_file_is_read_line_by_line() {
        let text = "# mail\nMAIL_TOKEN = 'a=b'\n\nX=\"y\"\n";
        let pairs = Secrets::parse_env(text).unwrap();
        assert_eq!(pairs, [("MAIL_TOKEN".into(), "a=b".into()), ("X".into(), "y".into())]);
        assert_eq!(Secrets::parse_env("A=1\nnonsense"), Err("line 2 is not NAME=value".into()));
    }
}
