//! `spec.tools`: what an agent may use.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::memory::Memory;
use crate::capability::CapabilityRef;
use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Field, Mapping, Reading, Shape};
use crate::descriptor::node::{Content, Node, shown};
use crate::descriptor::shape::text;

/// The capabilities that the runtime itself has: `internal://NAME`.
pub const INTERNAL: [&str; 6] = ["remember", "recall", "forget", "calculate", "now", "timer"];
/// Those of them that need a memory.
pub const INTERNAL_MEMORY: [&str; 3] = ["remember", "recall", "forget"];
/// Those of them that change what is remembered.
pub const INTERNAL_WRITES: [&str; 2] = ["remember", "forget"];
/// `{use: TOOL}`, the long way to write a tool.
const USE: Field<ToolText> = Field::required("use", "mcp://gateway/NAME, or internal://NAME.");
const TOOL_FIELDS: Mapping = Mapping { rows: &[USE.row()], not_yet: &["when", "per_hour", "may", "budget_share"] };

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

/// A tool, written short or long.
pub(super) struct Tool(pub(super) CapabilityRef);

impl Shape for Tool {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if matches!(node.content, Content::Map(_)) {
            let fields = TOOL_FIELDS.open(node, reading)?;
            fields.required(&USE, reading).map(|ToolText(tool)| Tool(tool))
        } else {
            ToolText::read(node, reading).map(|ToolText(tool)| Tool(tool))
        }
    }

    fn write(&self) -> Value {
        self.0.to_string().into()
    }

    fn schema() -> Value {
        json!({"oneOf": [ToolText::schema(), TOOL_FIELDS.schema()]})
    }
}

/// Each tool once, each under a name of its own, and none that needs a memory which is not there.
pub(super) fn check_tools(
    tools: &[CapabilityRef],
    memory: Memory,
    spec: &Node,
    reading: &mut Reading<'_>,
) -> Option<()> {
    let mut seen = BTreeSet::new();
    let mut fine = Some(());
    let Some(Content::List(nodes)) = spec.get("tools").map(|node| &node.content) else { return fine };
    for (tool, node) in tools.iter().zip(nodes) {
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
