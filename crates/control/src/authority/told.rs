//! What has words of its own: tools, models, instructions, memory, triggers, addresses, prices, and what is new. What
//! cannot be told comes back as `None`, and widens.

use std::collections::{BTreeMap, BTreeSet};

use domain::capability::{CapabilityRef, Effect};
use domain::change::Direction;
use domain::control::Kind;
use domain::descriptor::Transport;
use domain::id::Name;
use serde_json::{Map, Value};

use super::fields::Both;
use super::rules::{Said, leaves, lookup, number, plain};
use crate::registry::{AgentEntry, Registry};

/// The capability that a tool is, where it is one of the gateway's.
pub(super) fn external(tool: &CapabilityRef) -> Option<&Name> {
    if let CapabilityRef::External(name) = tool { Some(name) } else { None }
}

/// What a tool does, in brackets.
fn does(tool: &str, registry: &Registry) -> String {
    let parsed: Option<CapabilityRef> = tool.parse().ok();
    let Some(name) = parsed.as_ref().and_then(external) else { return tool.to_owned() };
    match registry.capability(name) {
        Some(entry) => {
            let spec = &entry.descriptor.spec;
            format!("{name} ({}, {})", spec.effect, leaves_company(spec.egress))
        }
        None => format!("{name} (which is not applied: nobody knows what it does)"),
    }
}

fn leaves_company(egress: bool) -> &'static str {
    if egress { "leaves the company" } else { "stays inside" }
}

