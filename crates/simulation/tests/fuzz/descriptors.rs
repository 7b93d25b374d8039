//! Descriptors: what is accepted comes out of its canonical form as it went in, is read by the registry, and never makes
//! a server that cannot start; nothing that is written is silently left out.

use std::path::Path;

use control::registry::Registry;
use domain::clock::Timestamp;
use domain::control::{Applied, ControlEvent, ControlRecord};
use domain::descriptor::{Descriptor, parse_file};
use domain::id::Pos;

use crate::{Fate, Files, corpus, files, run};

/// What is under these names is the writer's own: any key may stand there.
const FREE: [&str; 9] =
    ["prices", "vouches", "vouches_when_named", "env", "headers", "tool_calls", "input", "compare", "script"];

/// What was found, and every descriptor that is shown or tested elsewhere.
fn seeds() -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shown =
        ["examples", "examples/demo", "examples/real", "crates/domain/tests/fixtures", "crates/simulation/tests/fuzz"];
    let shown = shown.iter().flat_map(|dir| files(&root.join(dir))).filter(|(name, _)| name.ends_with(".yaml"));
    corpus("descriptors").into_iter().chain(shown).collect()
}

pub(crate) fn read(text: &str) -> Option<Vec<Descriptor>> {
    match parse_file("fuzz.yaml", text, &|_| None) {
        Ok(read) => Some(read),
        Err(wrong) => {
            assert!(!wrong.is_empty(), "it is refused, and nothing is said");
            assert!(wrong.iter().all(|diagnostic| !diagnostic.to_string().is_empty()));
            None
        }
    }
}

pub(crate) fn applied(read: &[Descriptor]) -> ControlEvent {
    let each = read.iter().map(|descriptor| Applied {
        kind: descriptor.kind(),
        name: descriptor.name().clone(),
        revision: descriptor.revision(),
        descriptor: descriptor.canonical(),
    });
    ControlEvent::Applied { resources: each.collect(), by: "admin".to_owned(), reason: String::new() }
}

pub(crate) fn happened(registry: &Registry, event: ControlEvent) -> Result<Registry, String> {
    let record = ControlRecord { pos: Pos(registry.pos().0 + 1), at: Timestamp(1_795_305_600_000), event };
    registry.after(&[record]).map_err(|error| format!("what was accepted cannot be read again: {error}"))
}

fn check(text: &str) -> Result<Fate, String> {
    let Some(read) = read(text) else { return Ok(Fate::Refused) };
    for descriptor in &read {
        let canonical = descriptor.canonical();
        let again = Descriptor::from_canonical(descriptor.kind(), &canonical).map_err(|error| error.to_string())?;
        if again != *descriptor || again.revision() != descriptor.revision() {
            return Err(format!("its canonical form is another: {canonical}"));
        }
        // As it is kept: bytes of JSON.
        let kept: serde_json::Value =
            serde_json::from_str(&canonical.to_string()).map_err(|error| error.to_string())?;
        if Descriptor::from_canonical(descriptor.kind(), &kept).as_ref() != Ok(descriptor) {
            return Err(format!("what is kept of it is another: {kept}"));
        }
    }
    happened(&Registry::default(), applied(&read))?;
    Ok(Fate::Taken)
}

#[test]
fn descriptors_hold() {
    run("descriptors", (500, seeds()), &mut check);
}

/// The lines of a file that say `key: …`, each with its number and key, but for texts and what is the writer's own.
fn keys(text: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    let mut within: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || within.is_some_and(|of| indent > of) {
            continue;
        }
        within = None;
        let Some((key, value)) = line.trim_start().trim_start_matches("- ").split_once(':') else { continue };
        if key.is_empty()
            || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            || line.trim_start().starts_with('#')
        {
            continue;
        }
        if FREE.contains(&key) || value.trim_start().starts_with(['|', '>']) {
            within = Some(indent);
        }
        all.push((number, key.to_owned()));
    }
    all
}

fn with_line(text: &str, number: usize, change: impl Fn(&str) -> String) -> String {
    let lines = text.lines().enumerate().map(|(at, line)| if at == number { change(line) } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn a_key_that_is_misspelt_or_said_twice_is_refused_wherever_it_stands() {
    let mut tried = 0;
    for (file, text) in seeds() {
        if read(&text).is_none() {
            continue;
        }
        for (number, key) in keys(&text) {
            let misspelt = with_line(&text, number, |line| line.replacen(&key, &format!("{key}x"), 1));
            assert!(read(&misspelt).is_none(), "{file}: `{key}x` is taken:\n{misspelt}");
            let is_whole =
                text.lines().nth(number).unwrap().split_once(": ").is_some_and(|(_, value)| !value.is_empty());
            let in_list = text.lines().nth(number).unwrap().trim_start().starts_with("- ");
            if is_whole && !in_list && !text.lines().nth(number).unwrap().ends_with(['|', '-']) {
                let twice = with_line(&text, number, |line| format!("{line}\n{line}"));
                assert!(read(&twice).is_none(), "{file}: `{key}` is said twice, and taken:\n{twice}");
            }
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried} keys");
}
