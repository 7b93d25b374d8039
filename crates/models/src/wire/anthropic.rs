//! The Anthropic Messages format (`anthropic-version: 2023-06-01`).
//!
//! What must never happen here: a reasoning block that is changed, or a signature that is lost.

mod decode;
mod encode;

pub(super) use decode::{Decoder, whole};
pub use encode::encode;

/// The version of the format, as its header says it.
pub const VERSION: &str = "2023-06-01";

/// What the signature of a made-up reasoning block begins with. Such a block is never sent to a real provider.
pub const SCRIPTED_SIGNATURE: &str = "scripted:";
