//! What a session knows of the client that keeps its loop: what was said in the order that the client tells it, and
//! which calls of it nobody was told the end of. Folding decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CallKind, CallState, OpenCall, Phase, Session};
use crate::clock::Timestamp;
use crate::decision::RefusedBy;
use crate::event::Event;
use crate::id::{CallId, Digest};
use crate::message::{Message, Origin, Part};

/// How many results that nobody was told are kept.
pub const RESULTS_KEPT: usize = 256;

/// Some of the messages of a session, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first of them.
    pub from: u32,
    /// How many.
    pub count: u32,
}

/// What a session knows of its client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    /// The conversation as the client told it last, with what it was answered since: runs of the session's messages.
    pub conversation: Vec<Run>,
    /// Of what it told its model to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Digest>,
    /// Of what its model may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Digest>,
    /// The model call that it asked for last, by ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u32>,
    /// Capability calls that it was not told the end of, by ordinal.
    pub calls: BTreeMap<u32, Called>,
    /// What its client was given through this door, in order: what the session heard of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Arc<Given>>,
    /// Whether more was given than is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_dropped: bool,
}

/// How many results that a client was given are kept.
const GIVEN_KEPT: usize = 512;

/// A result that a client was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// What it was asked with.
    pub arguments: Value,
    /// The result.
    pub part: Part,
}

/// A capability call that a client was not told the end of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// The capability, as the client named it.
    pub capability: String,
    /// Of the canonical arguments, as the client wrote them.
    pub arguments: Digest,
    /// What refused it, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedBy>,
    /// Its result, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Part>,
}

/// Adds a message to a conversation.
pub fn extend(conversation: &mut Vec<Run>, index: u32) {
    match conversation.last_mut() {
        Some(last) if last.from + last.count == index => last.count += 1,
        _ => conversation.push(Run { from: index, count: 1 }),
    }
}

impl Attached {
    /// The messages of the conversation, by their place in the session.
    pub fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.conversation.iter().flat_map(|run| run.from..run.from.saturating_add(run.count))
    }

    /// The call that this would be again: open, or ended without anybody being told.
    pub fn same(&self, capability: &str, arguments: Digest) -> Option<u32> {
        let mut its =
            self.calls.iter().filter(|(_, call)| call.capability == capability && call.arguments == arguments);
        its.next().map(|(ordinal, _)| *ordinal)
    }

    /// Forgets the oldest results beyond [`RESULTS_KEPT`].
    fn tidy(&mut self) {
        let ended: Vec<u32> =
            self.calls.iter().filter(|(_, call)| call.result.is_some()).map(|(ordinal, _)| *ordinal).collect();
        for ordinal in ended.iter().take(ended.len().saturating_sub(RESULTS_KEPT)) {
            self.calls.remove(ordinal);
        }
    }
}

impl Session {
    /// What a client did.
    pub(super) fn client(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ClientSaid { messages, conversation, instructions, tools } => {
                self.client_said(messages, conversation, at);
                let Some(attached) = &mut self.attached else { return };
                if let Some(instructions) = instructions {
                    attached.instructions = Some(Digest::of(instructions.as_bytes()));
                }
                if let Some(tools) = tools {
                    attached.tools = Some(Digest::of_json(tools));
                }
            }
            Event::ClientCalled { call, use_id, capability, arguments } => {
                self.client_called(*call, (use_id, capability, arguments), at);
            }
            Event::ClientTold { call, .. } => {
                if let Some(attached) = &mut self.attached {
                    attached.calls.remove(&call.ordinal);
                }
                let sent =
                    |open: &OpenCall| matches!(open.state, CallState::InFlight { .. } | CallState::InDoubt { .. });
                if self.open.get(&call.ordinal).is_some_and(|open| !sent(open)) {
                    self.open.remove(&call.ordinal);
                }
            }
            _ => {}
        }
    }

    fn client_said(&mut self, messages: &[Message], conversation: &[Run], at: Timestamp) {
        self.messages.extend(messages.iter().cloned().map(Arc::new));
        (self.turns, self.model_failure, self.failure) = (0, None, None);
        if let Some(pause) = &mut self.paused {
            pause.rested = None;
        }
        if let Some(attached) = &mut self.attached {
            attached.conversation = conversation.to_vec();
        }
        self.enter(Phase::Running, at);
    }

    fn client_called(&mut self, id: CallId, wanted: (&str, &str, &Value), at: Timestamp) {
        let (use_id, capability, arguments) = wanted;
        let kind = CallKind::Capability {
            use_id: use_id.to_owned(),
            capability: capability.to_owned(),
            arguments: arguments.clone(),
            malformed: None,
        };
        self.call_mut(id, &kind);
        let called = Called {
            capability: capability.to_owned(),
            arguments: Digest::of_json(arguments),
            refused: None,
            result: None,
        };
        if let Some(attached) = &mut self.attached {
            attached.calls.insert(id.ordinal, called);
        }
        self.model_failure = None;
        self.enter(Phase::Running, at);
    }

    /// A client's model is asked.
    pub(super) fn client_asks(&mut self, call: CallId) {
        if let Some(attached) = &mut self.attached {
            attached.asked = Some(call.ordinal);
        }
    }

    /// The answer of a client's model: the client performs what it wants used, or asks for it.
    pub(super) fn client_answered(&mut self, call: CallId) {
        let last = u32::try_from(self.messages.len()).unwrap_or(u32::MAX).saturating_sub(1);
        if let Some(attached) = &mut self.attached
            && attached.asked == Some(call.ordinal)
        {
            extend(&mut attached.conversation, last);
        }
    }

    /// The end of a client's call, kept until it is told; what it says is heard from then on.
    pub(super) fn keep(&mut self, call: CallId, ended: Option<OpenCall>, part: Option<Part>) {
        let Some(attached) = &mut self.attached else { return };
        if let (Some(OpenCall { kind: CallKind::Capability { arguments, .. }, .. }), Some(part)) = (ended, &part)
            && part.origin != Origin::Runtime
        {
            attached.given_dropped |= attached.given.len() >= GIVEN_KEPT;
            if !attached.given_dropped {
                attached.given.push(Arc::new(Given { arguments, part: part.clone() }));
            }
        }
        if let Some(called) = attached.calls.get_mut(&call.ordinal) {
            called.result = part;
        }
        attached.tidy();
    }
}
