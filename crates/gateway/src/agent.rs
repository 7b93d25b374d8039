//! Other agents as capabilities, `agent://NAME`: what a model is told of one, and what it may say to it. Must not know
//! who may delegate, or how a session starts.

use control::registry::Registry;
use domain::capability::{CapabilityRef, Offer};
use domain::id::{Digest, Name};
use serde_json::{Value, json};

use crate::answer::visible;

/// How much of an agent's own instructions others are told, in characters.
const TOLD: usize = 500;

/// What an agent is given: free text.
pub(crate) fn schema() -> Value {
    let description = "What it is to do, so that it can be understood without this conversation.";
    let input = json!({"type": "string", "minLength": 1, "maxLength": 100_000, "description": description});
    json!({"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false})
}

/// Of everything that a consent to ask it rests on: what it is given, and its descriptor.
pub(crate) fn bound_to(agent: &Name, revision: Digest) -> Digest {
    Digest::of_json(&json!({"agent": agent, "revision": revision.to_string(), "inputSchema": schema()}))
}

/// An agent as another is offered it: what it is for, as far as its instructions say so at their beginning. `None`: there
/// is no such agent.
pub(crate) fn offer(registry: &Registry, name: &Name) -> Option<Offer> {
    let spec = &registry.agent(name)?.descriptor.spec;
    let about = visible(spec.instructions.text());
    let about = about.split("\n\n").next().unwrap_or_default().trim();
    let about: String = about.chars().take(TOLD).collect();
    let description = format!(
        "Asks the agent {name}, which works on it by itself with its own tools, and answers once it is done. What it is \
         for: {about}"
    );
    Some(Offer { capability: CapabilityRef::Agent(name.clone()), description, input_schema: schema() })
}
