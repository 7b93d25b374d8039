//! What a session heard, kept beside it while it is in memory and caught up with before each call: the same records give
//! the same, whenever it was woken. It must not know what follows from it.

use std::collections::HashSet;
use std::sync::Arc;

use domain::heard::Heard;
use domain::id::Digest;
use domain::message::{Content, Message, Part, Role};
use domain::session::Session;

/// What a session heard so far.
#[derive(Default)]
pub(crate) struct Hearing {
    heard: Arc<Heard>,
    /// How many of its messages.
    messages: usize,
    /// How many of the results that its client was given through this door.
    given: usize,
    results: HashSet<Digest>,
}

impl Hearing {
    /// Everything, up to the session's last message.
    pub(crate) fn of(&mut self, session: &Session) -> Arc<Heard> {
        let attached = session.attached.as_deref();
        let behind = self.messages < session.messages.len()
            || attached.is_some_and(|attached| self.given < attached.given.len() || attached.given_dropped);
        if behind {
            let heard = Arc::make_mut(&mut self.heard);
            if let Some(attached) = attached {
                for given in attached.given.iter().skip(self.given) {
                    heard.hear_answer(&given.part, &given.arguments);
                    self.results.extend(text_of(&given.part));
                }
                // What was dropped may have been anybody's words.
                heard.tainted |= attached.given_dropped;
                self.given = attached.given.len();
            }
            for message in session.messages.iter().skip(self.messages) {
                match without(message, &self.results) {
                    Some(rest) => heard.hear(&rest),
                    None => heard.hear(message),
                }
            }
            self.messages = session.messages.len();
        }
        Arc::clone(&self.heard)
    }
}

/// Of which text a part is the result.
fn text_of(part: &Part) -> Option<Digest> {
    match &part.content {
        Content::Result { text, .. } => Some(Digest::of(text.as_bytes())),
        Content::Text { .. } | Content::Reasoning { .. } | Content::Use { .. } | Content::Other { .. } => None,
    }
}

/// A message that a client tells, without the results that it was given here: those were heard as they were given.
fn without(message: &Message, results: &HashSet<Digest>) -> Option<Message> {
    let is_known = |part: &Part| text_of(part).is_some_and(|text| results.contains(&text));
    if message.role != Role::Capability || !message.parts.iter().any(is_known) {
        return None;
    }
    let parts = message.parts.iter().filter(|part| !is_known(part)).cloned().collect();
    Some(Message { role: message.role, parts })
}
