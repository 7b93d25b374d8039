//! Descriptors: applied, listed, shown, deleted.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use control::apply::{self, Came, Wish};
use control::policy::check::{self, Definitions, Wrong};
use control::readiness::Condition;
use control::registry::{AgentEntry, Entry, Registry};
use domain::change::Target;
use domain::control::{Kind, Scope};
use domain::descriptor::{self, Descriptor, Diagnostic, Policy, PolicySource, Protocol, Transport};
use domain::id::{Digest, Name};
use domain::principal::Autonomy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::changes::{self, Unmade};
use super::triggers::{self, Shown};
use super::{Body, Params, Segments};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// Files to apply.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    files: Vec<File>,
    #[serde(default)]
    dry_run: bool,
    /// Why; kept with the change.
    #[serde(default)]
    reason: String,
}

/// A file, and the files that it refers to, by the paths as they are written in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    path: String,
    text: String,
    #[serde(default)]
    attachments: BTreeMap<String, String>,
}

/// Applies all descriptors of all files, or none: at once, or, where they widen a protected agent, once a second person
/// said yes.
pub(crate) async fn apply(State(app): State<App>, who: Who, Body(files): Body<Files>) -> ApiResult<Json<Came>> {
    let descriptors = parse_all(&files.files)?;
    if descriptors.iter().any(|descriptor| reads_tools(&app, descriptor)) {
        look_up(&app, &descriptors).await?;
    }
    let policies: Vec<Policy> = apply::policies(&descriptors).cloned().collect();
    let wish = Wish { applies: descriptors, reason: files.reason.clone(), dry_run: files.dry_run, ..Wish::default() };
    match changes::make(&app, &who, wish).await {
        Ok(came) => Ok(Json(came)),
        Err(Unmade::Policies(wrong)) => {
            Err(unfit(wrong.iter().map(|one| misfit(&files.files, &policies, one)).collect()))
        }
        Err(Unmade::Refused(error)) => Err(error),
    }
}

/// Takes note of what servers will say of their tools with these descriptors in place; refuses those under which a policy
/// in force would not fit any more.
async fn look_up(app: &App, descriptors: &[Descriptor]) -> ApiResult<()> {
    let (now, next) = (app.gate.registry(), apply::preview(&app.gate, descriptors)?);
    let would_say = app.gateway.definitions(&next).await;
    if descriptors.iter().any(|descriptor| descriptor.kind() == Kind::Capability) {
        let said = app.gateway.definitions(&now).await;
        apply::keeps_policies(&now, &next, [&said, &would_say], "This")?;
    }
    app.gate.defined(would_say);
    Ok(())
}

/// Whether what servers say of their tools bears on applying it.
fn reads_tools(app: &App, descriptor: &Descriptor) -> bool {
    match descriptor {
        Descriptor::Policy(_) => true,
        Descriptor::Agent(agent) => agent.spec.tools.iter().any(|used| used.when.is_some()),
        // A policy in force may not fit what it becomes.
        Descriptor::Capability(_) => app.gate.registry().policies().next().is_some(),
        Descriptor::McpServer(_) | Descriptor::ModelProvider(_) => false,
    }
}

/// What there would be with these descriptors in place, and what tools take then.
///
/// # Errors
/// Where policies among them could not be applied: everything that is wrong with them.
pub(crate) async fn fit(app: &App, files: &[File], descriptors: &[Descriptor]) -> ApiResult<(Registry, Definitions)> {
    let next = apply::preview(&app.gate, descriptors)?;
    let definitions = app.gateway.definitions(&next).await;
    let policies: Vec<Policy> = apply::policies(descriptors).cloned().collect();
    let wrong: Vec<Wrong> = policies.iter().flat_map(|policy| check::policy(&next, &definitions, policy)).collect();
    if wrong.is_empty() {
        return Ok((next, definitions));
    }
    Err(unfit(wrong.iter().map(|one| misfit(files, &policies, one)).collect()))
}

