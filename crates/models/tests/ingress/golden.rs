//! Golden files of what is said in each dialect: an answer as a stream and whole, and each dialect's conversation
//! as a provider that speaks another protocol is told it. `cargo test -p models --test ingress -- --ignored` writes those that are missing.

use std::path::PathBuf;

use domain::descriptor::Protocol;
use models::ingress::{Dialect, Incoming, converted, speaks, whole};
use models::provider::Tool;
use serde_json::{Value, json};

use crate::write::{answer, deltas, stamp, streamed};
use crate::{ALL, rich, with};

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).expect("it is JSON");
    serde_json::to_string_pretty(&value).expect("it can be written") + "\n"
}

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Messages => "messages",
        Dialect::Chat => "chat",
        Dialect::Responses => "responses",
    }
}

/// The rich request of a dialect, as far as every protocol can say it.
fn sayable(dialect: Dialect) -> Incoming {
    let Dialect::Messages = dialect else { return rich(dialect) };
    let tools: Value = serde_json::from_slice::<Value>(&rich(dialect).body).expect("it is there")["tools"][0].clone();
    with(dialect, json!({"tools": [tools]})).expect("it can be read")
}

/// A conversation as a provider of another protocol is told it.
fn told(dialect: Dialect, to: &Protocol) -> String {
    let converted = converted(&sayable(dialect), to).expect("it can be said");
    let tool =
        |tool: &Tool| json!({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema});
    let tools: Vec<_> = converted.tools.iter().map(tool).collect();
    let messages = serde_json::to_value(&converted.messages).expect("it can be written");
    pretty(json!({"messages": messages, "tools": tools}).to_string().as_bytes())
}

fn protocols() -> [Protocol; 4] {
    let (base_url, key) = ("https://models.example".to_owned(), None);
    [
        Protocol::Anthropic { base_url: base_url.clone(), key: key.clone() },
        Protocol::OpenaiChat { base_url: base_url.clone(), key: key.clone() },
        Protocol::OpenaiResponses { base_url: base_url.clone(), key: key.clone() },
        Protocol::Gemini { base_url, key },
    ]
}

/// Every golden file, and what is said today.
fn all() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for dialect in ALL {
        let file = |what: &str| format!("{}.{what}", name(dialect));
        all.push((file("stream.txt"), streamed(&rich(dialect), &deltas(), &answer())));
        all.push((file("whole.json"), pretty(&whole(&rich(dialect), &stamp(), &answer()))));
    }
    for (dialect, protocol) in ALL.iter().flat_map(|dialect| protocols().map(|protocol| (*dialect, protocol))) {
        if !speaks(dialect, &protocol) {
            let file = format!("{}.to.{}.json", name(dialect), protocol.word());
            all.push((file, told(dialect, &protocol)));
        }
    }
    all
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ingress").join(file)
}

#[test]
fn what_is_said_is_what_the_golden_files_say() {
    for (file, said) in all() {
        let golden = std::fs::read_to_string(path(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(said, golden, "{file}");
    }
}

#[test]
#[ignore = "writes the golden files that are missing"]
fn writes_what_is_missing() {
    for (file, said) in all().into_iter().filter(|(file, _)| !path(file).exists()) {
        std::fs::write(path(&file), said).expect("it can be written");
    }
}
