//! What a provider says that a call took becomes tokens of kinds that do not overlap. One function per protocol reads
//! the final totals of a usage object, whatever the provider left out; where two of its numbers contradict each other
//! the dearer reading stands. It must not know prices or streams.

mod anthropic;
mod bedrock;
mod gemini;
mod openai;

use serde_json::Value;

pub use anthropic::anthropic;
pub use bedrock::bedrock;
pub use gemini::gemini;
pub use openai::{chat, responses};

/// What a call took. The kinds of tokens do not overlap; their sum is everything that is billed by the token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Input that was neither read from nor written to a cache, and is neither sound nor an image.
    pub input: u64,
    /// Output, reasoning included, that is neither sound nor an image.
    pub output: u64,
    /// Input read from a cache, but for sound.
    pub cache_read: u64,
    /// Input written to a cache for five minutes, or for as long as a provider with one kind of cache keeps it.
    pub cache_write_5m: u64,
    /// Input written to a cache for one hour.
    pub cache_write_1h: u64,
    /// Sound in the input, not from a cache.
    pub input_audio: u64,
    /// Sound in the input, read from a cache.
    pub cache_read_audio: u64,
    /// Images in the input, not from a cache.
    pub input_image: u64,
    /// Sound in the output.
    pub output_audio: u64,
    /// Images in the output.
    pub output_image: u64,
    /// Searches of the web that the provider made by itself; not tokens.
    pub web_searches: u64,
    /// What other models took, which the provider asked by itself.
    pub others: Vec<Other>,
    /// The provider's own numbers, as it sent them.
    pub raw: Value,
}

/// What another model took than the one that was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// Which.
    pub model: String,
    /// What it took.
    pub usage: Usage,
}

impl Usage {
    /// All input, cached or not, of the model that was asked.
    pub fn all_input(&self) -> u64 {
        let kinds = [
            self.input,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.input_audio,
            self.cache_read_audio,
            self.input_image,
        ];
        sum(&kinds)
    }

    /// All output of the model that was asked.
    pub fn all_output(&self) -> u64 {
        sum(&[self.output, self.output_audio, self.output_image])
    }

    /// All tokens, those of other models included.
    pub fn total(&self) -> u64 {
        let others = self.others.iter().map(|other| other.usage.total());
        others.fold(self.all_input().saturating_add(self.all_output()), u64::saturating_add)
    }

    /// The largest count in it, whatever it counts.
    pub fn largest(&self) -> u64 {
        let own = [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.input_audio,
            self.cache_read_audio,
            self.input_image,
            self.output_audio,
            self.output_image,
            self.web_searches,
        ];
        own.into_iter().chain(self.others.iter().map(|other| other.usage.largest())).max().unwrap_or(0)
    }
}

/// Input whose total includes what was read from and written to a cache, taken apart. A provider that says more of
/// its parts than of the whole means the rest by the whole.
struct Input {
    total: u64,
    read: u64,
    written: u64,
    audio: u64,
    audio_read: u64,
    image: u64,
}

impl Input {
    fn into_usage(self) -> Usage {
        let Input { total, read, written, audio, audio_read, image } = self;
        let rest = total.checked_sub(read.saturating_add(written)).unwrap_or(total);
        let audio_read = audio_read.min(read).min(audio);
        let audio = (audio - audio_read).min(rest);
        let image = image.min(rest - audio);
        Usage {
            input: rest - audio - image,
            cache_read: read - audio_read,
            cache_write_5m: written,
            input_audio: audio,
            cache_read_audio: audio_read,
            input_image: image,
            ..Usage::default()
        }
    }
}

/// What an object counts under a key; nothing where it does not say, or says no whole number.
fn count(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or(0)
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}
