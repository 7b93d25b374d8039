//! The published schema accepts what is accepted, and knows the same fields.

use std::collections::BTreeSet;

use domain::descriptor::{Descriptor, parse_file, schema, template};
use serde_json::{Value, json};

const SHIPPED: [&str; 9] = [
    include_str!("../../../examples/reconciliation-finance.yaml"),
    include_str!("../../../examples/demo/parts.yaml"),
    include_str!("../../../examples/demo/vendor-helpdesk.yaml"),
    include_str!("../../../examples/demo/dunning-drafts.yaml"),
    include_str!("../../../examples/demo/aging-reporter.yaml"),
    include_str!("../../../examples/demo/note-keeper.yaml"),
    include_str!("../../../examples/real/anthropic.yaml"),
    include_str!("../../../examples/real/openai.yaml"),
    include_str!("../../../examples/real/local.yaml"),
];

fn of(kind: &str, spec: Value) -> Value {
    let mut metadata = json!({"name": "n", "owner": "o", "labels": {"tier": "production"}});
    if kind == "Agent" {
        metadata["protected"] = true.into();
    }
    json!({"apiVersion": "agent.os/v1", "kind": kind, "spec": spec, "metadata": metadata})
}

/// One descriptor, or two, of each kind that between them say everything that can be said.
fn everything() -> Vec<Value> {
    let caps = json!({"calls_per_hour": 1, "calls_per_day": 2, "usd_per_hour": 0.5, "usd_per_day": 2.000_001,
        "tokens_per_hour": 3, "tokens_per_day": 4, "external_actions_per_hour": 5, "external_actions_per_day": 6,
        "compute_minutes_per_hour": 7, "compute_minutes_per_day": 8,
        "calls_per_session": 9, "usd_per_session": 1, "tokens_per_session": 10, "external_actions_per_session": 11,
        "compute_minutes_per_session": 12, "on_exhausted": "ask", "timezone": "Europe/Madrid"});
    let agent = json!({
        "instructions": "Do it.",
        "model": {"provider": "p", "name": "m", "pinned_revision": "r", "max_output_tokens": 10,
            "fallbacks": [{"provider": "q", "name": "m"}], "allow": ["m2"]},
        "memory": {"type": "persistent", "retention_days": 3, "scope": "agent"},
        "tools": ["mcp://gateway/a", "internal://now", {"use": "mcp://gateway/b", "per_hour": 20,
            "when": "args.to.endsWith('@acme.example') && args.n < 3"}, "agent://c",
            {"use": "agent://d", "may": ["mcp://gateway/e", "agent://c"], "budget_share": 0.25}],
        "budgets": caps,
        "approval": {"on_action_value_usd_gt": 0, "on_effect": ["write", "irreversible"],
            "by": {"group": "g", "quorum": 2, "not": ["on_behalf_of"]},
            "expires": {"after": "90s", "escalate": {"to": "h", "after": "1m"}}},
        "autonomy": {"mode": "supervised", "human": {"source": "csv", "case": "input.id", "compare": ["a b"]},
                     "promote": {"agreement_gt": 0.5, "min_cases": 1, "critical": 2}},
        "limits": {"turns": 1, "depth": 2},
        "triggers": [
            {"name": "nightly", "cron": "0 2 * * 1-5", "timezone": "Europe/Madrid",
             "input": {"company": "acme", "list": [1, 0.5, null, true, "1"]}},
            {"name": "hook", "webhook": {"secret": "sap-hook"}, "session": "body.company", "input": "body"},
            {"name": "plain", "cron": "*/5 * * * *", "input": {"company": "a"}},
            {"name": "bare", "webhook": {"secret": "S"}},
        ],
        "concurrency": {"one_per": "partition", "key": "input.company", "active": 20, "queue": 1000},
        "compute_usd_per_hour": 0.36,
    });
    vec![
        of("Agent", agent),
        of(
            "Capability",
            json!({"server": "s", "tool": "t", "effect": "write", "value_usd": "args.a * 2",
            "cost_usd": 0.002, "labels": ["x"], "output_trust": "trusted", "egress": false, "sensitive": ["iban", "to"],
            "vouches": {"result.id": ["id"]}, "named_by": ["result.title"],
            "vouches_when_named": {"result.guests": ["cc", "to"]},
            "undo": {"use": "u", "args": {"id": "result.id"}}}),
        ),
        of(
            "McpServer",
            json!({"stdio": {"command": "c", "args": ["-x", ""]}, "secrets": ["A_B"], "timeout": "1m",
            "limits": {"concurrent": 2, "queue": 0}}),
        ),
        of("McpServer", json!({"http": {"url": "https://h/mcp?a=b"}, "timeout": "30s"})),
        of("Policy", json!({"agents": ["a"], "cedar": "forbid(principal, action, resource);"})),
        of("Policy", json!({"cedar": "// nothing"})),
    ]
    .into_iter()
    .chain(model_apis())
    .collect()
}

