//! One call of a capability: what was wanted, what the gate decided, who consented, what came back, what it cost.

use data::trace::{CapabilityCall, Consent, Resolved, State};
use domain::decision::Refusal;
use domain::event::Resolution;
use maud::{Markup, html};

use super::arguments::{arguments, result};
use super::words::{instant, lasting, mark, money, refused_by, state};

/// A call by itself, with the reasoning above it.
pub(super) fn capability(call: &CapabilityCall) -> Markup {
    html! {
        div.step.model {
            @for reasoning in &call.reasoning { div.reasoning { (reasoning) } }
            (action(call))
        }
    }
}

/// A call, under the words that led to it.
pub(super) fn action(call: &CapabilityCall) -> Markup {
    let class = match call.state {
        State::Refused | State::Failed | State::Dropped => "bad",
        State::Wanted | State::Waiting | State::InDoubt | State::Abandoned => "waiting",
        State::Recorded => "shadow",
        State::InFlight | State::Answered | State::Resolved => "",
    };
    html! {
        div class={ "action " (class) } id={ "call-" (call.call.ordinal) } {
            div {
                strong { (call.name) } " " (state(call.state))
                @if let Some(effect) = call.effect { (mark("", &effect.to_string())) }
                @if let Some(value) = call.value_usd_micros { (mark("", &format!("worth {}", money(value)))) }
            }
            @if let Some(written) = &call.malformed {
                p.refused { "The model wrote no valid JSON:" } pre { (written) }
            } @else { (arguments(call.arguments.as_ref().unwrap_or(&call.wanted))) }
            @for consent in &call.consents { (consented(consent)) }
            @if let Some(why) = &call.refusal { (refusal(why)) }
            @if call.recorded_not_sent() {
                p { "Written down as it would have been sent. Nothing was sent." }
            } @else if let Some(came) = &call.result {
                @if came.error { p.refused { "the capability answered with an error" } }
                (result(&came.text))
            }
            @if let Some(error) = &call.error { p.refused { (error) } }
            @if let Some(resolved) = &call.resolution { (word(resolved)) }
            (figures(call))
        }
    }
}

/// What it cost, under what it was decided, and the way to the whole explanation.
fn figures(call: &CapabilityCall) -> Markup {
    html! {
        div.meta {
            @if !call.attempts.is_empty() {
                (money(call.cost.amounts.usd_micros)) " · " (lasting(call.waited_ms)) " · "
                @if call.attempts.len() > 1 { "sent " (call.attempts.len()) " times · " }
            }
            @if let Some(decided) = &call.decided {
                "decided at control position " (decided.control_pos.0)
                @if !decided.policy_ids.is_empty() { " by " (decided.policy_ids.join(", ")) }
                " · "
            }
            a.id href={ "/calls/" (call.call) } { "explain call " (call.call.ordinal) }
        }
    }
}

/// No, and why, and what to do next.
pub(super) fn refusal(refusal: &Refusal) -> Markup {
    html! { p.refused { "refused by " (refused_by(refusal.by)) ": " (refusal.reason) " " (refusal.next) } }
}

fn consented(consent: &Consent) -> Markup {
    let request = &consent.request;
    html! {
        div.consent {
            "consent needed: " (request.reason) " "
            @match (&consent.verdict, &consent.withdrawn) {
                (Some(verdict), _) => {
                    @if verdict.approved { (mark("good", "approved")) } @else { (mark("bad", "denied")) }
                    "by " (verdict.speaker()) ", " (instant(verdict.at)) @if !verdict.reason.is_empty() { ": " (verdict.reason) }
                    @if let Some(edited) = &verdict.edited { div { (mark("waiting", "arguments edited")) } (arguments(edited)) }
                }
                (None, Some(why)) => { (mark("", "withdrawn")) (why) }
                (None, None) => {
                    a href={ "/inbox/" (request.approval) } { "waits for somebody of " (request.by) }
                    ", becomes no at " (instant(request.expires_at))
                }
            }
        }
    }
}

fn word(resolved: &Resolved) -> Markup {
    html! {
        div.consent {
            (resolved.person) ", " (instant(resolved.at)) ": "
            @match &resolved.resolution {
                Resolution::Happened { result } => { "it happened: " (result) }
                Resolution::DidNot => "it did not happen; it is sent again",
                Resolution::Abandon => "let it be, though nobody knows",
            }
        }
    }
}
