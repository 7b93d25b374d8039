//! What a client asks of its agent's model. The descriptor says which provider and which models; the client's own bytes
//! go to a provider of its dialect, its conversation to any other. It must not know how a dialect is written.

use std::sync::Arc;

use bytes::Bytes;
use domain::call::{Ask, ModelAct};
use domain::control::Scope;
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{Model, ModelProvider};
use domain::id::Name;
use domain::message::Message;
use serde_json::Value;

use super::{Door, Prepared};
use crate::ingress::{Incoming, Malformed, converted, question, speaks, verbatim};
use crate::pin::pin;
use crate::provider::{Options, Request, Tool, Verbatim};

/// What a client wants of its agent's model.
#[derive(Debug, Clone)]
pub struct ClientAct {
    /// What it sent.
    pub incoming: Arc<Incoming>,
}

/// What is wanted of a model, and by whom.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// By an agent of the runtime's own.
    Own(&'a ModelAct),
    /// By a client that keeps its own loop.
    Client(&'a Incoming),
}

/// What is to be sent, and to whom.
pub(super) struct Speech<'a> {
    pub(super) agent: &'a Name,
    pub(super) provider: &'a ModelProvider,
    /// The model, as it is sent.
    pub(super) model: String,
    pub(super) instructions: &'a Arc<str>,
    /// What the descriptor allows one answer to have.
    pub(super) max_output_tokens: u32,
}

impl Door {
    /// Asks for a model's answer for a client. Nothing leaves.
    pub async fn prepare_client(&self, ask: &Ask<ClientAct>) -> Prepared {
        self.prepare_wanted(&lend(ask, Wanted::Client(&ask.act.incoming))).await
    }

    /// What the agent's own provider counts that a client's request takes, in its own words; `None` where it speaks
    /// another protocol, has no such question, does not answer, or is not to be asked while the agent is frozen. It is
    /// no call: nothing is generated, held, billed or recorded.
    pub async fn count_for_client(&self, agent: &Name, incoming: &Incoming) -> Option<Bytes> {
        let registry = self.inner.parts.gate.registry();
        let entry = registry.agent(agent)?;
        let (revision, listed) = (entry.revision, &entry.descriptor.spec.model);
        let scopes = [Scope::All, Scope::Agent { agent: agent.clone() }, Scope::Revision { revision }];
        if scopes.iter().any(|scope| registry.frozen(scope).is_some()) {
            return None;
        }
        let descriptor = &registry.provider(&listed.provider)?.descriptor;
        if !speaks(incoming.dialect, &descriptor.spec.protocol) {
            return None;
        }
        let wanted = Wanted::Client(incoming);
        let model = wanted.model(listed);
        let pinned = listed.pinned_revision.as_deref().filter(|_| model == listed.name);
        let model = pin(descriptor, model, pinned).ok()?;
        let question = Verbatim { body: question(incoming, &model), headers: incoming.headers.clone(), stream: false };
        self.provider(descriptor).ok()?.count(&question).await
    }

    /// The models that a client of this agent may name, each with its provider: the agent's own first.
    pub fn client_models(&self, agent: &Name) -> Vec<(String, String)> {
        let registry = self.inner.parts.gate.registry();
        let Some(entry) = registry.agent(agent) else { return Vec::new() };
        let model = &entry.descriptor.spec.model;
        let names = std::iter::once(&model.name).chain(&model.allow);
        names.map(|name| (name.clone(), model.provider.to_string())).collect()
    }
}

/// The same ask, with another act.
pub(super) fn lend<A, B>(ask: &Ask<A>, act: B) -> Ask<B> {
    let (principal, facts) = (Arc::clone(&ask.principal), ask.facts.clone());
    Ask { call: ask.call, attempt: ask.attempt, principal, act, facts }
}

impl Wanted<'_> {
    /// How many messages the conversation has.
    pub(super) fn messages(&self) -> usize {
        match self {
            Wanted::Own(act) => act.messages.len(),
            Wanted::Client(incoming) => incoming.messages.len(),
        }
    }

    /// The model that is asked for, of those that the descriptor lists: its own, unless a client names another.
    pub(super) fn model<'a>(&'a self, listed: &'a Model) -> &'a str {
        match self {
            Wanted::Client(incoming) if listed.allow.contains(&incoming.model) => &incoming.model,
            Wanted::Own(_) | Wanted::Client(_) => &listed.name,
        }
    }

    /// What the client sent, where one did.
    pub(super) fn own_body(&self) -> Option<&Value> {
        match self {
            Wanted::Own(_) => None,
            Wanted::Client(incoming) => Some(incoming.parsed()),
        }
    }

    /// What the bytes of the body do not tell of the tokens: those of it that are pictures, and tokens on top.
    pub(super) fn beside_bytes(&self, model: &str) -> (u64, u64) {
        match self {
            Wanted::Own(_) => (0, 0),
            Wanted::Client(incoming) => (incoming.weight.picture_bytes, incoming.weight.tokens(model)),
        }
    }

    /// What is sent.
    pub(super) fn request(&self, speech: Speech<'_>) -> Result<Request, Refusal> {
        let (messages, tools, instructions, options) = match self {
            Wanted::Own(act) => {
                let tools: Arc<[Tool]> = act.offers.iter().map(Tool::from).collect();
                (act.messages.clone(), tools, Arc::clone(speech.instructions), Options::default())
            }
            Wanted::Client(incoming) => client_says(incoming, speech.provider).map_err(unsayable)?,
        };
        let mut request = Request {
            agent: speech.agent.clone(),
            model: speech.model,
            instructions,
            messages,
            tools,
            max_output_tokens: speech.max_output_tokens,
            options,
            verbatim: None,
        };
        if let Wanted::Client(incoming) = self {
            let asked = incoming.max_output_tokens.unwrap_or(u32::MAX);
            request.max_output_tokens = asked.min(speech.max_output_tokens);
            if speaks(incoming.dialect, &speech.provider.spec.protocol) {
                let mark = Some(&speech.provider.spec.protocol);
                let body = verbatim(incoming, &request.model, request.max_output_tokens, mark);
                request.verbatim = Some(Verbatim { body, headers: incoming.headers.clone(), stream: incoming.stream });
            }
        }
        Ok(request)
    }
}

type Said = (Vec<Arc<Message>>, Arc<[Tool]>, Arc<str>, Options);

fn client_says(incoming: &Incoming, provider: &ModelProvider) -> Result<Said, Malformed> {
    let protocol = &provider.spec.protocol;
    let (messages, tools) = if speaks(incoming.dialect, protocol) {
        // They are not encoded: the client's own bytes are sent.
        (incoming.messages.iter().cloned().map(Arc::new).collect(), incoming.tools.clone())
    } else {
        let converted = converted(incoming, protocol)?;
        (converted.messages, converted.tools)
    };
    Ok((messages, tools.into(), incoming.instructions.as_str().into(), incoming.options.clone()))
}

fn unsayable(malformed: Malformed) -> Refusal {
    let next = "Leave it out, or name a provider that speaks the client's own protocol in the agent's `model:`.";
    Refusal { by: RefusedBy::Arguments, reason: format!("{malformed}."), next: next.to_owned() }
}
