//! Typed ids. Each says what it names, prints as one word and parses back; nothing else in the house
//! passes a bare string or integer where an id is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An id that could not be read: what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

impl IdError {
    /// That a text is not what was expected.
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        IdError { text: text.chars().take(80).collect(), expected }
    }
}

fn bad(text: &str, expected: &'static str) -> IdError {
    IdError::new(text, expected)
}

/// Serde through the printed form, for ids that read better as text.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The name of an agent, capability, server, provider, person or group: a DNS label
/// (RFC 1123: 1–63 of `a-z 0-9 -`, not starting or ending with `-`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends_well = bytes.first().copied().is_some_and(plain) && bytes.last().copied().is_some_and(plain);
        if ends_well && bytes.len() <= 63 && bytes.iter().all(|c| plain(*c) || *c == b'-') {
            Ok(Name(text.into()))
        } else {
            Err(bad(text, "a name (1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit)"))
        }
    }
}
as_text!(Name);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A SHA-256 digest (FIPS 180-4); prints as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let mut out = [0; 32];
        out.copy_from_slice(digest.as_ref());
        Digest(out)
    }

    /// The digest of a value's canonical JSON ([`crate::canonical`]).
    pub fn of_json(value: &serde_json::Value) -> Self {
        Self::of(crate::canonical::to_string(value).as_bytes())
    }

    /// A digest computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hex digits: enough for a person to tell two apart.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every record has several: written at once rather than a byte at a time.
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || bad(text, "a SHA-256 digest (64 hex digits)");
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if text.len() != 64 {
            return Err(wrong());
        }
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
        }
        Ok(Digest(out))
    }
}
as_text!(Digest);

/// A shard: the unit of ownership. Sessions belong to one of 256 (embedded: one); the control shard has no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl Shard {
    /// Where descriptors, keys, people, freezes and caps are recorded.
    pub const CONTROL: Shard = Shard(u16::MAX);
}

/// How often a shard has changed hands; a commit under an older epoch is refused by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A position in a shard: dense, in commit order, the first record is 1; 0 is "before everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pos(pub u64);

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's number within its session: dense, the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The value of each character that is a digit; 255 of those that are none.
const VALUES: [u8; 128] = {
    let (mut values, mut digit) = ([255; 128], 0);
    while digit < 32 {
        values[CROCKFORD[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// A session. Its first byte is a shard hint: the shard is the hint modulo the store's number of shards.
/// Prints as `ses_` and 26 digits of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u128);

impl SessionId {
    /// The control shard's one chain of records.
    pub const CONTROL: SessionId = SessionId(0);

    /// The session that a caller's own key names: the same agent and key always give the same id, so any
    /// node can address it without a look-up.
    pub fn for_key(agent: &Name, key: &str) -> Self {
        let digest = Digest::of(format!("ostler/session/{agent}/{key}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        SessionId(u128::from_be_bytes(bytes).max(1))
    }

    /// The same in a partition: all sessions of one partition of an agent have the same shard hint, so that one owner
    /// sees them all.
    pub fn in_partition(agent: &Name, key: &str, partition: &str) -> Self {
        let hint = Digest::of(format!("ostler/partition/{agent}/{partition}").as_bytes()).as_bytes()[0];
        let SessionId(bits) = Self::for_key(agent, key);
        SessionId((bits << 8 >> 8 | u128::from(hint) << 120).max(1))
    }

    /// Where the ticks of an agent's schedule are mailed to: no caller's key names it.
    pub fn for_trigger(agent: &Name, trigger: &Name) -> Self {
        let digest = Digest::of(format!("ostler/trigger/{agent}/{trigger}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        SessionId(u128::from_be_bytes(bytes).max(1))
    }

    /// The session that a call delegates to: a call starts one, and no caller's key names it.
    pub fn delegated_by(call: CallId) -> Self {
        let digest = Digest::of(format!("ostler/delegated/{call}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        SessionId(u128::from_be_bytes(bytes).max(1))
    }

    /// An id from 16 bytes.
    pub const fn from_u128(bits: u128) -> Self {
        SessionId(bits)
    }

    /// The 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The shard this session belongs to in a store with `shards` of them.
    pub fn shard(self, shards: u16) -> Shard {
        Shard((self.0 >> 120) as u16 % shards.max(1))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"ses_00000000000000000000000000";
        for (i, place) in text[4..].iter_mut().rev().enumerate() {
            *place = CROCKFORD[(self.0 >> (5 * i)) as usize & 31];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for SessionId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || bad(text, "a session id (ses_ and 26 letters or digits)");
        let digits = text.strip_prefix("ses_").filter(|d| d.len() == 26).ok_or_else(wrong)?;
        let mut bits: u128 = 0;
        for (i, c) in digits.bytes().enumerate() {
            let digit = usize::from(*VALUES.get(usize::from(c)).filter(|value| **value < 32).ok_or_else(wrong)?);
            if i == 0 && digit > 7 {
                return Err(wrong());
            }
            bits = bits << 5 | digit as u128;
        }
        Ok(SessionId(bits))
    }
}
as_text!(SessionId);

/// One use of a model or capability by a session: `ses_….12`. Its text is the idempotency key that upstreams see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId {
    /// The session that calls.
    pub session: SessionId,
    /// The how-many-eth call of that session; the first is 1.
    pub ordinal: u32,
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session, self.ordinal)
    }
}

impl FromStr for CallId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || bad(text, "a call id (a session id, a dot and a number)");
        let (session, ordinal) = text.rsplit_once('.').ok_or_else(wrong)?;
        Ok(CallId { session: session.parse()?, ordinal: ordinal.parse().map_err(|_| wrong())? })
    }
}
as_text!(CallId);

/// One request for consent: the call and the how-many-eth time consent was asked for it, `ses_….12-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApprovalId {
    /// The call that waits.
    pub call: CallId,
    /// 1 for the first request; an edit or a changed policy starts the next.
    pub round: u16,
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.round)
    }
}

impl FromStr for ApprovalId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || bad(text, "an approval id (a call id, '-' and a number)");
        let (call, round) = text.rsplit_once('-').ok_or_else(wrong)?;
        Ok(ApprovalId { call: call.parse()?, round: round.parse().map_err(|_| wrong())? })
    }
}
as_text!(ApprovalId);

/// The id of one piece of mail, chosen by whoever posts it: posting the same id twice delivers once. 1–200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailId(Box<str>);

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MailId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err(bad(text, "a mail id (1 to 200 printable characters)"));
        }
        Ok(MailId(text.into()))
    }
}
as_text!(MailId);

