//! `spec.autonomy`: how much an agent does alone, and what must be shown before it does more.

use serde_json::{Value, json};

use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::{Content, Node};
use crate::descriptor::shape::{Choice, Chosen, OverInput, Share, Text, Whole};
use crate::expression::Expression;
use crate::principal::Autonomy;

/// How much an agent does alone, and what must be shown before it does more.
#[derive(Debug, Clone, PartialEq)]
pub struct AutonomySpec {
    /// How much, until a person grants another.
    pub mode: Autonomy,
    /// What people did in the same cases.
    pub human: Option<Human>,
    /// What a report must show before a person can promote it.
    pub promote: Option<Promote>,
}

/// Where a shadow-run's comparison comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Human {
    /// The key of the case that a session works on, over `input`.
    pub case: Expression,
    /// The columns to compare; empty: all that both have.
    pub compare: Vec<String>,
}

/// What a report must show before a promotion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promote {
    /// The share of comparable cases that must be exceeded, from 0 to 1.
    pub agreement_gt: f64,
    /// How many comparable cases there must be.
    pub min_cases: u32,
    /// How many critical differences there may be.
    pub critical: u32,
}

impl Default for AutonomySpec {
    fn default() -> Self {
        AutonomySpec { mode: Autonomy::Autonomous, human: None, promote: None }
    }
}

impl Default for Promote {
    fn default() -> Self {
        Promote { agreement_gt: 0.95, min_cases: 100, critical: 0 }
    }
}

impl Choice for Autonomy {
    const ALL: &'static [(&'static str, Self)] =
        &[("shadow", Self::Shadow), ("supervised", Self::Supervised), ("autonomous", Self::Autonomous)];
}

#[derive(Clone, Copy, PartialEq)]
struct Csv;

impl Choice for Csv {
    const ALL: &'static [(&'static str, Self)] = &[("csv", Self)];
}

const SOURCE: Field<Chosen<Csv>> = Field::required("source", "csv: brought in by `ostler shadow import`.");
const CASE: Field<OverInput> =
    Field::required("case", "An expression over input that gives the case's key, such as input.invoice_id.");
const COMPARE: Field<Vec<Text<200>>> = Field::new("compare", "The columns to compare. Absent: all that both have.");
const HUMAN_FIELDS: Mapping = Mapping { rows: &[SOURCE.row(), CASE.row(), COMPARE.row()], not_yet: &[] };

impl Shape for Human {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = HUMAN_FIELDS.open(node, reading)?;
        let source = fields.required(&SOURCE, reading);
        let case = fields.required(&CASE, reading);
        let compare = fields.optional(&COMPARE, reading);
        source?;
        let compare = compare?.unwrap_or_default().into_iter().map(|Text(column)| column).collect();
        Some(Human { case: case?.0, compare })
    }

    fn write(&self) -> Value {
        let compare: Vec<_> = self.compare.iter().cloned().map(Text).collect();
        Writer::default()
            .put(&SOURCE, &Chosen(Csv))
            .put(&CASE, &OverInput(self.case.clone()))
            .put_some(&COMPARE, (!compare.is_empty()).then_some(&compare))
            .done()
    }

    fn schema() -> Value {
        HUMAN_FIELDS.schema()
    }
}

type Cases = Whole<0, 1_000_000>;

const AGREEMENT: Field<Share> =
    Field::new("agreement_gt", "The share of comparable cases that must be exceeded. Absent: 0.95.");
const MIN_CASES: Field<Cases> = Field::new("min_cases", "How many comparable cases there must be. Absent: 100.");
const CRITICAL: Field<Cases> = Field::new("critical", "How many critical differences there may be. Absent: 0.");
const PROMOTE_FIELDS: Mapping =
    Mapping { rows: &[AGREEMENT.row(), MIN_CASES.row(), CRITICAL.row()], not_yet: &["min_days"] };

impl Shape for Promote {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = PROMOTE_FIELDS.open(node, reading)?;
        let agreement = fields.optional(&AGREEMENT, reading);
        let min_cases = fields.optional(&MIN_CASES, reading);
        let critical = fields.optional(&CRITICAL, reading);
        let absent = Promote::default();
        Some(Promote {
            agreement_gt: agreement?.map_or(absent.agreement_gt, |Share(share)| share),
            min_cases: min_cases?.map_or(absent.min_cases, |Whole(cases)| cases as u32),
            critical: critical?.map_or(absent.critical, |Whole(cases)| cases as u32),
        })
    }

    fn write(&self) -> Value {
        Writer::default()
            .put(&AGREEMENT, &Share(self.agreement_gt))
            .put(&MIN_CASES, &Whole(self.min_cases.into()))
            .put(&CRITICAL, &Whole(self.critical.into()))
            .done()
    }

    fn schema() -> Value {
        PROMOTE_FIELDS.schema()
    }
}

const MODE: Field<Chosen<Autonomy>> = Field::required(
    "mode",
    "shadow: writes are recorded, never sent. supervised: every write asks. autonomous: the approval rules apply.",
);
const HUMAN: Field<Human> = Field::new("human", "What people did in the same cases.");
const PROMOTE: Field<Promote> = Field::new("promote", "What a report must show before a person can promote it.");
const FIELDS: Mapping = Mapping { rows: &[MODE.row(), HUMAN.row(), PROMOTE.row()], not_yet: &[] };

impl Shape for AutonomySpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if !matches!(node.content, Content::Map(_)) {
            let Chosen(mode) = Chosen::read(node, reading)?;
            return Some(AutonomySpec { mode, human: None, promote: None });
        }
        let fields = FIELDS.open(node, reading)?;
        let mode = fields.required(&MODE, reading);
        let human = fields.optional(&HUMAN, reading);
        let promote = fields.optional(&PROMOTE, reading);
        Some(AutonomySpec { mode: mode?.0, human: human?, promote: promote? })
    }

    fn write(&self) -> Value {
        Writer::default()
            .put(&MODE, &Chosen(self.mode))
            .put_some(&HUMAN, self.human.as_ref())
            .put_some(&PROMOTE, self.promote.as_ref())
            .done()
    }

    fn schema() -> Value {
        json!({"oneOf": [Chosen::<Autonomy>::schema(), FIELDS.schema()]})
    }
}
