//! How a session's events fold into its state. Nothing is decided here, and nothing can fail: an event that is about
//! nothing open changes nothing.

use std::sync::Arc;

use super::{CallKind, CallState, OpenCall, Pause, Phase, Retry, Session};
use crate::call::{ApprovalVerdict, CallOutcome, Settlement};
use crate::capability::Effect;
use crate::clock::Timestamp;
use crate::decision::{Refusal, RefusedBy, Wait, WaitFor};
use crate::event::{Event, Intent, Resolution};
use crate::id::CallId;
use crate::message::{Content, Message, Origin, Part, Role, Trust};

impl Session {
    /// Folds one event, recorded at `at`.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        self.spent = self.spent.plus(&event.spent());
        match event {
            Event::SessionStarted { .. } | Event::Charged { .. } => {}
            Event::MessageReceived { mail, message, .. } => {
                self.remember(mail);
                self.pending.push(Arc::new(message.clone()));
                (self.turns, self.unfit_in_a_row) = (0, 0);
                (self.model_failure, self.failure, self.retry) = (None, None, None);
                if let Some(pause) = &mut self.paused {
                    pause.rested = None;
                }
                self.enter(Phase::Running, at);
                self.close_round();
            }
            Event::CapabilitiesOffered { offers } => self.offers = Some(*offers),
            Event::ModelRequested { intent, scripted, .. } => {
                self.scripted |= *scripted;
                // One that failed and is asked again is no other turn.
                self.turns += u32::from(intent.attempt == 1 && self.retry.is_none());
                self.model_failure = None;
                self.intended(intent, Effect::Read, &CallKind::Model);
                self.client_asks(intent.call);
                self.enter(Phase::Running, at);
            }
            Event::CallRequested { intent, effect, .. } => {
                if let Some(kind) = self.open.get(&intent.call.ordinal).map(|open| open.kind.clone()) {
                    self.intended(intent, *effect, &kind);
                }
                self.enter(Phase::Running, at);
            }
            Event::ModelAnswered { call, outcome, settlement, .. } => {
                self.model_ended(*call, outcome, (settlement, at))
            }
            Event::CallAnswered { call, outcome, .. } => self.capability_ended(*call, outcome),
            Event::CallRecorded { intent, outcome, .. } => self.capability_ended(intent.call, outcome),
            Event::CallRefused { call, model, refusal, .. } => self.refused(*call, *model, refusal),
            Event::CallWaits { .. } => self.waits(event, at),
            Event::ApprovalRequested { .. } | Event::ApprovalReminded { .. } | Event::ApprovalWithdrawn { .. } => {
                self.waits(event, at)
            }
            Event::ApprovalDecided { verdict } => self.decided(verdict, at),
            Event::CallInDoubt { call, settlement, .. } => self.in_doubt(*call, settlement.is_some()),
            Event::CallResolved { call, resolution, .. } => self.resolved(*call, resolution, at),
            Event::Suspended { waits, .. } => self.suspend(waits, at),
            Event::Finished { .. } => self.enter(Phase::Finished, at),
            Event::Failed { reason, .. } => self.fail(reason, at),
            Event::Killed { .. } => {
                self.open.clear();
                self.retry = None;
                self.enter(Phase::Killed, at);
            }
            Event::ClientSaid { .. } | Event::ClientCalled { .. } | Event::ClientTold { .. } => self.client(event, at),
            Event::Paused { by, reason } => self.pause(by, reason),
            Event::Resumed { .. } => self.resume(at),
        }
    }

    fn suspend(&mut self, waits: &[Wait], at: Timestamp) {
        let again = waits.iter().find(|wait| matches!(wait.why, WaitFor::Model { .. }));
        if let (Some(retry), Some(again)) = (&mut self.retry, again) {
            retry.until = again.until;
        }
        self.enter(Phase::Suspended, at);
    }

    fn fail(&mut self, reason: &str, at: Timestamp) {
        (self.failure, self.retry) = (Some(reason.to_owned()), None);
        // A model call that is given up is not asked again: what comes next is a new one.
        self.open.retain(|_, open| open.kind != CallKind::Model);
        self.enter(Phase::Failed, at);
    }

    fn pause(&mut self, by: &str, reason: &str) {
        let rested = Some(self.phase).filter(|was| matches!(was, Phase::Finished | Phase::Failed));
        self.paused = Some(Pause { by: by.to_owned(), reason: reason.to_owned(), rested });
    }

    fn resume(&mut self, at: Timestamp) {
        if let Some(pause) = self.paused.take() {
            self.enter(pause.rested.unwrap_or(Phase::Running), at);
        }
    }

    fn intended(&mut self, intent: &Intent, effect: Effect, kind: &CallKind) {
        let call = self.call_mut(intent.call, kind);
        call.attempt = intent.attempt;
        call.waiting_since = None;
        call.state = CallState::InFlight { holds: intent.holds.clone(), worst: intent.worst, effect };
    }

    fn refused(&mut self, call: CallId, model: bool, refusal: &Refusal) {
        let told = format!("Refused ({}). {} {}", kind_of(refusal.by), refusal.reason, refusal.next);
        if model {
            self.next_ordinal = self.next_ordinal.max(call.ordinal + 1);
            self.open.remove(&call.ordinal);
            (self.model_failure, self.retry) = (Some(told), None);
        } else {
            self.unfit_in_a_row += u32::from(refusal.by == RefusedBy::Arguments);
            self.told(call, told, Origin::Runtime, true);
            if let Some(called) = self.attached.as_mut().and_then(|attached| attached.calls.get_mut(&call.ordinal)) {
                called.refused = Some(refusal.by);
            }
        }
    }

    /// What a call waits for, and what a person is asked of it.
    fn waits(&mut self, event: &Event, at: Timestamp) {
        if let Event::CallWaits { call, model: true, .. } = event {
            self.call_mut(*call, &CallKind::Model);
        }
        let Some(open) = event.call().and_then(|call| self.open.get_mut(&call.ordinal)) else { return };
        match event {
            Event::CallWaits { wait, .. } => {
                let for_budget = matches!(wait.why, WaitFor::TiedUp { .. } | WaitFor::Exhausted { .. });
                open.waiting_since = for_budget.then(|| open.waiting_since.unwrap_or(at));
                if wait.why == WaitFor::Timer {
                    open.timer = wait.until;
                }
                open.state = CallState::Waiting { wait: wait.clone() };
            }
            Event::ApprovalRequested { request, .. } => {
                open.approval = Some(request.clone());
                (open.verdict, open.withdrawn) = (None, false);
                (open.votes, open.reminded) = (Vec::new(), Vec::new());
            }
            Event::ApprovalReminded { what, .. } => open.reminded.push(*what),
            _ => {
                (open.verdict, open.withdrawn) = (None, true);
                open.votes.clear();
            }
        }
    }

    /// Nobody knows what came of a call. One that was settled is wanted again; any other stays in doubt.
    fn in_doubt(&mut self, call: CallId, settled: bool) {
        if let Some(open) = self.open.get_mut(&call.ordinal)
            && let CallState::InFlight { holds, worst, effect } = &open.state
        {
            let doubted = CallState::InDoubt { holds: holds.clone(), worst: *worst, effect: *effect };
            open.state = if settled { CallState::Wanted } else { doubted };
            if settled && self.attached.is_some() {
                // Its client asks again, if it wants to.
                self.drop_call(call);
            }
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, at: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.since = at;
        }
    }

    pub(super) fn call_mut(&mut self, id: CallId, kind: &CallKind) -> &mut OpenCall {
        self.next_ordinal = self.next_ordinal.max(id.ordinal + 1);
        self.open.entry(id.ordinal).or_insert_with(|| OpenCall {
            id,
            attempt: 0,
            kind: kind.clone(),
            state: CallState::Wanted,
            waiting_since: None,
            timer: None,
            stopped: 0,
            approval: None,
            withdrawn: false,
            votes: Vec::new(),
            verdict: None,
            reminded: Vec::new(),
        })
    }

    fn model_ended(&mut self, call: CallId, outcome: &CallOutcome, (settlement, at): (&Settlement, Timestamp)) {
        match outcome {
            CallOutcome::Answered { message, stop } => {
                self.open.remove(&call.ordinal);
                (self.last_stop, self.retry) = (*stop, None);
                self.messages.push(Arc::new(message.clone()));
                if self.attached.is_some() {
                    return self.client_answered(call);
                }
                for part in &message.parts {
                    if let Content::Use { use_id, capability, arguments, malformed } = &part.content {
                        let kind = CallKind::Capability {
                            use_id: use_id.clone(),
                            capability: capability.clone(),
                            arguments: arguments.clone(),
                            malformed: malformed.clone(),
                        };
                        let id = CallId { session: self.id, ordinal: self.next_ordinal };
                        self.call_mut(id, &kind);
                    }
                }
                self.close_round();
            }
            // Settled at its worst case: the next attempt of the same call follows.
            CallOutcome::Unknown { .. } if settlement.worst_case && self.attached.is_none() => self.wanted_again(call),
            CallOutcome::Stopped { .. } if self.attached.is_none() => self.cut_off(call),
            CallOutcome::Stopped { why } => {
                self.open.remove(&call.ordinal);
                self.model_failure = Some(why.clone());
            }
            CallOutcome::Failed { error, retryable: true, retry_after_ms } if self.attached.is_none() => {
                self.open.remove(&call.ordinal);
                self.fails_for_now(error, *retry_after_ms, at);
                self.close_round();
            }
            CallOutcome::Failed { error, .. } | CallOutcome::Unknown { error } => {
                self.open.remove(&call.ordinal);
                (self.model_failure, self.retry) = (Some(error.clone()), None);
            }
        }
    }

    /// The model failed, and may do better later.
    fn fails_for_now(&mut self, error: &str, after_ms: Option<i64>, at: Timestamp) {
        let before = self.retry.take();
        self.retry = Some(Retry {
            failed: before.as_ref().map_or(0, |retry| retry.failed).saturating_add(1),
            since: before.map_or(at, |retry| retry.since),
            last: at,
            after_ms,
            until: None,
            error: error.to_owned(),
        });
    }

    fn capability_ended(&mut self, call: CallId, outcome: &CallOutcome) {
        match outcome {
            CallOutcome::Answered { message, .. } => {
                self.unfit_in_a_row = 0;
                let part = message.parts.first().cloned();
                self.close(call, part);
            }
            CallOutcome::Failed { error, .. } => self.told(call, error.clone(), Origin::Runtime, true),
            // Nobody knows what came of it: it stays open, in doubt.
            CallOutcome::Unknown { .. } => self.in_doubt(call, false),
            // A consent is not lost over it: that call is made once it may.
            CallOutcome::Stopped { .. } if self.is_dropped_when_stopped(call) => self.drop_call(call),
            CallOutcome::Stopped { .. } => self.cut_off(call),
        }
    }

    fn is_dropped_when_stopped(&self, call: CallId) -> bool {
        self.attached.is_some() && self.open.get(&call.ordinal).is_some_and(|open| open.verdict.is_none())
    }

    /// Forgets a call that its client has to ask for again.
    fn drop_call(&mut self, call: CallId) {
        self.open.remove(&call.ordinal);
        if let Some(attached) = &mut self.attached {
            attached.calls.remove(&call.ordinal);
        }
    }

    fn cut_off(&mut self, call: CallId) {
        if let Some(open) = self.open.get_mut(&call.ordinal) {
            open.stopped = open.stopped.saturating_add(1);
        }
        self.wanted_again(call);
    }

    fn wanted_again(&mut self, call: CallId) {
        if let Some(open) = self.open.get_mut(&call.ordinal) {
            open.state = CallState::Wanted;
        }
    }

    fn decided(&mut self, verdict: &ApprovalVerdict, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&verdict.approval.call.ordinal) {
            if !open.is_decided_by(verdict) {
                open.votes.push(verdict.clone());
                return;
            }
            // What is edited of a request for more budget is the amount.
            let of_the_call = open.approval.as_ref().is_none_or(|request| request.raise().is_none());
            if let (Some(edited), CallKind::Capability { arguments, .. }, true) =
                (&verdict.edited, &mut open.kind, of_the_call)
            {
                *arguments = edited.clone();
            }
            open.verdict = Some(verdict.clone());
            open.state = CallState::Wanted;
            self.enter(Phase::Running, at);
        }
    }

    fn resolved(&mut self, call: CallId, resolution: &Resolution, at: Timestamp) {
        self.enter(Phase::Running, at);
        match resolution {
            Resolution::Happened { result } => self.told(call, result.clone(), Origin::Person, false),
            Resolution::Abandon => {
                let told = "Nobody knows whether this happened; a person decided to let it be.".to_owned();
                self.told(call, told, Origin::Person, true);
            }
            Resolution::DidNot => self.wanted_again(call),
        }
    }

    /// Ends a capability call with words that are not the capability's own.
    fn told(&mut self, call: CallId, text: String, origin: Origin, error: bool) {
        let Some(OpenCall { kind: CallKind::Capability { use_id, .. }, .. }) = self.open.get(&call.ordinal) else {
            return;
        };
        let content = Content::Result { use_id: use_id.clone(), text, structured: None, error, vouches: None };
        let part = Part { content, origin, labels: Vec::new(), trust: Trust::Trusted };
        self.close(call, Some(part));
    }

    fn close(&mut self, call: CallId, part: Option<Part>) {
        let open = self.open.remove(&call.ordinal);
        if self.attached.is_some() {
            self.keep(call, open, part);
        } else if open.is_some()
            && let Some(part) = part
        {
            self.results.insert(call.ordinal, part);
        }
        self.close_round();
    }

    /// Once no use is open, says the results together, in the order asked, and then what arrived meanwhile.
    fn close_round(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        if !self.results.is_empty() {
            let parts = std::mem::take(&mut self.results).into_values().collect();
            self.messages.push(Arc::new(Message { role: Role::Capability, parts }));
        }
        self.messages.append(&mut self.pending);
    }
}

fn kind_of(by: RefusedBy) -> &'static str {
    match by {
        RefusedBy::Identity => "identity",
        RefusedBy::Policy => "policy",
        RefusedBy::Budget => "budget",
        RefusedBy::Approval => "approval",
        RefusedBy::Arguments => "arguments",
        RefusedBy::Readiness => "not ready",
        RefusedBy::Bound => "a bound is full",
    }
}
