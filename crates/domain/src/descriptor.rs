//! Descriptors: what a person writes about agents, capabilities, upstreams and model APIs, read into values that are
//! valid by their type. What must not be known here: files, the network, what is applied already.
//!
//! ```text
//! text ─ yaml ─▶ nodes with places ─ kinds ─▶ Descriptor ─ canonical ─▶ JSON ─▶ revision
//!                     │                           ▲                      │
//!                     └──▶ Diagnostics            └──── from_canonical ──┘
//! ```
//!
//! The canonical form is itself a descriptor: defaults are written out and referenced files are replaced by their
//! text. Reading it again gives the same value, and the same revision.

mod agent;
mod capability;
mod diagnostic;
mod field;
mod mcp_server;
mod model_provider;
mod node;
mod places;
mod policy;
mod resource;
pub mod schema;
mod shape;
mod template;
mod yaml;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::control::Kind;
use crate::id::{Digest, Name};
use diagnostic::Finding;
use field::{Reading, Shape};
use node::{Content, Node, shown};
use shape::file_of;

pub use agent::{
    Agent, AgentSpec, Approval, AutonomySpec, Budgets, Concurrency, DEFAULT_ACTIVE, DEFAULT_EXPIRES_MS,
    DEFAULT_INSTRUCTIONS, DEFAULT_MAILBOX, DEFAULT_MAX_OUTPUT_TOKENS, DEFAULT_QUEUE, DEFAULT_TURNS, Fallback, Human,
    INTERNAL, INTERNAL_MEMORY, INTERNAL_WRITES, Instructions, Limits, Memory, Model, On, OnExhausted, OnePer, Promote,
    ToolUse, Trigger,
};
pub use capability::{Capability, CapabilitySpec, Undo};
pub use diagnostic::Diagnostic;
pub use mcp_server::{DEFAULT_TIMEOUT_MS, McpServer, McpServerSpec, Transport};
pub use model_provider::{
    ANTHROPIC_BASE_URL, GEMINI_BASE_URL, ModelProvider, ModelProviderSpec, OPENAI_BASE_URL, Price, Prices, Protocol,
    ToolCalls,
};
pub use places::{DEFAULT_CONCURRENT, DEFAULT_WAITING, Places};
pub use policy::{Policy, PolicySpec, Source as PolicySource};
pub use resource::{API_VERSION, Metadata, Resource};
pub use schema::schema;
pub use template::template;

/// A valid descriptor.
#[derive(Debug, Clone, PartialEq)]
pub enum Descriptor {
    /// `kind: Agent`.
    Agent(Box<Agent>),
    /// `kind: Capability`.
    Capability(Capability),
    /// `kind: McpServer`.
    McpServer(McpServer),
    /// `kind: ModelProvider`.
    ModelProvider(ModelProvider),
    /// `kind: Policy`.
    Policy(Policy),
}

/// A canonical form that this build cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this {kind} cannot be read by this build: {reason}")]
pub struct NotCanonical {
    kind: Kind,
    reason: String,
}

impl Descriptor {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Descriptor::Agent(_) => Kind::Agent,
            Descriptor::Capability(_) => Kind::Capability,
            Descriptor::McpServer(_) => Kind::McpServer,
            Descriptor::ModelProvider(_) => Kind::ModelProvider,
            Descriptor::Policy(_) => Kind::Policy,
        }
    }

    /// What it is called, and who answers for it.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Descriptor::Agent(resource) => &resource.metadata,
            Descriptor::Capability(resource) => &resource.metadata,
            Descriptor::McpServer(resource) => &resource.metadata,
            Descriptor::ModelProvider(resource) => &resource.metadata,
            Descriptor::Policy(resource) => &resource.metadata,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &Name {
        &self.metadata().name
    }

    /// The group that answers for it.
    pub fn owner(&self) -> &Name {
        &self.metadata().owner
    }

    /// Its canonical form.
    pub fn canonical(&self) -> Value {
        match self {
            Descriptor::Agent(resource) => resource.write(),
            Descriptor::Capability(resource) => resource.write(),
            Descriptor::McpServer(resource) => resource.write(),
            Descriptor::ModelProvider(resource) => resource.write(),
            Descriptor::Policy(resource) => resource.write(),
        }
    }

    /// The hash of its canonical form.
    pub fn revision(&self) -> Digest {
        Digest::of_json(&self.canonical())
    }

    /// Reads a canonical form back.
    ///
    /// # Errors
    /// When it was written by a newer build, or is not one.
    pub fn from_canonical(kind: Kind, canonical: &Value) -> Result<Self, NotCanonical> {
        let mut reading = Reading::new(&|_| None);
        let read = read_kind(kind, &Node::of_json(canonical), &mut reading);
        let reason = reading.findings.first().map(|finding| finding.message.clone());
        match (read, reason) {
            (Some(descriptor), None) => Ok(descriptor),
            (_, reason) => Err(NotCanonical { kind, reason: reason.unwrap_or_default() }),
        }
    }
}

