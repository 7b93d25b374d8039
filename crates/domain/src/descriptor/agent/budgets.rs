//! `spec.budgets`: what an agent may spend, per hour and per day.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::budget::{Meter, Window};
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::{Choice, Chosen, Whole};
use crate::money::UsdMicros;

/// What an agent may spend, in each meter's own unit. A meter that is not there is not bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budgets {
    /// By meter and window, the most that may be spent in one window.
    pub caps: BTreeMap<(Meter, Window), i64>,
}

#[derive(Clone, Copy, PartialEq)]
struct Refuse;

impl Choice for Refuse {
    const ALL: &'static [(&'static str, Self)] = &[("refuse", Self)];
    const NOT_YET: &'static [&'static str] = &["wait", "ask"];
}

type Count = Whole<0, 1_000_000_000_000_000>;
type Minutes = Whole<0, 1_000_000_000>;
const MINUTE_MS: i64 = 60_000;

const CALLS_PER_HOUR: Field<Count> = Field::new("calls_per_hour", "Requests to models and capabilities, per hour.");
const CALLS_PER_DAY: Field<Count> = Field::new("calls_per_day", "Requests to models and capabilities, per day.");
const USD_PER_HOUR: Field<UsdMicros> = Field::new("usd_per_hour", "US dollars, per hour; at most 6 decimals.");
const USD_PER_DAY: Field<UsdMicros> = Field::new("usd_per_day", "US dollars, per day; at most 6 decimals.");
const TOKENS_PER_HOUR: Field<Count> = Field::new("tokens_per_hour", "Model tokens, input and output, per hour.");
const TOKENS_PER_DAY: Field<Count> = Field::new("tokens_per_day", "Model tokens, input and output, per day.");
const ACTIONS_PER_HOUR: Field<Count> =
    Field::new("external_actions_per_hour", "Requests through the MCP gateway, per hour.");
const ACTIONS_PER_DAY: Field<Count> =
    Field::new("external_actions_per_day", "Requests through the MCP gateway, per day.");
const MINUTES_PER_HOUR: Field<Minutes> =
    Field::new("compute_minutes_per_hour", "Minutes of the runtime's own work, per hour.");
const MINUTES_PER_DAY: Field<Minutes> =
    Field::new("compute_minutes_per_day", "Minutes of the runtime's own work, per day.");
const ON_EXHAUSTED: Field<Chosen<Refuse>> =
    Field::new("on_exhausted", "What becomes of a call that no budget is left for.");

const COUNTS: [(Meter, Window, Field<Count>); 6] = [
    (Meter::Calls, Window::Hour, CALLS_PER_HOUR),
    (Meter::Calls, Window::Day, CALLS_PER_DAY),
    (Meter::Tokens, Window::Hour, TOKENS_PER_HOUR),
    (Meter::Tokens, Window::Day, TOKENS_PER_DAY),
    (Meter::ExternalActions, Window::Hour, ACTIONS_PER_HOUR),
    (Meter::ExternalActions, Window::Day, ACTIONS_PER_DAY),
];
const DOLLARS: [(Window, Field<UsdMicros>); 2] = [(Window::Hour, USD_PER_HOUR), (Window::Day, USD_PER_DAY)];
const MINUTES: [(Window, Field<Minutes>); 2] = [(Window::Hour, MINUTES_PER_HOUR), (Window::Day, MINUTES_PER_DAY)];

const FIELDS: Mapping = Mapping {
    rows: &[
        CALLS_PER_HOUR.row(),
        CALLS_PER_DAY.row(),
        USD_PER_HOUR.row(),
        USD_PER_DAY.row(),
        TOKENS_PER_HOUR.row(),
        TOKENS_PER_DAY.row(),
        ACTIONS_PER_HOUR.row(),
        ACTIONS_PER_DAY.row(),
        MINUTES_PER_HOUR.row(),
        MINUTES_PER_DAY.row(),
        ON_EXHAUSTED.row(),
    ],
    not_yet: &["timezone"],
};

impl Shape for Budgets {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let mut read = Vec::new();
        for (meter, window, field) in &COUNTS {
            read.push(fields.optional(field, reading).map(|cap| cap.map(|Whole(cap)| ((*meter, *window), cap))));
        }
        for (window, field) in &DOLLARS {
            let cap = fields.optional(field, reading);
            read.push(cap.map(|cap| cap.map(|UsdMicros(cap)| ((Meter::UsdMicros, *window), cap))));
        }
        for (window, field) in &MINUTES {
            let cap = fields.optional(field, reading);
            read.push(cap.map(|cap| cap.map(|Whole(cap)| ((Meter::ComputeMs, *window), cap * MINUTE_MS))));
        }
        fields.optional(&ON_EXHAUSTED, reading)?;
        let caps: Option<Vec<_>> = read.into_iter().collect();
        Some(Budgets { caps: caps?.into_iter().flatten().collect() })
    }

    fn write(&self) -> Value {
        let cap = |meter, window| self.caps.get(&(meter, window)).copied();
        let mut writer = Writer::default();
        for (meter, window, field) in &COUNTS {
            writer = writer.put_some(field, cap(*meter, *window).map(Whole).as_ref());
        }
        for (window, field) in &DOLLARS {
            writer = writer.put_some(field, cap(Meter::UsdMicros, *window).map(UsdMicros).as_ref());
        }
        for (window, field) in &MINUTES {
            let minutes = cap(Meter::ComputeMs, *window).map(|ms| Whole(ms / MINUTE_MS));
            writer = writer.put_some(field, minutes.as_ref());
        }
        writer.put(&ON_EXHAUSTED, &Chosen(Refuse)).done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}
