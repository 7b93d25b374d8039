//! How a header's larger fields are written: hashes as unpadded base64url (RFC 4648 §5), holds as words, and nothing
//! that is zero. Bodies are written as their types are; this is what stays readable, once per event, for good. It must
//! not know what any of it means.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Amounts;
use crate::call::{CacheUse, Settlement, StoodIn};
use crate::decision::DecidedAt;
use crate::id::{Digest, Pos};

#[derive(Serialize, Deserialize)]
#[serde(remote = "DecidedAt")]
struct Decided {
    #[serde(rename = "at")]
    control_pos: Pos,
    #[serde(rename = "set", with = "digest")]
    policy_set: Digest,
    #[serde(rename = "by", default, skip_serializing_if = "Vec::is_empty")]
    policy_ids: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Settlement")]
struct Settled {
    #[serde(default, skip_serializing_if = "nothing", with = "Counted")]
    amounts: Amounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    #[serde(rename = "model", default, skip_serializing_if = "Option::is_none")]
    served_model: Option<String>,
    #[serde(rename = "prices", default, skip_serializing_if = "Option::is_none", with = "hash")]
    price_table: Option<Digest>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    worst_case: bool,
    #[serde(default, skip_serializing_if = "zero")]
    waited_ms: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    scripted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<StoodIn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache: Option<CacheUse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delegated: Option<Amounts>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Amounts")]
struct Counted {
    #[serde(default, skip_serializing_if = "zero")]
    usd_micros: i64,
    #[serde(default, skip_serializing_if = "zero")]
    calls: i64,
    #[serde(default, skip_serializing_if = "zero")]
    tokens: i64,
    #[serde(default, skip_serializing_if = "zero")]
    external_actions: i64,
    #[serde(default, skip_serializing_if = "zero")]
    compute_ms: i64,
}

fn zero(amount: &i64) -> bool {
    *amount == 0
}

fn nothing(amounts: &Amounts) -> bool {
    *amounts == Amounts::default()
}

mod digest {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::id::Digest;

    pub(super) fn serialize<S: Serializer>(hash: &Digest, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&URL_SAFE_NO_PAD.encode(hash.as_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(input)?;
        let bytes = URL_SAFE_NO_PAD.decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        let wrong = || D::Error::custom(format!("{text:?} is not a SHA-256 digest (43 characters of base64url)"));
        bytes.map(Digest::from_bytes).ok_or_else(wrong)
    }
}

/// A field that may be missing, and then is left out before it gets here.
macro_rules! optional {
    ($room:ident, $type:ty, $form:ident) => {
        pub(super) mod $room {
            use serde::{Deserializer, Serializer};

            pub(in super::super) fn serialize<S: Serializer>(it: &Option<$type>, out: S) -> Result<S::Ok, S::Error> {
                match it {
                    Some(it) => super::$form::serialize(it, out),
                    None => out.serialize_none(),
                }
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                input: D,
            ) -> Result<Option<$type>, D::Error> {
                super::$form::deserialize(input).map(Some)
            }
        }
    };
}
optional!(hash, crate::id::Digest, digest);
optional!(decided, crate::decision::DecidedAt, Decided);
optional!(settled, crate::call::Settlement, Settled);

/// Holds, each as it prints.
pub(super) mod holds {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::budget::Hold;

    pub(in super::super) fn serialize<S: Serializer>(holds: &[Hold], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(holds.iter().map(Hold::to_string))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Hold>, D::Error> {
        let words = Vec::<String>::deserialize(input)?;
        words.iter().map(|word| word.parse().map_err(D::Error::custom)).collect()
    }
}