/// An agent's tools by what they use, each with whatever else is said of it.
fn by_use(list: &Value) -> Option<BTreeMap<String, Map<String, Value>>> {
    let Some(items) = list.as_array() else { return list.is_null().then(BTreeMap::new) };
    let each = items.iter().map(|item| match item {
        Value::String(tool) => Some((tool.clone(), Map::new())),
        Value::Object(fields) => {
            let mut rest = fields.clone();
            let tool = rest.remove("use")?.as_str()?.to_owned();
            Some((tool, rest))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    });
    each.collect()
}

pub(super) fn tools(both: &Both<'_>) -> Said {
    let (old, new) = (by_use(lookup(&both.old, "spec.tools"))?, by_use(lookup(&both.new, "spec.tools"))?);
    let mut said = Vec::new();
    for (tool, fields) in &new {
        match old.get(tool) {
            None => {
                said.push((Direction::Widens, format!("may now use {}{}", does(tool, both.registry), only(fields))))
            }
            Some(before) if before == fields => {}
            Some(before) => said.extend(one_tool(tool, before, fields)),
        }
    }
    let gone = old.keys().filter(|tool| !new.contains_key(*tool));
    said.extend(gone.map(|tool| (Direction::Narrows, format!("may no longer use {tool}"))));
    if said.is_empty() {
        said.push((Direction::Neither, "the same tools, in another order".to_owned()));
    }
    Some(said)
}

/// What bounds a tool that is new.
fn only(fields: &Map<String, Value>) -> String {
    let each: Vec<_> = fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
    if each.is_empty() { String::new() } else { format!(", with {}", each.join(", ")) }
}

fn one_tool(tool: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<(Direction, String)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let each = differ.map(|name| {
        let (was, is) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        let shown = |value: &Value| if value.is_null() { "none".to_owned() } else { plain(value) };
        let direction = match name.as_str() {
            "when" => {
                if was.is_null() {
                    Direction::Narrows
                } else {
                    Direction::Widens
                }
            }
            "per_hour" | "budget_share" => {
                let bound = |value: &Value| number(value).unwrap_or(f64::INFINITY);
                if bound(is) < bound(was) { Direction::Narrows } else { Direction::Widens }
            }
            "may" => {
                let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
                let (was, is) = (list(was), list(is));
                if is.iter().all(|one| was.contains(one)) { Direction::Narrows } else { Direction::Widens }
            }
            _ => Direction::Widens,
        };
        (direction, format!("{tool}: {name} {} -> {}", shown(was), shown(is)))
    });
    each.collect()
}

pub(super) fn instructions(both: &Both<'_>) -> Said {
    let text = |document| lookup(document, "spec.instructions").as_str().unwrap_or_default();
    let (old, new) = (text(&both.old), text(&both.new));
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    let (gained, lost) = (after.difference(&before).count(), before.difference(&after).count());
    let text = format!("what it is told to do changes: {gained} lines are new, {lost} are gone");
    Some(vec![(Direction::Widens, text)])
}

pub(super) fn model(both: &Both<'_>) -> Said {
    let model = |document| {
        let of = |field: &str| plain(lookup(document, &format!("spec.model.{field}")));
        format!("{} of {}", of("name"), of("provider"))
    };
    Some(vec![(Direction::Widens, format!("model {} -> {}", model(&both.old), model(&both.new)))])
}

pub(super) fn memory(both: &Both<'_>) -> Said {
    let known = ["type", "retention_days", "scope"];
    let read = |document| {
        let memory = lookup(document, "spec.memory");
        let all_known = memory.as_object()?.keys().all(|name| known.contains(&name.as_str()));
        let kept = memory["type"] == "persistent";
        let days = memory["retention_days"].as_f64().unwrap_or(f64::INFINITY);
        all_known.then_some((kept, days, memory["scope"].clone()))
    };
    let ((old, was, from), (new, is, to)) = (read(&both.old)?, read(&both.new)?);
    let days = |days: f64| if days.is_finite() { format!("{days} days") } else { "until it forgets".to_owned() };
    match (old, new) {
        (false, true) => {
            Some(vec![(Direction::Widens, format!("may now remember from one session to the next, {}", days(is)))])
        }
        (true, false) => Some(vec![(Direction::Narrows, "remembers nothing any more".to_owned())]),
        _ if from != to => None,
        _ => {
            let direction = if is > was { Direction::Widens } else { Direction::Narrows };
            Some(vec![(direction, format!("remembers {} -> {}", days(was), days(is)))])
        }
    }
}

pub(super) fn escalation(both: &Both<'_>) -> Said {
    let read = |document| {
        let escalate = lookup(document, "spec.approval.expires.escalate");
        let whole = escalate.as_object().is_none_or(|fields| fields.keys().all(|name| name == "to" || name == "after"));
        whole.then(|| {
            (escalate["to"].as_str().map(str::to_owned), number(&escalate["after"]), plain(&escalate["after"]))
        })
    };
    let ((old, was, from), (new, is, to)) = (read(&both.old)?, read(&both.new)?);
    let one = |direction, text| Some(vec![(direction, text)]);
    match (old, new) {
        (None, Some(group)) => one(Direction::Widens, format!("people of {group} may approve, too, after {to}")),
        (Some(group), None) => one(Direction::Narrows, format!("people of {group} may no longer approve after {from}")),
        (Some(old), Some(new)) if old == new => {
            let direction = if is? < was? { Direction::Widens } else { Direction::Narrows };
            one(direction, format!("people of {new} may approve, too, after {from} -> {to}"))
        }
        (old, new) => one(
            Direction::Widens,
            format!("who may approve, too, after a while: {} -> {}", old.unwrap_or_default(), new.unwrap_or_default()),
        ),
    }
}

pub(super) fn triggers(both: &Both<'_>) -> Said {
    let by_name = |document| {
        let Some(list) = lookup(document, "spec.triggers").as_array() else { return Some(BTreeMap::new()) };
        let each = list.iter().map(|trigger| Some((trigger["name"].as_str()?.to_owned(), trigger.clone())));
        each.collect::<Option<BTreeMap<_, _>>>()
    };
    let (old, new) = (by_name(&both.old)?, by_name(&both.new)?);
    let mut said = Vec::new();
    for (name, trigger) in &new {
        match old.get(name) {
            None => said.push((Direction::Widens, format!("now starts by itself: {name}, {}", on(trigger)))),
            Some(before) if before == trigger => {}
            Some(before) => {
                said.push((
                    Direction::Widens,
                    format!("starts otherwise by itself: {name}, {} -> {}", on(before), on(trigger)),
                ));
            }
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    said.extend(gone.map(|name| (Direction::Narrows, format!("no longer starts by itself: {name}"))));
    if said.is_empty() {
        said.push((Direction::Neither, "the same triggers, in another order".to_owned()));
    }
    Some(said)
}

fn on(trigger: &Value) -> String {
    if trigger["cron"].is_null() { "on a signed request".to_owned() } else { format!("at {}", plain(&trigger["cron"])) }
}

pub(super) fn egress(both: &Both<'_>) -> Said {
    let leaves = |document| {
        let said = lookup(document, "spec.egress");
        match said.as_bool() {
            Some(egress) => Some(egress),
            None if said.is_null() => Some(lookup(document, "spec.effect") != Effect::Read.to_string().as_str()),
            None => None,
        }
    };
    let (old, new) = (leaves(&both.old)?, leaves(&both.new)?);
    if old == new {
        return Some(Vec::new());
    }
    let direction = if new { Direction::Narrows } else { Direction::Widens };
    Some(vec![(direction, format!("what it is given counts as: {} -> {}", leaves_company(old), leaves_company(new)))])
}

/// The arguments that steer it; absent: all of them.
pub(super) fn sensitive(both: &Both<'_>) -> Said {
    let names = |document| lookup(document, "spec.sensitive").as_array().map(|names| names.iter().map(plain).collect());
    let (old, new): (Option<BTreeSet<String>>, Option<BTreeSet<String>>) = (names(&both.old), names(&both.new));
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    match (old, new) {
        (None, Some(some)) => {
            Some(vec![(Direction::Widens, format!("not every argument steers it any more, only: {}", list(&some)))])
        }
        (Some(_), None) => Some(vec![(Direction::Narrows, "every argument steers it".to_owned())]),
        (Some(old), Some(new)) => {
            let lost = old.difference(&new).map(|name| (Direction::Widens, format!("its {name} no longer steers it")));
            let gained = new.difference(&old).map(|name| (Direction::Narrows, format!("its {name} steers it")));
            Some(lost.chain(gained).collect())
        }
        (None, None) => None,
    }
}

pub(super) fn vouched(both: &Both<'_>, path: &str, words: &str) -> Said {
    let pairs = |document| -> Option<BTreeSet<(String, String)>> {
        let Some(fields) = lookup(document, path).as_object() else { return Some(BTreeSet::new()) };
        let mut all = BTreeSet::new();
        for (from, arguments) in fields {
            all.extend(arguments.as_array()?.iter().map(|argument| (from.clone(), plain(argument))));
        }
        Some(all)
    };
    let (old, new) = (pairs(&both.old)?, pairs(&both.new)?);
    let text = |(from, argument): &(String, String)| format!("{words} {argument} by {from}");
    let more = new.difference(&old).map(|pair| (Direction::Widens, text(pair)));
    let less = old.difference(&new).map(|pair| (Direction::Narrows, format!("no more: {}", text(pair))));
    Some(more.chain(less).collect())
}

pub(super) fn undo(both: &Both<'_>) -> Said {
    let (old, new) = (lookup(&both.old, "spec.undo"), lookup(&both.new, "spec.undo"));
    let one = |direction, text| Some(vec![(direction, text)]);
    match (old.is_null(), new.is_null()) {
        (true, _) => one(Direction::Widens, format!("can now be undone, by {}", plain(new))),
        (_, true) => one(Direction::Narrows, "cannot be undone by Ostler any more".to_owned()),
        (false, false) => one(Direction::Widens, format!("is undone otherwise: {} -> {}", plain(old), plain(new))),
    }
}

pub(super) fn moved(both: &Both<'_>, path: &str, words: &str) -> Said {
    let shown = |document| match lookup(document, path) {
        Value::Null => "none".to_owned(),
        value => plain(value),
    };
    Some(vec![(Direction::Widens, format!("{words}: {} -> {}", shown(&both.old), shown(&both.new)))])
}

pub(super) fn address(both: &Both<'_>) -> Said {
    let shown = |document| {
        let (url, program) = (lookup(document, "spec.http.url"), lookup(document, "spec.stdio"));
        if !url.is_null() {
            return plain(url);
        }
        let args = program["args"].as_array().into_iter().flatten().map(plain);
        let words: Vec<String> = [plain(&program["command"])].into_iter().chain(args).collect();
        format!("the program {}", words.join(" "))
    };
    Some(vec![(Direction::Widens, format!("is reached at: {} -> {}", shown(&both.old), shown(&both.new)))])
}

/// Prices: lower ones let a budget go further, and so does one that nobody can compare.
pub(super) fn prices(both: &Both<'_>) -> Said {
    let (old, new) = (lookup(&both.old, "spec.prices"), lookup(&both.new, "spec.prices"));
    if !old.is_object() || !new.is_object() {
        return moved(both, "spec.prices", "what its models cost");
    }
    let (old, new) = (leaves(old), leaves(new));
    let paths: BTreeSet<&String> =
        old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path)).collect();
    let each = paths.into_iter().map(|path| {
        let (was, is) = (old.get(path), new.get(path));
        let dearer = was.and_then(Value::as_f64).zip(is.and_then(Value::as_f64)).is_some_and(|(was, is)| is > was);
        let shown = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), plain);
        let direction = if dearer { Direction::Narrows } else { Direction::Widens };
        (direction, format!("what {path} costs: {} -> {}", shown(was), shown(is)))
    });
    Some(each.collect())
}

