//! `kind: ModelProvider`: a model API, how it is reached, what it costs, and which id a pinned revision is sent as.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diagnostic::Finding;
use super::field::{Field, Fields, Mapping, Reading, Shape, Writer};
use super::mcp_server::{Secret, Url};
use super::node::{Content, Node};
use super::resource::{Resource, Spec};
use super::shape::{Choice, Chosen, Whole, Word};
use crate::control::Kind;
use crate::id::Name;

pub use price::{Price, Prices};

mod price;

/// A valid model API.
pub type ModelProvider = Resource<ModelProviderSpec>;

/// Where Anthropic's API is.
pub const ANTHROPIC_BASE_URL: &str = "https://api.anthropic.com";
/// How many requests may be in flight at once, where the descriptor does not tell.
pub const DEFAULT_CONCURRENT: u32 = 50;

/// How a model API is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelProviderSpec {
    /// In which protocol, and where.
    pub protocol: Protocol,
    /// What it costs.
    pub prices: Prices,
    /// How many requests may be in flight at once.
    pub concurrent: u32,
    /// By model and pinned revision, the id that is sent.
    pub revisions: BTreeMap<String, BTreeMap<String, String>>,
}

/// The protocol of a model API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Anthropic Messages.
    Anthropic {
        /// Where it is, without `/v1/messages`; no `/` at its end.
        base_url: String,
        /// The name of the secret that holds its key; `None`: it wants none.
        key: Option<String>,
    },
    /// A script that plays a model's part: no key, no network.
    Scripted {
        /// Which.
        script: Name,
    },
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
}

#[derive(Clone, Copy, PartialEq)]
enum ProtocolWord {
    Anthropic,
    Scripted,
}

impl Choice for ProtocolWord {
    const ALL: &'static [(&'static str, Self)] = &[("anthropic", Self::Anthropic), ("scripted", Self::Scripted)];
    const NOT_YET: &'static [&'static str] = &["openai-chat", "openai-responses", "gemini"];
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

/// `limits: {concurrent: N}`.
struct Limits(u32);

const CONCURRENT: Field<Whole<1, 10_000>> =
    Field::new("concurrent", "How many requests may be in flight at once. Absent: 50.");
const LIMITS_FIELDS: Mapping = Mapping { rows: &[CONCURRENT.row()], not_yet: &[] };

impl Shape for Limits {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let concurrent = LIMITS_FIELDS.open(node, reading)?.optional(&CONCURRENT, reading)?;
        Some(Limits(concurrent.map_or(DEFAULT_CONCURRENT, |Whole(count)| count as u32)))
    }

    fn write(&self) -> Value {
        Writer::default().put(&CONCURRENT, &Whole(self.0.into())).done()
    }

    fn schema() -> Value {
        LIMITS_FIELDS.schema()
    }
}

const PROTOCOL: Field<Chosen<ProtocolWord>> =
    Field::required("protocol", "anthropic: Anthropic Messages. scripted: a script plays the model's part.");
const BASE_URL: Field<Url> =
    Field::new("base_url", "Where the API is, without /v1/messages. Absent: https://api.anthropic.com.");
const KEY: Field<Key> = Field::new("key", "The secret that holds its key. Absent: it wants none.");
const SCRIPT: Field<Name> = Field::new("script", "Which script plays the model's part.");
const PRICES: Field<Prices> = Field::new("prices", "catalog: the table that ships with Ostler. Or each model's own.");
const LIMITS: Field<Limits> = Field::new("limits", "What bounds requests to it.");
const REVISIONS: Field<BTreeMap<String, BTreeMap<String, Word>>> =
    Field::new("revisions", "By model and pinned revision, the id that is sent.");
const FIELDS: Mapping = Mapping {
    rows: &[PROTOCOL.row(), BASE_URL.row(), KEY.row(), SCRIPT.row(), PRICES.row(), LIMITS.row(), REVISIONS.row()],
    not_yet: &[],
};

impl Shape for ModelProviderSpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let protocol = read_protocol(&fields, reading);
        let prices = fields.optional(&PRICES, reading);
        let limits = fields.optional(&LIMITS, reading);
        let revisions = fields.optional(&REVISIONS, reading);
        let plain = |ids: BTreeMap<String, Word>| ids.into_iter().map(|(pin, Word(id))| (pin, id)).collect();
        Some(ModelProviderSpec {
            protocol: protocol?,
            prices: prices?.unwrap_or(Prices::Catalog),
            concurrent: limits?.map_or(DEFAULT_CONCURRENT, |Limits(concurrent)| concurrent),
            revisions: revisions?.unwrap_or_default().into_iter().map(|(model, ids)| (model, plain(ids))).collect(),
        })
    }

    fn write(&self) -> Value {
        let worded =
            |ids: &BTreeMap<String, String>| ids.iter().map(|(pin, id)| (pin.clone(), Word(id.clone()))).collect();
        let revisions: BTreeMap<_, _> =
            self.revisions.iter().map(|(model, ids)| (model.clone(), worded(ids))).collect();
        let writer = Writer::default();
        let writer = match &self.protocol {
            Protocol::Anthropic { base_url, key } => writer
                .put(&PROTOCOL, &Chosen(ProtocolWord::Anthropic))
                .put(&BASE_URL, &Url(base_url.clone()))
                .put_some(&KEY, key.clone().map(Key).as_ref()),
            Protocol::Scripted { script } => {
                writer.put(&PROTOCOL, &Chosen(ProtocolWord::Scripted)).put(&SCRIPT, script)
            }
        };
        writer
            .put(&PRICES, &self.prices)
            .put(&LIMITS, &Limits(self.concurrent))
            .put_some(&REVISIONS, (!revisions.is_empty()).then_some(&revisions))
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

fn read_protocol(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Protocol> {
    let protocol = fields.required(&PROTOCOL, reading);
    let base_url = fields.optional(&BASE_URL, reading);
    let key = fields.optional(&KEY, reading);
    let script = fields.optional(&SCRIPT, reading);
    let (Chosen(protocol), base_url, key, script) = (protocol?, base_url?, key?, script?);
    match (protocol, script) {
        (ProtocolWord::Anthropic, None) => {
            let url = base_url.map_or(ANTHROPIC_BASE_URL.to_owned(), |Url(url)| url);
            let base_url = url.trim_end_matches('/').to_owned();
            Some(Protocol::Anthropic { base_url, key: key.map(|Key(secret)| secret) })
        }
        (ProtocolWord::Scripted, Some(script)) if base_url.is_none() && key.is_none() => {
            Some(Protocol::Scripted { script })
        }
        (ProtocolWord::Anthropic, Some(_)) => {
            let finding = Finding::new(&fields.at(&SCRIPT), "`script` means nothing with `protocol: anthropic`");
            reading.wrong(finding.help("leave it out, or say `protocol: scripted`"));
            None
        }
        (ProtocolWord::Scripted, Some(_)) => {
            let at = if base_url.is_some() { fields.at(&BASE_URL) } else { fields.at(&KEY) };
            let finding = Finding::new(&at, "a scripted provider is never reached over a network");
            reading.wrong(finding.help("leave out `base_url` and `key`, or say `protocol: anthropic`"));
            None
        }
        (ProtocolWord::Scripted, None) => {
            let finding = Finding::new(&fields.at(&PROTOCOL), "`script` is missing");
            reading.wrong(finding.help("name the script that plays the model's part: script: NAME"));
            None
        }
    }
}
