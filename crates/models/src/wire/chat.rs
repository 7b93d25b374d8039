//! The OpenAI Chat Completions format, OpenAI's own and that of the servers which are compatible with it. These leave
//! things out: ids and indexes of tool calls, the last `[DONE]`, usage. None of that may lose an answer.

mod decode;
mod encode;

pub(super) use decode::{Decoder, whole};
pub(super) use encode::effort_word;
pub use encode::encode;