/// Reads a file of one or more documents, all or nothing. `path` is what diagnostics call it; `attachments` gives the
/// text of a file that it refers to, by the path as it is written there.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse_file(
    path: &str,
    text: &str,
    attachments: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Descriptor>, Vec<Diagnostic>> {
    let (documents, mut findings) = yaml::documents(text);
    if documents.is_empty() && findings.is_empty() {
        findings.push(Finding::new(&(0..0), "the file holds no document").help("`ostler init NAME` writes one"));
    }
    let mut reading = Reading::new(attachments);
    let mut read = Vec::new();
    let mut seen = BTreeSet::new();
    for node in &documents {
        let Some(descriptor) = read_document(node, &mut reading) else { continue };
        if !seen.insert((descriptor.kind(), descriptor.name().clone())) {
            let message = format!("a second {} named `{}` in this file", descriptor.kind(), descriptor.name());
            reading.wrong(Finding::new(&node.at, message).help("keep one of them"));
        }
        read.push(descriptor);
    }
    findings.extend(reading.findings);
    if findings.is_empty() {
        return Ok(read);
    }
    findings.sort_by_key(|finding| finding.at.start);
    findings.truncate(diagnostic::MAX_FINDINGS);
    Err(findings.into_iter().map(|finding| Diagnostic::new(path, text, finding)).collect())
}

/// The files that a file of descriptors refers to, as they are written there: paths relative to its own folder.
/// What does not lie within that folder is left out, and refused by [`parse_file`].
pub fn references(text: &str) -> Vec<String> {
    let (documents, _) = yaml::documents(text);
    let specs = documents.iter().filter_map(|node| node.get("spec"));
    let files = specs.flat_map(|spec| FILES.iter().filter_map(|field| file_of(spec, field)));
    files.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

fn read_document(node: &Node, reading: &mut Reading<'_>) -> Option<Descriptor> {
    let Content::Map(entries) = &node.content else {
        return reading.expected(node, "a descriptor: apiVersion, kind, metadata and spec");
    };
    let Some(kind) = entries.iter().find(|entry| entry.key == "kind") else {
        let known = KINDS.map(|(name, _)| name).join(", ");
        reading.wrong(Finding::new(&node.at, "`kind` is missing").help(format!("known here: {known}")));
        return None;
    };
    let written = kind.value.scalar().unwrap_or("");
    match KINDS.iter().find(|(name, _)| *name == written) {
        Some((_, kind)) => read_kind(*kind, node, reading),
        None => {
            let finding = Finding::new(&kind.value.at, format!("`{}` is not a kind", shown(written)));
            reading.wrong(finding.among(written, &KINDS.map(|(name, _)| name)));
            None
        }
    }
}

/// The fields of a spec that may refer to a file.
const FILES: [&str; 2] = ["instructions", "cedar"];

const KINDS: [(&str, Kind); 5] = [
    ("Agent", Kind::Agent),
    ("Capability", Kind::Capability),
    ("McpServer", Kind::McpServer),
    ("ModelProvider", Kind::ModelProvider),
    ("Policy", Kind::Policy),
];

fn read_kind(kind: Kind, node: &Node, reading: &mut Reading<'_>) -> Option<Descriptor> {
    match kind {
        Kind::Agent => Agent::read(node, reading).map(|agent| Descriptor::Agent(Box::new(agent))),
        Kind::Capability => Capability::read(node, reading).map(Descriptor::Capability),
        Kind::McpServer => McpServer::read(node, reading).map(Descriptor::McpServer),
        Kind::ModelProvider => ModelProvider::read(node, reading).map(Descriptor::ModelProvider),
        Kind::Policy => Policy::read(node, reading).map(Descriptor::Policy),
    }
}
