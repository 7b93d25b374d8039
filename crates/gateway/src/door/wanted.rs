//! Looking a call up: what is listed, how it is defined, whether the arguments fit, what it is worth. Must not know
//! whether it may be done.

use std::sync::Arc;

use control::{Registry, delegate, provenance};
use domain::budget::Amounts;
use domain::call::{ApprovalRequest, Ask, CapabilityAct};
use domain::capability::{CapabilityRef, Effect};
use domain::decision::Refusal;
use domain::descriptor::{Capability, Memory, Places};
use domain::id::{Digest, Name};
use domain::mail::Start;
use domain::principal::Principal;
use domain::provenance::Provenance;
use serde_json::{Map, Value};

use super::{Door, perform, refusal};
use crate::agent;
use crate::internal::Internal;
use crate::schema::Schema;
use crate::upstream::Spec;

/// A call that was looked up and whose arguments fit.
pub(super) struct Wanted {
    pub(super) capability: CapabilityRef,
    pub(super) effect: Effect,
    pub(super) arguments: Map<String, Value>,
    pub(super) schema: Digest,
    /// What `schema` is the hash of says of the arguments, where it is at hand.
    pub(super) input_schema: Option<Arc<Value>>,
    pub(super) value_usd_micros: Option<i64>,
    pub(super) worst: Amounts,
    pub(super) provenance: Option<Box<Provenance>>,
    pub(super) by: By,
}

impl Wanted {
    /// Looks where its arguments came from.
    fn traced(mut self, registry: &Registry, ask: &Ask<CapabilityAct>) -> Self {
        let link = &ask.principal.link;
        let Some(entry) = registry.revision(&link.agent, link.revision) else { return self };
        let spec = match &self.by {
            By::Server(outside) => Some(&outside.capability.spec),
            By::Runtime { .. } => None,
        };
        let arguments = Value::Object(self.arguments);
        let found = provenance::of(&ask.facts.heard, entry.words(), spec, &arguments);
        self.provenance = Some(Box::new(found));
        self.arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        self
    }
}

/// Who performs a call.
pub(super) enum By {
    /// A server outside.
    Server(Box<Outside>),
    /// The runtime.
    Runtime {
        /// For how long the agent remembers.
        retention_days: Option<u32>,
        /// How the session starts that it is delegated to.
        delegates: Option<Box<Start>>,
    },
}

impl By {
    fn inside(retention_days: Option<u32>) -> Self {
        By::Runtime { retention_days, delegates: None }
    }
}

/// Why a call is not looked up to the end.
pub(super) enum Stop {
    /// The agent does not list it.
    Unlisted(CapabilityRef),
    /// It is not there, or its arguments do not fit.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl Wanted {
    /// What nobody looked at: the worst it can be.
    pub(super) fn unseen(capability: CapabilityRef) -> Self {
        let (effect, schema) = (Effect::Irreversible, Digest::of(b""));
        let (arguments, worst, by) = (Map::new(), Amounts::default(), By::inside(None));
        let (provenance, input_schema) = (None, None);
        Wanted { capability, effect, arguments, schema, input_schema, value_usd_micros: None, worst, provenance, by }
    }
}

/// Where a call goes, by the descriptors it was decided under.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) capability: Arc<Capability>,
    pub(super) revision: Digest,
    pub(super) server: Spec,
    pub(super) limits: Places,
}

impl Outside {
    /// A call that a person is asked about, as they were asked: a server that is away meanwhile does not withdraw the
    /// question. Should the call go, its definition is compared before it leaves.
    fn pending(self, request: &ApprovalRequest) -> Wanted {
        Wanted {
            capability: request.capability.clone(),
            effect: self.capability.spec.effect,
            arguments: request.arguments.as_object().cloned().unwrap_or_default(),
            schema: request.binding.schema,
            input_schema: None,
            value_usd_micros: request.value_usd_micros,
            worst: perform::price(&self.capability),
            provenance: None,
            by: By::Server(Box::new(self)),
        }
    }
}

