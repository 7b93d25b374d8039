//! OpenAI Chat Completions, as a client speaks it.

pub(super) mod read;
pub(super) mod write;
