//! Readiness: what a descriptor that was accepted still lacks before it can run, each with the next command. What must
//! never be known here: secrets and prices themselves, only whether they are there.

use std::sync::Arc;

use domain::capability::CapabilityRef;
use domain::descriptor::{Fallback, Model, ModelProvider, On, OnePer};
use domain::id::Name;
use serde::{Deserialize, Serialize};

use crate::delegate;
use crate::registry::Registry;

/// Whether a provider's model has a known price; the error says what is missing.
pub type PriceCheck = Arc<dyn Fn(&ModelProvider, &str) -> Result<(), String> + Send + Sync>;

/// Whether a secret of this name is there.
pub type SecretCheck = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Whether a provider's model has the revision that is pinned, if one is; the error names those that it has.
pub type PinCheck = Arc<dyn Fn(&ModelProvider, &str, Option<&str>) -> Result<(), String> + Send + Sync>;

/// What only the machine around the control plane knows.
#[derive(Clone)]
pub struct Checks {
    /// By provider and model, as the descriptor names it.
    pub price: PriceCheck,
    /// By provider, model and pinned revision, as the descriptor names them.
    pub pin: PinCheck,
    /// By name.
    pub secret: SecretCheck,
}

/// One thing an agent needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whether it is there.
    pub ok: bool,
    /// What is there, or what is missing.
    pub reason: String,
    /// The next command; empty where nothing is missing.
    pub next: String,
}

/// What an agent has and what it lacks; empty if there is no such agent.
pub fn of(registry: &Registry, checks: &Checks, agent: &Name) -> Vec<Condition> {
    let Some(entry) = registry.agent(agent) else {
        return Vec::new();
    };
    let mut conditions = model(registry, checks, &entry.descriptor.spec.model);
    for used in &entry.rules.tools {
        conditions.extend(capability(registry, checks, used));
    }
    conditions.extend(entry.descriptor.spec.triggers.iter().filter_map(|trigger| match &trigger.on {
        On::Webhook { secret, .. } => Some(secret_of(checks, secret, &format!("the webhook {}", trigger.name))),
        On::Cron { .. } => None,
    }));
    // Two tools of one server lack the same secret once.
    let mut each = Vec::new();
    for condition in conditions {
        if !each.contains(&condition) {
            each.push(condition);
        }
    }
    each
}

/// The first thing that is missing, if anything is.
pub fn missing(conditions: Vec<Condition>) -> Option<Condition> {
    conditions.into_iter().find(|condition| !condition.ok)
}

/// What an agent's model needs: its provider, the provider's key, the pinned revision, a price.
pub fn model(registry: &Registry, checks: &Checks, wanted: &Model) -> Vec<Condition> {
    let Model { provider, name, pinned_revision, allow, .. } = wanted;
    let Some(entry) = registry.provider(provider) else {
        let next = format!("ostler apply -f {provider}.yaml   # kind: ModelProvider, metadata.name: {provider}");
        return vec![lacks(format!("There is no ModelProvider named {provider}."), next)];
    };
    let spec = &entry.descriptor.spec;
    let mut conditions = vec![has(format!("The ModelProvider {provider} is there."))];
    if let Some(secret) = spec.protocol.secret() {
        conditions.push(secret_of(checks, secret, &format!("the ModelProvider {provider}")));
    }
    if let Err(why) = (checks.pin)(&entry.descriptor, name, pinned_revision.as_deref()) {
        let next = format!(
            "ostler apply -f {provider}.yaml   # with spec.revisions: {{{name}: {{\"REVISION\": MODEL-ID}}}}, or pin another \
             revision in the agent"
        );
        conditions.push(lacks(why, next));
    }
    let prices = std::iter::once(name).chain(allow).map(|name| match (checks.price)(&entry.descriptor, name) {
        Ok(()) => has(format!("The price of {name} is known.")),
        Err(why) => {
            let next = format!("ostler apply -f {provider}.yaml   # with spec.prices: {{{name}: …}}");
            lacks(format!("The price of {name} at {provider} is not known: {why}"), next)
        }
    });
    conditions.extend(prices);
    for Fallback { provider, name } in &wanted.fallbacks {
        let next = Model {
            provider: provider.clone(),
            name: name.clone(),
            pinned_revision: None,
            max_output_tokens: wanted.max_output_tokens,
            allow: Vec::new(),
            fallbacks: Vec::new(),
        };
        conditions.extend(model(registry, checks, &next));
    }
    conditions
}

/// What the use of a capability needs: its descriptor, its server, the server's secrets.
pub fn capability(registry: &Registry, checks: &Checks, wanted: &CapabilityRef) -> Vec<Condition> {
    let name = match wanted {
        CapabilityRef::External(name) => name,
        CapabilityRef::Internal(_) => return Vec::new(),
        CapabilityRef::Agent(name) => return agent(registry, checks, name),
    };
    let Some(entry) = registry.capability(name) else {
        let next = format!("ostler apply -f {name}.yaml   # kind: Capability, metadata.name: {name}");
        return vec![lacks(format!("There is no Capability named {name}."), next)];
    };
    let mut conditions = vec![has(format!("The Capability {name} is there."))];
    let server = &entry.descriptor.spec.server;
    let Some(upstream) = registry.server(server) else {
        let next = format!("ostler apply -f {server}.yaml   # kind: McpServer, metadata.name: {server}");
        conditions.push(lacks(format!("There is no McpServer named {server}, which {name} is on."), next));
        return conditions;
    };
    conditions.push(has(format!("The McpServer {server} is there.")));
    let whose = format!("the McpServer {server}");
    conditions.extend(upstream.descriptor.spec.secrets.iter().map(|secret| secret_of(checks, secret, &whose)));
    conditions
}

/// What it takes to delegate to an agent: that it is there, and can think. What it may use is its own affair.
fn agent(registry: &Registry, checks: &Checks, name: &Name) -> Vec<Condition> {
    let Some(entry) = registry.agent(name) else {
        return vec![lacks(format!("There is no Agent named {name}."), delegate::apply(name))];
    };
    let spec = &entry.descriptor.spec;
    if let OnePer::Partition { .. } = spec.concurrency.one_per {
        let next = format!("ostler apply -f {name}.yaml   # without concurrency.one_per: partition");
        return vec![lacks(delegate::partitions(name), next)];
    }
    let here = has(format!("The Agent {name} is there."));
    std::iter::once(here).chain(model(registry, checks, &spec.model)).collect()
}

fn secret_of(checks: &Checks, secret: &str, whose: &str) -> Condition {
    if (checks.secret)(secret) {
        return has(format!("The secret {secret} of {whose} is there."));
    }
    // A shell takes no name with a dash.
    let begin = if secret.contains('-') { String::new() } else { format!("{secret}=… ") };
    let next = format!("{begin}ostler up   # with a line {secret}=… in secrets.env of the data directory, mode 0600");
    lacks(format!("The secret {secret} of {whose} is not there."), next)
}

fn has(reason: String) -> Condition {
    Condition { ok: true, reason, next: String::new() }
}

fn lacks(reason: String, next: String) -> Condition {
    Condition { ok: false, reason, next }
}
