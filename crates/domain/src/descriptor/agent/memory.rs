//! `spec.memory`: what an agent keeps from one session to the next.

use serde_json::{Value, json};

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::{Choice, Chosen, Whole};

/// What an agent keeps from one session to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Nothing.
    None,
    /// What it chose to remember; all its sessions share it.
    Persistent {
        /// For how long; `None`: until it is forgotten.
        retention_days: Option<u32>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum MemoryType {
    None,
    Persistent,
}

impl Choice for MemoryType {
    const ALL: &'static [(&'static str, Self)] = &[("persistent", Self::Persistent), ("none", Self::None)];
}

#[derive(Clone, Copy, PartialEq)]
struct AgentScope;

impl Choice for AgentScope {
    const ALL: &'static [(&'static str, Self)] = &[("agent", Self)];
    const NOT_YET: &'static [&'static str] = &["partition", "session"];
}

const TYPE: Field<Chosen<MemoryType>> = Field::required("type", "persistent: it can remember. none: it cannot.");
const RETENTION: Field<Whole<1, 3650>> =
    Field::new("retention_days", "For how long it remembers. Absent: until it forgets.");
const SCOPE: Field<Chosen<AgentScope>> = Field::new("scope", "Who shares it. agent: all sessions of the agent.");
const MEMORY_FIELDS: Mapping = Mapping { rows: &[TYPE.row(), RETENTION.row(), SCOPE.row()], not_yet: &[] };

impl Shape for Memory {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = MEMORY_FIELDS.open(node, reading)?;
        let of = fields.required(&TYPE, reading);
        let days = fields.optional(&RETENTION, reading);
        let scope = fields.optional(&SCOPE, reading);
        let (of, days, _) = (of?.0, days?, scope?);
        match (of, days) {
            (MemoryType::Persistent, days) => {
                Some(Memory::Persistent { retention_days: days.map(|Whole(days)| days as u32) })
            }
            (MemoryType::None, None) => Some(Memory::None),
            (MemoryType::None, Some(_)) => {
                reading.wrong(
                    Finding::new(&fields.at(&RETENTION), "`retention_days` means nothing with `type: none`")
                        .help("leave it out, or say `type: persistent`"),
                );
                None
            }
        }
    }

    fn write(&self) -> Value {
        match self {
            Memory::None => Writer::default().put(&TYPE, &Chosen(MemoryType::None)).done(),
            Memory::Persistent { retention_days } => Writer::default()
                .put(&TYPE, &Chosen(MemoryType::Persistent))
                .put_some(&RETENTION, retention_days.map(|days| Whole(days.into())).as_ref())
                .put(&SCOPE, &Chosen(AgentScope))
                .done(),
        }
    }

    fn schema() -> Value {
        let mut schema = MEMORY_FIELDS.schema();
        schema["if"] = json!({"properties": {"type": {"const": "none"}}});
        schema["then"] = json!({"properties": {"retention_days": false}});
        schema
    }
}
