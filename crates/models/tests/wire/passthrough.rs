//! What is handed on to a client of the same protocol is what came, byte for byte, and its end waits.

use models::provider::Delta;
use models::wire::Wire;

use crate::stream::{FOLDERS, decode, golden, streams};

/// What begins the end of an answer, as its first event that has it says.
const ENDS: [(Wire, &str); 4] = [
    (Wire::Anthropic, "event: message_stop"),
    (Wire::Chat, "\"finish_reason\":\"stop\""),
    (Wire::Responses, "event: response.completed"),
    (Wire::Gemini, "\"finishReason\":\"STOP\""),
];

fn raw(deltas: Vec<Delta>) -> Vec<Vec<u8>> {
    let bytes = |delta| match delta {
        Delta::Raw(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    };
    deltas.into_iter().map(bytes).collect()
}

#[test]
fn the_bytes_are_those_of_the_provider_at_every_split() {
    for (folder, wire) in FOLDERS {
        for (name, stream) in streams(folder) {
            let plain = decode(wire, &[&stream], false).0;
            let step = if stream.len() > 1500 { 23 } else { 2 };
            for at in (0..=stream.len()).step_by(step) {
                let (left, right) = stream.split_at(at);
                let (answer, deltas) = decode(wire, &[left, right], true);
                let pieces = raw(deltas);
                let given = pieces.concat();
                assert!(stream.starts_with(&given), "{name} split at {at}");
                let Ok(answer) = answer else {
                    assert_eq!(plain.as_ref().err(), answer.as_ref().err(), "{name} split at {at}");
                    continue;
                };
                assert_eq!([&given[..], &answer.tail].concat(), stream, "{name} split at {at}");
                let words = models::provider::Answer { tail: bytes::Bytes::new(), ..answer };
                assert_eq!(Some(&words), plain.as_ref().ok(), "{name} split at {at}");
            }
        }
    }
}

#[test]
fn pieces_are_whole_events_and_the_end_is_kept_back() {
    for (wire, end) in ENDS {
        let stream = golden(wire, "text.sse");
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        let (answer, deltas) = decode(wire, &single, true);
        let pieces = raw(deltas);
        assert!(pieces.len() >= 2, "{wire:?}: {}", pieces.len());
        assert!(
            pieces.iter().filter(|piece| piece.len() > 1).all(|piece| piece.ends_with(b"\n") || piece.ends_with(b"\r"))
        );
        let given = String::from_utf8(pieces.concat()).expect("whole events are whole characters");
        let tail = String::from_utf8(answer.expect("it is complete").tail.to_vec()).expect("text");
        assert!(!given.contains(end) && tail.contains(end), "{wire:?}: {tail}");
        assert!(given.contains("offen") || wire == Wire::Gemini, "{given}");
    }
}

#[test]
fn an_error_of_the_provider_is_not_handed_on() {
    for (wire, name) in [
        (Wire::Anthropic, "error_mid_stream.sse"),
        (Wire::Chat, "error_mid_stream.sse"),
        (Wire::Responses, "failed_mid_stream.sse"),
        (Wire::Gemini, "error_mid_stream.sse"),
    ] {
        let (answer, deltas) = decode(wire, &[&golden(wire, name)], true);
        assert!(answer.expect_err(name).is_possibly_billed());
        let given = String::from_utf8(raw(deltas).concat()).expect("text");
        assert!(given.contains("I begin") && !given.contains("\"error\":{"), "{wire:?}: {given}");
    }
}
