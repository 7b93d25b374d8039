//! An explanation in words, top down: who wanted what, why, who allowed it, where it came from, what it came to.

use domain::money::UsdMicros;
use domain::principal::Mode;

use super::{ArgumentOrigin, ConsentProof, DecidingRule, Explanation, Source, Topup};
use crate::spend::Tally;
use crate::trace::{State, one_line, spoken_cost, spoken_instant};

/// How much of a text one line shows.
const SHOWN: usize = 200;

/// The explanation as text, without colour.
pub fn render(explanation: &Explanation) -> String {
    let mut lines = vec![format!("{} · {} · {}", explanation.call, explanation.what, state(explanation.state))];
    lines.extend(who(explanation));
    lines.extend(why(explanation));
    lines.extend(decision(explanation));
    explanation.consents.iter().for_each(|proof| lines.extend(consent(proof)));
    if !explanation.origins.is_empty() {
        lines.push("where each argument came from".to_owned());
        lines.extend(explanation.origins.iter().map(origin));
    }
    lines.extend(spending(explanation));
    lines.extend(outcome(explanation));
    if explanation.resolved {
        lines.push("this leads back to what was asked, without a gap".to_owned());
    } else {
        lines.push("THIS DOES NOT LEAD BACK TO WHAT WAS ASKED; please report it".to_owned());
        lines.extend(explanation.missing.iter().map(|gap| format!("  {gap}")));
    }
    lines.join("\n") + "\n"
}

fn state(state: State) -> &'static str {
    match state {
        State::Recorded => "SHADOW: recorded, not sent",
        State::Wanted | State::Waiting => "not sent",
        State::InFlight => "sent, no outcome yet",
        State::Answered => "done",
        State::Failed => "failed",
        State::Refused => "refused, not sent",
        State::InDoubt => "IN DOUBT",
        State::Resolved => "happened, as a person says",
        State::Abandoned => "let be: nobody knows",
        State::Dropped => "dropped",
    }
}

fn who(e: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    match &e.intent {
        Some(intent) => {
            let from = match (&intent.from, &intent.key_of) {
                (Some(person), _) => person.to_string(),
                (None, Some(agent)) => format!("a client with the key of {agent}"),
                (None, None) => "an administrator".to_owned(),
            };
            let at = spoken_instant(intent.at);
            lines.push(format!("asked by {from} at {at}: “{}”", one_line(&intent.text, SHOWN)));
        }
        None => lines.push("asked by nobody that the record knows".to_owned()),
    }
    let mode = if e.mode == Mode::Shadow { ", in shadow: nothing that changes anything is sent" } else { "" };
    lines.push(format!("done by agent {} of {}, in {}{mode}", e.agent, e.owner, e.session));
    lines.push(format!("under revision {}", e.revision));
    lines.extend(e.on_behalf_of.iter().map(|person| format!("on behalf of {person}")));
    lines.extend(e.parents.iter().map(|link| {
        let asked = e.delegated.iter().find(|delegated| Some(delegated.call) == link.call);
        let asked = asked.and_then(|delegated| delegated.arguments.as_ref()?.get("input")?.as_str());
        let asked = asked.map_or(String::new(), |text| format!(": “{}”", one_line(text, SHOWN)));
        let call = link.call.map_or(link.session.to_string(), |call| call.to_string());
        format!("delegated by {} in {call}{asked}", link.agent)
    }));
    lines
}

fn why(e: &Explanation) -> Vec<String> {
    let Some(asked) = &e.asked_by else { return Vec::new() };
    let provider = asked.provider.as_ref().map_or(String::new(), |provider| format!("{provider} "));
    let served = asked.served_model.as_ref().filter(|served| **served != asked.model);
    let served = served.map_or(String::new(), |served| format!(" (answered by {served})"));
    let scripted = if asked.scripted { ", scripted" } else { "" };
    let mut lines = vec![format!("wanted by {provider}{}{served}{scripted} in call {}", asked.model, asked.call)];
    lines.extend(
        asked
            .reasoning
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| format!("  because: {}", one_line(text, SHOWN))),
    );
    lines.extend(
        Some(&asked.text).filter(|text| !text.is_empty()).map(|text| format!("  saying: {}", one_line(text, SHOWN))),
    );
    lines
}

