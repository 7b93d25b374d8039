//! `spec.approval`: when a person is asked first, who, and for how long.

use serde_json::Value;

use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::Millis;
use crate::id::Name;
use crate::money::UsdMicros;

/// When a request for consent turns into denial, where the descriptor does not tell: 4 hours.
pub const DEFAULT_EXPIRES_MS: i64 = 4 * 3_600_000;

/// When a person is asked first, who, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Writes worth more than this ask first, and writes of unknown value; `None`: none does.
    pub on_action_value_usd_gt: Option<UsdMicros>,
    /// The group whose people decide; `None`: the owner ([`super::Agent::approvers`]).
    pub by: Option<Name>,
    /// After how long the answer is no, in milliseconds.
    pub expires_after_ms: i64,
}

impl Default for Approval {
    fn default() -> Self {
        Approval { on_action_value_usd_gt: None, by: None, expires_after_ms: DEFAULT_EXPIRES_MS }
    }
}

/// `by: {group: NAME}`.
struct By(Name);

const GROUP: Field<Name> = Field::required("group", "Any person of this group decides.");
const BY_FIELDS: Mapping = Mapping { rows: &[GROUP.row()], not_yet: &["quorum", "not"] };

impl Shape for By {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        BY_FIELDS.open(node, reading)?.required(&GROUP, reading).map(By)
    }

    fn write(&self) -> Value {
        Writer::default().put(&GROUP, &self.0).done()
    }

    fn schema() -> Value {
        BY_FIELDS.schema()
    }
}

/// `expires: {after: TIME}`.
struct Expires(Millis);

const AFTER: Field<Millis> = Field::required("after", "After how long the answer is no, such as 4h.");
const EXPIRES_FIELDS: Mapping = Mapping { rows: &[AFTER.row()], not_yet: &["escalate"] };

impl Shape for Expires {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        EXPIRES_FIELDS.open(node, reading)?.required(&AFTER, reading).map(Expires)
    }

    fn write(&self) -> Value {
        Writer::default().put(&AFTER, &self.0).done()
    }

    fn schema() -> Value {
        EXPIRES_FIELDS.schema()
    }
}

const VALUE_GT: Field<UsdMicros> = Field::new(
    "on_action_value_usd_gt",
    "A write worth more than this many US dollars asks first. One of unknown value counts as above it.",
);
const BY: Field<By> = Field::new("by", "Who decides. Absent: the owner group.");
const EXPIRES: Field<Expires> = Field::new("expires", "When the answer becomes no by itself. Absent: after 4h.");
const FIELDS: Mapping = Mapping { rows: &[VALUE_GT.row(), BY.row(), EXPIRES.row()], not_yet: &["on_effect"] };

impl Shape for Approval {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let value = fields.optional(&VALUE_GT, reading);
        let by = fields.optional(&BY, reading);
        let expires = fields.optional(&EXPIRES, reading);
        Some(Approval {
            on_action_value_usd_gt: value?,
            by: by?.map(|By(group)| group),
            expires_after_ms: expires?.map_or(DEFAULT_EXPIRES_MS, |Expires(Millis(ms))| ms),
        })
    }

    fn write(&self) -> Value {
        Writer::default()
            .put_some(&VALUE_GT, self.on_action_value_usd_gt.as_ref())
            .put_some(&BY, self.by.clone().map(By).as_ref())
            .put(&EXPIRES, &Expires(Millis(self.expires_after_ms)))
            .done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}