/// Every kind of model API, with every field.
fn model_apis() -> Vec<Value> {
    let rates = json!({"input": 1, "output": 2, "cache_read": 3, "cache_write": 4.5, "cache_write_1h": 5});
    vec![
        of(
            "ModelProvider",
            json!({"protocol": "anthropic", "base_url": "http://localhost:8080", "key": {"secret": "K"},
            "prices": {"m": rates, "f": {"free": true}}, "limits": {"concurrent": 2, "queue": 8}, "revisions": {"m": {"r": "id"}}}),
        ),
        of(
            "ModelProvider",
            json!({"protocol": "openai-chat", "base_url": "http://localhost:8080/v1", "prices": "catalog",
            "limits": {"concurrent": 1}, "tool_calls": {"m": "json", "n": "native"}}),
        ),
        of(
            "ModelProvider",
            json!({"protocol": "openai-responses", "base_url": "https://h/v1", "key": {"secret": "K"},
            "prices": "catalog", "limits": {"concurrent": 1}}),
        ),
        of(
            "ModelProvider",
            json!({"protocol": "gemini", "base_url": "https://h/v1beta", "prices": "catalog", "limits": {"concurrent": 1}}),
        ),
        of(
            "ModelProvider",
            json!({"protocol": "scripted", "script": "demo", "prices": "catalog", "limits": {"concurrent": 1}}),
        ),
    ]
}

fn read(text: &str) -> Option<Vec<Descriptor>> {
    parse_file("f", text, &|_| None).ok()
}

/// The names of all fields that a schema describes, each with the path that leads to it.
fn described(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        described(field, &path, into);
        into.insert(path);
    }
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        described(one, path, into);
    }
    let open = &schema["additionalProperties"];
    for inner in [&schema["items"], open] {
        if inner.is_object() {
            described(inner, &format!("{path}/*"), into);
        }
    }
}

/// The same of a value; keys that are the person's own are told by the schema's paths.
fn written(value: &Value, path: &str, known: &BTreeSet<String>, into: &mut BTreeSet<String>) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        let exact = format!("{path}/{name}");
        let path = if known.contains(&exact) { exact } else { format!("{path}/*") };
        written(inner, &path, known, into);
        into.insert(path);
    }
    value.as_array().into_iter().flatten().for_each(|item| written(item, &format!("{path}/*"), known, into));
}

#[test]
fn the_schema_and_the_reader_know_the_same_fields() {
    let schema = schema();
    let mut known = BTreeSet::new();
    for (kind, of_kind) in schema["$defs"].as_object().unwrap() {
        described(of_kind, &format!("/{kind}"), &mut known);
    }
    let mut seen = BTreeSet::new();
    for value in everything() {
        let descriptors = read(&value.to_string()).unwrap_or_else(|| panic!("{value}"));
        let canonical = descriptors[0].canonical();
        assert_eq!(domain::canonical::to_string(&canonical), domain::canonical::to_string(&value), "nothing is lost");
        written(&canonical, &format!("/{}", value["kind"].as_str().unwrap()), &known, &mut seen);
    }
    // What the canonical form spells in one way only.
    let other = [
        "/Agent/spec/instructions/text",
        "/Agent/spec/instructions/file",
        "/Agent/spec/tools/*/use",
        "/Policy/spec/cedar/text",
        "/Policy/spec/cedar/file",
    ];
    let unread: Vec<_> = known.iter().filter(|path| !seen.contains(*path) && !other.contains(&path.as_str())).collect();
    assert!(unread.is_empty(), "described, but never read: {unread:#?}");
}

#[test]
fn every_field_is_described_in_words() {
    fn check(schema: &Value, path: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 3), "{path}/{name}");
            check(field, &format!("{path}/{name}"));
        }
    }
    for (kind, of_kind) in schema()["$defs"].as_object().unwrap() {
        check(of_kind, kind);
    }
}

