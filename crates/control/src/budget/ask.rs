//! What becomes of a call that no budget is left for: it is refused, waits until the window ends, or asks the owner's
//! people for more of this window. What they grant is a record of the control shard, made once per request, before the
//! session hears of it. What must never be known here: what the call is for.

use data::rows::{InboxChange, InboxKey, Rows};
use domain::approval::Terms;
use domain::budget::{Subject, Window};
use domain::call::{ApprovalRequest, ApprovalVerdict, Binding, Facts, Raise, RaiseAsked};
use domain::control::ControlEvent;
use domain::decision::{DecidedAt, Refusal, RefusedBy, Wait, WaitFor};
use domain::descriptor::OnExhausted;
use domain::event::Event;
use domain::id::{ApprovalId, Digest};
use serde_json::Value;

use super::{Exhausted, FIRST_LOOK_MS, amount_text};
use crate::decide::{Query, Scene};
use crate::error::ControlError;
use crate::gate::Gate;
use crate::policy::InForce;

/// A request asks for what the call lacks, and for no less than this part of the cap: it should not ask again at once.
const PART_ASKED: i64 = 4;

/// How many windows a call waits through at most.
const WINDOWS_WAITED: i64 = 2;

/// What becomes of the call.
pub(crate) enum Answer {
    /// It is refused.
    Refuse(Refusal),
    /// It waits.
    Wait(Wait),
    /// A person is asked.
    Ask(Box<ApprovalRequest>),
}

/// What the descriptor says becomes of a call, now that a budget is spent.
pub(crate) fn answer(
    scene: &Scene<'_>,
    query: &Query<'_>,
    in_force: &InForce<'_>,
    (spent, decided): (&Exhausted, &DecidedAt),
) -> Answer {
    match in_force.on_exhausted() {
        OnExhausted::Refuse => Answer::Refuse(spent.refusal()),
        OnExhausted::Wait => wait(scene, query, spent),
        OnExhausted::Ask => ask(scene, query, in_force, (spent, decided)),
    }
}

fn wait(scene: &Scene<'_>, query: &Query<'_>, spent: &Exhausted) -> Answer {
    let waited_ms = query.facts.waiting_since.map_or(0, |since| scene.now.since_ms(since));
    let ever = spent.budget.window != Window::Session && spent.wanted <= spent.cap;
    if !ever || waited_ms >= WINDOWS_WAITED * spent.budget.window.length_ms() {
        return Answer::Refuse(spent.refusal());
    }
    let why = WaitFor::Exhausted { budget: spent.budget.to_string() };
    Answer::Wait(Wait { why, until: Some(spent.ends) })
}

fn ask(
    scene: &Scene<'_>,
    query: &Query<'_>,
    in_force: &InForce<'_>,
    (spent, decided): (&Exhausted, &DecidedAt),
) -> Answer {
    // What an administrator allows a group is not for the group to raise, nor what binds those that delegated for theirs.
    let own = match &spent.budget.subject {
        Subject::Owner(_) => false,
        Subject::Agent(agent) => *agent == query.principal.link.agent,
        Subject::Session(session) => *session == query.principal.link.session,
        Subject::Tool { agent, .. } => *agent == query.principal.link.agent,
        Subject::Grant(_) => true,
    };
    if !own {
        return Answer::Refuse(spent.refusal());
    }
    let request = || Answer::Ask(Box::new(request(scene, query, in_force, (spent, decided))));
    let Some(RaiseAsked { request: asked, withdrawn, verdict }) = &query.facts.raise else { return request() };
    let of_this = asked.raise().is_some_and(|raise| raise.budget == spent.budget && raise.window_start == spent.start);
    if !of_this || *withdrawn {
        return request();
    }
    let Some(verdict) = verdict else {
        if scene.now < asked.expires_at {
            let why = WaitFor::Approval { approval: asked.approval };
            return Answer::Wait(Wait { why, until: Some(asked.expires_at) });
        }
        return denied(spent, format!("Nobody answered {} in time.", asked.approval));
    };
    if !scene.signer.signed(asked, verdict) {
        return denied(
            spent,
            format!("The answer to {} does not carry the control plane's signature.", asked.approval),
        );
    }
    if !verdict.approved {
        return denied(spent, format!("{} of {} granted no more: {}", verdict.person, asked.by, verdict.reason));
    }
    let recorded = scene.registry.raises(&spent.budget, spent.start);
    if recorded.iter().any(|raised| raised.approval == Some(asked.approval)) {
        // It was granted, and others used it up.
        return request();
    }
    // What was granted is recorded, and not heard of here yet.
    let why = WaitFor::TiedUp { budget: spent.budget.to_string() };
    Answer::Wait(Wait { why, until: Some(scene.now.plus_ms(FIRST_LOOK_MS)) })
}

