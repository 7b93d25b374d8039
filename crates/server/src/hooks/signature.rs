//! Signatures of Standard Webhooks (specification 1.0, "Signature scheme"): HMAC-SHA256 over `id.timestamp.body`. Must
//! not know whose they are.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::clock::Timestamp;
use ring::hmac;

/// How far a request's own time may lie from ours, in milliseconds: what was seen on its way is of no use later.
const TOLERANCE_MS: i64 = 5 * 60_000;
/// The longest id of a request, in bytes.
const LONGEST_ID: usize = 256;
/// How many signatures of one request are looked at: one for each secret of a sender that is changing its secret.
const SIGNATURES: usize = 8;

/// The id of a request that is signed with this secret, now. `None`: it is not, and it is not said why.
pub(super) fn verify(secret: Option<&str>, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<String> {
    let key = secret.and_then(key);
    let known = key.is_some();
    let key = key.unwrap_or_else(|| hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]));
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let id = header("webhook-id").filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
    let timestamp = header("webhook-timestamp")?;
    let at = Timestamp(timestamp.parse::<i64>().ok()?.checked_mul(1000)?);
    let signatures = header("webhook-signature")?;
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let of_v1 = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(SIGNATURES);
    let decoded = of_v1.filter_map(|one| STANDARD.decode(one).ok());
    // All are looked at, each in constant time.
    let fits = decoded.fold(false, |fits, one| hmac::verify(&key, &signed, &one).is_ok() | fits);
    let timely = now.since_ms(at).unsigned_abs() <= TOLERANCE_MS.unsigned_abs();
    (known && fits && timely).then(|| id.to_owned())
}

/// The key of a secret: what is written in base64 after `whsec_`, or the secret's own bytes.
fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    (!bytes.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: Timestamp = Timestamp(1_614_265_330_000);
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let all = [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)];
        all.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn check(headers: &HeaderMap, secret: &str, body: &[u8], now: Timestamp) -> bool {
        verify(Some(secret), headers, body, now).is_some()
    }

    #[test]
    fn what_the_reference_libraries_sign_is_taken_and_nothing_else() {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let good = headers(id, "1614265330", SIGNED);
        assert_eq!(verify(Some(SECRET), &good, BODY, AT).as_deref(), Some(id));
        let several = format!("v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v9,AAAA {SIGNED}");
        assert!(check(&headers(id, "1614265330", &several), SECRET, BODY, AT));
        assert!(!check(&good, SECRET, br#"{"test": 2432232315}"#, AT));
        assert!(!check(&good, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", BODY, AT));
        assert!(!check(&good, "whsec_", BODY, AT) && verify(None, &good, BODY, AT).is_none());
        for other in [
            headers("msg_other", "1614265330", SIGNED),
            headers(id, "1614265331", SIGNED),
            headers(id, "soon", SIGNED),
            headers(id, "1614265330", "v1,"),
            headers(id, "1614265330", &SIGNED.replace("v1,", "v9,")),
            headers("", "1614265330", SIGNED),
            HeaderMap::new(),
        ] {
            assert!(!check(&other, SECRET, BODY, AT), "{other:?}");
        }
    }

    #[test]
    fn a_request_is_good_for_five_minutes() {
        let good = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", SIGNED);
        for (off_ms, taken) in [(TOLERANCE_MS, true), (TOLERANCE_MS + 1, false)] {
            assert_eq!(check(&good, SECRET, BODY, AT.plus_ms(off_ms)), taken);
            assert_eq!(check(&good, SECRET, BODY, AT.plus_ms(-off_ms)), taken);
        }
    }

    #[test]
    fn a_secret_without_a_prefix_is_its_own_bytes() {
        let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"plain"), b"a.1614265330.{}");
        let signature = format!("v1,{}", STANDARD.encode(signed));
        assert!(check(&headers("a", "1614265330", &signature), "plain", b"{}", AT));
    }
}
