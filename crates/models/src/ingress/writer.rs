//! The answer to a client, as it comes or whole. What a provider of the client's own dialect said is handed on as it
//! is; anything else is written in the dialect.

use bytes::Bytes;

use super::{Dialect, Incoming, Stamp, chat, messages, responses};
use crate::provider::{Answer, Delta};

/// Writes an answer as it comes, as a stream of the client's dialect.
#[derive(Debug)]
pub struct AnswerWriter {
    voice: Voice,
    /// The client did not ask for the usage that it is told in the end.
    hides_usage: bool,
}

#[derive(Debug)]
enum Voice {
    Messages(messages::write::Writer),
    Chat(chat::write::Writer),
    Responses(responses::write::Writer),
}

impl AnswerWriter {
    /// For the answer to this request.
    pub fn new(incoming: &Incoming, stamp: Stamp) -> Self {
        let hides_usage = incoming.dialect == Dialect::Chat && !chat::write::wants_usage(incoming);
        let voice = match incoming.dialect {
            Dialect::Messages => Voice::Messages(messages::write::Writer::new(incoming, stamp)),
            Dialect::Chat => Voice::Chat(chat::write::Writer::new(incoming, stamp)),
            Dialect::Responses => Voice::Responses(responses::write::Writer::new(incoming, stamp)),
        };
        AnswerWriter { voice, hides_usage }
    }

    /// What is sent for this delta; may be empty.
    pub fn delta(&mut self, delta: &Delta) -> Bytes {
        if let Delta::Raw(events) = delta {
            return self.handed_on(events);
        }
        match &mut self.voice {
            Voice::Messages(writer) => writer.delta(delta),
            Voice::Chat(writer) => writer.delta(delta),
            Voice::Responses(writer) => writer.delta(delta),
        }
        .into()
    }

    /// What ends the stream, once the outcome is committed.
    pub fn finish(&mut self, answer: &Answer) -> Bytes {
        if !answer.tail.is_empty() {
            return self.handed_on(&answer.tail);
        }
        match &mut self.voice {
            Voice::Messages(writer) => writer.finish(answer),
            Voice::Chat(writer) => writer.finish(answer),
            Voice::Responses(writer) => writer.finish(answer),
        }
        .into()
    }

    /// A provider's own events. A chunk that only tells the usage is kept from a client that did not ask for it:
    /// clients that read the first choice of every chunk fail over one that has none.
    fn handed_on(&self, events: &Bytes) -> Bytes {
        if !self.hides_usage || !is_usage(events) {
            return events.clone();
        }
        let mut kept = Vec::with_capacity(events.len());
        let mut rest = &events[..];
        while !rest.is_empty() {
            let (event, after) = rest.split_at(end_of_event(rest));
            if !is_usage(event) {
                kept.extend_from_slice(event);
            }
            rest = after;
        }
        kept.into()
    }
}

/// Whether it has a chunk without choices.
fn is_usage(event: &[u8]) -> bool {
    let text = String::from_utf8_lossy(event);
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.any(|data| {
        // Most chunks never say it: they are not read.
        data.contains("\"choices\"")
            && data.replace(' ', "").contains("\"choices\":[]")
            && serde_json::from_str::<serde_json::Value>(data).is_ok_and(|chunk| !chunk["usage"].is_null())
    })
}

/// How long the first event is, its empty line included.
fn end_of_event(events: &[u8]) -> usize {
    let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
    let end = |mark: &&[u8]| events.windows(mark.len()).position(|it| it == *mark).map(|at| at + mark.len());
    ends.iter().filter_map(end).min().unwrap_or(events.len())
}

/// The whole answer, for a client that wants no stream.
pub fn whole(incoming: &Incoming, stamp: &Stamp, answer: &Answer) -> Bytes {
    if !answer.tail.is_empty() {
        return answer.tail.clone();
    }
    match incoming.dialect {
        Dialect::Messages => messages::write::whole(incoming, stamp, answer),
        Dialect::Chat => chat::write::whole(stamp, answer),
        Dialect::Responses => responses::write::whole(incoming, stamp, answer),
    }
    .to_string()
    .into()
}

/// What keeps a client of this dialect waiting, while nothing is said.
pub fn keep_alive(dialect: Dialect) -> Bytes {
    Bytes::from_static(match dialect {
        Dialect::Messages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        Dialect::Chat | Dialect::Responses => b": waiting\n\n",
    })
}
