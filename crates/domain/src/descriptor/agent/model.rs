//! `spec.model`: which model thinks, and as which revision.

use serde_json::Value;

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
    /// What it may say at most in one answer, in tokens.
    pub max_output_tokens: u32,
}

const PROVIDER: Field<Name> = Field::required("provider", "The ModelProvider that serves it.");
const MODEL_NAME: Field<Word> = Field::required("name", "The model, as its provider calls it.");
const PINNED: Field<Word> = Field::new("pinned_revision", "The revision it is held to, such as \"2026-02-14\".");
const MAX_OUTPUT: Field<Whole<1, 1_000_000>> =
    Field::new("max_output_tokens", "What one answer may have at most, and what is reserved for it. Absent: 4096.");
const MODEL_FIELDS: Mapping = Mapping {
    rows: &[PROVIDER.row(), MODEL_NAME.row(), PINNED.row(), MAX_OUTPUT.row()],
    not_yet: &["small_first", "on_drift"],
};

impl Shape for Model {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = MODEL_FIELDS.open(node, reading)?;
        let provider = fields.required(&PROVIDER, reading);
        let name = fields.required(&MODEL_NAME, reading);
        let pinned = fields.optional(&PINNED, reading);
        let max = fields.optional(&MAX_OUTPUT, reading);
        Some(Model {
            provider: provider?,
            name: name?.0,
            pinned_revision: pinned?.map(|Word(word)| word),
            max_output_tokens: max?.map_or(DEFAULT_MAX_OUTPUT_TOKENS, |Whole(tokens)| tokens as u32),
        })
    }

    fn write(&self) -> Value {
        let pinned = self.pinned_revision.clone().map(Word);
        Writer::default()
            .put(&PROVIDER, &self.provider)
            .put(&MODEL_NAME, &Word(self.name.clone()))
            .put_some(&PINNED, pinned.as_ref())
            .put(&MAX_OUTPUT, &Whole(self.max_output_tokens.into()))
            .done()
    }

    fn schema() -> Value {
        MODEL_FIELDS.schema()
    }
}
