//! `spec.tools`: what an agent may use.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::memory::Memory;
use crate::capability::CapabilityRef;
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::{Content, Node, shown};
use crate::descriptor::shape::{Share, Whole, expression_schema, read_expression, text};
use crate::expression::Expression;
use crate::id::Name;

/// The capabilities that the runtime itself has: `internal://NAME`.
pub const INTERNAL: [&str; 6] = ["remember", "recall", "forget", "calculate", "now", "timer"];
/// Those of them that need a memory.
pub const INTERNAL_MEMORY: [&str; 3] = ["remember", "recall", "forget"];
/// Those of them that change what is remembered.
pub const INTERNAL_WRITES: [&str; 2] = ["remember", "forget"];
/// What a name looks like, as a pattern.
const NAME: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
/// Of the long way to write a tool, `{use: TOOL, …}`.
const USE: Field<ToolText> = Field::required("use", "mcp://gateway/NAME, internal://NAME or agent://NAME.");
const WHEN: Field<OverArgs> = Field::new(
    "when",
    "What must hold of its arguments, as an expression over `args`: what is not so, or cannot be told, is refused.",
);
const PER_HOUR: Field<Whole<0, 1_000_000_000>> =
    Field::new("per_hour", "How often all sessions of the agent together may use it, per hour.");
const MAY: Field<Vec<Passed>> = Field::new(
    "may",
    "Of an agent: what it may use of what it lists itself, once this agent delegates to it. Absent: what this agent may \
     use, too.",
);
const BUDGET_SHARE: Field<Share> =
    Field::new("budget_share", "Of an agent: the part of this agent's least budget in money that one call may spend.");
const TOOL_FIELDS: Mapping =
    Mapping { rows: &[USE.row(), WHEN.row(), PER_HOUR.row(), MAY.row(), BUDGET_SHARE.row()], not_yet: &[] };

/// A tool that an agent may use, and what narrows its use.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    /// Which.
    pub tool: CapabilityRef,
    /// What must hold of its arguments; absent: whatever fits its definition.
    pub when: Option<Expression>,
    /// How often all sessions of the agent together may use it, per hour; absent: as its budgets say.
    pub per_hour: Option<i64>,
    /// Of an agent: what is passed on to it; absent: what whoever delegates may use.
    pub may: Option<Vec<CapabilityRef>>,
    /// Of an agent: the part of the least budget in money that one call of it may spend, in millionths.
    pub budget_share: Option<i64>,
}

impl ToolUse {
    /// A tool that nothing narrows.
    pub const fn of(tool: CapabilityRef) -> Self {
        ToolUse { tool, when: None, per_hour: None, may: None, budget_share: None }
    }
}

/// Something that is passed on to another agent; a name alone is a capability of the gateway.
struct Passed(CapabilityRef);

