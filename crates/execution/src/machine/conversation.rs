//! What a client that tells its whole conversation with every request adds to what its session has: the difference is
//! recorded, and the order. Pure; it must not know how a client speaks.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::message::{Content, Message, Part, Role};
use domain::session::{Run, Session, extend};

/// What a client's conversation adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What the session does not have, in order.
    pub new: Vec<Message>,
    /// The whole conversation: runs of the session's messages once the new ones are behind them.
    pub conversation: Vec<Run>,
}

/// Compares what a client tells with what its session has. Where it only goes on, all that follows is new, whatever
/// was said before; where it does not, what was ever said is found again.
pub fn told(session: &Session, messages: &[Message]) -> Told {
    let before: Vec<u32> = session.attached.iter().flat_map(|attached| attached.indices()).collect();
    let has = |index: u32| session.messages.get(index as usize);
    let kept = before
        .iter()
        .zip(messages)
        .take_while(|(index, message)| has(**index).is_some_and(|had| is_same(had, message)))
        .count();
    let mut told = Told { new: Vec::new(), conversation: Vec::new() };
    before[..kept].iter().for_each(|index| extend(&mut told.conversation, *index));
    let rest = &messages[kept..];
    let goes_on = kept == before.len();
    let known = if goes_on || rest.is_empty() { HashMap::new() } else { by_key(session) };
    for message in rest {
        let mut again = known.get(&key(message)).into_iter().flatten().copied();
        let again = again.rfind(|index| has(*index).is_some_and(|had| is_same(had, message)));
        let index = again.unwrap_or_else(|| {
            told.new.push(message.clone());
            u32::try_from(session.messages.len() + told.new.len() - 1).unwrap_or(u32::MAX)
        });
        extend(&mut told.conversation, index);
    }
    told
}

fn by_key(session: &Session) -> HashMap<u64, Vec<u32>> {
    let mut known: HashMap<u64, Vec<u32>> = HashMap::new();
    for (index, message) in (0u32..).zip(&session.messages) {
        known.entry(key(message)).or_default().push(index);
    }
    known
}

/// The same for messages that are the same.
fn key(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(&message.role).hash(&mut hasher);
    for part in message.parts.iter().filter(|part| counts(message.role, part)) {
        match &part.content {
            Content::Text { text } => text.hash(&mut hasher),
            Content::Result { use_id, .. } | Content::Use { use_id, .. } => use_id.hash(&mut hasher),
            Content::Reasoning { .. } | Content::Other { .. } => {}
        }
    }
    hasher.finish()
}

/// Whether a client means the same message: of what its model said, the words and the uses count, for clients leave
/// out what a model thought.
fn is_same(had: &Message, told: &Message) -> bool {
    if had.role != told.role {
        return false;
    }
    let mut had = had.parts.iter().filter(|part| counts(had.role, part));
    let mut told = told.parts.iter().filter(|part| counts(told.role, part));
    loop {
        match (had.next(), told.next()) {
            (None, None) => return true,
            (Some(had), Some(told)) if is_same_part(had, told) => {}
            _ => return false,
        }
    }
}

fn counts(role: Role, part: &Part) -> bool {
    match &part.content {
        Content::Text { text } => !text.is_empty(),
        Content::Use { .. } | Content::Result { .. } => true,
        Content::Reasoning { .. } | Content::Other { .. } => role != Role::Agent,
    }
}

fn is_same_part(had: &Part, told: &Part) -> bool {
    match (&had.content, &told.content) {
        (
            Content::Use { use_id, capability, arguments, .. },
            Content::Use { use_id: told_id, capability: told_name, arguments: told_arguments, .. },
        ) => (use_id, capability, arguments) == (told_id, told_name, told_arguments),
        (
            Content::Result { use_id, text, error, .. },
            Content::Result { use_id: told_id, text: told_text, error: told_error, .. },
        ) => (use_id, text, error) == (told_id, told_text, told_error),
        (had, told) => had == told,
    }
}