impl Door {
    /// Looks a call up and fits its arguments.
    pub(super) async fn look_up(&self, registry: &Registry, ask: &Ask<CapabilityAct>) -> Result<Wanted, Stop> {
        let listed = listed(registry, &ask.principal);
        let capability = match &ask.act.capability {
            Ok(capability) if listed.contains(capability) => capability.clone(),
            Ok(capability) => return Err(Stop::Unlisted(capability.clone())),
            Err(name) => return Err(refusal::not_listed(name, &listed).into()),
        };
        if let Some(written) = &ask.act.malformed {
            return Err(refusal::malformed(&capability, written).into());
        }
        let name = match &capability {
            CapabilityRef::Internal(name) => {
                let internal = Internal::named(name).ok_or_else(|| refusal::unknown(&capability))?;
                let retention_days = retention_days(registry, &ask.principal);
                return Ok(inside(capability, internal, &ask.act.arguments, retention_days)?.traced(registry, ask));
            }
            CapabilityRef::Agent(name) => return Ok(delegated(registry, ask, name)?.traced(registry, ask)),
            CapabilityRef::External(name) => name,
        };
        let described = registry.capability(name).ok_or_else(|| refusal::unknown(&capability))?;
        let spec = &described.descriptor.spec;
        let server = registry.server(&spec.server).ok_or_else(|| refusal::unknown(&capability))?;
        let (revision, limits, server) =
            (described.revision, server.descriptor.spec.limits, Spec::of(&server.descriptor));
        let outside = Outside { capability: Arc::clone(&described.descriptor), revision, server, limits };
        let tool = match (self.0.catalog.find(&outside.server, &spec.tool).await, ask.facts.asked()) {
            (Ok(found), _) => found.tool,
            (Err(_), Some(request)) => return Ok(outside.pending(request).traced(registry, ask)),
            (Err(why), None) => return Err(refusal::unavailable(&capability, &why).into()),
        };
        let schema = tool.schema.as_ref().map_err(|why| refusal::unavailable(&capability, why))?;
        let arguments = fit(&capability, schema, &ask.act.arguments)?;
        let args = Value::Object(arguments.clone());
        let value = spec.value_of(&args);
        Ok(Wanted {
            effect: spec.effect,
            arguments,
            schema: tool.bound_to(revision),
            input_schema: Some(Arc::clone(&tool.input_schema)),
            value_usd_micros: value.map(|usd| usd.0),
            worst: perform::price(&described.descriptor),
            provenance: None,
            by: By::Server(Box::new(outside)),
            capability,
        }
        .traced(registry, ask))
    }
}

/// What both the revision that a session runs and the agent's current one list, sorted by name.
pub(super) fn listed(registry: &Registry, principal: &Principal) -> Vec<CapabilityRef> {
    let (agent, revision) = (&principal.link.agent, principal.link.revision);
    let (Some(started), Some(current)) = (registry.revision(agent, revision), registry.agent(agent)) else {
        return Vec::new();
    };
    let all = started.descriptor.capabilities();
    all.into_iter().filter(|capability| current.rules.tools.contains(capability)).collect()
}

fn retention_days(registry: &Registry, principal: &Principal) -> Option<u32> {
    let started = registry.revision(&principal.link.agent, principal.link.revision)?;
    match started.descriptor.spec.memory {
        Memory::None => None,
        Memory::Persistent { retention_days } => retention_days,
    }
}

fn inside(
    capability: CapabilityRef,
    internal: &Internal,
    arguments: &Value,
    retention_days: Option<u32>,
) -> Result<Wanted, Refusal> {
    let input_schema = internal.input_schema();
    let schema = Schema::compile(&input_schema).map_err(|why| refusal::unavailable(&capability, &why))?;
    let arguments = fit(&capability, &schema, arguments)?;
    Ok(Wanted {
        capability,
        effect: internal.effect(),
        arguments,
        schema: internal.digest(),
        input_schema: Some(Arc::new(input_schema)),
        value_usd_micros: None,
        worst: Amounts::default(),
        provenance: None,
        by: By::inside(retention_days),
    })
}

/// Delegation: nothing is done by it, and whatever the other agent does is asked about then. What people consent to is
/// its descriptor, too.
fn delegated(registry: &Registry, ask: &Ask<CapabilityAct>, agent: &Name) -> Result<Wanted, Refusal> {
    let capability = CapabilityRef::Agent(agent.clone());
    let start = delegate::start(registry, &ask.principal, (ask.call, agent))?;
    let input_schema = agent::schema();
    let schema = Schema::compile(&input_schema).map_err(|why| refusal::unavailable(&capability, &why))?;
    let arguments = fit(&capability, &schema, &ask.act.arguments)?;
    Ok(Wanted {
        effect: Effect::Read,
        arguments,
        schema: agent::bound_to(agent, start.principal.link.revision),
        input_schema: Some(Arc::new(input_schema)),
        value_usd_micros: None,
        worst: Amounts::default(),
        provenance: None,
        by: By::Runtime { retention_days: None, delegates: Some(Box::new(start)) },
        capability,
    })
}

fn fit(capability: &CapabilityRef, schema: &Schema, arguments: &Value) -> Result<Map<String, Value>, Refusal> {
    schema.effective(arguments).map_err(|misfits| refusal::misfit(capability, &misfits))
}
