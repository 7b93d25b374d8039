//! `spec.model`: which model thinks, and as which revision.

use serde_json::Value;

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::{Whole, Word};
use crate::id::Name;

/// What an agent may say at most in one answer, where its descriptor does not tell.
pub const DEFAULT_MAX_OUTPUT_TOKENS: u32 = 4096;

/// Which model thinks, and as which revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The `ModelProvider`.
    pub provider: Name,
    /// The model, as the provider calls it.
    pub name: String,
    /// The revision it is held to; `None`: whatever the provider serves.
    pub pinned_revision: Option<String>,
    /// Other models of the same provider that a client may ask for by name.
    pub allow: Vec<String>,
    /// What it may say at most in one answer, in tokens.
    pub max_output_tokens: u32,
    /// Who is asked, in this order, when the one before surely did not answer.
    pub fallbacks: Vec<Fallback>,
}

/// A model that is asked when the one before it surely did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The `ModelProvider`.
    pub provider: Name,
    /// The model, as the provider calls it.
    pub name: String,
}

/// The most fallbacks of one model: a chain must end.
const MOST_FALLBACKS: usize = 3;

const FALLBACK_FIELDS: Mapping = Mapping { rows: &[PROVIDER.row(), MODEL_NAME.row()], not_yet: &[] };

impl Shape for Fallback {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FALLBACK_FIELDS.open(node, reading)?;
        let (provider, name) = (fields.required(&PROVIDER, reading), fields.required(&MODEL_NAME, reading));
        Some(Fallback { provider: provider?, name: name?.0 })
    }

    fn write(&self) -> Value {
        Writer::default().put(&PROVIDER, &self.provider).put(&MODEL_NAME, &Word(self.name.clone())).done()
    }

    fn schema() -> Value {
        FALLBACK_FIELDS.schema()
    }
}

const PROVIDER: Field<Name> = Field::required("provider", "The ModelProvider that serves it.");
const MODEL_NAME: Field<Word> = Field::required("name", "The model, as its provider calls it.");
const PINNED: Field<Word> = Field::new("pinned_revision", "The revision it is held to, such as \"2026-02-14\".");
const MAX_OUTPUT: Field<Whole<1, 1_000_000>> =
    Field::new("max_output_tokens", "What one answer may have at most, and what is reserved for it. Absent: 4096.");
/// A chain of fallbacks.
struct Chain(Vec<Fallback>);

impl Shape for Chain {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fallbacks: Vec<Fallback> = Vec::read(node, reading)?;
        if fallbacks.len() > MOST_FALLBACKS {
            reading.wrong(Finding::new(&node.at, format!("{} fallbacks; at most {MOST_FALLBACKS}", fallbacks.len())));
            return None;
        }
        Some(Chain(fallbacks))
    }

    fn write(&self) -> Value {
        self.0.write()
    }

    fn schema() -> Value {
        let mut schema = Vec::<Fallback>::schema();
        schema["maxItems"] = MOST_FALLBACKS.into();
        schema
    }
}

const FALLBACKS: Field<Chain> =
    Field::new("fallbacks", "At most 3 models that are asked, in order, when the one before surely did not answer.");
const ALLOW: Field<Vec<Word>> = Field::new(
    "allow",
    "Other models of the provider that a client may ask for by name; what else it asks for is answered by `name`.",
);
const MODEL_FIELDS: Mapping = Mapping {
    rows: &[PROVIDER.row(), MODEL_NAME.row(), PINNED.row(), MAX_OUTPUT.row(), FALLBACKS.row(), ALLOW.row()],
    not_yet: &["small_first", "on_drift"],
};

impl Shape for Model {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = MODEL_FIELDS.open(node, reading)?;
        let provider = fields.required(&PROVIDER, reading);
        let name = fields.required(&MODEL_NAME, reading);
        let pinned = fields.optional(&PINNED, reading);
        let max = fields.optional(&MAX_OUTPUT, reading);
        let fallbacks = fields.optional(&FALLBACKS, reading);
        let allow = fields.optional(&ALLOW, reading);
        let (provider, name) = (provider?, name?.0);
        let fallbacks = fallbacks?.map(|Chain(chain)| chain).unwrap_or_default();
        if let Some(reason) = asked_twice(&fallbacks, (&provider, &name)) {
            reading.wrong(Finding::new(&fields.at(&FALLBACKS), reason).help("name each provider and model once"));
            return None;
        }
        Some(Model {
            provider,
            name,
            fallbacks,
            allow: allow?.unwrap_or_default().into_iter().map(|Word(name)| name).collect(),
            pinned_revision: pinned?.map(|Word(word)| word),
            max_output_tokens: max?.map_or(DEFAULT_MAX_OUTPUT_TOKENS, |Whole(tokens)| tokens as u32),
        })
    }

    fn write(&self) -> Value {
        let pinned = self.pinned_revision.clone().map(Word);
        let allow: Vec<_> = self.allow.iter().cloned().map(Word).collect();
        Writer::default()
            .put(&PROVIDER, &self.provider)
            .put(&MODEL_NAME, &Word(self.name.clone()))
            .put_some(&PINNED, pinned.as_ref())
            .put(&MAX_OUTPUT, &Whole(self.max_output_tokens.into()))
            .put_some(&FALLBACKS, (!self.fallbacks.is_empty()).then(|| Chain(self.fallbacks.clone())).as_ref())
            .put_some(&ALLOW, (!allow.is_empty()).then_some(&allow))
            .done()
    }

    fn schema() -> Value {
        MODEL_FIELDS.schema()
    }
}

/// Why a chain does not end, if it does not: one model is in it twice.
fn asked_twice(fallbacks: &[Fallback], first: (&Name, &str)) -> Option<String> {
    let all: Vec<_> = [first].into_iter().chain(fallbacks.iter().map(|next| (&next.provider, &*next.name))).collect();
    let again = all.iter().enumerate().find(|(at, one)| all[..*at].contains(one));
    again.map(|(_, (provider, name))| format!("{name} of {provider} is asked twice"))
}
