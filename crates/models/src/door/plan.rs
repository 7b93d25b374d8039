//! What a model call would be: whose revision says which model, where it is, what exactly would be sent, and the most
//! it can cost. Nothing is sent and nothing is asked; what is missing is a refusal with the next command.

use std::sync::Arc;

use bytes::Bytes;
use control::Registry;
use domain::budget::Amounts;
use domain::call::Ask;
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{ModelProvider, Protocol};
use domain::id::{Digest, Name};
use serde_json::{Value, json};

use super::Door;
use super::client::{Speech, Wanted};
use crate::http::HttpProvider;
use crate::pin::pin;
use crate::price::{Price, price_of};
use crate::provider::{Provider, Request, Tool};
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
    pub(super) provider_name: Name,
    pub(super) model_name: String,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) concurrent: u32,
    pub(super) request: Request,
    pub(super) body: Bytes,
    pub(super) offers_hash: Digest,
    pub(super) price: Price,
    pub(super) worst: Amounts,
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
        let spec = &entry.descriptor.spec;
        let known = registry.provider(&spec.model.provider).ok_or_else(|| {
            let reason = format!("There is no ModelProvider named {}.", spec.model.provider);
            not_ready(reason, "Apply one: `ostler apply -f FILE`.")
        })?;
        let descriptor = &known.descriptor;
        let look = format!(
            "Change it and apply it again; look at it with `ostler get ModelProvider {}`.",
            spec.model.provider
        );
        let missing = |reason: String| not_ready(reason, &look);
        let model_name = ask.act.model(&spec.model);
        let price = price_of(descriptor, model_name, self.inner.parts.clock.now()).map_err(missing)?;
        // A pin is of the agent's own model.
        let pinned = spec.model.pinned_revision.as_deref().filter(|_| model_name == spec.model.name);
        let model = pin(descriptor, model_name, pinned).map_err(missing)?;
        let provider = self.provider(descriptor)?;
        let request = ask.act.request(Speech {
            agent: &link.agent,
            provider: descriptor,
            model,
            instructions: spec.instructions.text(),
            max_output_tokens: spec.model.max_output_tokens,
        })?;
        let body = provider.body(&request);
        let worst = price.worst(most_input_tokens(&body, ask.act.beside_bytes()), request.max_output_tokens.into());
        Ok(Plan {
            provider_name: spec.model.provider.clone(),
            model_name: model_name.to_owned(),
            concurrent: descriptor.spec.concurrent,
            offers_hash: offers_hash(&ask.act, &request),
            provider,
            request,
            body,
            price,
            worst,
        })
    }

    fn provider(&self, descriptor: &ModelProvider) -> Result<Arc<dyn Provider>, Refusal> {
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
    let offers = match wanted {
        Wanted::Own(act) => serde_json::to_value(&*act.offers).expect("offers have string keys and derive Serialize"),
        Wanted::Client(_) => request.tools.iter().map(client_tool).collect(),
    };
    Digest::of_json(&offers)
}

/// A client's own tool: as it defines it, or as it is said to a provider that speaks another protocol.
fn client_tool(tool: &Tool) -> Value {
    let said = || json!({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema});
    tool.raw.clone().unwrap_or_else(said)
}
