//! A conversation by who speaks: what one side said until the other spoke. A use that was never answered gets its
//! answer here, because every protocol refuses one without. It must not know a protocol.

use std::sync::Arc;

use domain::message::{Content, Message, Role};

/// What a use without a result is answered.
const NO_RESULT: &str = "There is no result: the session went on without it.";

/// What one side said until the other spoke.
pub(super) struct Turn<'a> {
    /// Whether the model spoke.
    pub(super) agent: bool,
    /// What was said, in order; of the other side, results first.
    pub(super) said: Vec<Said<'a>>,
}

/// One thing said.
pub(super) enum Said<'a> {
    /// As it was said.
    Content(&'a Content),
    /// The result of the use of this id and name, which never came.
    NoResult(&'a str),
}

impl<'a> Said<'a> {
    /// A result: the use, what the model reads, whether it failed.
    pub(super) fn result(&self) -> Option<(&'a str, &'a str, bool)> {
        match self {
            Said::NoResult(use_id) => Some((use_id, NO_RESULT, true)),
            Said::Content(Content::Result { use_id, text, error, .. }) => Some((use_id, text, *error)),
            Said::Content(_) => None,
        }
    }
}

/// The turns of a conversation.
pub(super) fn turns(messages: &[Arc<Message>]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for message in messages.iter().filter(|message| !message.parts.is_empty()) {
        let agent = message.role == Role::Agent;
        let said = message.parts.iter().map(|part| Said::Content(&part.content));
        match turns.last_mut() {
            Some(turn) if turn.agent == agent => turn.said.extend(said),
            _ => turns.push(Turn { agent, said: said.collect() }),
        }
    }
    answer_every_use(&mut turns);
    turns.iter_mut().filter(|turn| !turn.agent).for_each(|turn| turn.said.sort_by_key(|said| said.result().is_none()));
    turns
}

fn answer_every_use(turns: &mut Vec<Turn<'_>>) {
    let mut at = 0;
    while at < turns.len() {
        let next = turns.get(at + 1).filter(|turn| !turn.agent);
        let answered = |id: &str| next.is_some_and(|turn| turn.said.iter().any(|said| is_of(said, id)));
        let open: Vec<&str> = uses(&turns[at]).filter(|id| !answered(id)).collect();
        if !open.is_empty() {
            let missing = open.into_iter().map(Said::NoResult);
            match turns.get_mut(at + 1).filter(|turn| !turn.agent) {
                Some(next) => drop(next.said.splice(0..0, missing)),
                None => turns.insert(at + 1, Turn { agent: false, said: missing.collect() }),
            }
        }
        at += 1;
    }
}

fn uses<'a>(turn: &Turn<'a>) -> impl Iterator<Item = &'a str> {
    let ids = turn.said.iter().map(|said| match said {
        Said::Content(Content::Use { use_id, .. }) => Some(use_id.as_str()),
        Said::Content(_) | Said::NoResult(_) => None,
    });
    ids.collect::<Vec<_>>().into_iter().flatten()
}

fn is_of(said: &Said<'_>, id: &str) -> bool {
    said.result().is_some_and(|(use_id, ..)| use_id == id)
}
