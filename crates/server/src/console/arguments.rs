//! Arguments and results, so that a person can read them: a row per field, long ones folded away.

use domain::provenance::{Provenance, Source};
use maud::{Markup, html};
use serde_json::Value;

use super::words::mark;

/// What is longer is folded away, in characters and in lines.
const LONG: (usize, usize) = (600, 12);

/// Arguments: one row per field, text as text.
pub(super) fn arguments(value: &Value) -> Markup {
    match value {
        Value::Null => html! { p.meta { "no arguments" } },
        Value::Object(fields) if fields.is_empty() => html! { p.meta { "no arguments" } },
        Value::Object(fields) => html! {
            table.arguments {
                @for (name, value) in fields { tr { th { (name) } td { (plain(value)) } } }
            }
        },
        other => html! { pre { (pretty(other)) } },
    }
}

/// The same, each with where it came from; what nobody vouches for is marked.
pub(super) fn sourced(value: &Value, from: &Provenance) -> Markup {
    let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) else { return arguments(value) };
    html! {
        table.arguments {
            @for (name, value) in fields {
                tr {
                    th { (name) }
                    td { (plain(value)) }
                    td.meta {
                        (from.of(name).into_iter().map(Source::words).collect::<Vec<_>>().join(", "))
                        @if from.unvouched.contains(name) { " " (mark("waiting", "nobody vouches for it")) }
                    }
                }
            }
        }
    }
}

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => pretty(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// JSON on many lines, as people edit it.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What came back: folded away where it is long.
pub(super) fn result(text: &str) -> Markup {
    let text = serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |json| plain(&json));
    let (characters, lines) = (text.chars().count(), text.lines().count());
    if characters <= LONG.0 && lines <= LONG.1 {
        return html! { pre { (text) } };
    }
    html! {
        details {
            summary { "result: " (super::words::count(i64::try_from(lines).unwrap_or(i64::MAX), "line")) }
            pre { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::provenance::{Provenance, Source};
    use serde_json::json;

    use super::{arguments, result, sourced};

    #[test]
    fn where_an_argument_came_from_stands_beside_it() {
        let from = Provenance {
            arguments: [("to", Source::Untrusted), ("lines.0", Source::Request)]
                .map(|(path, source)| (path.to_owned(), [source].into()))
                .into(),
            unvouched: ["to".to_owned()].into(),
            ..Provenance::default()
        };
        let shown = sourced(&json!({ "to": "eve@b", "lines": [1] }), &from).0;
        let (to, lines) = shown.split_once("<th>lines</th>").unwrap();
        assert!(to.contains("a stranger may have written") && to.contains("nobody vouches for it"), "{shown}");
        assert!(lines.contains("the request") && !lines.contains("nobody vouches"), "{shown}");
    }

    #[test]
    fn a_field_is_a_row_and_text_is_not_quoted() {
        let shown = arguments(&json!({ "to": "a@b <c>", "amount": 4180.0, "lines": [1] })).0;
        assert!(shown.contains("<th>to</th><td>a@b &lt;c&gt;</td>"), "{shown}");
        assert!(shown.contains("<th>amount</th><td>4180.0</td>"), "{shown}");
        assert!(shown.contains("<td>[\n  1\n]</td>"), "{shown}");
    }

    #[test]
    fn a_long_result_is_folded_away_and_a_short_one_is_not() {
        assert_eq!(result("drafted").0, "<pre>drafted</pre>");
        assert!(result(&"line\n".repeat(200)).0.starts_with("<details><summary>result: 200 lines</summary>"));
    }
}
