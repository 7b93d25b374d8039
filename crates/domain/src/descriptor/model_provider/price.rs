//! `spec.prices`: what a model's tokens cost.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::{Content, Node};
use crate::descriptor::shape::{Choice, Chosen};
use crate::money::UsdMicros;

/// What a provider's models cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prices {
    /// What the dated table that ships with Ostler says.
    Catalog,
    /// By model. One that is not listed has no known price.
    Table(BTreeMap<String, Price>),
}

/// What one model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price {
    /// Nothing; somebody wrote so.
    Free,
    /// So much per million tokens.
    PerMillionTokens {
        /// Input that no cache knew.
        input: UsdMicros,
        /// Output.
        output: UsdMicros,
        /// Input read from the prompt cache; `None`: as `input`.
        cache_read: Option<UsdMicros>,
        /// Input written to the prompt cache; `None`: as `input`.
        cache_write: Option<UsdMicros>,
        /// The same, to be kept for an hour; `None`: as `cache_write`.
        cache_write_1h: Option<UsdMicros>,
    },
}

/// `true`, written out.
struct True;

impl Shape for True {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match &node.content {
            Content::Plain(text) if text == "true" => Some(True),
            Content::Plain(_) | Content::Quoted(_) | Content::List(_) | Content::Map(_) => {
                reading.expected(node, "true")
            }
        }
    }

    fn write(&self) -> Value {
        true.into()
    }

    fn schema() -> Value {
        json!({"const": true})
    }
}

const FREE: Field<True> = Field::new("free", "true: it costs nothing. Never assumed.");
const INPUT: Field<UsdMicros> = Field::new("input", "US dollars per million input tokens.");
const OUTPUT: Field<UsdMicros> = Field::new("output", "US dollars per million output tokens.");
const CACHE_READ: Field<UsdMicros> =
    Field::new("cache_read", "US dollars per million tokens read from the prompt cache. Absent: as input.");
const CACHE_WRITE: Field<UsdMicros> =
    Field::new("cache_write", "US dollars per million tokens written to the prompt cache. Absent: as input.");
const CACHE_WRITE_1H: Field<UsdMicros> =
    Field::new("cache_write_1h", "The same, kept for an hour. Absent: as cache_write.");
const FIELDS: Mapping = Mapping {
    rows: &[FREE.row(), INPUT.row(), OUTPUT.row(), CACHE_READ.row(), CACHE_WRITE.row(), CACHE_WRITE_1H.row()],
    not_yet: &[],
};

impl Shape for Price {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let free = fields.optional(&FREE, reading);
        let input = fields.optional(&INPUT, reading);
        let output = fields.optional(&OUTPUT, reading);
        let cache_read = fields.optional(&CACHE_READ, reading);
        let cache_write = fields.optional(&CACHE_WRITE, reading);
        let cache_write_1h = fields.optional(&CACHE_WRITE_1H, reading);
        let (free, input, output) = (free?, input?, output?);
        let (cache_read, cache_write, cache_write_1h) = (cache_read?, cache_write?, cache_write_1h?);
        let any_cache = cache_read.or(cache_write).or(cache_write_1h).is_some();
        match (free, input, output) {
            (Some(True), None, None) if !any_cache => Some(Price::Free),
            (None, Some(input), Some(output)) => {
                Some(Price::PerMillionTokens { input, output, cache_read, cache_write, cache_write_1h })
            }
            (Some(True) | None, _, _) => {
                let finding = Finding::new(&node.at, "expected either `free: true` or both `input` and `output`");
                reading.wrong(finding.help("such as {input: 3, output: 15}, in US dollars per million tokens"));
                None
            }
        }
    }

    fn write(&self) -> Value {
        match self {
            Price::Free => Writer::default().put(&FREE, &True).done(),
            Price::PerMillionTokens { input, output, cache_read, cache_write, cache_write_1h } => Writer::default()
                .put(&INPUT, input)
                .put(&OUTPUT, output)
                .put_some(&CACHE_READ, cache_read.as_ref())
                .put_some(&CACHE_WRITE, cache_write.as_ref())
                .put_some(&CACHE_WRITE_1H, cache_write_1h.as_ref())
                .done(),
        }
    }

    fn schema() -> Value {
        let mut schema = FIELDS.schema();
        schema["oneOf"] = json!([{"required": ["free"], "maxProperties": 1}, {"required": ["input", "output"], "properties": {"free": false}}]);
        schema
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Catalog;

impl Choice for Catalog {
    const ALL: &'static [(&'static str, Self)] = &[("catalog", Self)];
}

impl Shape for Prices {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if matches!(node.content, Content::Map(_)) {
            BTreeMap::read(node, reading).map(Prices::Table)
        } else {
            Chosen::<Catalog>::read(node, reading).map(|_| Prices::Catalog)
        }
    }

    fn write(&self) -> Value {
        match self {
            Prices::Catalog => Chosen(Catalog).write(),
            Prices::Table(table) => table.write(),
        }
    }

    fn schema() -> Value {
        json!({"oneOf": [Chosen::<Catalog>::schema(), BTreeMap::<String, Price>::schema()]})
    }
}
