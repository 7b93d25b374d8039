//! `limits:` of a model provider and of an MCP server: how many calls it is sent at once, and how many more may wait.

use serde_json::Value;

use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::node::Node;
use super::shape::Whole;

/// How many calls may be under way at once, where the descriptor does not tell.
pub const DEFAULT_CONCURRENT: u32 = 50;

/// How many more may wait for a place, where the descriptor does not tell.
pub const DEFAULT_WAITING: u32 = 1_000;

/// What bounds the calls to one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// How many may be under way at once; at least 1.
    pub concurrent: u32,
    /// How many more may wait for a place; what comes beyond is turned away at once.
    pub queue: u32,
}

impl Default for Places {
    fn default() -> Self {
        Places { concurrent: DEFAULT_CONCURRENT, queue: DEFAULT_WAITING }
    }
}

const CONCURRENT: Field<Whole<1, 10_000>> =
    Field::new("concurrent", "How many calls may be under way at once. Absent: 50.");
const QUEUE: Field<Whole<0, 100_000>> =
    Field::new("queue", "How many more may wait for a place, agents in turn; beyond it 429 at once. Absent: 1000.");
const FIELDS: Mapping = Mapping { rows: &[CONCURRENT.row(), QUEUE.row()], not_yet: &[] };

impl Shape for Places {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let concurrent = fields.optional(&CONCURRENT, reading);
        let queue = fields.optional(&QUEUE, reading);
        Some(Places {
            concurrent: concurrent?.map_or(DEFAULT_CONCURRENT, |Whole(count)| count as u32),
            queue: queue?.map_or(DEFAULT_WAITING, |Whole(count)| count as u32),
        })
    }

    /// What is as it is where nothing is said is left out, so that a descriptor's hash does not know of it.
    fn write(&self) -> Value {
        let queue = (self.queue != DEFAULT_WAITING).then_some(Whole(self.queue.into()));
        Writer::default().put(&CONCURRENT, &Whole(self.concurrent.into())).put_some(&QUEUE, queue.as_ref()).done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}
