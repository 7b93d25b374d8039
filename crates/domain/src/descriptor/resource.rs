//! What all kinds have in common: `apiVersion`, `kind`, `metadata`, `spec`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diagnostic::Finding;
use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::node::{Node, shown};
use super::shape::{Text, Truth};
use crate::control::Kind;
use crate::id::Name;

/// The version of the format that this build reads and writes.
pub const API_VERSION: &str = "agent.os/v1";

/// A valid descriptor of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource<S> {
    /// Whose it is, and what it is called.
    pub metadata: Metadata,
    /// What it says.
    pub spec: S,
}

/// What a descriptor is called, and who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What others call it by.
    pub name: Name,
    /// The group that answers for it.
    pub owner: Name,
    /// Words for people to sort by.
    pub labels: BTreeMap<String, String>,
    /// Whether a change that widens its authority waits for a second person. Of agents only.
    pub protected: bool,
}

/// A kind's `spec`.
pub(super) trait Spec: Shape {
    const KIND: Kind;
}

const NAME: Field<Name> = Field::required("name", "What others call it by: 1 to 63 of a-z, 0-9 and '-'.");
const OWNER: Field<Name> =
    Field::required("owner", "The group that answers for it, and approves when nobody else is named.");
const LABELS: Field<BTreeMap<String, Text<200>>> = Field::new("labels", "Words for people to sort by.");
const PROTECTED: Field<Truth> = Field::new(
    "protected",
    "true: a change that widens its authority waits for a second person. Of agents only; absent: false.",
);
const METADATA_FIELDS: Mapping =
    Mapping { rows: &[NAME.row(), OWNER.row(), LABELS.row(), PROTECTED.row()], not_yet: &[] };

impl Shape for Metadata {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = METADATA_FIELDS.open(node, reading)?;
        let name = fields.required(&NAME, reading);
        let owner = fields.required(&OWNER, reading);
        let labels = fields.optional(&LABELS, reading);
        let protected = fields.optional(&PROTECTED, reading);
        let labels = labels?.unwrap_or_default().into_iter().map(|(key, Text(value))| (key, value)).collect();
        Some(Metadata { name: name?, owner: owner?, labels, protected: protected?.is_some_and(|Truth(said)| said) })
    }

    fn write(&self) -> Value {
        let labels: BTreeMap<_, _> =
            self.labels.iter().map(|(key, value)| (key.clone(), Text(value.clone()))).collect();
        let some = (!labels.is_empty()).then_some(&labels);
        Writer::default()
            .put(&NAME, &self.name)
            .put(&OWNER, &self.owner)
            .put_some(&LABELS, some)
            .put_some(&PROTECTED, self.protected.then_some(&Truth(true)))
            .done()
    }

    fn schema() -> Value {
        METADATA_FIELDS.schema()
    }
}

/// `apiVersion`, which says nothing but that this is ours.
struct ApiVersion;

impl Shape for ApiVersion {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match node.scalar() {
            Some(API_VERSION) => Some(ApiVersion),
            Some(other) => {
                let finding = Finding::new(&node.at, format!("`{}` is not known to this build", shown(other)));
                reading.wrong(finding.among(other, &[API_VERSION]));
                None
            }
            None => reading.expected(node, API_VERSION),
        }
    }

    fn write(&self) -> Value {
        API_VERSION.into()
    }

    fn schema() -> Value {
        json!({"const": API_VERSION})
    }
}

/// `kind`, which was looked at already: it chose the type that reads this.
struct KindOf<S>(std::marker::PhantomData<S>);

impl<S: Spec> Shape for KindOf<S> {
    fn read(_: &Node, _: &mut Reading<'_>) -> Option<Self> {
        Some(KindOf(std::marker::PhantomData))
    }

    fn write(&self) -> Value {
        S::KIND.to_string().into()
    }

    fn schema() -> Value {
        json!({"const": S::KIND.to_string()})
    }
}

/// The fields of a resource; apart from it, because its kinds are public and their reading is not.
struct Envelope<S>(std::marker::PhantomData<S>);

impl<S: Spec> Envelope<S> {
    const API_VERSION: Field<ApiVersion> = Field::required("apiVersion", "The version of the format: agent.os/v1.");
    const KIND: Field<KindOf<S>> = Field::required("kind", "What is described.");
    const METADATA: Field<Metadata> = Field::required("metadata", "What it is called, and who answers for it.");
    const SPEC: Field<S> = Field::required("spec", "What it says.");
    const FIELDS: &'static [super::field::Row] =
        &[Self::API_VERSION.row(), Self::KIND.row(), Self::METADATA.row(), Self::SPEC.row()];
    const MAPPING: Mapping = Mapping { rows: Self::FIELDS, not_yet: &[] };
}

impl<S: Spec> Shape for Resource<S> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = Envelope::<S>::MAPPING.open(node, reading)?;
        let version = fields.required(&Envelope::<S>::API_VERSION, reading);
        let metadata = fields.required(&Envelope::<S>::METADATA, reading);
        if metadata.as_ref().is_some_and(|metadata| metadata.protected) && S::KIND != Kind::Agent {
            let at = node.get("metadata").map_or_else(|| node.at.clone(), |metadata| metadata.at.clone());
            let finding = Finding::new(&at, format!("`protected` is for agents, not for a {}", S::KIND));
            reading
                .wrong(finding.help("protect the agents that use it: what widens them waits, wherever it is changed"));
            return None;
        }
        let spec = fields.required(&Envelope::<S>::SPEC, reading);
        version?;
        Some(Resource { metadata: metadata?, spec: spec? })
    }

    fn write(&self) -> Value {
        Writer::default()
            .put(&Envelope::<S>::API_VERSION, &ApiVersion)
            .put(&Envelope::<S>::KIND, &KindOf(std::marker::PhantomData))
            .put(&Envelope::<S>::METADATA, &self.metadata)
            .put(&Envelope::<S>::SPEC, &self.spec)
            .done()
    }

    fn schema() -> Value {
        let mut schema = Envelope::<S>::MAPPING.schema();
        if S::KIND != Kind::Agent
            && let Some(fields) = schema["properties"]["metadata"]["properties"].as_object_mut()
        {
            fields.remove("protected");
        }
        schema
    }
}
