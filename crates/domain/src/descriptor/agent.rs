//! `kind: Agent`: what an agent is for, which model thinks, what it may use and spend, when a person is asked and how
//! much it does alone.

mod approval;
mod autonomy;
mod budgets;
mod concurrency;
mod instructions;
mod memory;
mod model;
mod tools;
mod trigger;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::node::Node;
use super::resource::{Resource, Spec};
use super::shape::Whole;
use crate::budget::Meter;
use crate::capability::CapabilityRef;
use crate::control::Kind;
use crate::id::Name;
use crate::money::UsdMicros;

pub use approval::{Approval, DEFAULT_EXPIRES_MS};
pub use autonomy::{AutonomySpec, Human, Promote};
pub use budgets::{Budgets, OnExhausted};
pub use concurrency::{Concurrency, DEFAULT_ACTIVE, DEFAULT_MAILBOX, DEFAULT_QUEUE, OnePer};
pub use instructions::{DEFAULT_INSTRUCTIONS, Instructions};
pub use memory::Memory;
pub use model::{DEFAULT_MAX_OUTPUT_TOKENS, Fallback, Model};
pub use tools::{INTERNAL, INTERNAL_MEMORY, INTERNAL_WRITES, ToolUse};
pub use trigger::{On, Trigger};

use tools::check_tools;
use trigger::check_triggers;

/// A valid agent.
pub type Agent = Resource<AgentSpec>;

/// How many turns a session has, where the descriptor does not tell.
pub const DEFAULT_TURNS: u32 = 60;

/// How deep an agent may delegate, where the descriptor does not tell.
const DEFAULT_DEPTH: u32 = 3;

/// What an agent is.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSpec {
    /// What it is for: the head of its prompt. Files are resolved into text.
    pub instructions: Instructions,
    /// Which model thinks.
    pub model: Model,
    /// What it keeps from one session to the next.
    pub memory: Memory,
    /// What it may use, in the descriptor's order, each once.
    pub tools: Vec<ToolUse>,
    /// What it may spend.
    pub budgets: Budgets,
    /// When a person is asked.
    pub approval: Approval,
    /// How much it does alone.
    pub autonomy: AutonomySpec,
    /// What bounds a session.
    pub limits: Limits,
    /// What starts it without a person, in the descriptor's order, each under a name of its own.
    pub triggers: Vec<Trigger>,
    /// What runs side by side, and how much waits.
    pub concurrency: Concurrency,
    /// What an hour of the runtime's own work for it costs.
    pub compute_usd_per_hour: UsdMicros,
}

/// What bounds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How often it may ask its model.
    pub turns: u32,
    /// How many sessions may stand below it, each delegated to by the one above.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { turns: DEFAULT_TURNS, depth: DEFAULT_DEPTH }
    }
}

impl Agent {
    /// How it lists an agent that it may delegate to.
    pub fn delegates_to(&self, to: &Name) -> Option<&ToolUse> {
        self.spec.tools.iter().find(|used| matches!(&used.tool, CapabilityRef::Agent(agent) if agent == to))
    }

    /// What it passes on to an agent that it delegates to: what its descriptor says, or its own tools; nothing, where it
    /// may not delegate to it.
    pub fn passes_on(&self, to: &Name) -> BTreeSet<CapabilityRef> {
        let Some(listed) = self.delegates_to(to) else { return BTreeSet::new() };
        match &listed.may {
            Some(may) => may.iter().cloned().collect(),
            None => self.spec.tools.iter().map(|used| used.tool.clone()).collect(),
        }
    }

    /// The group whose people decide its requests: the one that it names, or its owner.
    pub fn approvers(&self) -> &Name {
        self.spec.approval.by.as_ref().unwrap_or(&self.metadata.owner)
    }

