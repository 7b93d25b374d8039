//! The fields of an agent's descriptor, as Cedar: what it lists it may use, above its limit it asks, and so on. What
//! two revisions both allow is in force, so it is made of both. Must not know any call.

use std::fmt::Write;

use domain::capability::{CapabilityRef, Effect};
use domain::expression::Expression;
use domain::id::Name;
use domain::money::UsdMicros;

use super::clause;
use super::schema::id;
use super::shape::Fields;

/// What is in force of an agent's descriptor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) agent: Name,
    /// The tools that both revisions list, by name.
    pub(crate) tools: Vec<CapabilityRef>,
    /// The names of its model, as it may be asked for: `PROVIDER/MODEL`.
    pub(crate) models: Vec<String>,
    /// A write worth more asks first, in micro-dollars.
    pub(crate) asks_above: Option<i64>,
    /// Calls of these effects ask first, whatever they are worth.
    pub(crate) asks_on: Vec<Effect>,
    /// What must hold of a tool's arguments, clause by clause.
    pub(crate) when: Vec<(CapabilityRef, Vec<Expression>)>,
    /// How often a tool may be used in an hour; counted by its budget, which no rule reads.
    pub(crate) per_hour: Vec<(CapabilityRef, i64)>,
    /// Who delegated to it, root first, and what all of them pass on; `None`: nobody did.
    pub(crate) leave: Option<(Vec<Name>, Vec<CapabilityRef>)>,
}

/// The rules, in the order in which they are told.
pub(crate) fn text(terms: &Terms) -> String {
    let Terms { agent, tools, models, .. } = terms;
    let of = |inside: bool| {
        let inside_too = move |tool: &&CapabilityRef| matches!(tool, CapabilityRef::Internal(_)) == inside;
        let actions = tools.iter().filter(inside_too).map(|tool| format!("Action::{:?}", id(tool)));
        actions.collect::<Vec<_>>().join(", ")
    };
    let who = format!("principal == Agent::{:?}", agent.as_str());
    let mut out = String::new();
    for (rule, actions) in [("tools-listed", of(false)), ("internal-stays-inside", of(true))] {
        if !actions.is_empty() {
            put(&mut out, &format!("@id(\"{rule}\")\npermit({who}, action in [{actions}], resource);"));
        }
    }
    for (index, model) in models.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { format!(".{}", index + 1) };
        let rule = format!(
            "@id(\"own-model{suffix}\")\npermit({who}, action == Action::\"Think\", resource == Model::{model:?});"
        );
        put(&mut out, &rule);
    }
    put(
        &mut out,
        &format!(
            "@id(\"shadow-records-writes\") @obligation(\"record\")\n\
             forbid({who}, action in Action::\"Write\", resource)\nwhen {{ context.autonomy == \"shadow\" }};"
        ),
    );
    asking(&mut out, &who, terms);
    if let Some((above, may)) = &terms.leave {
        passing(&mut out, &who, (above, may));
    }
    for (tool, most) in &terms.per_hour {
        let rule = format!(
            "// {tool}: per_hour {most}. Each use is held in the budget tool/{agent}/{}/calls_per_hour before it is sent.",
            tool.name()
        );
        put(&mut out, &rule);
    }
    out
}

/// A clause that no rule can be made of: the id of the rule, and why.
pub(crate) type Unruly = (String, String);

