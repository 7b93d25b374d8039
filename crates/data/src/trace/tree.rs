//! A trace as a tree: one line per step, what the model asked for below what it thought.

use super::text::{
    arguments, asker, capability, client, consent, cost, duration, heading, model, one_line, refused, resolved,
    speaker, state, waiting,
};
use super::{CapabilityCall, ClientSaid, ModelCall, Said, State, Step, Trace, What};

/// How much of a text one line shows.
const SHOWN: usize = 140;

/// The trace as a tree of text, without colour.
pub fn render_tree(trace: &Trace) -> String {
    let mut out = heading(trace).join("\n");
    out.push('\n');
    let nodes: Vec<_> = trace.steps.iter().filter(|step| !below_a_model(trace, step)).map(|s| node(trace, s)).collect();
    draw(&mut out, "", &nodes);
    out
}

struct Node {
    line: String,
    below: Vec<Node>,
}

fn leaf(line: impl Into<String>) -> Node {
    Node { line: line.into(), below: Vec::new() }
}

fn draw(out: &mut String, indent: &str, nodes: &[Node]) {
    for (i, node) in nodes.iter().enumerate() {
        let last = i + 1 == nodes.len();
        let (branch, next) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        out.push_str(&format!("{indent}{branch}{}\n", node.line));
        draw(out, &format!("{indent}{next}"), &node.below);
    }
}

fn below_a_model(trace: &Trace, step: &Step) -> bool {
    match &step.what {
        What::Capability(call) => call.asked_by.is_some_and(|asked_by| trace.model(asked_by).is_some()),
        _ => false,
    }
}

fn node(trace: &Trace, step: &Step) -> Node {
    match &step.what {
        What::Message { from, text, origin, .. } => {
            let who = asker(from.as_ref(), *origin);
            leaf(format!("{who}: {}", one_line(text, SHOWN)))
        }
        What::Client(said) => client_node(trace, said),
        What::Model(call) => model_node(trace, step, call),
        What::Capability(call) => capability_node(step, call),
        What::Suspended { waits, slept_ms, .. } => {
            let what: Vec<_> = waits.iter().map(waiting).collect();
            let slept = slept_ms.map_or("sleeps still".to_owned(), |ms| format!("slept {}", duration(ms)));
            leaf(format!("suspended {} · {slept}", what.join("; ")))
        }
        What::Resumed { cause, slept_ms } => leaf(format!("resumed after {} by {cause}", duration(*slept_ms))),
        What::Finished { answer, .. } => match answer {
            Some(answer) => leaf(format!("finished: {}", one_line(answer, SHOWN))),
            None => leaf("finished without an answer"),
        },
        What::Failed { reason, .. } => leaf(format!("failed: {}", one_line(reason, SHOWN))),
        What::Killed { by, reason } => leaf(format!("killed by {by}: {}", one_line(reason, SHOWN))),
        What::Paused { by, reason } => leaf(format!("suspended by {by}: {}", one_line(reason, SHOWN))),
        What::Continued { by } => leaf(format!("let go on by {by}")),
    }
}

fn client_node(trace: &Trace, told: &ClientSaid) -> Node {
    let below =
        told.said.iter().map(|message| leaf(format!("{}: {}", speaker(message), one_line(&message.text, SHOWN))));
    Node { line: client(trace, told), below: below.collect() }
}

fn model_node(trace: &Trace, step: &Step, call: &ModelCall) -> Node {
    let mut below: Vec<_> = call.waits.iter().map(|wait| leaf(format!("waited {}", waiting(wait)))).collect();
    for said in &call.says {
        below.push(match said {
            Said::Reasoning { redacted: true, .. } => leaf("because: (the provider keeps this reasoning to itself)"),
            Said::Reasoning { text, .. } => leaf(format!("because: {}", one_line(text, SHOWN))),
            Said::Text { text } => leaf(format!("says: {}", one_line(text, SHOWN))),
            Said::Other => leaf("(a block of the provider's own)"),
            Said::Use { call: wanted, capability } => {
                let is = |s: &&Step| matches!(&s.what, What::Capability(c) if c.call == *wanted);
                match trace.steps.iter().find(is) {
                    Some(step) => node(trace, step),
                    None => leaf(format!("wants {capability}, which its client performs")),
                }
            }
        });
    }
    below.extend(call.refusal.iter().map(|no| leaf(format!("refused: {} {}", no.reason, no.next))));
    below.extend(call.error.iter().map(|error| leaf(format!("error: {}", one_line(error, SHOWN)))));
    let mut words = vec![format!("thinks: {}", model(call))];
    if call.state != State::Answered {
        words.push(state(call.state).to_owned());
    }
    words.extend(took(step));
    words.extend(Some(cost(&call.cost)).filter(|cost| !cost.is_empty()));
    Node { line: words.join(" · "), below }
}

fn capability_node(step: &Step, call: &CapabilityCall) -> Node {
    let mut below: Vec<_> = call.consents.iter().flat_map(consent).map(leaf).collect();
    below.extend(refused(call).map(leaf));
    below.extend(call.resolution.iter().map(|word| leaf(resolved(word))));
    below.extend(call.error.iter().map(|error| leaf(format!("error: {}", one_line(error, SHOWN)))));
    below.extend(call.result.iter().map(|result| {
        let kind = if result.error { "error" } else { "result" };
        leaf(format!("{kind}: {}", one_line(&result.text, SHOWN)))
    }));
    let sent = call.arguments.as_ref().unwrap_or(&call.wanted);
    let written = call.malformed.as_ref().map_or_else(|| arguments(sent, SHOWN), |text| one_line(text, SHOWN));
    let mut words = vec![format!("{} [{}] {written}", capability(call), call.call.ordinal)];
    words.push(state(call.state).to_owned());
    words.extend(took(step));
    words.extend(Some(cost(&call.cost)).filter(|cost| !cost.is_empty()));
    Node { line: words.join(" · "), below }
}

fn took(step: &Step) -> Option<String> {
    step.ended_at.map(|ended| duration(ended.since_ms(step.at)))
}
