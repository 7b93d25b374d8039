//! The way out to receivers of webhooks: one call, signed with a secret that is added here, to where an administrator
//! said and nowhere else. It must not know what is told, or whether it is told again.

mod guard;
mod sign;

use std::time::Duration;

use domain::clock::Clock;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Url};

use crate::secret::Secrets;
use sign::Signer;

/// What a receiver answers that wants no more (Standard Webhooks).
const GONE: u16 = 410;

/// The wait before the second try; it doubles from try to try.
const FIRST_RETRY_MS: i64 = 500;

/// The longest wait between two tries, unless the receiver asks for more.
const LONGEST_RETRY_MS: i64 = 300_000;

/// The longest wait that a receiver may ask for.
const LONGEST_ASKED_MS: i64 = 3_600_000;

/// What one try came to, if not that it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untaken {
    /// It may be taken later.
    Later {
        /// What went wrong.
        why: String,
        /// How long the receiver asks to be left alone, in milliseconds.
        asked_ms: Option<i64>,
    },
    /// The receiver says that it is gone (410).
    Gone {
        /// What it said.
        why: String,
    },
}

/// A receiver that can be called.
pub struct Receiver {
    client: Client,
    url: Url,
    signer: Signer,
}

impl Receiver {
    /// A receiver at an address, called with what a secret of this name signs; or why it cannot be called.
    ///
    /// # Errors
    /// In one sentence: the address is none or a private one, or there is no such secret, or it is none.
    pub fn at(address: &str, allow_private: bool, secret: &str, secrets: &Secrets) -> Result<Receiver, String> {
        let url = guard::address(address, allow_private)?;
        let value = secrets.reveal(secret).ok_or_else(|| format!("there is no secret {secret} here"))?;
        let none = || format!("the secret {secret} is not base64 of 24 to 64 bytes");
        let signer = Signer::of(value).ok_or_else(none)?;
        Ok(Receiver { client: guard::client(allow_private)?, url, signer })
    }

    /// Calls once; the status, where it was taken. The id is the same each time something is told; the time is that of
    /// the try.
    ///
    /// # Errors
    /// If it was not taken.
    pub async fn send(&self, id: &str, body: String, clock: &dyn Clock) -> Result<String, Untaken> {
        let timestamp_s = clock.now().0.div_euclid(1000);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", self.signer.sign(id, timestamp_s, &body))
            .body(body);
        let answer = request.send().await.map_err(|error| Untaken::Later { why: words(&error), asked_ms: None })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(status.to_string());
        }
        let why = format!("it answered {status}");
        if status.as_u16() == GONE {
            return Err(Untaken::Gone { why });
        }
        Err(Untaken::Later { why, asked_ms: asked_ms(answer.headers(), clock.now().0) })
    }
}

/// How long to wait before the next try: what was asked for, or twice as long as the last time, the latter half of it
/// by chance, so that many do not come back at once.
pub fn pause(failed: u32, asked_ms: Option<i64>, chance: u128) -> Duration {
    let doubled = FIRST_RETRY_MS.saturating_mul(1 << failed.saturating_sub(1).min(20)).min(LONGEST_RETRY_MS);
    let half = doubled / 2;
    let by_chance = i64::try_from(chance % u128::try_from(half.max(1)).unwrap_or(1)).unwrap_or(0);
    let ms = (half + by_chance).max(asked_ms.unwrap_or(0).min(LONGEST_ASKED_MS));
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
fn asked_ms(headers: &HeaderMap, now_ms: i64) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds).saturating_mul(1000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(i64::try_from(since.as_millis()).ok()?.saturating_sub(now_ms).max(0))
}

/// The error with everything behind it, without the address, which may say more than a list should.
fn words(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_timeout() { "it did not answer in time".to_owned() } else { "it could not be called".to_owned() };
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, RETRY_AFTER, asked_ms, pause};

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_never_falls_below_half_of_it() {
        let ms = |failed, asked, chance| pause(failed, asked, chance).as_millis();
        assert_eq!((ms(1, None, 0), ms(2, None, 0), ms(3, None, 0)), (250, 500, 1000));
        assert!((250..500).contains(&ms(1, None, u128::MAX)));
        assert!((150_000..300_000).contains(&ms(60, None, 7_777_777)));
        assert_eq!((ms(1, Some(9_000), 0), ms(1, Some(i64::MAX), 0)), (9_000, 3_600_000));
    }

    #[test]
    fn a_receiver_asks_for_time_in_seconds_or_by_a_date() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            asked_ms(&headers, 784_111_770_000)
        };
        assert_eq!(asked("7"), Some(7_000));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7_000));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
    }
}