/// A trace (W3C Trace Context `trace-id`): one per intent, shared by every descendant. 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        u128::from_str_radix(text, 16).map(TraceId).map_err(|_| bad(text, "a trace id (32 hex digits)"))
    }
}
as_text!(TraceId);

/// A span (W3C Trace Context `parent-id`). 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl SpanId {
    /// The span of a whole session.
    pub fn of_session(session: SessionId) -> Self {
        Self::derived(&session.to_string())
    }

    /// The span of one attempt at a call.
    pub fn of_call(call: CallId, attempt: u16) -> Self {
        Self::derived(&format!("{call}#{attempt}"))
    }

    fn derived(text: &str) -> Self {
        let digest = Digest::of(text.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_bytes()[..8]);
        SpanId(u64::from_be_bytes(bytes).max(1))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SpanId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        u64::from_str_radix(text, 16).map(SpanId).map_err(|_| bad(text, "a span id (16 hex digits)"))
    }
}
as_text!(SpanId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_prints_and_parses_back() {
        let id = SessionId::for_key(&"finance".parse().unwrap(), "invoice-7");
        assert_eq!(id.to_string().parse(), Ok(id));
        let call = CallId { session: id, ordinal: 12 };
        assert_eq!(call.to_string().parse(), Ok(call));
        let approval = ApprovalId { call, round: 2 };
        assert_eq!(approval.to_string().parse(), Ok(approval));
    }

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "reconciliation-finance", "x2"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for wrong in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn the_shard_hint_is_the_first_byte() {
        let id = SessionId::from_u128(0xab << 120 | 7);
        assert_eq!(id.shard(256), Shard(0xab));
        assert_eq!(id.shard(1), Shard(0));
        let agent: Name = "finance".parse().unwrap();
        let (one, other) = (SessionId::in_partition(&agent, "a", "acme"), SessionId::in_partition(&agent, "b", "acme"));
        assert!(one != other && one.shard(256) == other.shard(256));
        assert_eq!(one.as_u128() << 8, SessionId::for_key(&agent, "a").as_u128() << 8);
    }
}
