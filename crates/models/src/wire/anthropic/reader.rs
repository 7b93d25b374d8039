//! The body of one answer, chunk by chunk, to the answer: events are cut out here and understood in `decode`.

use super::PROTOCOL;
use super::decode::Decoder;
use crate::provider::{Answer, Delta, ProviderError};
use crate::sse::{SseEvent, SseParser};

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub struct AnswerReader {
    parser: SseParser,
    decoder: Decoder,
}

impl AnswerReader {
    /// Reads on, and gives `each` what is said. A chunk may end anywhere.
    ///
    /// # Errors
    /// When the provider says that it failed, or what it says is not the format. Nothing can be read after it.
    pub fn push(&mut self, chunk: &[u8], each: &dyn Fn(Delta)) -> Result<(), ProviderError> {
        let (mut failure, decoder) = (None, &mut self.decoder);
        let mut read = |event: SseEvent| {
            if failure.is_none() {
                failure = decoder.push(&event, each).err();
            }
        };
        let parsed = self.parser.push(chunk, &mut read);
        failure.map_or(Ok(()), Err)?;
        parsed.map_err(|error| ProviderError::Rubbish { protocol: PROTOCOL, reason: error.to_string() })
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
        self.decoder.finish()
    }
}
