//! `spec.tools`: what an agent may use.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::memory::Memory;
use crate::capability::CapabilityRef;
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape, Writer};
use crate::descriptor::node::{Content, Node, shown};
use crate::descriptor::shape::{Whole, expression_schema, read_expression, text};
use crate::expression::Expression;

/// The capabilities that the runtime itself has: `internal://NAME`.
pub const INTERNAL: [&str; 6] = ["remember", "recall", "forget", "calculate", "now", "timer"];
/// Those of them that need a memory.
pub const INTERNAL_MEMORY: [&str; 3] = ["remember", "recall", "forget"];
/// Those of them that change what is remembered.
pub const INTERNAL_WRITES: [&str; 2] = ["remember", "forget"];
/// Of the long way to write a tool, `{use: TOOL, …}`.
const USE: Field<ToolText> = Field::required("use", "mcp://gateway/NAME, or internal://NAME.");
const WHEN: Field<OverArgs> = Field::new(
    "when",
    "What must hold of its arguments, as an expression over `args`: what is not so, or cannot be told, is refused.",
);
const PER_HOUR: Field<Whole<0, 1_000_000_000>> =
    Field::new("per_hour", "How often all sessions of the agent together may use it, per hour.");
const TOOL_FIELDS: Mapping =
    Mapping { rows: &[USE.row(), WHEN.row(), PER_HOUR.row()], not_yet: &["may", "budget_share"] };

/// A tool that an agent may use, and what narrows its use.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    /// Which.
    pub tool: CapabilityRef,
    /// What must hold of its arguments; absent: whatever fits its definition.
    pub when: Option<Expression>,
    /// How often all sessions of the agent together may use it, per hour; absent: as its budgets say.
    pub per_hour: Option<i64>,
}

impl ToolUse {
    /// A tool that nothing narrows.
    pub const fn of(tool: CapabilityRef) -> Self {
        ToolUse { tool, when: None, per_hour: None }
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
        if versioned || written.starts_with("agent://") {
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
                reading.wrong(finding.help("write mcp://gateway/NAME or internal://NAME"));
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.0.to_string().into()
    }

    fn schema() -> Value {
        let name = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
        json!({"type": "string", "pattern": format!("^(mcp://gateway/{name}|internal://({}))$", INTERNAL.join("|"))})
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
        let (when, per_hour) = (when?.map(|OverArgs(when)| when), per_hour?.map(|Whole(per_hour)| per_hour));
        tool.map(|ToolText(tool)| ToolUse { tool, when, per_hour })
    }

    fn write(&self) -> Value {
        let ToolUse { tool, when, per_hour } = self;
        let tool = ToolText(tool.clone());
        if when.is_none() && per_hour.is_none() {
            return tool.write();
        }
        let when = when.clone().map(OverArgs);
        let long = Writer::default().put(&USE, &tool).put_some(&WHEN, when.as_ref());
        long.put_some(&PER_HOUR, per_hour.map(Whole).as_ref()).done()
    }

    fn schema() -> Value {
        json!({"oneOf": [ToolText::schema(), TOOL_FIELDS.schema()]})
    }
}

/// Each tool once, each under a name of its own, and none that needs a memory which is not there.
pub(super) fn check_tools(tools: &[ToolUse], memory: Memory, spec: &Node, reading: &mut Reading<'_>) -> Option<()> {
    let mut seen = BTreeSet::new();
    let mut fine = Some(());
    let Some(Content::List(nodes)) = spec.get("tools").map(|node| &node.content) else { return fine };
    for (ToolUse { tool, .. }, node) in tools.iter().zip(nodes) {
        let needs_memory = matches!(tool, CapabilityRef::Internal(name) if INTERNAL_MEMORY.contains(&name.as_str()));
        let finding = if !seen.insert(tool.name()) {
            Finding::new(&node.at, format!("a second tool named `{}`", tool.name()))
                .help("the model could not tell them apart: keep one")
        } else if needs_memory && memory == Memory::None {
            Finding::new(&node.at, format!("`{tool}` needs a memory")).help("add `memory: {type: persistent}`")
        } else {
            continue;
        };
        reading.within("tools", &node.at, |reading| reading.wrong(finding));
        fine = None;
    }
    fine
}