    /// What it may use: its tools, and those that come with a memory. Each once, sorted by name.
    pub fn capabilities(&self) -> Vec<CapabilityRef> {
        let memory: &[&str] = match self.spec.memory {
            Memory::None => &[],
            Memory::Persistent { .. } => &INTERNAL_MEMORY,
        };
        let implied = memory.iter().filter_map(|name| name.parse().ok()).map(CapabilityRef::Internal);
        let all = implied.chain(self.spec.tools.iter().map(|used| used.tool.clone()));
        all.map(|tool| (tool.name().clone(), tool)).collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

const TURNS: Field<Whole<1, 10_000>> = Field::new("turns", "How often a session may ask its model. Absent: 60.");
const DEPTH: Field<Whole<0, 8>> =
    Field::new("depth", "How deep it may delegate: to an agent that delegates to another is 2. Absent: 3.");
const LIMITS_FIELDS: Mapping = Mapping { rows: &[TURNS.row(), DEPTH.row()], not_yet: &["wall"] };

impl Shape for Limits {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = LIMITS_FIELDS.open(node, reading)?;
        let (turns, depth) = (fields.optional(&TURNS, reading)?, fields.optional(&DEPTH, reading)?);
        Some(Limits {
            turns: turns.map_or(DEFAULT_TURNS, |Whole(turns)| turns as u32),
            depth: depth.map_or(DEFAULT_DEPTH, |Whole(depth)| depth as u32),
        })
    }

    fn write(&self) -> Value {
        let depth = Some(Whole(self.depth.into())).filter(|_| self.depth != DEFAULT_DEPTH);
        Writer::default().put(&TURNS, &Whole(self.turns.into())).put_some(&DEPTH, depth.as_ref()).done()
    }

    fn schema() -> Value {
        LIMITS_FIELDS.schema()
    }
}

const INSTRUCTIONS: Field<Instructions> =
    Field::new("instructions", "What the agent is for: a text, or {file: PATH} beside this file.");
const MODEL: Field<Model> = Field::required("model", "Which model thinks.");
const MEMORY: Field<Memory> = Field::new("memory", "What it keeps from one session to the next. Absent: nothing.");
const TOOLS: Field<Vec<ToolUse>> = Field::new("tools", "What it may use; everything else is denied.");
const BUDGETS: Field<Budgets> = Field::new("budgets", "What it may spend: per hour, per day and per session.");
const APPROVAL: Field<Approval> = Field::new("approval", "When a person is asked first.");
const AUTONOMY: Field<AutonomySpec> = Field::new("autonomy", "How much it does alone. Absent: autonomous.");
const LIMITS: Field<Limits> = Field::new("limits", "What bounds a session.");
const TRIGGERS: Field<Vec<Trigger>> = Field::new("triggers", "What starts it without a person: schedules, webhooks.");
const CONCURRENCY: Field<Concurrency> = Field::new("concurrency", "What runs side by side, and how much waits.");
const COMPUTE: Field<UsdMicros> = Field::new(
    "compute_usd_per_hour",
    "What an hour of the runtime's own work for it costs, in US dollars; at most 6 decimals. Absent: nothing.",
);
const FIELDS: Mapping = Mapping {
    rows: &[
        INSTRUCTIONS.row(),
        MODEL.row(),
        MEMORY.row(),
        TOOLS.row(),
        BUDGETS.row(),
        APPROVAL.row(),
        AUTONOMY.row(),
        LIMITS.row(),
        TRIGGERS.row(),
        CONCURRENCY.row(),
        COMPUTE.row(),
    ],
    not_yet: &["input", "output", "context"],
};

impl Shape for AgentSpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let instructions = fields.optional(&INSTRUCTIONS, reading);
        let model = fields.required(&MODEL, reading);
        let memory = fields.optional(&MEMORY, reading);
        let tools = fields.optional(&TOOLS, reading);
        let budgets = fields.optional(&BUDGETS, reading);
        let approval = fields.optional(&APPROVAL, reading);
        let autonomy = fields.optional(&AUTONOMY, reading);
        let limits = fields.optional(&LIMITS, reading);
        let triggers = fields.optional(&TRIGGERS, reading);
        let concurrency = fields.optional(&CONCURRENCY, reading);
        let compute = fields.optional(&COMPUTE, reading);
        let (tools, memory) = (tools?.unwrap_or_default(), memory?.unwrap_or(Memory::None));
        let budgets = budgets?.unwrap_or_default();
        let has_money = budgets.caps.keys().any(|(meter, _)| *meter == Meter::UsdMicros);
        check_tools(&tools, (memory, has_money), node, reading)?;
        let triggers = triggers?.unwrap_or_default();
        let concurrency = concurrency?.unwrap_or_default();
        check_triggers(&triggers, &concurrency, node, reading)?;
        Some(AgentSpec {
            instructions: instructions?.unwrap_or_default(),
            model: model?,
            memory,
            tools,
            budgets,
            approval: approval?.unwrap_or_default(),
            autonomy: autonomy?.unwrap_or_default(),
            limits: limits?.unwrap_or_default(),
            triggers,
            concurrency,
            compute_usd_per_hour: compute?.unwrap_or_default(),
        })
    }

    fn write(&self) -> Value {
        Writer::default()
            .put(&INSTRUCTIONS, &self.instructions)
            .put(&MODEL, &self.model)
            .put(&MEMORY, &self.memory)
            .put(&TOOLS, &self.tools)
            .put(&BUDGETS, &self.budgets)
            .put(&APPROVAL, &self.approval)
            .put(&AUTONOMY, &self.autonomy)
            .put(&LIMITS, &self.limits)
            // What an older build could not say is left out where it says nothing: revisions stay what they were.
            .put_some(&TRIGGERS, (!self.triggers.is_empty()).then_some(&self.triggers))
            .put_some(&CONCURRENCY, (self.concurrency != Concurrency::default()).then_some(&self.concurrency))
            .put_some(&COMPUTE, (self.compute_usd_per_hour.0 > 0).then_some(&self.compute_usd_per_hour))
            .done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}

impl Spec for AgentSpec {
    const KIND: Kind = Kind::Agent;
}
