//! `spec.concurrency`: what runs side by side, and how much waits.

use serde_json::{Value, json};

use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::{Choice, Chosen, OverInput, Whole};
use crate::expression::{EvaluateError, Expression};

/// How many sessions of an agent work at once, where its descriptor does not tell.
pub const DEFAULT_ACTIVE: u32 = 64;
/// How many messages wait for an agent, over all its sessions, where its descriptor does not tell.
pub const DEFAULT_QUEUE: u32 = 10_000;
/// How many messages wait for one session.
pub const DEFAULT_MAILBOX: u32 = 256;

/// What runs side by side, and how much waits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Concurrency {
    /// What is worked on one at a time.
    pub one_per: OnePer,
    /// How many of its sessions work at once; `None`: [`DEFAULT_ACTIVE`].
    pub active: Option<u32>,
    /// How many messages wait for it; `None`: [`DEFAULT_QUEUE`].
    pub queue: Option<u32>,
}

/// What is worked on one at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum OnePer {
    /// Each session by itself.
    #[default]
    Session,
    /// All sessions whose input gives the same key: one after the other, in the order in which they came.
    Partition {
        /// The key, over `input`.
        key: Expression,
    },
}

impl Concurrency {
    /// How many of its sessions work at once.
    pub fn active(&self) -> u32 {
        self.active.unwrap_or(DEFAULT_ACTIVE)
    }

    /// How many messages wait for it.
    pub fn queue(&self) -> u32 {
        self.queue.unwrap_or(DEFAULT_QUEUE)
    }

    /// The partition of a session that starts with this input; `None`: each session is on its own.
    ///
    /// # Errors
    /// When sessions have a partition and this input gives none.
    pub fn partition(&self, input: &Value) -> Result<Option<String>, EvaluateError> {
        match &self.one_per {
            OnePer::Session => Ok(None),
            OnePer::Partition { key } => key.text(&[("input", input)]).map(Some),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Per {
    Session,
    Partition,
}

impl Choice for Per {
    const ALL: &'static [(&'static str, Self)] = &[("session", Self::Session), ("partition", Self::Partition)];
}

const ONE_PER: Field<Chosen<Per>> =
    Field::new("one_per", "session: each by itself. partition: all with the same key, one after the other.");
const KEY: Field<OverInput> =
    Field::new("key", "With one_per: partition, an expression over input, such as input.company.");
const ACTIVE: Field<Whole<1, 100_000>> = Field::new("active", "How many of its sessions work at once. Absent: 64.");
const QUEUE: Field<Whole<1, 10_000_000>> =
    Field::new("queue", "How many messages wait for it before more are refused. Absent: 10000.");
const FIELDS: Mapping = Mapping { rows: &[ONE_PER.row(), KEY.row(), ACTIVE.row(), QUEUE.row()], not_yet: &[] };

impl Shape for Concurrency {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let per = fields.optional(&ONE_PER, reading);
        let key = fields.optional(&KEY, reading);
        let active = fields.optional(&ACTIVE, reading);
        let queue = fields.optional(&QUEUE, reading);
        let per = per?.map_or(Per::Session, |Chosen(per)| per);
        let one_per = match (per, key?) {
            (Per::Session, None) => OnePer::Session,
            (Per::Partition, Some(OverInput(key))) => OnePer::Partition { key },
            (Per::Session, Some(_)) => {
                let help = "leave it out, or say `one_per: partition`";
                return fields.senseless(&KEY, "means nothing without `one_per: partition`", help, reading);
            }
            (Per::Partition, None) => {
                let help = "an expression over input, such as `key: input.company`";
                return fields.senseless(&ONE_PER, "partition needs a `key`", help, reading);
            }
        };
        let (active, queue) = (active?, queue?);
        Some(Concurrency {
            one_per,
            active: active.map(|Whole(active)| active as u32),
            queue: queue.map(|Whole(queue)| queue as u32),
        })
    }

    fn write(&self) -> Value {
        let (per, key) = match &self.one_per {
            OnePer::Session => (Per::Session, None),
            OnePer::Partition { key } => (Per::Partition, Some(OverInput(key.clone()))),
        };
        Writer::default()
            .put(&ONE_PER, &Chosen(per))
            .put_some(&KEY, key.as_ref())
            .put_some(&ACTIVE, self.active.map(|active| Whole(active.into())).as_ref())
            .put_some(&QUEUE, self.queue.map(|queue| Whole(queue.into())).as_ref())
            .done()
    }

    fn schema() -> Value {
        let mut schema = FIELDS.schema();
        schema["if"] = json!({"properties": {"one_per": {"const": "partition"}}, "required": ["one_per"]});
        schema["then"] = json!({"required": ["key"]});
        schema["else"] = json!({"properties": {"key": false}});
        schema
    }
}
