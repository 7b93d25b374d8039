//! What there is to use: the tools of each server, fetched when needed, kept while they are fresh, and what of it an
//! agent is offered. An agent sees the names that it lists and nothing else; a server's words reach it bounded and
//! without characters that people do not see. Must not know who may do what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::registry::Registry;
use domain::capability::{CapabilityRef, Offer};
use domain::clock::Clock;
use domain::id::{Digest, Name};
use serde_json::{Value, json};

use crate::agent;
use crate::answer::{visible, visible_json};
use crate::internal::Internal;
use crate::schema::{Schema, open_schema};
use crate::supervise::{Live, Server, Upstreams};
use crate::upstream::{Spec, ToolDefinition};

/// How long a list of tools is believed without asking again, in milliseconds. A server that says that its tools
/// changed, or a new connection, is asked at once.
const LIST_FRESH_MS: i64 = 30_000;

/// The longest description that is offered, in characters.
const MAX_DESCRIPTION: usize = 2000;

/// A tool as its server defines it, with what follows from that.
pub(crate) struct Tool {
    definition: ToolDefinition,
    digest: Digest,
    /// The JSON Schema of its arguments, as its server says it.
    pub(crate) input_schema: Arc<Value>,
    /// Its arguments' schema, or why that cannot be used.
    pub(crate) schema: Result<Schema, String>,
}

impl Tool {
    fn of(definition: ToolDefinition) -> Self {
        let ToolDefinition { name, title, description, input_schema, output_schema, annotations } = &definition;
        let digest = Digest::of_json(&json!({
            "name": name,
            "title": title,
            "description": description,
            "inputSchema": input_schema,
            "outputSchema": output_schema,
            "annotations": annotations,
        }));
        let schema = Schema::compile(&definition.input_schema);
        let input_schema = Arc::new(definition.input_schema.clone());
        Tool { definition, digest, input_schema, schema }
    }

    /// Of everything that a consent to use it as this capability rests on: the server's definition, and ours.
    pub(crate) fn bound_to(&self, capability_revision: Digest) -> Digest {
        let (tool, capability) = (self.digest.to_string(), capability_revision.to_string());
        Digest::of_json(&json!({"tool": tool, "capability": capability}))
    }

    fn description(&self) -> String {
        let said = self.definition.description.as_ref().or(self.definition.title.as_ref());
        let said = visible(said.map_or("", String::as_str).trim());
        match said.char_indices().nth(MAX_DESCRIPTION) {
            Some((end, _)) => format!("{}…", &said[..end]),
            None => said,
        }
    }
}

type Tools = Arc<BTreeMap<String, Arc<Tool>>>;

/// A list of tools, as of when and from which connection.
struct Listed {
    spec: Spec,
    edition: (u64, u64),
    at_ms: i64,
    tools: Tools,
}

/// A tool that can be used now.
pub(crate) struct Found {
    pub(crate) tool: Arc<Tool>,
    pub(crate) server: Arc<Server>,
    pub(crate) live: Live,
}

/// What there is to use.
pub(crate) struct Catalog {
    upstreams: Upstreams,
    clock: Arc<dyn Clock>,
    listed: Mutex<BTreeMap<Name, Listed>>,
}

impl Catalog {
    pub(crate) fn new(upstreams: Upstreams, clock: Arc<dyn Clock>) -> Self {
        Catalog { upstreams, clock, listed: Mutex::default() }
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    fn listed(&self) -> MutexGuard<'_, BTreeMap<Name, Listed>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tool of a server, with a connection to use it over; the server is started if need be. `Err` is a sentence.
    pub(crate) async fn find(&self, spec: &Spec, tool: &str) -> Result<Found, String> {
        let server = self.upstreams.server(spec);
        let live = server.connected().await?;
        let tools = self.tools(spec, &server, &live).await?;
        match tools.get(tool) {
            Some(tool) => Ok(Found { tool: Arc::clone(tool), server, live }),
            None => Err(format!("the server `{}` has no tool `{tool}`", spec.name)),
        }
    }

    async fn tools(&self, spec: &Spec, server: &Server, live: &Live) -> Result<Tools, String> {
        let (edition, at_ms) = (live.edition(), self.clock.monotonic_ms());
        if let Some(listed) = self.listed().get(&spec.name)
            && listed.spec == *spec
            && listed.edition == edition
            && at_ms - listed.at_ms < LIST_FRESH_MS
        {
            return Ok(Arc::clone(&listed.tools));
        }
        let defined = server.tools(live).await?;
        let tools = defined.into_iter().map(|tool| (tool.name.clone(), Arc::new(Tool::of(tool)))).collect();
        let tools: Tools = Arc::new(tools);
        let listed = Listed { spec: spec.clone(), edition, at_ms, tools: Arc::clone(&tools) };
        self.listed().insert(spec.name.clone(), listed);
        Ok(tools)
    }

    /// A tool as it was when its server last answered.
    fn last_known(&self, spec: &Spec, tool: &str) -> Option<Arc<Tool>> {
        let listed = self.listed();
        let of = listed.get(&spec.name).filter(|listed| listed.spec == *spec)?;
        of.tools.get(tool).map(Arc::clone)
    }

    /// A capability as an agent is offered it. One that cannot be used is offered with the reason: a list that comes
    /// and goes with a server's health would change the prompt.
    pub(crate) async fn offer(&self, registry: &Registry, capability: CapabilityRef) -> Offer {
        let name = match &capability {
            CapabilityRef::External(name) => name,
            CapabilityRef::Agent(name) => {
                let of = agent::offer(registry, name);
                return of.unwrap_or_else(|| unusable(capability, "there is no such agent yet"));
            }
            CapabilityRef::Internal(name) => {
                let of = Internal::named(name).map(Internal::offer);
                return of.unwrap_or_else(|| unusable(capability, "the runtime has no such capability"));
            }
        };
        let Some(described) = registry.capability(name) else {
            return unusable(capability, "it has not been described yet");
        };
        let spec = &described.descriptor.spec;
        let Some(server) = registry.server(&spec.server) else {
            return unusable(capability, "its server has not been described yet");
        };
        let server = Spec::of(&server.descriptor);
        let tool = match self.find(&server, &spec.tool).await {
            Ok(found) => found.tool,
            Err(why) => match self.last_known(&server, &spec.tool) {
                Some(tool) => tool,
                None => return unusable(capability, &why),
            },
        };
        if let Err(why) = &tool.schema {
            return unusable(capability, &format!("its arguments cannot be checked: {why}"));
        }
        let description = tool.description();
        Offer { capability, description, input_schema: visible_json(&tool.definition.input_schema) }
    }
}

fn unusable(capability: CapabilityRef, why: &str) -> Offer {
    let description = format!("Cannot be used at the moment: {}.", visible(why).trim_end_matches('.'));
    Offer { capability, description, input_schema: open_schema() }
}
