//! The typed schema that policies are validated against, as Cedar writes it: who acts, what is used, and what is known
//! of a call. One action per tool, so that `context.input` has the types of that tool's own arguments.
//!
//! ```text
//! Action::"Use" ─┬─ "Read" | "Write"      what it changes: every tool is in one of them,
//!                └─ "Inside" | "Outside" | "Delegate"   what it is done by, and in one of these
//! Action::"email-draft", Action::"internal://remember", Action::"agent://clerk"   one per tool
//! Action::"Think"                                            asking a language model
//! ```

use domain::capability::{CapabilityRef, Effect};

use super::shape::{Fields, written};

/// The action of asking a model.
pub(crate) const THINK: &str = "Think";

/// What every action knows. `value_usd_micros` of a write whose worth nobody knows is the largest number there is.
const KNOWN: &str = "now: datetime, depth: Long, autonomy: String, mode: String, on_behalf_of?: String, \
                     on_behalf_of_groups: Set<String>, spent_today_usd_micros: Long, labels: Set<String>, tainted: Bool";

const HEAD: &str = "entity Group;
entity Server;
entity Provider;
entity Agent in [Group] { owner: String, revision: String };
entity Tool in [Server] { effect: String, trusted: Bool, labels: Set<String> };
entity Model in [Provider];
action \"Use\";
action \"Read\" in [\"Use\"];
action \"Write\" in [\"Use\"];
action \"Inside\" in [\"Use\"];
action \"Outside\" in [\"Use\"];
action \"Delegate\" in [\"Use\"];
";

/// Whether this is an attribute that every use of a tool has.
pub(crate) fn knows(attribute: &str) -> bool {
    const OF_TOOLS: [&str; 15] = [
        "effect",
        "egress",
        "value_usd_micros",
        "value_known",
        "unvouched",
        "requested",
        "provenance",
        "provenance.*",
        "approval",
        "count",
        "approvers",
        "input",
        "input.*",
        // Of who acts, and of the tool itself.
        "owner",
        "trusted",
    ];
    let known = KNOWN.split(", ").filter_map(|pair| pair.split([':', '?']).next());
    OF_TOOLS.contains(&attribute) || attribute == "revision" || known.into_iter().any(|name| name == attribute)
}

/// A tool, as far as a policy can speak of it.
#[derive(Debug, Clone)]
pub(crate) struct Tool<'a> {
    pub(crate) capability: &'a CapabilityRef,
    pub(crate) effect: Effect,
    /// Its arguments; `None`: they are not known here, and no rule can be read against them.
    pub(crate) input: Option<&'a Fields>,
}

/// What a tool's action and resource are called.
pub(crate) fn id(capability: &CapabilityRef) -> String {
    match capability {
        CapabilityRef::External(name) => name.to_string(),
        CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => capability.to_string(),
    }
}

/// The groups that a tool's action is in.
pub(crate) fn groups(capability: &CapabilityRef, effect: Effect) -> [&'static str; 3] {
    let changes = if effect.changes_something() { "Write" } else { "Read" };
    let leaves = match capability {
        CapabilityRef::External(_) => "Outside",
        CapabilityRef::Internal(_) => "Inside",
        CapabilityRef::Agent(_) => "Delegate",
    };
    ["Use", changes, leaves]
}

/// The schema of these tools, and of asking a model.
pub(crate) fn text<'a>(tools: impl IntoIterator<Item = Tool<'a>>) -> String {
    let mut out = HEAD.to_owned();
    out.push_str(&format!(
        "action \"{THINK}\" appliesTo {{ principal: Agent, resource: Model, context: {{{KNOWN}}} }};\n"
    ));
    for Tool { capability, effect, input } in tools {
        let (id, [_, changes, leaves]) = (id(capability), groups(capability, effect));
        let applies = input.map_or_else(String::new, |input| {
            let origins: Vec<_> = input.keys().map(|name| format!("{name:?}?: Set<String>")).collect();
            let (input, origins) = (written(input), origins.join(", "));
            format!(
                " appliesTo {{ principal: Agent, resource: Tool, context: {{{KNOWN}, effect: String, egress: Bool, \
                 value_usd_micros: Long, value_known: Bool, unvouched: Set<String>, requested: Bool, provenance: {{{origins}}}, \
                 approval?: {{count: Long, approvers: Set<String>}}, input: {input}}} }}"
            )
        });
        out.push_str(&format!("action {id:?} in [\"{changes}\", \"{leaves}\"]{applies};\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use cedar_policy::Schema;
    use serde_json::json;

    use super::*;
    use crate::policy::shape::fields;

    #[test]
    fn it_is_a_schema_of_cedar() {
        let mail: CapabilityRef = "mcp://gateway/email-draft".parse().unwrap();
        let recall: CapabilityRef = "internal://recall".parse().unwrap();
        let input = fields(&json!({"properties": {"to": {"type": "string"}, "a \"b\"\n": {"type": "number"}}}));
        let text = text([
            Tool { capability: &mail, effect: Effect::Write, input: Some(&input) },
            Tool { capability: &recall, effect: Effect::Read, input: None },
        ]);
        let (schema, _) = Schema::from_cedarschema_str(&text).unwrap();
        assert_eq!(schema.actions().count(), 9);
    }
}
