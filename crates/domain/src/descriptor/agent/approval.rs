//! `spec.approval`: when people are asked first, who, how many of them, and for how long.

use serde_json::Value;

use crate::capability::Effect;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::{Choice, Chosen, Millis, Whole};
use crate::id::Name;
use crate::money::UsdMicros;

/// When a request for consent turns into denial, where the descriptor does not tell: 4 hours.
pub const DEFAULT_EXPIRES_MS: i64 = 4 * 3_600_000;

/// When people are asked first, who, how many of them, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Writes worth more than this ask first, and writes of unknown value; `None`: none does.
    pub on_action_value_usd_gt: Option<UsdMicros>,
    /// Calls of these effects ask first, whatever they are worth.
    pub on_effect: Vec<Effect>,
    /// The group whose people decide; `None`: the owner ([`super::Agent::approvers`]).
    pub by: Option<Name>,
    /// How many different people must say yes.
    pub quorum: u16,
    /// Whether the person on whose behalf the agent acts may not be one of them.
    pub four_eyes: bool,
    /// After how long the answer is no, in milliseconds.
    pub expires_after_ms: i64,
    /// Which group may answer, too, after how many milliseconds.
    pub escalate: Option<(Name, i64)>,
}

impl Default for Approval {
    fn default() -> Self {
        Approval {
            on_action_value_usd_gt: None,
            on_effect: Vec::new(),
            by: None,
            quorum: 1,
            four_eyes: false,
            expires_after_ms: DEFAULT_EXPIRES_MS,
            escalate: None,
        }
    }
}

/// `by: {group: NAME, quorum: N, not: [on_behalf_of]}`.
struct By {
    group: Option<Name>,
    quorum: u16,
    four_eyes: bool,
}

/// Who may not be one of those who decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OnBehalfOf;

impl Choice for OnBehalfOf {
    const ALL: &'static [(&'static str, Self)] = &[("on_behalf_of", OnBehalfOf)];
}

type Quorum = Whole<1, 20>;

const GROUP: Field<Name> = Field::new("group", "Its people decide. Absent: the owner group.");
const QUORUM: Field<Quorum> = Field::new("quorum", "How many different people must say yes. Absent: 1.");
const NOT: Field<Vec<Chosen<OnBehalfOf>>> =
    Field::new("not", "Who may not be one of them: on_behalf_of is the person that the agent acts for.");
const BY_FIELDS: Mapping = Mapping { rows: &[GROUP.row(), QUORUM.row(), NOT.row()], not_yet: &[] };

impl Shape for By {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = BY_FIELDS.open(node, reading)?;
        let group = fields.optional(&GROUP, reading);
        let quorum = fields.optional(&QUORUM, reading);
        let not = fields.optional(&NOT, reading);
        let quorum = quorum?.map_or(1, |Whole(quorum)| quorum as u16);
        Some(By { group: group?, quorum, four_eyes: not?.is_some_and(|not| !not.is_empty()) })
    }

    fn write(&self) -> Value {
        let quorum = Whole(i64::from(self.quorum));
        Writer::default()
            .put_some(&GROUP, self.group.as_ref())
            // What an older build could not say is left out where it says nothing: revisions stay what they were.
            .put_some(&QUORUM, (self.quorum > 1).then_some(&quorum))
            .put_some(&NOT, self.four_eyes.then(|| vec![Chosen(OnBehalfOf)]).as_ref())
            .done()
    }

    fn schema() -> Value {
        BY_FIELDS.schema()
    }
}

/// `escalate: {to: GROUP, after: TIME}`.
struct Escalate(Name, Millis);

const TO: Field<Name> = Field::required("to", "The group whose people may answer, too.");
const TO_AFTER: Field<Millis> = Field::required("after", "After how long, such as 1h; sooner than the answer is no.");
const ESCALATE_FIELDS: Mapping = Mapping { rows: &[TO.row(), TO_AFTER.row()], not_yet: &[] };

impl Shape for Escalate {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = ESCALATE_FIELDS.open(node, reading)?;
        let (to, after) = (fields.required(&TO, reading), fields.required(&TO_AFTER, reading));
        Some(Escalate(to?, after?))
    }

    fn write(&self) -> Value {
        Writer::default().put(&TO, &self.0).put(&TO_AFTER, &self.1).done()
    }

    fn schema() -> Value {
        ESCALATE_FIELDS.schema()
    }
}

