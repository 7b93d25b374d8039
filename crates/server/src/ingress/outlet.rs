//! What was said to one client and it has not taken yet: bounded, so that one that reads slowly holds up nobody else.
//! Whoever says it never waits; what was said in one go is taken in one go.

use std::sync::Mutex;

use axum::body::Bytes;
use tokio::sync::Notify;

use super::locked;

/// How far behind a client may fall, in bytes: several of the longest answers.
const MOST_BEHIND: usize = 4 << 20;

/// What one client has not taken.
#[derive(Default)]
pub(super) struct Outlet {
    said: Mutex<Said>,
    news: Notify,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    /// It fell too far behind: the rest is not kept.
    lost: bool,
}

/// What a client takes.
pub(super) enum Taken {
    /// Some bytes, in order.
    Bytes(Bytes),
    /// It reads too slowly: what it would read next is gone.
    TooSlow,
}

impl Outlet {
    /// Says something more.
    pub(super) fn say(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut said = locked(&self.said);
        if said.lost || said.bytes.len() + bytes.len() > MOST_BEHIND {
            *said = Said { bytes: Vec::new(), lost: true };
        } else {
            said.bytes.extend_from_slice(bytes);
        }
        drop(said);
        self.news.notify_one();
    }

    /// Takes what there is.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut said = locked(&self.said);
        if said.lost {
            return Some(Taken::TooSlow);
        }
        (!said.bytes.is_empty()).then(|| Taken::Bytes(std::mem::take(&mut said.bytes).into()))
    }

    /// Waits until there is something to take.
    pub(super) async fn news(&self) {
        loop {
            let news = self.news.notified();
            if self.is_worth_a_look() {
                return;
            }
            news.await;
        }
    }

    fn is_worth_a_look(&self) -> bool {
        let said = locked(&self.said);
        said.lost || !said.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_BEHIND, Outlet, Taken};

    #[test]
    fn what_was_said_in_pieces_is_taken_whole() {
        let outlet = Outlet::default();
        assert!(outlet.take().is_none());
        outlet.say(b"one ");
        outlet.say(b"two");
        let Some(Taken::Bytes(bytes)) = outlet.take() else { panic!("it was said") };
        assert_eq!(&bytes[..], b"one two");
        assert!(outlet.take().is_none());
    }

    #[test]
    fn whoever_falls_too_far_behind_is_told_and_costs_nothing_more() {
        let outlet = Outlet::default();
        outlet.say(&vec![0; MOST_BEHIND]);
        outlet.say(b"x");
        assert!(matches!(outlet.take(), Some(Taken::TooSlow)));
        outlet.say(b"y");
        assert!(matches!(outlet.take(), Some(Taken::TooSlow)));
    }
}