fn denied(spent: &Exhausted, why: String) -> Answer {
    let Refusal { reason, next, .. } = spent.refusal();
    Answer::Refuse(Refusal { by: RefusedBy::Budget, reason: format!("{reason} {why}"), next })
}

fn request(
    scene: &Scene<'_>,
    query: &Query<'_>,
    in_force: &InForce<'_>,
    (spent, decided): (&Exhausted, &DecidedAt),
) -> ApprovalRequest {
    let lacks = spent.spent.saturating_add(spent.wanted).saturating_sub(spent.cap);
    let amount = lacks.max(spent.cap / PART_ASKED).max(1);
    let meter = spent.budget.meter;
    let raise = Raise { budget: spent.budget.clone(), window_start: spent.start, amount };
    let arguments = raise.arguments();
    let binding = Binding {
        arguments: Digest::of_json(&arguments),
        schema: Digest::of(b"ostler/budget/raise/v1"),
        policy_set: decided.policy_set,
        revision: in_force.revision(),
    };
    let reason = format!(
        "{} It asks for {} more for this window, once; the amount can be edited.",
        spent.reason(),
        amount_text(meter, amount)
    );
    ApprovalRequest {
        approval: ApprovalId { call: query.call, round: query.facts.asked.saturating_add(1) },
        capability: Raise::capability(),
        arguments,
        binding,
        value_usd_micros: (meter == domain::budget::Meter::UsdMicros).then_some(amount),
        reason,
        provenance: None,
        by: in_force.owner().clone(),
        asked_at: scene.now,
        expires_at: scene.now.plus_ms(in_force.obligation().expires_ms).min(spent.ends),
        terms: Terms::default(),
    }
}

/// The end of a request for more that is not waited for any more: off the inbox, and withdrawn if nobody answered it.
pub(crate) fn over(facts: &Facts) -> Rows {
    let Some(RaiseAsked { request, withdrawn, verdict }) = &facts.raise else { return Rows::default() };
    let approval = request.approval;
    let mut rows = Rows { inbox: vec![InboxChange::Close(InboxKey::Approval { approval })], ..Rows::default() };
    if verdict.is_none() && !withdrawn {
        let reason = "the call does not wait for it any more".to_owned();
        rows.events.push(Event::ApprovalWithdrawn { approval, reason });
    }
    rows
}

/// What a person's yes to a request grants; `None` for a no, and for consent to a call.
///
/// # Errors
/// If the request was edited into something else than another amount.
pub(crate) fn granted(request: &ApprovalRequest, verdict: &ApprovalVerdict) -> Result<Option<Raise>, ControlError> {
    let Some(asked) = request.raise().filter(|_| verdict.approved) else { return Ok(None) };
    let said: &Value = verdict.edited.as_ref().unwrap_or(&request.arguments);
    let same = |raise: &Raise| raise.budget == asked.budget && raise.window_start == asked.window_start;
    match Raise::of(said).filter(same) {
        Some(raise) => Ok(Some(raise)),
        None => Err(ControlError::Invalid {
            reason: "Only the amount of a request for more budget can be edited.".to_owned(),
            next: "Leave `budget` and `window_start` as they are, and write how much you allow.".to_owned(),
        }),
    }
}

/// Records what a person granted, once per request.
pub(crate) async fn record(gate: &Gate, verdict: &ApprovalVerdict, raise: &Raise) -> Result<(), ControlError> {
    let by = format!("person/{}", verdict.person);
    let approval = verdict.approval;
    gate.commit(&by, |registry| {
        let known = registry.raises(&raise.budget, raise.window_start);
        if known.iter().any(|raised| raised.approval == Some(approval)) {
            return Ok((Vec::new(), ()));
        }
        let Raise { budget, window_start, amount } = raise.clone();
        let (reason, by) = (verdict.reason.clone(), by.clone());
        let approval = Some(approval);
        Ok((vec![ControlEvent::BudgetRaised { budget, window_start, amount, reason, by, approval }], ()))
    })
    .await
}
