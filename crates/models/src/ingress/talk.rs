//! The conversation that a client sends, put together message by message. What capabilities said, and what a model
//! said after it, may have been written by a stranger.

use domain::depth;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use serde_json::Value;

use super::Malformed;
use super::field::Read;
use super::weight::Weight;

/// A conversation under construction.
#[derive(Debug, Default)]
pub(super) struct Talk {
    messages: Vec<Message>,
    /// The next part begins a message, whoever spoke last.
    turn: bool,
    /// Something untrusted was read.
    untrusted: bool,
    weight: Weight,
}

impl Talk {
    /// Somebody's turn begins: what follows is a message of its own.
    pub(super) fn turn(&mut self) {
        self.turn = true;
    }

    /// Somebody says something: in the same message, while the same one speaks and no turn begins.
    pub(super) fn say(&mut self, role: Role, content: Content) -> Read<()> {
        if is_too_deep(&content) {
            return Err(Malformed::at("", format!("it nests deeper than {} levels", depth::MOST)));
        }
        if let Content::Other { raw } = &content {
            self.weight.add(raw);
        }
        let (origin, trust) = match role {
            Role::Person => (Origin::Person, Trust::Trusted),
            Role::Agent if self.untrusted => (Origin::Model, Trust::Untrusted),
            Role::Agent => (Origin::Model, Trust::Trusted),
            Role::Capability => (Origin::Capability, Trust::Untrusted),
        };
        self.untrusted |= trust == Trust::Untrusted;
        let part = Part { content, origin, labels: Vec::new(), trust };
        match self.messages.last_mut().filter(|last| last.role == role && !self.turn) {
            Some(last) => last.parts.push(part),
            None => self.messages.push(Message { role, parts: vec![part] }),
        }
        self.turn = false;
        Ok(())
    }

    /// Somebody says words.
    pub(super) fn words(&mut self, role: Role, text: &str) -> Read<()> {
        self.say(role, Content::Text { text: text.to_owned() })
    }

    /// The model's reasoning goes to its place among the parts of the message that it is saying.
    pub(super) fn reasoned(&mut self, place: usize, content: Content) -> Read<()> {
        self.say(Role::Agent, content)?;
        if let Some(parts) = self.messages.last_mut().map(|last| &mut last.parts) {
            let place = place.min(parts.len() - 1);
            parts[place..].rotate_right(1);
        }
        Ok(())
    }

    /// The conversation, and what it weighs beside its bytes.
    pub(super) fn done(self) -> (Vec<Message>, Weight) {
        (self.messages, self.weight)
    }
}

/// What a model wrote as arguments: as JSON, or as it is.
pub(super) fn arguments(written: &str) -> (Value, Option<String>) {
    let written = written.trim();
    if written.is_empty() {
        return (Value::Object(serde_json::Map::new()), None);
    }
    match serde_json::from_str(written) {
        Ok(arguments) => (arguments, None),
        Err(_) => (Value::Null, Some(written.to_owned())),
    }
}

fn is_too_deep(content: &Content) -> bool {
    match content {
        Content::Text { .. } => false,
        Content::Reasoning { raw, .. } | Content::Other { raw } => depth::is_too_deep(raw),
        Content::Use { arguments, .. } => depth::is_too_deep(arguments),
        Content::Result { structured, .. } => structured.as_ref().is_some_and(depth::is_too_deep),
    }
}
