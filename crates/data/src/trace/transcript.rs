//! A trace as a conversation to read: who said what, why each thing was done, who allowed it, and what came back.

use super::text::{
    asker, capability, client, consent, cost, duration, heading, instant, model, refused, resolved, speaker, state,
    waiting,
};
use super::{CapabilityCall, ModelCall, Said, State, Step, Trace, What};

/// The trace as a readable conversation, without colour.
pub fn render_transcript(trace: &Trace) -> String {
    let mut out = Page::default();
    heading(trace).iter().for_each(|line| out.line(0, line));
    for step in &trace.steps {
        say(&mut out, trace, step);
    }
    out.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, line: &str) {
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn lines(&mut self, indent: usize, text: &str) {
        text.lines().for_each(|line| self.line(indent, line));
    }

    /// A text of several lines after a word: the word stands before the first.
    fn after(&mut self, indent: usize, word: &str, text: &str) {
        let mut lines = text.lines();
        self.line(indent, &format!("{word} {}", lines.next().unwrap_or_default()));
        lines.for_each(|line| self.line(indent + 2, line));
    }

    fn head(&mut self, who: &str, step: &Step) {
        self.text.push('\n');
        self.line(0, &format!("{who} — {}", instant(step.at)));
    }
}

fn say(out: &mut Page, trace: &Trace, step: &Step) {
    match &step.what {
        What::Message { from, text, origin, .. } => {
            out.head(&asker(from.as_ref(), *origin), step);
            out.lines(2, text);
        }
        What::Client(told) => {
            out.head(&client(trace, told), step);
            for message in &told.said {
                out.after(2, &format!("({})", speaker(message)), &message.text);
            }
        }
        What::Model(call) => model_says(out, trace, step, call),
        // Shown below the reasoning that led to it.
        What::Capability(call) if call.asked_by.is_some_and(|by| trace.model(by).is_some()) => {}
        What::Capability(call) => capability_does(out, call),
        What::Suspended { waits, slept_ms, .. } => {
            let what: Vec<_> = waits.iter().map(waiting).collect();
            let slept = slept_ms.map_or("still asleep".to_owned(), |ms| format!("slept {}", duration(ms)));
            out.head(&format!("[suspended {}; {slept}]", what.join("; ")), step);
        }
        What::Resumed { cause, .. } => out.head(&format!("[resumed by {cause}]"), step),
        What::Finished { .. } => out.head("[finished]", step),
        What::Failed { reason, refusal, .. } => {
            out.head("[failed]", step);
            out.lines(2, reason);
            refusal.iter().for_each(|no| out.lines(2, &no.next));
        }
        What::Killed { by, reason } => {
            out.head(&format!("[killed by {by}]"), step);
            out.lines(2, reason);
        }
        What::Paused { by, reason } => {
            out.head(&format!("[suspended by {by}]"), step);
            out.lines(2, reason);
        }
        What::Continued { by } => out.head(&format!("[let go on by {by}]"), step),
    }
}

fn model_says(out: &mut Page, trace: &Trace, step: &Step, call: &ModelCall) {
    let mut notes = vec![model(call)];
    notes.extend((call.state != State::Answered).then(|| state(call.state).to_owned()));
    notes.extend(Some(cost(&call.cost)).filter(|cost| !cost.is_empty()));
    out.head(&format!("{} · {}", trace.agent, notes.join(" · ")), step);
    call.waits.iter().for_each(|wait| out.line(2, &format!("[waited {}]", waiting(wait))));
    for said in &call.says {
        match said {
            Said::Reasoning { redacted: true, .. } => out.line(2, "(thinks; the provider keeps it to itself)"),
            Said::Reasoning { text, .. } => out.after(2, "(thinks)", text),
            Said::Text { text } => out.lines(2, text),
            Said::Other => out.line(2, "(a block of the provider's own)"),
            Said::Use { call, capability } => match trace.capability(*call) {
                Some(found) => capability_does(out, found),
                None => out.line(2, &format!("(wants {capability}, which its client performs)")),
            },
        }
    }
    call.refusal.iter().for_each(|no| out.lines(2, &format!("refused: {} {}", no.reason, no.next)));
    call.error.iter().for_each(|error| out.after(2, "error:", error));
}

fn capability_does(out: &mut Page, call: &CapabilityCall) {
    out.line(2, &format!("→ {} · {} · call {}", capability(call), state(call.state), call.call));
    let sent = call.arguments.as_ref().unwrap_or(&call.wanted);
    match &call.malformed {
        Some(text) => out.after(4, "malformed arguments:", text),
        None => out.lines(4, &serde_json::to_string_pretty(sent).unwrap_or_default()),
    }
    if let Some(decided) = &call.decided {
        let by = if decided.policy_ids.is_empty() { "no policy".to_owned() } else { decided.policy_ids.join(", ") };
        let set = decided.policy_set.short();
        out.line(4, &format!("decided at control position {} by {by}, policy set {set}", decided.control_pos));
    }
    call.consents.iter().flat_map(consent).for_each(|line| out.line(4, &line));
    call.resolution.iter().for_each(|word| out.line(4, &resolved(word)));
    refused(call).iter().for_each(|line| out.lines(4, line));
    call.error.iter().for_each(|error| out.after(4, "error:", error));
    if let Some(result) = &call.result {
        let trust = match result.trust {
            domain::message::Trust::Trusted => "",
            domain::message::Trust::Untrusted => " (untrusted)",
        };
        out.after(2, &format!("←{trust}"), &result.text);
    }
    Some(cost(&call.cost)).filter(|cost| !cost.is_empty()).iter().for_each(|cost| out.line(4, cost));
}
