//! What a client that keeps the loop told, asked for and was told, as steps of a trace.

use domain::event::Event;
use domain::id::CallId;
use domain::message::{Content, Message, Trust};
use serde_json::Value;

use super::fold::Folding;
use super::{CapabilityCall, ClientMessage, ClientSaid, Said, State, What};
use crate::record::Envelope;

/// A use that an attached model wanted.
pub(super) struct Wanted {
    /// The model call that wanted it.
    pub asked_by: CallId,
    /// Where it stands in what that said.
    pub at: usize,
    /// The reasoning directly above it.
    pub reasoning: Vec<String>,
}

impl Folding {
    /// What a client did. `told`: how many messages its conversation had before.
    pub(super) fn client(&mut self, envelope: &Envelope, event: &Event, told: usize) {
        match event {
            Event::ClientSaid { messages, conversation, instructions, tools } => {
                let tells = conversation.iter().fold(0u32, |sum, run| sum.saturating_add(run.count));
                let new = messages.len();
                let said = ClientSaid {
                    said: messages.iter().map(message).collect(),
                    tells,
                    rewrote: (tells as usize).saturating_sub(new) < told,
                    instructions: instructions.clone(),
                    tools: tools.as_ref().map(count),
                };
                self.push(envelope, What::Client(Box::new(said)));
            }
            Event::ClientCalled { call, use_id, capability, arguments } => {
                let wanted = self.uses.remove(use_id);
                if let Some(wanted) = &wanted {
                    self.link(wanted, *call);
                }
                let (asked_by, reasoning) =
                    wanted.map_or((None, Vec::new()), |wanted| (Some(wanted.asked_by), wanted.reasoning));
                let called = CapabilityCall {
                    asked_by,
                    reasoning,
                    name: capability.clone(),
                    wanted: arguments.clone(),
                    ..CapabilityCall::new(*call)
                };
                let index = self.push(envelope, What::Capability(Box::new(called)));
                self.steps.insert(call.ordinal, index);
            }
            Event::ClientTold { call, instead: Some(why) } => self.given_up(envelope, *call, why),
            _ => {}
        }
    }

    fn link(&mut self, wanted: &Wanted, to: CallId) {
        let Some(step) = self.steps.get(&wanted.asked_by.ordinal) else { return };
        if let What::Model(model) = &mut self.trace.steps[*step].what
            && let Some(Said::Use { call, .. }) = model.says.get_mut(wanted.at)
        {
            *call = to;
        }
    }

    /// A call that is not made, because its client was told so.
    fn given_up(&mut self, envelope: &Envelope, call: CallId, why: &str) {
        let Some(step) = self.steps.get(&call.ordinal) else { return };
        let (state, error) = match &mut self.trace.steps[*step].what {
            What::Model(model) => (&mut model.state, &mut model.error),
            What::Capability(used) => (&mut used.state, &mut used.error),
            _ => return,
        };
        (*state, *error) = (State::Dropped, Some(why.to_owned()));
        self.end(call, envelope.at);
    }
}

fn message(message: &Message) -> ClientMessage {
    let uses = message.parts.iter().filter_map(|part| match &part.content {
        Content::Use { capability, .. } => Some(format!("[uses {capability}]")),
        _ => None,
    });
    let words = Some(message.words()).filter(|words| !words.is_empty());
    let doubted = message.parts.iter().any(|part| part.trust == Trust::Untrusted);
    ClientMessage {
        role: message.role,
        text: words.into_iter().chain(uses).collect::<Vec<_>>().join("\n"),
        trust: if doubted { Trust::Untrusted } else { Trust::Trusted },
    }
}

fn count(tools: &Value) -> u32 {
    tools.as_array().map_or(0, |all| u32::try_from(all.len()).unwrap_or(u32::MAX))
}
