//! Signatures of what is sent to webhooks (Standard Webhooks 1.0.0, "Signature scheme"): HMAC-SHA-256 over
//! `id.timestamp.body`. It must not know where anything is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What stands before a secret as people pass it on.
const PREFIX: &str = "whsec_";

/// How long a secret is, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs. It never prints.
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// The secret as it is written: base64 of 24 to 64 bytes, with `whsec_` before it or without.
    pub(super) fn of(secret: &str) -> Option<Signer> {
        let secret = secret.trim();
        let bytes = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)).ok()?;
        LENGTHS.contains(&bytes.len()).then(|| Signer(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp_s: i64, body: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{id}.{timestamp_s}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::Signer;

    #[test]
    fn a_signature_is_the_one_of_the_standards_own_example() {
        let signer = Signer::of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_base64_of_enough_bytes() {
        assert!(Signer::of("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").is_some());
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all, whatever else it is"] {
            assert!(Signer::of(wrong).is_none(), "{wrong}");
        }
    }
}
