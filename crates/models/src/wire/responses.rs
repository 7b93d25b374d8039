//! The OpenAI Responses format. Nothing is stored at the provider: the conversation goes there whole, and reasoning
//! goes back as the provider sealed it.

mod decode;
mod encode;

pub(super) use decode::{Decoder, whole};
pub use encode::encode;
