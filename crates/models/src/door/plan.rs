//! What a model call would be: whose revision says which model, where it is, what exactly would be sent, and the most
//! it can cost. Nothing is sent and nothing is asked; what is missing is a refusal with the next command.

use std::sync::Arc;

use bytes::Bytes;
use control::Registry;
use control::places::Line;
use domain::budget::Amounts;
use domain::call::{Ask, MarkedBy};
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{AgentSpec, Fallback, ModelProvider, Protocol, ToolCalls};
use domain::id::{Digest, Name};

use super::Door;
use super::client::{Speech, Wanted};
use crate::cache::marked_by;
use crate::constrained::Constrained;
use crate::http::HttpProvider;
use crate::ingress;
use crate::pin::pin;
use crate::price::{Price, price_of};
use crate::provider::{Provider, Request};
use crate::scripted::Scripted;
use crate::wire::Wire;

/// The script that is built in.
const DEMO: &str = "demo";
/// A token of a prompt is hardly ever shorter than this many bytes of the request, which has its JSON around it.
const BYTES_PER_TOKEN: u64 = 2;
/// What a provider adds to a prompt of its own accord, in tokens: how tools are used, above all.
const PROVIDER_OVERHEAD: u64 = 1000;

/// A model call, as it would be.
pub(super) struct Plan {
    /// Who is asked, the first first; never empty.
    pub(super) routes: Vec<Route>,
    pub(super) offers_hash: Digest,
    /// Of the dearest route.
    pub(super) worst: Amounts,
}

/// One model that may answer a call, and what it would be sent.
pub(super) struct Route {
    pub(super) provider_name: Name,
    pub(super) model_name: String,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) line: Arc<Line>,
    pub(super) request: Request,
    pub(super) body: Bytes,
    pub(super) price: Price,
    /// Who makes the provider keep what the body begins with.
    pub(super) marked_by: Option<MarkedBy>,
}

/// A model of a descriptor's.
struct Listed<'a> {
    provider: &'a Name,
    model: &'a str,
    pinned: Option<&'a str>,
}

impl<'a> Listed<'a> {
    fn of(fallback: &'a Fallback) -> Self {
        Listed { provider: &fallback.provider, model: &fallback.name, pinned: None }
    }
}

impl Door {
    pub(super) fn plan(&self, registry: &Registry, ask: &Ask<Wanted<'_>>) -> Result<Plan, Refusal> {
        let link = &ask.principal.link;
        let entry = registry.revision(&link.agent, link.revision).ok_or_else(|| {
            let reason =
                format!("The revision {} of the agent {} is not known here.", link.revision.short(), link.agent);
            Refusal {
                by: RefusedBy::Identity,
                reason,
                next: "Apply its descriptor: `ostler apply -f FILE`.".to_owned(),
            }
        })?;
        let listed = &entry.descriptor.spec.model;
        let model = ask.act.model(listed);
        // A pin is of the agent's own model.
        let pinned = listed.pinned_revision.as_deref().filter(|_| model == listed.name);
        let first = Listed { provider: &listed.provider, model, pinned };
        let (mut worst, mut routes) = (Amounts::default(), Vec::with_capacity(1 + listed.fallbacks.len()));
        for listed in std::iter::once(first).chain(listed.fallbacks.iter().map(Listed::of)) {
            let (route, dearest) = self.route(registry, (ask, &entry.descriptor.spec), &listed)?;
            routes.push(route);
            worst = at_most(worst, dearest);
        }
        Ok(Plan { offers_hash: offers_hash(&ask.act, &routes[0].request), routes, worst })
    }

