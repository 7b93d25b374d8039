//! Sessions of the older era. An id is signed, not kept: it outlives a restart, costs no memory, and is worth nothing
//! with another agent's key. Only those that were ended are remembered, the last of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::clock::{Clock, Timestamp};
use domain::id::Name;
use ring::hmac;

/// How many random bytes an id begins with, and how many of its signature follow.
const HALF: usize = 16;
/// How many ended sessions are remembered.
const ENDED: usize = 4_096;

/// Signs and knows session ids.
pub(super) struct Guests {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    ended: Mutex<(BTreeSet<String>, VecDeque<String>)>,
}

impl Guests {
    pub(super) fn new(secret: &[u8], clock: Arc<dyn Clock>) -> Self {
        Guests { key: hmac::Key::new(hmac::HMAC_SHA256, secret), clock, ended: Mutex::default() }
    }

    /// A new session of an agent's client.
    pub(super) fn begin(&self, agent: &Name) -> String {
        let mut random = [0; HALF];
        self.clock.fill_random(&mut random);
        let signed = self.signed(agent, &random);
        URL_SAFE_NO_PAD.encode([&random[..], &signed.as_ref()[..HALF]].concat())
    }

    /// Whether this session was begun here with this agent's key, and not ended.
    pub(super) fn knows(&self, agent: &Name, id: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(id) else { return false };
        let Some((random, shown)) = bytes.split_at_checked(HALF) else { return false };
        let signed = self.signed(agent, random);
        let same = signed.as_ref()[..HALF].iter().zip(shown).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0;
        shown.len() == HALF && same && !self.ended.lock().unwrap_or_else(PoisonError::into_inner).0.contains(id)
    }

    /// It is over.
    pub(super) fn end(&self, id: &str) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, order) = &mut *ended;
        if set.insert(id.to_owned()) {
            order.push_back(id.to_owned());
        }
        if order.len() > ENDED
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
    }

    fn signed(&self, agent: &Name, random: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, &[agent.as_str().as_bytes(), b"\0", random].concat())
    }
}

/// The key of the attached session that a session's calls belong to. What proves it stays out.
pub(super) fn of_session(id: &str) -> String {
    format!("mcp {}", &id[..id.floor_char_boundary(HALF)])
}

/// The key of the attached session that calls without any belong to: one for each client and day (UTC).
pub(super) fn of_client(client: &str, now: Timestamp) -> String {
    let day = now.to_string();
    let client = if client.is_empty() { "client" } else { client };
    format!("mcp {client} {}", day.split('T').next().unwrap_or(&day))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::clock::{SystemClock, Timestamp};

    use super::{ENDED, Guests, of_client, of_session};

    #[test]
    fn a_session_is_its_agents_until_it_ends() {
        let (ana, ben) = ("ana".parse().unwrap(), "ben".parse().unwrap());
        let [here, again, elsewhere] =
            [b"one", b"one", b"two"].map(|secret| Guests::new(secret, Arc::new(SystemClock)));
        let id = here.begin(&ana);
        assert!(here.knows(&ana, &id) && again.knows(&ana, &id), "{id}");
        assert!(!here.knows(&ben, &id) && !elsewhere.knows(&ana, &id), "{id}");
        for wrong in ["", "x", &id[1..], &format!("{id}A"), &id.to_lowercase()] {
            assert!(!here.knows(&ana, wrong), "{wrong}");
        }
        here.end(&id);
        assert!(!here.knows(&ana, &id));
        for _ in 0..ENDED {
            here.end(&here.begin(&ana));
        }
        assert!(here.knows(&ana, &id), "only the last are remembered");
    }

    #[test]
    fn sessions_are_named_without_what_proves_them() {
        let id = Guests::new(b"one", Arc::new(SystemClock)).begin(&"ana".parse().unwrap());
        assert!(id.starts_with(of_session(&id).trim_start_matches("mcp ")) && of_session(&id).len() < id.len() / 2);
        assert_eq!(of_client("", Timestamp(0)), "mcp client 1970-01-01");
        assert_eq!(of_client("claude-code", Timestamp(0)), "mcp claude-code 1970-01-01");
    }
}
