//! The Gemini format: `generateContent`, streamed as server-sent events. A thought's signature stands on the part that
//! it led to, and goes back on it.

mod decode;
mod encode;

pub(super) use decode::{Decoder, whole};
pub use encode::encode;

/// Where a part keeps the signature of the thought that led to it.
const SIGNATURE: &str = "thoughtSignature";
