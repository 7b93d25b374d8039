//! Words that both renderings of a trace share. Plain text: colour is the terminal's business.

use domain::approval::Reminder;
use domain::clock::Timestamp;
use domain::decision::{RefusedBy, Wait, WaitFor};
use domain::event::Resolution;
use domain::id::Name;
use domain::message::{Origin, Role};
use domain::money::UsdMicros;
use domain::principal::Mode;
use serde_json::Value;

use super::{CapabilityCall, ClientMessage, ClientSaid, Consent, ModelCall, Resolved, State, Told, Trace};
use crate::spend::Tally;

/// Milliseconds as a person says them: `812 ms`, `12.3 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(ms: i64) -> String {
    let seconds = ms / 1000;
    if ms < 1_000 {
        format!("{ms} ms")
    } else if seconds < 60 {
        format!("{seconds}.{} s", ms % 1000 / 100)
    } else if seconds < 3600 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else if seconds < 172_800 {
        format!("{} h {} min", seconds / 3600, seconds / 60 % 60)
    } else {
        format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24)
    }
}

/// `2026-11-22 07:54:00`.
pub(crate) fn instant(at: Timestamp) -> String {
    at.to_string().replacen('T', " ", 1).chars().take(19).collect()
}

/// One line of at most `most` characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

/// Arguments on one line, without the outer braces: `amount_usd: 4180, to: "ap@example.com"`.
pub(crate) fn arguments(value: &Value, most: usize) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    one_line(&text, most)
}

/// `1234 tokens, 2 external actions, $0.0123`; what is zero is left out.
pub(crate) fn cost(tally: &Tally) -> String {
    let amounts = &tally.amounts;
    let mut words = Vec::new();
    if amounts.tokens != 0 {
        words.push(count(amounts.tokens, "token"));
    }
    if amounts.external_actions != 0 {
        words.push(count(amounts.external_actions, "external action"));
    }
    if amounts.usd_micros != 0 {
        words.push(UsdMicros(amounts.usd_micros).to_string());
    }
    if tally.possibly_billed_usd_micros != 0 {
        words.push(format!("of which {} possibly billed", UsdMicros(tally.possibly_billed_usd_micros)));
    }
    words.join(", ")
}

pub(crate) fn count(many: i64, what: &str) -> String {
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}

/// The head of a session: who, for whom, under what, and what it came to.
pub(super) fn heading(trace: &Trace) -> Vec<String> {
    let mode = match trace.mode {
        Mode::Live => "live",
        Mode::Shadow => "SHADOW: nothing that changes anything was sent",
    };
    let mut who = format!("revision {} · owner {}", trace.revision.short(), trace.owner);
    if let Some(person) = &trace.on_behalf_of {
        who += &format!(" · on behalf of {person}");
    }
    if !trace.parents.is_empty() {
        let chain: Vec<_> = trace.parents.iter().map(|link| link.agent.to_string()).collect();
        who += &format!(" · delegated by {}", chain.join(" → "));
    }
    let mut lines = vec![format!("{} · {} · {}", trace.agent, trace.session, trace.phase), format!("{who} · {mode}")];
    if trace.scripted {
        lines.push("scripted: a script stood in for the model; nobody was billed for what it says".to_owned());
    }
    let took = duration(trace.updated.since_ms(trace.started));
    let amounts = &trace.totals.amounts;
    lines.push(format!(
        "started {} · {took} · {} · {} · {} · {} compute · {}",
        instant(trace.started),
        count(amounts.calls, "call"),
        count(amounts.tokens, "token"),
        count(amounts.external_actions, "external action"),
        duration(amounts.compute_ms),
        UsdMicros(amounts.usd_micros)
    ));
    lines
}

/// What a wait is for.
pub(crate) fn waiting(wait: &Wait) -> String {
    let what = match &wait.why {
        WaitFor::Approval { approval } => format!("for consent {approval}"),
        WaitFor::Exhausted { budget } => format!("for budget {budget}, which is used up until its window ends"),
        WaitFor::TiedUp { budget } => format!("for budget {budget}, which is tied up"),
        WaitFor::InDoubt { call } => format!("for a person to say what came of {call}"),
        WaitFor::Frozen { scope } => format!("because {scope} is frozen"),
        WaitFor::Paused { by } => format!("because {by} suspended it"),
        WaitFor::Timer => "for a timer".to_owned(),
        WaitFor::Model { failed } => {
            format!("to ask its model again, which failed {}", count(i64::from(*failed), "time"))
        }
        WaitFor::Delegated { agent, session } => format!("for {agent}, in {session}"),
    };
    match wait.until {
        Some(until) => format!("{what}, until {} at the latest", instant(until)),
        None => what,
    }
}

/// A call's state, where the steps around it do not say it already.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Wanted => "wanted, not sent yet",
        State::Waiting => "waiting",
        State::InFlight => "sent, no outcome yet",
        State::Answered => "ok",
        State::Failed => "failed",
        State::Refused => "refused",
        State::Recorded => "SHADOW: recorded, not sent",
        State::InDoubt => "IN DOUBT: sent, and nobody knows what came of it",
        State::Resolved => "happened, as a person says",
        State::Abandoned => "let be: nobody knows what came of it",
        State::Dropped => "dropped: nobody waits for it any more",
    }
}

