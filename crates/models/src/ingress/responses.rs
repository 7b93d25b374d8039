//! OpenAI Responses, as a client speaks it.

pub(super) mod read;
pub(super) mod write;