    /// What one model would be sent, and the most that it can cost.
    fn route(
        &self,
        registry: &Registry,
        (ask, spec): (&Ask<Wanted<'_>>, &AgentSpec),
        &Listed { provider: name, model, pinned }: &Listed<'_>,
    ) -> Result<(Route, Amounts), Refusal> {
        let known = registry.provider(name).ok_or_else(|| {
            let reason = format!("There is no ModelProvider named {name}.");
            not_ready(reason, "Apply one: `ostler apply -f FILE`.")
        })?;
        let descriptor = &known.descriptor;
        let look = format!("Change it and apply it again; look at it with `ostler get ModelProvider {name}`.");
        let missing = |reason: String| not_ready(reason, &look);
        let price = price_of(descriptor, model, self.inner.parts.clock.now()).map_err(missing)?;
        let sent_as = pin(descriptor, model, pinned).map_err(missing)?;
        let constrained = descriptor.spec.tool_calls(model) == ToolCalls::Json;
        let mut request = ask.act.request(Speech {
            agent: &ask.principal.link.agent,
            provider: descriptor,
            model: sent_as,
            instructions: spec.instructions.text(),
            max_output_tokens: spec.model.max_output_tokens,
        })?;
        let mut provider = self.provider(descriptor)?;
        if constrained && !request.tools.is_empty() {
            // What a client wrote for a model that calls tools says nothing to one that cannot.
            request.verbatim = None;
            provider = Arc::new(Constrained::new(provider));
        }
        let body = provider.body(&request);
        let worst = price
            .worst(most_input_tokens(&body, ask.act.beside_bytes(&request.model)), request.max_output_tokens.into());
        let line = self.inner.lines.before(name, descriptor.spec.limits);
        let own = request.verbatim.as_ref().and_then(|_| ask.act.own_body());
        let marked_by = marked_by(&descriptor.spec.protocol, own, &body);
        let (provider_name, model_name) = (name.clone(), model.to_owned());
        Ok((Route { provider_name, model_name, provider, line, request, body, price, marked_by }, worst))
    }

    pub(super) fn provider(&self, descriptor: &ModelProvider) -> Result<Arc<dyn Provider>, Refusal> {
        let name = &descriptor.metadata.name;
        match &descriptor.spec.protocol {
            Protocol::Scripted { script } if script.as_str() == DEMO => {
                Ok(Arc::new(Scripted::demo().paced(self.inner.parts.pace)))
            }
            Protocol::Scripted { script } => self.inner.parts.scripts.get(script).cloned().ok_or_else(|| {
                let reason = format!("The provider {name} plays the script {script}, which does not exist.");
                not_ready(reason, "Name the script `demo`, and apply it again.")
            }),
            protocol @ (Protocol::Anthropic { base_url, .. }
            | Protocol::OpenaiChat { base_url, .. }
            | Protocol::OpenaiResponses { base_url, .. }
            | Protocol::Gemini { base_url, .. }) => {
                let client = self.inner.client.clone().map_err(|reason| {
                    not_ready(format!("The provider {name} cannot be reached: {reason}."), "Install ca-certificates.")
                })?;
                let key = protocol.secret().map(|secret| self.secret(name, secret)).transpose()?;
                let wire = Wire::of(protocol).expect("only a script has none");
                Ok(Arc::new(HttpProvider::new(client, wire, base_url, key)))
            }
        }
    }

    fn secret(&self, provider: &Name, secret: &str) -> Result<String, Refusal> {
        let found = (self.inner.parts.secrets)(secret).filter(|value| !value.trim().is_empty());
        found.ok_or_else(|| {
            let reason = format!("The provider {provider} needs the secret {secret}, which is not set.");
            not_ready(reason, &format!("Start the server with {secret} in its environment."))
        })
    }
}

/// The greater of two amounts on each meter that a model call has.
fn at_most(one: Amounts, other: Amounts) -> Amounts {
    Amounts {
        usd_micros: one.usd_micros.max(other.usd_micros),
        calls: one.calls.max(other.calls),
        tokens: one.tokens.max(other.tokens),
        external_actions: one.external_actions.max(other.external_actions),
        compute_ms: one.compute_ms.max(other.compute_ms),
    }
}

fn not_ready(reason: String, next: &str) -> Refusal {
    Refusal { by: RefusedBy::Readiness, reason, next: next.to_owned() }
}

/// The most tokens that the provider can count for this body, from its length: no tokenizer of the provider's is public.
fn most_input_tokens(body: &[u8], (not_words, on_top): (u64, u64)) -> u64 {
    let words = (body.len() as u64).saturating_sub(not_words);
    words.div_ceil(BYTES_PER_TOKEN).saturating_add(PROVIDER_OVERHEAD).saturating_add(on_top)
}

/// Of the canonical JSON of what is offered.
fn offers_hash(wanted: &Wanted<'_>, request: &Request) -> Digest {
    match wanted {
        Wanted::Own(act) => {
            Digest::of_json(&serde_json::to_value(&*act.offers).expect("offers have string keys and derive Serialize"))
        }
        // Its own bytes go out: they offer what it said.
        Wanted::Client(incoming) if request.verbatim.is_some() => incoming.tools_hash(),
        Wanted::Client(_) => Digest::of_json(&ingress::said(&request.tools)),
    }
}