/// The rules of `when` for one tool, by the types of its arguments: each clause is one, and forbids what it is not true
/// of.
///
/// # Errors
/// The first clause that no rule can be made of.
pub(crate) fn when(terms: &Terms, tool: &CapabilityRef, input: &Fields) -> Result<String, Unruly> {
    let mut out = String::new();
    let clauses = terms.when.iter().filter(|(of, _)| of == tool).flat_map(|(_, clauses)| clauses);
    for (index, clause) in clauses.enumerate() {
        let suffix = if index == 0 { String::new() } else { format!(".{}", index + 1) };
        let rule = format!("tool-when.{}{suffix}", tool.name());
        let holds = match clause::condition(clause, input) {
            Ok(holds) => holds,
            Err(why) => return Err((rule, why)),
        };
        let (agent, action, source) = (terms.agent.as_str(), id(tool), clause.source());
        let next = format!(
            "Keep to that, or do without it. A person may change `when` of {tool} under spec.tools and apply the \
             descriptor."
        );
        put(
            &mut out,
            &format!(
                "@id(\"{rule}\") @clause({source:?})\n\
                 @reason(\"{{agent}} may use {{capability}} only when {{clause}}, and here {{found}}.\")\n\
                 @next({next:?})\n\
                 forbid(principal == Agent::{agent:?}, action == Action::{action:?}, resource)\nunless {{ {holds} }};"
            ),
        );
    }
    Ok(out)
}

/// The rule of `may`: what leaves the agent takes everybody's leave who delegated.
fn passing(out: &mut String, who: &str, (above, may): (&[Name], &[CapabilityRef])) {
    let chain = above.iter().map(Name::as_str).collect::<Vec<_>>().join(" > ");
    let passed = may.iter().map(|tool| format!("Action::{:?}", id(tool))).collect::<Vec<_>>().join(", ");
    let unless = if may.is_empty() { String::new() } else { format!("\nunless {{ action in [{passed}] }}") };
    put(
        out,
        &format!(
            "@id(\"not-passed-on\")\n\
             @reason(\"{{agent}} works for {chain} here, and {{capability}} is not passed on to it.\")\n\
             @next(\"Do without it, and say so. A person may list it under `may` of the tool agent:// of each of those that \
             delegate.\")\n\
             forbid({who}, action in [Action::\"Outside\", Action::\"Delegate\"], resource){unless};"
        ),
    );
}

/// The rules that put a call before people.
fn asking(out: &mut String, who: &str, terms: &Terms) {
    let Terms { asks_above, asks_on, .. } = terms;
    let obligation = "@obligation(\"approval:approvers\")";
    let alone = "context.autonomy != \"autonomous\" && action in Action::\"Write\"";
    put(
        out,
        &format!(
            "@id(\"supervised-asks-before-writes\") {obligation}\n\
             @reason(\"{{agent}} is supervised: every {{effect}} asks a person first.\")\n\
             forbid({who}, action in Action::\"Write\", resource)\n\
             when {{ context.autonomy == \"supervised\" }}\nunless {{ action in Action::\"Inside\" }};"
        ),
    );
    let effects = asks_on.iter().map(|effect| format!("{:?}", effect.to_string())).collect::<Vec<_>>().join(", ");
    if !asks_on.is_empty() {
        put(
            out,
            &format!(
                "@id(\"effect-asks\") {obligation}\n\
                 @reason(\"{{agent}} asks before every {{effect}}.\")\n\
                 @reason_irreversible(\"It cannot be undone, and {{agent}} asks before whatever cannot be.\")\n\
                 forbid({who}, action in Action::\"Outside\", resource)\n\
                 when {{ [{effects}].contains(context.effect) }}\nunless {{ {alone} }};"
            ),
        );
    }
    if let Some(limit) = asks_above {
        let usd = UsdMicros(*limit);
        let others =
            if asks_on.is_empty() { String::new() } else { format!(" || [{effects}].contains(context.effect)") };
        put(
            out,
            &format!(
                "@id(\"value-above-threshold\") {obligation}\n\
                 @reason(\"It is worth {{value}}, above the {usd} that the agent may act on alone.\")\n\
                 @reason_unknown(\"{{unvalued}}, which counts as above the limit of {usd}.\")\n\
                 forbid({who}, action in Action::\"Outside\", resource)\n\
                 when {{ context.value_usd_micros > {limit} }}\n\
                 unless {{ ({alone}){others} }};"
            ),
        );
    }
}

fn put(out: &mut String, rule: &str) {
    let gap = if out.is_empty() { "" } else { "\n" };
    // Writing into a text does not fail.
    let _ = writeln!(out, "{gap}{rule}");
}