fn decision(e: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(decided) = &e.decided {
        let by = if decided.policy_ids.is_empty() { "no policy".to_owned() } else { decided.policy_ids.join(", ") };
        lines.push(format!(
            "decided at control position {}, policy set {}, by {by}",
            decided.control_pos,
            decided.policy_set.short()
        ));
    }
    lines.extend(e.refusal.iter().map(|no| format!("refused: {} {}", no.reason, no.next)));
    for DecidingRule { id, from, does, text } in &e.rules {
        lines.push(format!("  {does} by rule {id} of {from}"));
        lines.extend(text.lines().map(|line| format!("    {line}")));
    }
    lines.extend(e.would.iter().map(|would| format!("  it would have been allowed {would}")));
    lines
}

fn consent(proof: &ConsentProof) -> Vec<String> {
    let request = &proof.request;
    let value = request.value_usd_micros.map_or("of unknown value".to_owned(), |v| format!("worth {}", UsdMicros(v)));
    let mut lines = vec![format!("consent {} ({value}): {}", request.approval, request.reason)];
    lines.extend(proof.votes.iter().map(|vote| {
        format!("  approved by {} at {}, one of {}", vote.person, spoken_instant(vote.at), request.terms.quorum)
    }));
    match &proof.verdict {
        None if proof.votes.is_empty() => lines.push(format!("  asked of {}, who have not answered", request.by)),
        None => lines.push(format!("  asked of {}, of whom too few have answered", request.by)),
        Some(verdict) => {
            let said = if verdict.approved { "approved" } else { "denied" };
            let edited = if verdict.edited.is_some() { " with edited arguments" } else { "" };
            let why = if verdict.reason.is_empty() { String::new() } else { format!(": “{}”", verdict.reason) };
            lines.push(format!("  {said} by {}{edited} at {}{why}", verdict.speaker(), spoken_instant(verdict.at)));
            lines.push(if proof.signed { "  signed by the control plane" } else { "  NOT SIGNED" }.to_owned());
        }
    }
    lines.extend(proof.withdrawn.iter().map(|reason| format!("  withdrawn: {reason}")));
    if proof.used && proof.differs.is_empty() {
        lines.push("  what was sent is exactly what was consented to".to_owned());
    }
    lines.extend(proof.differs.iter().map(|what| format!("  NOT WHAT WAS CONSENTED TO: {what}")));
    lines
}

fn origin(origin: &ArgumentOrigin) -> String {
    let sources: Vec<_> = origin.sources.iter().map(source).collect();
    format!("  {} = {}: {}", origin.path, one_line(&origin.value.to_string(), 80), sources.join("; "))
}

fn source(source: &Source) -> String {
    match source {
        Source::Edited { person, approval } => format!("written by {person} at consent {approval}"),
        Source::Request { who: Some(who), .. } => format!("in what {who} asked"),
        Source::Request { who: None, mail } => format!("in what {mail} asked"),
        Source::Client { trusted: true } => "in what its client told".to_owned(),
        Source::Client { trusted: false } => "in what a tool of its client answered (untrusted)".to_owned(),
        Source::Webhook { mail } => format!("brought by the webhook mail {mail} (untrusted)"),
        Source::Instructions => "in the agent's instructions".to_owned(),
        Source::Default => "a default of the capability's schema".to_owned(),
        Source::Capability { call, name, trusted: true } => format!("returned by {name} in call {}", call.ordinal),
        Source::Capability { call, name, trusted: false } => {
            format!("returned by {name} in call {} (untrusted)", call.ordinal)
        }
        Source::Memory { call } => format!("recalled from memory in call {}", call.ordinal),
        Source::Model => "made by the model".to_owned(),
    }
}

fn spending(e: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    for attempt in &e.spending {
        let held: Vec<_> = attempt.holds.iter().map(|hold| format!("{} of {}", hold.amount, hold.budget)).collect();
        let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
        let came_to = match &attempt.settlement {
            None => "not settled yet".to_owned(),
            Some(settlement) => {
                let cost = spoken_cost(&Tally::of(settlement));
                format!("came to {}", if cost.is_empty() { "nothing" } else { &cost })
            }
        };
        lines.push(format!("attempt {} held {held}; {came_to}", attempt.attempt));
    }
    lines.extend(e.topups.iter().map(|Topup { budget, words, reason, by, at, .. }| {
        format!("{words} more of {budget} allowed by {by} at {}: “{}”", spoken_instant(*at), one_line(reason, SHOWN))
    }));
    lines
}

fn outcome(e: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(e.result.iter().map(|result| format!("answered: {}", one_line(&result.text, SHOWN))));
    lines.extend(e.error.iter().map(|error| format!("error: {}", one_line(error, SHOWN))));
    lines.extend(e.resolution.iter().map(|word| format!("resolved by {} at {}", word.person, spoken_instant(word.at))));
    lines
}
