//! `spec.budgets`: what an agent may spend per hour and per day, and what one session of it may.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::budget::{Meter, UnknownZone, Window, Zone};
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::Node;
use crate::descriptor::shape::{Choice, Chosen, Whole, text};
use crate::money::UsdMicros;

/// What an agent may spend, in each meter's own unit. A meter that is not there is not bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budgets {
    /// By meter and window, the most that may be spent in one window. [`Window::Session`]: by one session, with
    /// everything that it delegates.
    pub caps: BTreeMap<(Meter, Window), i64>,
    /// What becomes of a call that no budget is left for.
    pub on_exhausted: OnExhausted,
    /// Whose midnight and full hour begin a window.
    pub timezone: Zone,
}

/// What becomes of a call that no budget is left for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnExhausted {
    /// It is refused.
    #[default]
    Refuse,
    /// It waits until the window ends.
    Wait,
    /// The owner's people are asked for more.
    Ask,
}

impl Choice for OnExhausted {
    const ALL: &'static [(&'static str, Self)] =
        &[("refuse", OnExhausted::Refuse), ("wait", OnExhausted::Wait), ("ask", OnExhausted::Ask)];
}

impl Shape for Zone {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "an IANA time zone such as Europe/Madrid", reading)?;
        match written.parse() {
            Ok(zone) => Some(zone),
            Err(error) => {
                reading.wrong(Finding::new(&node.at, UnknownZone::to_string(&error)));
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.to_string().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
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
const CALLS_PER_SESSION: Field<Count> =
    Field::new("calls_per_session", "Requests to models and capabilities, by one session and what it delegates.");
const USD_PER_SESSION: Field<UsdMicros> =
    Field::new("usd_per_session", "US dollars, by one session and what it delegates; at most 6 decimals.");
const TOKENS_PER_SESSION: Field<Count> =
    Field::new("tokens_per_session", "Model tokens, input and output, by one session and what it delegates.");
const ACTIONS_PER_SESSION: Field<Count> = Field::new(
    "external_actions_per_session",
    "Requests through the MCP gateway, by one session and what it delegates.",
);
const MINUTES_PER_SESSION: Field<Minutes> = Field::new(
    "compute_minutes_per_session",
    "Minutes of the runtime's own work, by one session and what it delegates.",
);
const ON_EXHAUSTED: Field<Chosen<OnExhausted>> = Field::new(
    "on_exhausted",
    "What becomes of a call that no budget is left for: refuse; wait until the window ends; ask the owner's people.",
);
const TIMEZONE: Field<Zone> = Field::new(
    "timezone",
    "The IANA time zone whose full hours and midnights begin a window, such as Europe/Madrid. Absent: UTC.",
);

const COUNTS: [(Meter, Window, Field<Count>); 9] = [
    (Meter::Calls, Window::Hour, CALLS_PER_HOUR),
    (Meter::Calls, Window::Day, CALLS_PER_DAY),
    (Meter::Tokens, Window::Hour, TOKENS_PER_HOUR),
    (Meter::Tokens, Window::Day, TOKENS_PER_DAY),
    (Meter::ExternalActions, Window::Hour, ACTIONS_PER_HOUR),
    (Meter::ExternalActions, Window::Day, ACTIONS_PER_DAY),
    (Meter::Calls, Window::Session, CALLS_PER_SESSION),
    (Meter::Tokens, Window::Session, TOKENS_PER_SESSION),
    (Meter::ExternalActions, Window::Session, ACTIONS_PER_SESSION),
];
const DOLLARS: [(Window, Field<UsdMicros>); 3] =
    [(Window::Hour, USD_PER_HOUR), (Window::Day, USD_PER_DAY), (Window::Session, USD_PER_SESSION)];
const MINUTES: [(Window, Field<Minutes>); 3] =
    [(Window::Hour, MINUTES_PER_HOUR), (Window::Day, MINUTES_PER_DAY), (Window::Session, MINUTES_PER_SESSION)];

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
        CALLS_PER_SESSION.row(),
        USD_PER_SESSION.row(),
        TOKENS_PER_SESSION.row(),
        ACTIONS_PER_SESSION.row(),
        MINUTES_PER_SESSION.row(),
        ON_EXHAUSTED.row(),
        TIMEZONE.row(),
    ],
    not_yet: &[],
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
        let on_exhausted = fields.optional(&ON_EXHAUSTED, reading);
        let timezone = fields.optional(&TIMEZONE, reading);
        let caps: Option<Vec<_>> = read.into_iter().collect();
        Some(Budgets {
            caps: caps?.into_iter().flatten().collect(),
            on_exhausted: on_exhausted?.map(|Chosen(what)| what).unwrap_or_default(),
            timezone: timezone?.unwrap_or_default(),
        })
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
        let timezone = Some(&self.timezone).filter(|zone| **zone != Zone::UTC);
        writer.put(&ON_EXHAUSTED, &Chosen(self.on_exhausted)).put_some(&TIMEZONE, timezone).done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}