#[test]
fn the_schema_is_one_and_accepts_what_is_accepted() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let template = template(&"a".parse().unwrap());
    let shipped = SHIPPED.iter().copied().chain([template.as_str()]).flat_map(|text| read(text).unwrap());
    let canonical: Vec<_> = shipped.map(|descriptor| descriptor.canonical()).collect();
    let written = [
        json!({"instructions": {"text": "x"}, "model": {"provider": "p", "name": "m"}, "tools": [{"use": "internal://now"}]}),
        json!({"model": {"provider": "p", "name": "m"}, "autonomy": "shadow", "memory": {"type": "none"}}),
    ];
    let written = written.map(|spec| {
        json!({"apiVersion": "agent.os/v1", "kind": "Agent", "metadata": {"name": "n", "owner": "o"}, "spec": spec})
    });
    for value in canonical.into_iter().chain(everything()).chain(written) {
        assert!(read(&value.to_string()).is_some(), "{value}");
        let wrong: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{value}\n{wrong:#?}");
    }
}

/// Every value that differs from a valid one in one place is accepted by both, or refused by both.
#[test]
fn the_schema_refuses_what_is_refused() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(0.5),
        json!(1.5),
        json!(1_000_000),
        json!(1e18),
        json!(""),
        json!("x"),
        json!("A b"),
        json!("-x"),
        json!("1s"),
        json!("0s"),
        json!("args.a"),
        json!("input.a"),
        json!("http://x/"),
        json!("https://u:p@x"),
        json!("catalog"),
        json!("shadow"),
        json!("none"),
        json!("scripted"),
        json!("anthropic"),
        json!("mcp://gateway/x"),
        json!("internal://nothing"),
        json!("agent://x"),
        json!("a\u{1b}b"),
        json!([]),
        json!(["x"]),
        json!([1]),
        json!({}),
        json!({"x": 1}),
        json!({"x": {}}),
        json!({"x": {"free": true}}),
        json!({"use": "internal://now"}),
        json!({"text": "x"}),
        json!({"text": "x", "file": "y"}),
        json!({"mode": "shadow"}),
    ];
    for whole in everything() {
        for path in paths(&whole, "") {
            for value in &odd {
                let mut changed = whole.clone();
                *changed.pointer_mut(&path).unwrap() = value.clone();
                compare(&validator, &changed, &path);
            }
            let mut without = whole.clone();
            let (parent, key) = path.rsplit_once('/').unwrap();
            if let Some(Value::Object(map)) = without.pointer_mut(parent) {
                map.shift_remove(key);
                compare(&validator, &without, &path);
            }
        }
    }
}

fn compare(validator: &jsonschema::Validator, value: &Value, path: &str) {
    let read = parse_file("f", &value.to_string(), &|_| None);
    // An expression's grammar and a name's meaning elsewhere in the file are more than a schema says.
    let beyond = |message: &str| {
        [
            "expression",
            "paths begin with",
            "tool named",
            "trigger named",
            "gives no",
            "needs a memory",
            "is for agent://NAME alone",
            "a part of a budget in money",
            "cron",
            "time zone",
            "operator",
            "number is too",
            "control",
            "no already",
        ]
        .iter()
        .any(|part| message.contains(part))
    };
    if let Err(wrong) = &read
        && wrong
            .iter()
            .all(|one| beyond(&one.message) || one.message.contains("case:") || one.message.contains("value_usd:"))
    {
        return;
    }
    assert_eq!(read.is_ok(), validator.is_valid(value), "{path}: {value}\n{read:?}");
}

fn paths(value: &Value, path: &str) -> Vec<String> {
    let inner = |(key, value): (String, &Value)| {
        let path = format!("{path}/{key}");
        [vec![path.clone()], paths(value, &path)].concat()
    };
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).flat_map(inner).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).flat_map(inner).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn no_text_makes_reading_panic() {
    let mut state: u64 = 11;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let odd = [
        "\t", "\n", ": ", "- ", "{", "}", "[", "]", "\"", "'", "&a ", "*a", "!x ", "|\n", ">\n", "---\n", "...\n", "#",
        "%", "@", "~", "é", "\u{feff}", "\0", "💸", "-", "1e9", "? ",
    ];
    for _ in 0..4000 {
        let mut text = SHIPPED[next() % SHIPPED.len()].to_owned();
        for _ in 0..1 + next() % 4 {
            let mut at = next() % (text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            if next().is_multiple_of(3) {
                text.truncate(at);
            }
            text.insert_str(at, odd[next() % odd.len()]);
        }
        domain::descriptor::references(&text);
        if let Err(wrong) = parse_file("f", &text, &|_| None) {
            assert!(!wrong.is_empty());
            for one in wrong.iter().take(2) {
                assert!(one.line >= 1 && one.column >= 1 && !one.render(&text).is_empty());
            }
        }
    }
}