/// `expires: {after: TIME, escalate: {to: GROUP, after: TIME}}`.
struct Expires {
    after: Millis,
    escalate: Option<Escalate>,
}

const AFTER: Field<Millis> = Field::required("after", "After how long the answer is no, such as 4h.");
const ESCALATE: Field<Escalate> = Field::new("escalate", "Which group may answer, too, once it has waited a while.");
const EXPIRES_FIELDS: Mapping = Mapping { rows: &[AFTER.row(), ESCALATE.row()], not_yet: &[] };

impl Shape for Expires {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = EXPIRES_FIELDS.open(node, reading)?;
        let (after, escalate) = (fields.required(&AFTER, reading), fields.optional(&ESCALATE, reading));
        let (after, escalate) = (after?, escalate?);
        if escalate.as_ref().is_some_and(|Escalate(_, Millis(ms))| *ms >= after.0) {
            let help = "`escalate.after` is sooner than `expires.after`";
            return fields.senseless(&ESCALATE, "comes when the answer is no already", help, reading);
        }
        Some(Expires { after, escalate })
    }

    fn write(&self) -> Value {
        Writer::default().put(&AFTER, &self.after).put_some(&ESCALATE, self.escalate.as_ref()).done()
    }

    fn schema() -> Value {
        EXPIRES_FIELDS.schema()
    }
}

const VALUE_GT: Field<UsdMicros> = Field::new(
    "on_action_value_usd_gt",
    "A write worth more than this many US dollars asks first. One of unknown value counts as above it.",
);
const ON_EFFECT: Field<Vec<Chosen<Effect>>> =
    Field::new("on_effect", "Calls of these effects ask first, whatever they are worth, such as [irreversible].");
const BY: Field<By> = Field::new("by", "Who decides, and how many of them. Absent: one person of the owner group.");
const EXPIRES: Field<Expires> = Field::new("expires", "When the answer becomes no by itself. Absent: after 4h.");
const FIELDS: Mapping = Mapping { rows: &[VALUE_GT.row(), ON_EFFECT.row(), BY.row(), EXPIRES.row()], not_yet: &[] };

impl Shape for Approval {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let value = fields.optional(&VALUE_GT, reading);
        let on_effect = fields.optional(&ON_EFFECT, reading);
        let by = fields.optional(&BY, reading);
        let expires = fields.optional(&EXPIRES, reading);
        let mut on_effect: Vec<_> = on_effect?.unwrap_or_default().into_iter().map(|Chosen(effect)| effect).collect();
        on_effect.sort_unstable();
        on_effect.dedup();
        let By { group, quorum, four_eyes } = by?.unwrap_or(By { group: None, quorum: 1, four_eyes: false });
        let Expires { after: Millis(expires_after_ms), escalate } =
            expires?.unwrap_or(Expires { after: Millis(DEFAULT_EXPIRES_MS), escalate: None });
        let escalate = escalate.map(|Escalate(to, Millis(after))| (to, after));
        Some(Approval {
            on_action_value_usd_gt: value?,
            on_effect,
            by: group,
            quorum,
            four_eyes,
            expires_after_ms,
            escalate,
        })
    }

    fn write(&self) -> Value {
        let by = By { group: self.by.clone(), quorum: self.quorum, four_eyes: self.four_eyes };
        let asks_some = by.group.is_some() || by.quorum > 1 || by.four_eyes;
        let effects: Vec<_> = self.on_effect.iter().map(|effect| Chosen(*effect)).collect();
        let escalate = self.escalate.clone().map(|(to, after)| Escalate(to, Millis(after)));
        Writer::default()
            .put_some(&VALUE_GT, self.on_action_value_usd_gt.as_ref())
            .put_some(&ON_EFFECT, (!effects.is_empty()).then_some(&effects))
            .put_some(&BY, asks_some.then_some(&by))
            .put(&EXPIRES, &Expires { after: Millis(self.expires_after_ms), escalate })
            .done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}
