//! How bodies are made small before they are sealed: zstd, level 1 (RFC 8878), with a dictionary of what our own
//! events look like, because one event alone is too short to learn from. The dictionary is part of the format: a file
//! under its number never changes. It must not know what is in a body.

use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// What bodies are compared with. Raw content, not trained: it reads as what it is.
const DICTIONARY: &[u8] = include_bytes!("codec/dictionary-3.txt");

/// Faster than the disk, and what is left for higher levels is little in a body of one kilobyte.
const LEVEL: i32 = 1;

/// How many bytes a state may unpack to.
pub(crate) const STATE_BYTES: usize = 256 << 20;

static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));

static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    /// Contexts are large and made once per thread.
    static PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packed; `None` if that is no smaller.
pub(crate) fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    let packed = PACKER.with_borrow_mut(|packer| {
        if packer.is_none() {
            *packer = Compressor::with_prepared_dictionary(&ENCODER).ok();
        }
        packer.as_mut()?.compress(plain).ok()
    });
    packed.filter(|packed| packed.len() < plain.len())
}

/// What was packed; `None` if it was not, or is larger than `limit` bytes.
pub(crate) fn unpack(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let bytes = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten()?;
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= limit)?;
    UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = Decompressor::with_prepared_dictionary(&DECODER).ok();
        }
        unpacker.as_mut()?.decompress(packed, bytes).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn what_is_packed_unpacks_to_what_it_was() {
        let plain = br#"[{"kind":"model_requested","intent":{"call":"ses_7118b9dzpa41qsdez6a7967f91.1","attempt":1}}]"#;
        let packed = pack(plain).unwrap();
        assert!(packed.len() < plain.len() * 3 / 4, "{}", packed.len());
        assert_eq!(unpack(&packed, plain.len()).as_deref(), Some(&plain[..]));
        assert_eq!(unpack(&packed, plain.len() - 1), None);
        assert_eq!(unpack(&packed[..packed.len() - 1], plain.len()), None);
        assert_eq!(unpack(b"no frame", 100), None);
    }

    #[test]
    fn what_would_not_be_smaller_is_not_packed() {
        let noise: Vec<u8> = (0u32..16).flat_map(|n| *domain::id::Digest::of(&n.to_be_bytes()).as_bytes()).collect();
        assert_eq!(pack(&noise), None);
        assert_eq!(pack(b""), None);
    }
}
