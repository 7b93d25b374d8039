//! Golden streams, and what decoding one gives.

use std::cell::RefCell;
use std::path::PathBuf;

use bytes::Bytes;
use domain::message::Content;
use models::provider::{Answer, Delta, ProviderError};
use models::wire::Wire;
use serde_json::Value;

pub(crate) type Decoded = (Result<Answer, ProviderError>, Vec<Delta>);

pub(crate) const FOLDERS: [(&str, Wire); 4] =
    [("anthropic", Wire::Anthropic), ("chat", Wire::Chat), ("responses", Wire::Responses), ("gemini", Wire::Gemini)];

pub(crate) fn golden(wire: Wire, name: &str) -> Vec<u8> {
    let folder = FOLDERS.iter().find(|(_, one)| *one == wire).expect("each has a folder").0;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The streams of a folder, each with its name.
pub(crate) fn streams(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let files = std::fs::read_dir(path).expect("it is there").map(|entry| entry.expect("it can be read").path());
    let sse = files.filter(|path| path.extension().is_some_and(|extension| extension == "sse"));
    sse.map(|path| (path.display().to_string(), std::fs::read(&path).expect("it can be read"))).collect()
}

pub(crate) fn decode(wire: Wire, chunks: &[&[u8]], verbatim: bool) -> Decoded {
    let deltas = RefCell::new(Vec::new());
    let mut reader = wire.reader(0);
    if verbatim {
        reader = reader.verbatim();
    }
    let mut push =
        |chunk: &&[u8]| reader.push(&Bytes::copy_from_slice(chunk), &|delta| deltas.borrow_mut().push(delta));
    let pushed = chunks.iter().try_for_each(&mut push);
    (pushed.and_then(|()| reader.finish()), deltas.into_inner())
}

pub(crate) fn answer(wire: Wire, name: &str) -> (Answer, Vec<Delta>) {
    let (answer, deltas) = decode(wire, &[&golden(wire, name)], false);
    (answer.unwrap_or_else(|error| panic!("{name}: {error}")), deltas)
}

pub(crate) fn failure(wire: Wire, name: &str) -> ProviderError {
    decode(wire, &[&golden(wire, name)], false).0.expect_err(name)
}

pub(crate) fn contents(answer: &Answer) -> Vec<Content> {
    answer.message.parts.iter().map(|part| part.content.clone()).collect()
}

pub(crate) fn text(text: &str) -> Content {
    Content::Text { text: text.to_owned() }
}

pub(crate) fn wanted(use_id: &str, capability: &str, arguments: Value) -> Content {
    Content::Use { use_id: use_id.to_owned(), capability: capability.to_owned(), arguments, malformed: None }
}

pub(crate) fn counts(answer: &Answer) -> [u64; 3] {
    [answer.usage.input, answer.usage.output, answer.usage.cache_read]
}

#[test]
fn every_split_of_every_golden_stream_decodes_alike() {
    // Anthropic's are decoded at every place in a test of their own.
    for (folder, wire) in FOLDERS.into_iter().skip(1) {
        let streams = streams(folder);
        assert!(streams.len() >= 9, "{folder}: {}", streams.len());
        for (name, stream) in streams {
            let whole = decode(wire, &[&stream], false);
            // Every place in small streams, every seventh in the long recordings.
            for at in (0..=stream.len()).step_by(if stream.len() > 4000 { 7 } else { 1 }) {
                let (left, right) = stream.split_at(at);
                assert_eq!(decode(wire, &[left, right], false), whole, "{name} split at {at}");
            }
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(decode(wire, &single, false), whole, "{name} byte by byte");
        }
    }
}

#[test]
fn a_stream_that_ends_in_the_middle_is_unknown_and_half_a_character_is_never_text() {
    for (_, wire) in FOLDERS {
        let stream = golden(wire, "text.sse");
        let begun = stream.windows("Die Rech".len()).position(|bytes| bytes == "Die Rech".as_bytes()).expect("words");
        let euro = stream.windows(3).position(|bytes| bytes == "€".as_bytes()).expect("a character of three bytes");
        for end in [begun + 20, euro, euro + 1, euro + 2] {
            let (answer, deltas) = decode(wire, &[&stream[..end]], false);
            let failure = answer.expect_err("it is cut");
            assert!(matches!(failure, ProviderError::Unknown { .. }), "{wire:?} cut at {end}: {failure}");
            assert!(!format!("{deltas:?}").contains('\u{fffd}'), "{deltas:?}");
        }
        let mut broken = stream.clone();
        broken[euro + 1] = b'"';
        let failure = decode(wire, &[&broken], false).0.expect_err("it is no text");
        assert!(matches!(failure, ProviderError::Rubbish { .. }), "{wire:?}: {failure}");
    }
}

#[test]
fn what_is_no_stream_of_the_format_is_rubbish() {
    for (_, wire) in FOLDERS {
        for body in ["data: hello\n\n", "data: {\"a\":1}\n\n", "data: [1]\n\n", "data: \"x\"\n\n"] {
            let failure = decode(wire, &[body.as_bytes()], false).0.expect_err(body);
            assert!(matches!(failure, ProviderError::Rubbish { .. }), "{wire:?} {body}: {failure}");
        }
        let failure = decode(wire, &[b": hello\n\n"], false).0.expect_err("nothing");
        assert!(failure.to_string().ends_with("the stream ended before the answer began"), "{wire:?}: {failure}");
        assert!(matches!(wire.whole(b"<html>", 0), Err(ProviderError::Rubbish { .. })));
        assert!(matches!(wire.whole(b"{}", 0), Err(ProviderError::Rubbish { .. })));
    }
}
