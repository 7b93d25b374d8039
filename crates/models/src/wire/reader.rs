//! The body of one answer, chunk by chunk, to the answer: events are cut out here and understood in a protocol's
//! `decode`. Whoever hands the bytes on gets them as they came, whole events at a time, up to the answer's end.

use bytes::{Bytes, BytesMut};

use super::{Decode, Wire};
use crate::provider::{Answer, Delta, ProviderError};
use crate::sse::{SseEvent, SseParser};

/// Reads one streamed answer.
#[derive(Debug)]
pub struct AnswerReader {
    wire: Wire,
    parser: SseParser,
    decoder: Box<dyn Decode>,
    /// The bytes that are handed on, if they are.
    raw: Option<Raw>,
}

/// Bytes on their way to a client.
#[derive(Debug, Default)]
struct Raw {
    /// Read and not yet given on.
    held: BytesMut,
    /// Where `held` begins in the stream.
    at: usize,
    /// Where the answer's end begins in the stream.
    tail: Option<usize>,
}

impl AnswerReader {
    pub(super) fn new(wire: Wire, decoder: Box<dyn Decode>) -> Self {
        AnswerReader { wire, parser: SseParser::default(), decoder, raw: None }
    }

    /// Gives [`Delta::Raw`] instead of words.
    #[must_use]
    pub fn verbatim(mut self) -> Self {
        self.raw = Some(Raw::default());
        self
    }

    /// Reads on, and gives `each` what is said. A chunk may end anywhere.
    ///
    /// # Errors
    /// When the provider says that it failed, or what it says is not the format. Nothing can be read after it.
    pub fn push(&mut self, chunk: &Bytes, each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let (mut failure, decoder, mut tail) = (None, &mut self.decoder, None);
        let silent = self.raw.is_some();
        let mut read = |event: SseEvent| {
            if failure.is_none() {
                let began = decoder.is_ending();
                let pushed = if silent { decoder.push(&event, &|_| ()) } else { decoder.push(&event, each) };
                let ends = pushed.is_err() || (!began && decoder.is_ending());
                tail = tail.or(ends.then_some(event.at));
                failure = pushed.err();
            }
        };
        let parsed = self.parser.push(chunk, &mut read);
        if let Some(raw) = &mut self.raw {
            raw.tail = raw.tail.or(tail);
            raw.give(chunk, self.parser.boundary(), each);
        }
        failure.map_or(Ok(()), Err)?;
        parsed.map_err(|error| self.wire.rubbish(error.to_string()))
    }

    /// Whether the answer is complete; whatever follows is not read.
    pub fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    /// The stream has ended: the answer.
    ///
    /// # Errors
    /// When it ended too early.
    pub fn finish(mut self) -> Result<Answer, ProviderError> {
        let decoder = &mut self.decoder;
        // What is left of a stream that broke off may be half an event: its failure says nothing.
        self.parser.finish(&mut |event| drop(decoder.push(&event, &|_| ()))).ok();
        let tail = self.raw.map(|raw| raw.held.freeze()).unwrap_or_default();
        Ok(Answer { tail, ..self.decoder.finish()? })
    }
}

impl Raw {
    /// Gives on what is complete and not yet the answer's end; keeps the rest. A chunk of whole events is not copied.
    fn give(&mut self, chunk: &Bytes, boundary: usize, each: &dyn Fn(Delta)) {
        let end = self.tail.map_or(boundary, |tail| tail.min(boundary)).max(self.at) - self.at;
        let ready = if self.held.is_empty() {
            let end = end.min(chunk.len());
            self.held.extend_from_slice(&chunk[end..]);
            chunk.slice(..end)
        } else {
            self.held.extend_from_slice(chunk);
            self.held.split_to(end.min(self.held.len())).freeze()
        };
        self.at += ready.len();
        if !ready.is_empty() {
            each(Delta::Raw(ready));
        }
    }
}