/// The model and who stood behind it: `anthropic claude-x (answered by claude-x-2026, scripted)`.
pub(super) fn model(call: &ModelCall) -> String {
    let mut name = match &call.provider {
        Some(provider) => format!("{provider} {}", call.model),
        None => "the model".to_owned(),
    };
    let mut notes = Vec::new();
    if let (Some(served), Some(false)) = (&call.served_model, call.pinned) {
        notes.push(format!("answered by {served}"));
    }
    if call.scripted {
        notes.push("scripted".to_owned());
    }
    if call.attempts.len() > 1 {
        notes.push(format!("attempt {}", call.attempts.len()));
    }
    if !notes.is_empty() {
        name += &format!(" ({})", notes.join(", "));
    }
    name
}

/// The capability, its effect and value: `email-draft (write, worth $4180.00)`.
pub(super) fn capability(call: &CapabilityCall) -> String {
    let mut notes = Vec::new();
    if let Some(effect) = call.effect {
        notes.push(effect.to_string());
    }
    if let Some(value) = call.value_usd_micros {
        notes.push(format!("worth {}", UsdMicros(value)));
    }
    if call.attempts.len() > 1 {
        notes.push(format!("attempt {}", call.attempts.len()));
    }
    let name = call.capability.as_ref().map_or(call.name.as_str(), |capability| capability.name().as_str());
    if notes.is_empty() { name.to_owned() } else { format!("{name} ({})", notes.join(", ")) }
}

/// That its people were told of it again.
fn reminded(told: &Told) -> String {
    let what = match told.what {
        Reminder::HalfOver => "half of the time was over",
        Reminder::NearlyOver => "nine tenths of the time were over",
        Reminder::Escalated => "from then on its people may answer, too",
    };
    format!("{} told at {}: {what}", told.to, instant(told.at))
}

/// A request for consent and what became of it, a sentence each.
pub(super) fn consent(consent: &Consent) -> Vec<String> {
    let request = &consent.request;
    let asked = format!(
        "consent {} asked of {}: {} (becomes a no at {})",
        request.approval,
        request.by,
        request.reason,
        instant(request.expires_at)
    );
    let mut lines = vec![asked];
    lines.extend(consent.reminded.iter().map(reminded));
    for verdict in consent.all_said() {
        let edited = if verdict.edited.is_some() { ", with edited arguments" } else { "" };
        let said = if verdict.approved { "approved" } else { "denied" };
        let after = duration(verdict.at.since_ms(request.asked_at));
        let why = if verdict.reason.is_empty() { String::new() } else { format!(": “{}”", verdict.reason) };
        lines.push(format!("{said} by {}{edited} after {after}{why}", verdict.speaker()));
    }
    if let Some(reason) = &consent.withdrawn {
        lines.push(format!("consent withdrawn: {reason}"));
    }
    lines
}

/// No, by which rules where they said it, why, and what to do next.
pub(super) fn refused(call: &CapabilityCall) -> Option<String> {
    let no = call.refusal.as_ref()?;
    let ids = call.decided.as_ref().map_or(&[][..], |decided| &decided.policy_ids);
    let by = match no.by {
        RefusedBy::Policy if !ids.is_empty() => format!(" by {}", ids.join(", ")),
        RefusedBy::Policy
        | RefusedBy::Identity
        | RefusedBy::Budget
        | RefusedBy::Approval
        | RefusedBy::Arguments
        | RefusedBy::Readiness
        | RefusedBy::Bound => String::new(),
    };
    Some(format!("refused{by}: {} {}", no.reason, no.next))
}

/// What a person said of a write in doubt.
pub(super) fn resolved(resolved: &Resolved) -> String {
    let said = match &resolved.resolution {
        Resolution::Happened { result } => format!("it happened: {}", one_line(result, 120)),
        Resolution::DidNot => "it did not happen: send it".to_owned(),
        Resolution::Abandon => "let it be".to_owned(),
    };
    format!("{} says at {}: {said}", resolved.person, instant(resolved.at))
}

/// A client that tells its conversation: who, and how much of it is new.
pub(super) fn client(trace: &Trace, told: &ClientSaid) -> String {
    let mut words = vec![format!("client of {} tells {}", trace.agent, count(told.tells.into(), "message"))];
    words.push(format!("{} of them new", told.said.len()));
    if told.rewrote {
        words.push("it left out or turned round what it told before".to_owned());
    }
    if told.instructions.is_some() {
        words.push("with instructions of its own".to_owned());
    }
    if let Some(tools) = told.tools {
        words.push(format!("with {}", count(tools.into(), "tool")));
    }
    words.join(" · ")
}

/// Who speaks in a client's message, as the client says.
pub fn speaker(message: &ClientMessage) -> &'static str {
    match message.role {
        Role::Person => "asks",
        Role::Agent => "has its model say",
        Role::Capability => "has a tool answer (untrusted)",
    }
}

/// Who asked, in words.
pub fn asker(person: Option<&Name>, origin: Origin) -> String {
    match (person, origin) {
        (Some(person), _) => person.to_string(),
        (None, Origin::Webhook) => "a webhook (untrusted)".to_owned(),
        (None, Origin::Descriptor) => "a schedule".to_owned(),
        (None, Origin::Agent) => "another agent".to_owned(),
        (None, Origin::Person | Origin::Model | Origin::Capability | Origin::Memory | Origin::Runtime) => {
            "an administrator".to_owned()
        }
    }
}