/// What is wrong with a policy, where its person wrote it.
pub(crate) fn misfit(files: &[File], policies: &[Policy], Wrong { policy, finding }: &Wrong) -> Value {
    let said = (finding.message.clone(), finding.help.clone());
    let found = policies.iter().find(|one| one.metadata.name == *policy).and_then(|one| {
        let sources = files.iter().filter_map(|File { path, text, attachments }| {
            PolicySource::find((path, text), one, &|path| attachments.get(path).cloned())
        });
        sources.into_iter().next().map(|source| (source, &one.spec.cedar))
    });
    match found {
        Some((source, cedar)) => {
            let diagnostic = source.diagnostic(cedar, finding.at.start, finding.at.len(), said);
            drawn(&diagnostic, &source.text)
        }
        None => json!({ "message": format!("{policy}: {}", said.0), "help": said.1 }),
    }
}

/// The refusal of files, with everything that is wrong with them.
pub(crate) fn unfit(problems: Vec<Value>) -> ApiError {
    let count = problems.len();
    let reason = if count == 1 { "one thing is wrong".to_owned() } else { format!("{count} things are wrong") };
    ApiError::unfit(reason, json!({ "diagnostics": problems }))
}

pub(crate) fn parse_all(files: &[File]) -> ApiResult<Vec<Descriptor>> {
    let (mut descriptors, mut problems) = (Vec::new(), Vec::new());
    for File { path, text, attachments } in files {
        match descriptor::parse_file(path, text, &|path| attachments.get(path).cloned()) {
            Ok(parsed) => descriptors.extend(parsed),
            Err(diagnostics) => problems.extend(diagnostics.iter().map(|diagnostic| drawn(diagnostic, text))),
        }
    }
    if problems.is_empty() {
        return Ok(descriptors);
    }
    Err(unfit(problems))
}

/// What is wrong, with a drawing of where.
fn drawn(diagnostic: &Diagnostic, text: &str) -> Value {
    let mut whole = json!(diagnostic);
    whole["rendered"] = diagnostic.render(text).into();
    whole
}

/// Which descriptors to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    name: Option<Name>,
}

/// A descriptor, as it was applied.
#[derive(Serialize)]
pub(crate) struct Resource {
    pub kind: Kind,
    pub name: Name,
    pub owner: Name,
    pub revision: Digest,
    pub applied: String,
    pub by: String,
    /// What it is, in a few words.
    pub about: String,
    pub ready: Vec<Condition>,
    /// How much an agent may do on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<Autonomy>,
    /// Whether a script stands in for its model.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub scripted: bool,
    /// What starts it by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Shown>,
    /// Why it is stopped, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub descriptor: Value,
}

/// Descriptors; with its content, if one is named.
pub(crate) async fn list(
    State(app): State<App>,
    _: Who,
    Params(which): Params<Which>,
) -> ApiResult<Json<Vec<Resource>>> {
    let mut all = inventory(&app);
    all.retain(|resource| which.kind.is_none_or(|kind| kind == resource.kind));
    all.retain(|resource| which.name.as_ref().is_none_or(|name| *name == resource.name));
    if which.name.is_none() {
        all.iter_mut().for_each(|resource| resource.descriptor = Value::Null);
    } else {
        for resource in &mut all {
            triggers::with_last(&app, &resource.name, &mut resource.triggers).await?;
        }
    }
    Ok(Json(all))
}