pub(super) fn revisions(both: &Both<'_>) -> Said {
    let (old, new) = (leaves(lookup(&both.old, "spec.revisions")), leaves(lookup(&both.new, "spec.revisions")));
    let paths: BTreeSet<&String> =
        old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path)).collect();
    let shown = |value: Option<&Value>| value.filter(|value| !value.is_null()).map_or_else(|| "none".to_owned(), plain);
    let each = paths.into_iter().map(|path| {
        let named = if path.is_empty() { "its revisions" } else { path.as_str() };
        (Direction::Widens, format!("{named} is sent as: {} -> {}", shown(old.get(path)), shown(new.get(path))))
    });
    Some(each.collect())
}

/// An agent that was not there: what it may do, in one line.
pub(super) fn new_agent(registry: &Registry, entry: &AgentEntry) -> String {
    let agent = &entry.descriptor;
    let tools: Vec<_> = agent.capabilities().iter().map(|tool| does(&tool.to_string(), registry)).collect();
    let uses = if tools.is_empty() { "nothing".to_owned() } else { tools.join(", ") };
    format!("is new: it is answered for by {}, and may use {uses}", agent.metadata.owner)
}

/// Another descriptor that was not there.
pub(super) fn new_resource(registry: &Registry, kind: Kind, name: &Name) -> String {
    match kind {
        Kind::Capability => format!("is new: {}", does(&format!("mcp://gateway/{name}"), registry)),
        Kind::McpServer => {
            let at = registry.server(name).map(|entry| match &entry.descriptor.spec.transport {
                Transport::Stdio { command, .. } => format!("the program {command}"),
                Transport::Http { url } => url.clone(),
            });
            format!("is new: {}", at.unwrap_or_default())
        }
        Kind::ModelProvider => {
            let protocol = registry.provider(name).map(|entry| entry.descriptor.spec.protocol.word());
            format!("is new: speaks {}", protocol.unwrap_or("nothing"))
        }
        Kind::Agent | Kind::Policy => "is new".to_owned(),
    }
}
