//! `kind: ModelProvider`: a model API, how it is reached, what it costs, and which id a pinned revision is sent as.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diagnostic::Finding;
use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::mcp_server::{Secret, Url};
use super::node::{Content, Node};
use super::places::Places;
use super::resource::{Resource, Spec};
use super::shape::{Choice, Chosen, Word};
use crate::control::Kind;
use crate::id::Name;

pub use price::{Price, Prices};
pub use protocol::{ANTHROPIC_BASE_URL, GEMINI_BASE_URL, OPENAI_BASE_URL, Protocol};

mod price;
mod protocol;

/// A valid model API.
pub type ModelProvider = Resource<ModelProviderSpec>;

/// How a model API is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelProviderSpec {
    /// In which protocol, and where.
    pub protocol: Protocol,
    /// What it costs.
    pub prices: Prices,
    /// How many calls it is sent at once, and how many more may wait.
    pub limits: Places,
    /// By model and pinned revision, the id that is sent.
    pub revisions: BTreeMap<String, BTreeMap<String, String>>,
    /// By model, how it calls tools; of a model that is not listed, natively.
    pub tool_calls: BTreeMap<String, ToolCalls>,
}

/// How a model says that it wants to use a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolCalls {
    /// In its protocol's own way.
    Native,
    /// It has no way of its own: it is held to JSON of one shape, which is read as uses of tools.
    Json,
}

impl Choice for ToolCalls {
    const ALL: &'static [(&'static str, Self)] = &[("native", Self::Native), ("json", Self::Json)];
}

impl ModelProviderSpec {
    /// What a model is sent as: the id that its pinned revision stands for. `Err` names the revision that the provider
    /// does not know.
    ///
    /// # Errors
    /// When a revision is pinned that `revisions` does not list for the model.
    pub fn model_id<'a>(&'a self, model: &'a str, pinned: Option<&'a str>) -> Result<&'a str, &'a str> {
        let Some(pinned) = pinned else { return Ok(model) };
        self.revisions.get(model).and_then(|ids| ids.get(pinned)).map(String::as_str).ok_or(pinned)
    }

    /// How a model calls tools.
    pub fn tool_calls(&self, model: &str) -> ToolCalls {
        self.tool_calls.get(model).copied().unwrap_or(ToolCalls::Native)
    }
}

/// `key: {secret: NAME}`.
struct Key(String);

const SECRET: Field<Secret> = Field::required("secret", "The name of the secret that holds the key.");
const KEY_FIELDS: Mapping = Mapping { rows: &[SECRET.row()], not_yet: &[] };

impl Shape for Key {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if !matches!(node.content, Content::Map(_)) {
            // It may be the key itself: it is not shown back.
            reading.wrong(Finding::new(&node.at, "expected {secret: NAME}").help("name the secret, never its value"));
            return None;
        }
        KEY_FIELDS.open(node, reading)?.required(&SECRET, reading).map(|Secret(name)| Key(name))
    }

    fn write(&self) -> Value {
        Writer::default().put(&SECRET, &Secret(self.0.clone())).done()
    }

    fn schema() -> Value {
        KEY_FIELDS.schema()
    }
}

const PROTOCOL: Field<Chosen<protocol::Word>> = Field::required(
    "protocol",
    "anthropic: Anthropic Messages. openai-chat: Chat Completions, of OpenAI or any server compatible with it. \
     openai-responses: OpenAI Responses. gemini: Gemini generateContent. scripted: a script plays the model's part.",
);
const BASE_URL: Field<Url> = Field::new(
    "base_url",
    "Where the API is, without /v1/messages, /chat/completions, /responses or /models. Absent: the vendor's own.",
);
const KEY: Field<Key> = Field::new("key", "The secret that holds its key. Absent: it wants none.");
const SCRIPT: Field<Name> = Field::new("script", "Which script plays the model's part.");
const PRICES: Field<Prices> = Field::new("prices", "catalog: the table that ships with Ostler. Or each model's own.");
const LIMITS: Field<Places> = Field::new("limits", "What bounds calls to it.");
const REVISIONS: Field<BTreeMap<String, BTreeMap<String, Word>>> =
    Field::new("revisions", "By model and pinned revision, the id that is sent.");
const TOOL_CALLS: Field<BTreeMap<String, Chosen<ToolCalls>>> = Field::new(
    "tool_calls",
    "By model: native, or json for a model that cannot call tools, which is held to JSON instead. Absent: native.",
);
const FIELDS: Mapping = Mapping {
    rows: &[
        PROTOCOL.row(),
        BASE_URL.row(),
        KEY.row(),
        SCRIPT.row(),
        PRICES.row(),
        LIMITS.row(),
        REVISIONS.row(),
        TOOL_CALLS.row(),
    ],
    not_yet: &[],
};

impl Shape for ModelProviderSpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let protocol = protocol::read(&fields, reading);
        let prices = fields.optional(&PRICES, reading);
        let limits = fields.optional(&LIMITS, reading);
        let revisions = fields.optional(&REVISIONS, reading);
        let tool_calls = fields.optional(&TOOL_CALLS, reading);
        let plain = |ids: BTreeMap<String, Word>| ids.into_iter().map(|(pin, Word(id))| (pin, id)).collect();
        Some(ModelProviderSpec {
            protocol: protocol?,
            prices: prices?.unwrap_or(Prices::Catalog),
            limits: limits?.unwrap_or_default(),
            revisions: revisions?.unwrap_or_default().into_iter().map(|(model, ids)| (model, plain(ids))).collect(),
            tool_calls: tool_calls?.unwrap_or_default().into_iter().map(|(model, Chosen(how))| (model, how)).collect(),
        })
    }

    fn write(&self) -> Value {
        let worded =
            |ids: &BTreeMap<String, String>| ids.iter().map(|(pin, id)| (pin.clone(), Word(id.clone()))).collect();
        let revisions: BTreeMap<_, _> =
            self.revisions.iter().map(|(model, ids)| (model.clone(), worded(ids))).collect();
        let tool_calls: BTreeMap<_, _> =
            self.tool_calls.iter().map(|(model, how)| (model.clone(), Chosen(*how))).collect();
        protocol::write(&self.protocol)
            .put(&PRICES, &self.prices)
            .put(&LIMITS, &self.limits)
            .put_some(&REVISIONS, (!revisions.is_empty()).then_some(&revisions))
            .put_some(&TOOL_CALLS, (!tool_calls.is_empty()).then_some(&tool_calls))
            .done()
    }

    fn schema() -> Value {
        let mut schema = FIELDS.schema();
        schema["if"] = json!({"properties": {"protocol": {"const": "scripted"}}});
        schema["then"] = json!({"required": ["script"], "properties": {"base_url": false, "key": false}});
        schema["else"] = json!({"properties": {"script": false}});
        schema
    }
}

impl Spec for ModelProviderSpec {
    const KIND: Kind = Kind::ModelProvider;
}
