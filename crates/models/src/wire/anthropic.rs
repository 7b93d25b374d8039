//! The Anthropic Messages format (`anthropic-version: 2023-06-01`), streaming.
//!
//! ```text
//! Request ──▶ encode ──▶ body        stream ──▶ reader (sse, decode) ──▶ deltas, Answer
//!                                    error body ──▶ refusal ──▶ ProviderError
//! ```
//! What must never happen here: a reasoning block that is changed, or a signature that is lost.

mod decode;
mod encode;
mod reader;
mod refusal;

pub use encode::encode;
pub use reader::AnswerReader;
pub use refusal::refused;

/// The version of the format, as its header says it.
pub const VERSION: &str = "2023-06-01";

/// How errors name the format.
pub(crate) const PROTOCOL: &str = "the Anthropic Messages format";

/// What the signature of a made-up reasoning block begins with. Such a block is never sent to a real provider.
pub const SCRIPTED_SIGNATURE: &str = "scripted:";