impl Shape for Passed {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "a capability such as sap-invoice-read, or agent://NAME", reading)?;
        match (written.parse::<CapabilityRef>(), written.parse::<Name>()) {
            (Ok(CapabilityRef::Internal(_)), _) => {
                let finding = Finding::new(&node.at, format!("`{}` needs nobody's leave", shown(written)));
                reading.wrong(finding.help("it stays inside the runtime: leave it out"));
                None
            }
            (Ok(passed), _) => Some(Passed(passed)),
            (Err(_), Ok(name)) => Some(Passed(CapabilityRef::External(name))),
            (Err(_), Err(_)) => {
                let finding = Finding::new(&node.at, format!("`{}` is not a capability", shown(written)));
                reading.wrong(finding.help("write NAME, mcp://gateway/NAME or agent://NAME"));
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.0.to_string().into()
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": format!("^((mcp://gateway/|agent://)?{NAME})$")})
    }
}

/// An expression over `args`: the effective arguments of a call.
struct OverArgs(Expression);

impl Shape for OverArgs {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        read_expression(node, &["args"], reading).map(OverArgs)
    }

    fn write(&self) -> Value {
        self.0.source().into()
    }

    fn schema() -> Value {
        expression_schema()
    }
}

struct ToolText(CapabilityRef);

impl Shape for ToolText {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let written = text(node, "a tool such as mcp://gateway/NAME", reading)?;
        let versioned = written.rsplit_once('@').is_some_and(|(tool, _)| tool.parse::<CapabilityRef>().is_ok());
        if versioned {
            return reading.not_yet(&node.at, written);
        }
        match written.parse::<CapabilityRef>() {
            Ok(CapabilityRef::Internal(name)) if !INTERNAL.contains(&name.as_str()) => {
                let finding = Finding::new(&node.at, format!("there is no `internal://{name}`"));
                reading.wrong(finding.among(name.as_str(), &INTERNAL));
                None
            }
            Ok(tool) => Some(ToolText(tool)),
            Err(_) => {
                let finding = Finding::new(&node.at, format!("`{}` is not a tool", shown(written)));
                reading.wrong(finding.help("write mcp://gateway/NAME, internal://NAME or agent://NAME"));
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.0.to_string().into()
    }

    fn schema() -> Value {
        let inside = INTERNAL.join("|");
        json!({"type": "string", "pattern": format!("^(mcp://gateway/{NAME}|internal://({inside})|agent://{NAME})$")})
    }
}

/// Written short where nothing narrows it, or long.
impl Shape for ToolUse {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if !matches!(node.content, Content::Map(_)) {
            return ToolText::read(node, reading).map(|ToolText(tool)| ToolUse::of(tool));
        }
        let fields = TOOL_FIELDS.open(node, reading)?;
        let tool = fields.required(&USE, reading);
        let when = fields.optional(&WHEN, reading);
        let per_hour = fields.optional(&PER_HOUR, reading);
        let (may, share) = (fields.optional(&MAY, reading), fields.optional(&BUDGET_SHARE, reading));
        let (when, per_hour) = (when?.map(|OverArgs(when)| when), per_hour?.map(|Whole(per_hour)| per_hour));
        let may = may?.map(|may| may.into_iter().map(|Passed(passed)| passed).collect());
        let budget_share = share?.map(|Share(share)| (share * 1e6).round() as i64);
        let ToolText(tool) = tool?;
        if !matches!(tool, CapabilityRef::Agent(_)) {
            let (why, help) = ("is for agent://NAME alone", "leave it out: nothing is delegated to a tool");
            if may.is_some() {
                return fields.senseless(&MAY, why, help, reading);
            } else if budget_share.is_some() {
                return fields.senseless(&BUDGET_SHARE, why, help, reading);
            }
        }
        Some(ToolUse { tool, when, per_hour, may, budget_share })
    }

    fn write(&self) -> Value {
        let ToolUse { tool, when, per_hour, may, budget_share } = self;
        if *self == ToolUse::of(tool.clone()) {
            return ToolText(tool.clone()).write();
        }
        let when = when.clone().map(OverArgs);
        let may = may.as_ref().map(|may| may.iter().cloned().map(Passed).collect());
        let share = budget_share.map(|share| Share(share as f64 / 1e6));
        let long = Writer::default().put(&USE, &ToolText(tool.clone())).put_some(&WHEN, when.as_ref());
        let long = long.put_some(&PER_HOUR, per_hour.map(Whole).as_ref());
        long.put_some(&MAY, may.as_ref()).put_some(&BUDGET_SHARE, share.as_ref()).done()
    }

    fn schema() -> Value {
        json!({"oneOf": [ToolText::schema(), TOOL_FIELDS.schema()]})
    }
}

/// Each tool once, each under a name of its own, and none that needs a memory or a budget which is not there.
pub(super) fn check_tools(
    tools: &[ToolUse],
    (memory, has_money): (Memory, bool),
    spec: &Node,
    reading: &mut Reading<'_>,
) -> Option<()> {
    let mut seen = BTreeSet::new();
    let mut fine = Some(());
    let Some(Content::List(nodes)) = spec.get("tools").map(|node| &node.content) else { return fine };
    for (ToolUse { tool, budget_share, .. }, node) in tools.iter().zip(nodes) {
        let needs_memory = matches!(tool, CapabilityRef::Internal(name) if INTERNAL_MEMORY.contains(&name.as_str()));
        let finding = if !seen.insert(tool.name()) {
            Finding::new(&node.at, format!("a second tool named `{}`", tool.name()))
                .help("the model could not tell them apart: keep one")
        } else if needs_memory && memory == Memory::None {
            Finding::new(&node.at, format!("`{tool}` needs a memory")).help("add `memory: {type: persistent}`")
        } else if budget_share.is_some() && !has_money {
            Finding::new(&node.at, "`budget_share` is a part of a budget in money, and there is none".to_owned())
                .help("add one, such as `budgets: {usd_per_day: 10}`")
        } else {
            continue;
        };
        reading.within("tools", &node.at, |reading| reading.wrong(finding));
        fine = None;
    }
    fine
}
