//! What events do to one call of a trace.

use domain::call::{CallOutcome, Settlement, StoodIn};
use domain::clock::Timestamp;
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, CallId};
use domain::message::Content;
use serde_json::Value;

use super::{Attempt, CallResult, CapabilityCall, ModelCall, State};
use crate::spend::Tally;

impl ModelCall {
    pub(super) fn new(call: CallId) -> Self {
        ModelCall {
            call,
            state: State::Wanted,
            provider: None,
            model: String::new(),
            served_model: None,
            pinned: None,
            scripted: false,
            messages: 0,
            max_output_tokens: 0,
            says: Vec::new(),
            stop: None,
            usage: None,
            cost: Tally::default(),
            waited_ms: 0,
            error: None,
            refusal: None,
            waits: Vec::new(),
            attempts: Vec::new(),
        }
    }

    pub(super) fn requested(&mut self, at: Timestamp, event: &Event) {
        let Event::ModelRequested { intent, provider, model, messages, max_output_tokens, scripted } = event else {
            return;
        };
        self.state = State::InFlight;
        self.provider = Some(provider.clone());
        self.model.clone_from(model);
        (self.messages, self.max_output_tokens) = (*messages, *max_output_tokens);
        self.scripted |= scripted;
        self.attempts.push(Attempt::new(at, intent, None));
    }

    pub(super) fn answered(&mut self, at: Timestamp, outcome: &CallOutcome, settlement: &Settlement) {
        self.cost = self.cost.plus(&Tally::of(settlement));
        self.waited_ms += settlement.waited_ms;
        self.scripted |= settlement.scripted;
        self.usage.clone_from(&settlement.usage);
        self.served_model.clone_from(&settlement.served_model);
        if let Some(StoodIn { provider, model, .. }) = &settlement.fallback {
            self.provider = Some(provider.clone());
            self.model.clone_from(model);
        }
        self.pinned = settlement.served_model.as_ref().map(|served| *served == self.model);
        end_last(&mut self.attempts, at, outcome, settlement);
        (self.state, self.error) = match outcome {
            CallOutcome::Answered { .. } => (State::Answered, None),
            // Settled at its worst case: the next attempt of the same call follows.
            CallOutcome::Unknown { error } if settlement.worst_case => (State::Wanted, Some(error.clone())),
            CallOutcome::Stopped { why } => (State::Wanted, Some(why.clone())),
            CallOutcome::Failed { error, .. } | CallOutcome::Unknown { error } => (State::Failed, Some(error.clone())),
        };
        if let CallOutcome::Answered { stop, .. } = outcome {
            self.stop = *stop;
        }
    }
}

impl CapabilityCall {
    pub(super) fn new(call: CallId) -> Self {
        CapabilityCall {
            call,
            state: State::Wanted,
            asked_by: None,
            reasoning: Vec::new(),
            name: String::new(),
            capability: None,
            effect: None,
            value_usd_micros: None,
            wanted: Value::Null,
            malformed: None,
            arguments: None,
            consents: Vec::new(),
            waits: Vec::new(),
            refusal: None,
            decided: None,
            result: None,
            error: None,
            resolution: None,
            cost: Tally::default(),
            waited_ms: 0,
            attempts: Vec::new(),
        }
    }

    pub(super) fn requested(&mut self, at: Timestamp, event: &Event) {
        let Event::CallRequested { intent, capability, arguments, effect, value_usd_micros, approval, .. } = event
        else {
            return;
        };
        self.state = State::InFlight;
        self.capability = Some(capability.clone());
        self.arguments = Some(arguments.clone());
        self.effect = Some(*effect);
        self.value_usd_micros = *value_usd_micros;
        self.decided = Some(intent.decided.clone());
        self.attempts.push(Attempt::new(at, intent, *approval));
    }

    pub(super) fn recorded(&mut self, at: Timestamp, event: &Event) {
        let Event::CallRecorded { intent, capability, arguments, effect, value_usd_micros, outcome } = event else {
            return;
        };
        self.capability = Some(capability.clone());
        self.arguments = Some(arguments.clone());
        self.effect = Some(*effect);
        self.value_usd_micros = *value_usd_micros;
        self.decided = Some(intent.decided.clone());
        self.attempts.push(Attempt::new(at, intent, None));
        self.came_to(outcome);
        self.state = State::Recorded;
        if let Some(last) = self.attempts.last_mut() {
            (last.ended_at, last.end) = (Some(at), Some("recorded".to_owned()));
        }
    }

    pub(super) fn answered(&mut self, at: Timestamp, outcome: &CallOutcome, settlement: &Settlement) {
        self.cost = self.cost.plus(&Tally::of(settlement));
        self.waited_ms += settlement.waited_ms;
        end_last(&mut self.attempts, at, outcome, settlement);
        self.came_to(outcome);
    }

    pub(super) fn in_doubt(&mut self) {
        self.state = State::InDoubt;
        if let Some(last) = self.attempts.last_mut() {
            last.end = Some("in doubt".to_owned());
        }
    }

    fn came_to(&mut self, outcome: &CallOutcome) {
        (self.state, self.error) = match outcome {
            CallOutcome::Answered { .. } => (State::Answered, None),
            CallOutcome::Failed { error, .. } => (State::Failed, Some(error.clone())),
            CallOutcome::Unknown { error } => (State::InDoubt, Some(error.clone())),
            CallOutcome::Stopped { why } => (State::Wanted, Some(why.clone())),
        };
        if let CallOutcome::Answered { message, .. } = outcome
            && let Some(part) = message.parts.first()
        {
            let (text, structured, error) = match &part.content {
                Content::Result { text, structured, error, .. } => (text.clone(), structured.clone(), *error),
                Content::Text { .. } | Content::Reasoning { .. } | Content::Use { .. } | Content::Other { .. } => {
                    (message.words(), None, false)
                }
            };
            let (labels, trust, origin) = (part.labels.clone(), part.trust, part.origin);
            self.result = Some(CallResult { text, structured, error, origin, trust, labels });
        }
    }
}

impl Attempt {
    fn new(at: Timestamp, intent: &Intent, approval: Option<ApprovalId>) -> Self {
        Attempt { at, ended_at: None, intent: intent.clone(), approval, settlement: None, end: None }
    }
}

fn end_last(attempts: &mut [Attempt], at: Timestamp, outcome: &CallOutcome, settlement: &Settlement) {
    if let Some(last) = attempts.last_mut() {
        let end = match outcome {
            CallOutcome::Answered { .. } => "ok",
            CallOutcome::Failed { .. } => "failed",
            CallOutcome::Unknown { .. } => "unknown",
            CallOutcome::Stopped { .. } => "stopped",
        };
        (last.ended_at, last.end) = (Some(at), Some(end.to_owned()));
        last.settlement = Some(settlement.clone());
    }
}