/// Everything applied, by kind and name.
pub(crate) fn inventory(app: &App) -> Vec<Resource> {
    let (registry, definitions) = (app.gate.registry(), app.gate.definitions());
    let agents = registry.agents().map(|(name, entry)| agent(app, &registry, name, entry));
    let capabilities = registry.capabilities().map(|(_, entry)| {
        let spec = &entry.descriptor.spec;
        let about = format!("{} of {}, {}", spec.tool, spec.server, spec.effect);
        resource(Descriptor::Capability((*entry.descriptor).clone()), entry, about)
    });
    let servers = registry.servers().map(|(_, entry)| {
        let about = match &entry.descriptor.spec.transport {
            Transport::Stdio { command, args } => {
                args.iter().fold(command.clone(), |line, argument| format!("{line} {argument}"))
            }
            Transport::Http { url } => url.clone(),
        };
        resource(Descriptor::McpServer((*entry.descriptor).clone()), entry, about)
    });
    let providers = registry.providers().map(|(_, entry)| {
        let (about, scripted) = match &entry.descriptor.spec.protocol {
            Protocol::Scripted { script } => (format!("scripted ({script})"), true),
            protocol @ (Protocol::Anthropic { base_url, .. }
            | Protocol::OpenaiChat { base_url, .. }
            | Protocol::OpenaiResponses { base_url, .. }
            | Protocol::Gemini { base_url, .. }) => (format!("{} at {base_url}", protocol.word()), false),
        };
        let provider = Descriptor::ModelProvider((*entry.descriptor).clone());
        Resource { scripted, ..resource(provider, entry, about) }
    });
    let policies = registry.policies().map(|(_, policy)| {
        let entry = &policy.entry;
        let ready = check::conditions(&registry, &definitions, policy);
        let about = policy.about();
        Resource { ready, ..resource(Descriptor::Policy((*entry.descriptor).clone()), entry, about) }
    });
    agents.chain(capabilities).chain(servers).chain(providers).chain(policies).collect()
}

fn agent(app: &App, registry: &Registry, name: &Name, entry: &AgentEntry) -> Resource {
    let AgentEntry { revision, descriptor, at, by, .. } = entry;
    let spec = &descriptor.spec;
    let tools = if spec.tools.len() == 1 { "1 tool".to_owned() } else { format!("{} tools", spec.tools.len()) };
    let provider = registry.provider(&spec.model.provider).map(|entry| &entry.descriptor.spec.protocol);
    let scopes = [Scope::All, Scope::Agent { agent: name.clone() }, Scope::Revision { revision: *revision }];
    let entry = Entry { revision: *revision, descriptor: descriptor.clone(), at: *at, by: by.clone() };
    let about = format!("{}/{}, {tools}", spec.model.provider, spec.model.name);
    Resource {
        ready: app.gate.ready(name),
        autonomy: registry.autonomy(name, *revision),
        scripted: matches!(provider, Some(Protocol::Scripted { .. })),
        triggers: triggers::shown(name, &spec.triggers, app.clock.now()),
        frozen: scopes.iter().find_map(|scope| registry.frozen(scope)).map(|freeze| freeze.reason.clone()),
        ..resource(Descriptor::Agent(Box::new((**descriptor).clone())), &entry, about)
    }
}

fn resource<T>(whole: Descriptor, entry: &Entry<T>, about: String) -> Resource {
    Resource {
        kind: whole.kind(),
        name: whole.name().clone(),
        owner: whole.owner().clone(),
        revision: entry.revision,
        applied: entry.at.to_string(),
        by: entry.by.clone(),
        about,
        ready: Vec::new(),
        autonomy: None,
        scripted: false,
        triggers: Vec::new(),
        frozen: None,
        descriptor: whole.canonical(),
    }
}

/// Deletes one.
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Segments((kind, name)): Segments<(Kind, Name)>,
) -> ApiResult<Response> {
    if kind == Kind::Capability && app.gate.registry().policies().next().is_some() {
        app.gate.defined(app.gateway.definitions(&app.gate.registry()).await);
    }
    changes::delete(&app, &who, Target { of: kind, name }).await
}

/// The JSON Schema of descriptors.
pub(crate) async fn schema(_: Who) -> Json<Value> {
    Json(descriptor::schema::schema())
}
