//! Records into a trace. It folds the session beside it, so that a use becomes the same call here as it did there.

use std::collections::BTreeMap;

use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement};
use domain::clock::Timestamp;
use domain::event::{Event, Resolution};
use domain::id::CallId;
use domain::mail::Start;
use domain::message::{Content, Message, Origin, Trust};
use domain::session::Session;

use super::client::Wanted;
use super::{CapabilityCall, Consent, ModelCall, Resolved, Said, State, Step, Told, Trace, What};
use crate::record::{Envelope, Record};
use crate::spend::Tally;

pub(super) fn trace_of(records: &[Record]) -> Option<Trace> {
    let mut folding: Option<Folding> = None;
    for record in records {
        let events = record.events.as_ref()?;
        if let Some(folding) = &mut folding {
            folding.wake(&record.envelope, events);
        }
        for event in events {
            match &mut folding {
                Some(folding) => folding.add(&record.envelope, event),
                None => folding = Some(Folding::start(&record.envelope, event)?),
            }
        }
        if let Some(folding) = &mut folding {
            folding.trace.updated = record.envelope.at;
            folding.trace.last_seq = record.envelope.seq;
        }
    }
    folding.map(Folding::finish)
}

/// A trace that is being made.
pub(super) struct Folding {
    pub(super) trace: Trace,
    pub(super) session: Session,
    /// The step of each call, by ordinal.
    pub(super) steps: BTreeMap<u32, usize>,
    /// The step in which it went to sleep, while it sleeps.
    asleep: Option<usize>,
    /// What an attached model wanted used and its client has not used through here, by the provider's id of the use.
    pub(super) uses: BTreeMap<String, Wanted>,
}

impl Folding {
    fn start(envelope: &Envelope, event: &Event) -> Option<Self> {
        let Event::SessionStarted { principal, key, trace, case, attached, .. } = event else { return None };
        let (id, at) = (envelope.session, envelope.at);
        let session = Session::started(id, Start::of(event)?, at);
        let trace = Trace {
            session: id,
            agent: principal.link.agent.clone(),
            revision: principal.link.revision,
            owner: principal.owner.clone(),
            on_behalf_of: principal.on_behalf_of.clone(),
            parents: principal.parents.clone(),
            autonomy: principal.autonomy,
            mode: envelope.mode,
            key: key.clone(),
            case: case.clone(),
            attached: *attached,
            trace: *trace,
            scripted: false,
            phase: session.phase,
            since: at,
            started: at,
            updated: at,
            last_seq: envelope.seq,
            totals: Tally::default(),
            waited_ms: 0,
            answer: None,
            steps: Vec::new(),
        };
        Some(Folding { trace, session, steps: BTreeMap::new(), asleep: None, uses: BTreeMap::new() })
    }

    fn finish(mut self) -> Trace {
        self.trace.phase = self.session.phase;
        self.trace.since = self.session.since;
        self.trace
    }

    /// The first record after a sleep ends it.
    fn wake(&mut self, envelope: &Envelope, events: &[Event]) {
        let Some(index) = self.asleep.take() else { return };
        let step = &mut self.trace.steps[index];
        let slept = envelope.at.since_ms(step.at);
        step.ended_at = Some(envelope.at);
        if let What::Suspended { slept_ms, .. } = &mut step.what {
            *slept_ms = Some(slept);
        }
        if !events.iter().any(|event| matches!(event, Event::Killed { .. } | Event::Paused { .. })) {
            self.push(envelope, What::Resumed { cause: envelope.cause.clone(), slept_ms: slept });
        }
    }

    fn add(&mut self, envelope: &Envelope, event: &Event) {
        let first_new = self.session.next_ordinal;
        let told = self.session.attached.as_ref().map_or(0, |attached| attached.indices().count());
        self.session.apply(event, envelope.at);
        match event {
            Event::SessionStarted { .. } | Event::CapabilitiesOffered { .. } => {}
            Event::MessageReceived { mail, from, message } => {
                let (from, mail, text) = (from.clone(), mail.clone(), message.words());
                let origin = message.parts.last().map_or(Origin::Person, |part| part.origin);
                let doubted = message.parts.iter().any(|part| part.trust == Trust::Untrusted);
                let trust = if doubted { Trust::Untrusted } else { Trust::Trusted };
                self.push(envelope, What::Message { from, mail, text, origin, trust });
            }
            Event::ModelRequested { .. } | Event::CallRequested { .. } | Event::CallRecorded { .. } => {
                self.intended(envelope, event);
            }
            Event::ModelAnswered { call, outcome, settlement, .. } => {
                self.model_ended(envelope, *call, (outcome, settlement));
                if let CallOutcome::Answered { message, .. } = outcome {
                    self.model_said(envelope, *call, message, first_new);
                }
            }
            Event::CallAnswered { call, outcome, settlement, .. } => {
                self.call_ended(envelope, *call, (outcome, settlement));
            }
            Event::CallRefused { .. }
            | Event::CallWaits { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalReminded { .. }
            | Event::ApprovalDecided { .. }
            | Event::ApprovalWithdrawn { .. } => self.gated(envelope, event),
            Event::CallInDoubt { call, settlement, .. } => {
                if let Some(used) = self.capability(*call) {
                    used.in_doubt();
                }
                self.settled_late(*call, settlement.as_ref());
            }
            Event::CallResolved { call, person, resolution, settlement } => {
                self.settled_late(*call, settlement.as_ref());
                let resolved = Resolved { person: person.clone(), resolution: resolution.clone(), at: envelope.at };
                self.resolved(*call, resolved);
            }
            Event::Suspended { .. } | Event::Finished { .. } | Event::Failed { .. } | Event::Killed { .. } => {
                self.rested(envelope, event);
            }
            Event::ClientSaid { .. } | Event::ClientCalled { .. } | Event::ClientTold { .. } => {
                self.client(envelope, event, told);
            }
            Event::Charged { usd_micros } => {
                let amounts = Amounts { usd_micros: *usd_micros, ..Amounts::default() };
                self.trace.totals = self.trace.totals.plus(&Tally { amounts, ..Tally::default() });
            }
            Event::Paused { by, reason } => {
                self.push(envelope, What::Paused { by: by.clone(), reason: reason.clone() });
            }
            Event::Resumed { by } => {
                self.push(envelope, What::Continued { by: by.clone() });
            }
        }
    }

    fn model_ended(&mut self, envelope: &Envelope, call: CallId, (outcome, settlement): (&CallOutcome, &Settlement)) {
        self.settled(settlement);
        let over = !self.session.open.contains_key(&call.ordinal);
        if let Some(model) = self.model(envelope, call) {
            model.answered(envelope.at, outcome, settlement);
            drop_if(over, &mut model.state);
        }
        self.end(call, envelope.at);
    }

    fn call_ended(&mut self, envelope: &Envelope, call: CallId, (outcome, settlement): (&CallOutcome, &Settlement)) {
        self.settled(settlement);
        let over = !self.session.open.contains_key(&call.ordinal);
        if let Some(used) = self.capability(call) {
            used.answered(envelope.at, outcome, settlement);
            drop_if(over, &mut used.state);
        }
        self.end(call, envelope.at);
    }

    pub(super) fn push(&mut self, envelope: &Envelope, what: What) -> usize {
        self.trace.steps.push(Step { seq: envelope.seq, pos: envelope.pos, at: envelope.at, ended_at: None, what });
        self.trace.steps.len() - 1
    }

    fn settled(&mut self, settlement: &Settlement) {
        self.trace.totals = self.trace.totals.plus(&Tally::of(settlement));
        self.trace.waited_ms += settlement.waited_ms;
        self.trace.scripted |= settlement.scripted;
    }

    /// A capability call that was settled without an outcome of its own.
    fn settled_late(&mut self, call: CallId, settlement: Option<&Settlement>) {
        let Some(settlement) = settlement else { return };
        self.settled(settlement);
        if let Some(used) = self.capability(call) {
            used.cost = used.cost.plus(&Tally::of(settlement));
        }
    }

    fn model(&mut self, envelope: &Envelope, call: CallId) -> Option<&mut ModelCall> {
        let index = match self.steps.get(&call.ordinal) {
            Some(index) => *index,
            None => {
                let index = self.push(envelope, What::Model(Box::new(ModelCall::new(call))));
                self.steps.insert(call.ordinal, index);
                index
            }
        };
        match &mut self.trace.steps[index].what {
            What::Model(model) => Some(model),
            _ => None,
        }
    }

    fn capability(&mut self, call: CallId) -> Option<&mut CapabilityCall> {
        let index = *self.steps.get(&call.ordinal)?;
        match &mut self.trace.steps[index].what {
            What::Capability(capability) => Some(capability),
            _ => None,
        }
    }

    pub(super) fn end(&mut self, call: CallId, at: Timestamp) {
        if let Some(index) = self.steps.get(&call.ordinal) {
            self.trace.steps[*index].ended_at = Some(at);
        }
    }

    fn intended(&mut self, envelope: &Envelope, event: &Event) {
        match event {
            Event::ModelRequested { intent, scripted, .. } => {
                self.trace.scripted |= scripted;
                if let Some(call) = self.model(envelope, intent.call) {
                    call.requested(envelope.at, event);
                }
            }
            Event::CallRequested { intent, .. } => {
                if let Some(call) = self.capability(intent.call) {
                    call.requested(envelope.at, event);
                }
            }
            Event::CallRecorded { intent, .. } => {
                if let Some(call) = self.capability(intent.call) {
                    call.recorded(envelope.at, event);
                }
                self.end(intent.call, envelope.at);
            }
            _ => {}
        }
    }

    /// What the model said, and a step for each use it asks for, with the reasoning directly above it.
    fn model_said(&mut self, envelope: &Envelope, asked_by: CallId, message: &Message, first_new: u32) {
        let (mut says, mut reasoning, mut led_to_use) = (Vec::new(), Vec::new(), false);
        let mut ordinal = first_new;
        for part in &message.parts {
            says.push(match &part.content {
                Content::Reasoning { text, .. } => {
                    if std::mem::take(&mut led_to_use) {
                        reasoning.clear();
                    }
                    reasoning.push(text.clone());
                    Said::Reasoning { text: text.clone(), redacted: text.is_empty() }
                }
                Content::Text { text } | Content::Result { text, .. } => Said::Text { text: text.clone() },
                Content::Use { use_id, capability, .. } if self.session.attached.is_some() => {
                    led_to_use = true;
                    let wanted = Wanted { asked_by, at: says.len(), reasoning: reasoning.clone() };
                    self.uses.insert(use_id.clone(), wanted);
                    Said::Use { call: CallId { session: self.session.id, ordinal: 0 }, capability: capability.clone() }
                }
                Content::Use { capability, arguments, malformed, .. } => {
                    let call = CallId { session: self.session.id, ordinal };
                    let wanted = CapabilityCall {
                        asked_by: Some(asked_by),
                        reasoning: reasoning.clone(),
                        name: capability.clone(),
                        wanted: arguments.clone(),
                        malformed: malformed.clone(),
                        ..CapabilityCall::new(call)
                    };
                    let index = self.push(envelope, What::Capability(Box::new(wanted)));
                    self.steps.insert(ordinal, index);
                    (ordinal, led_to_use) = (ordinal + 1, true);
                    Said::Use { call, capability: capability.clone() }
                }
                Content::Other { .. } => Said::Other,
            });
        }
        if let Some(call) = self.model(envelope, asked_by) {
            call.says = says;
        }
    }

    fn gated(&mut self, envelope: &Envelope, event: &Event) {
        match event {
            Event::CallRefused { call, model: true, refusal, .. } => {
                if let Some(model) = self.model(envelope, *call) {
                    (model.state, model.refusal) = (State::Refused, Some(refusal.clone()));
                }
                self.end(*call, envelope.at);
            }
            Event::CallRefused { call, refusal, decided, .. } => {
                if let Some(wanted) = self.capability(*call) {
                    (wanted.state, wanted.refusal) = (State::Refused, Some(refusal.clone()));
                    wanted.decided = Some(decided.clone());
                }
                self.end(*call, envelope.at);
            }
            Event::CallWaits { call, model: true, wait } => {
                if let Some(model) = self.model(envelope, *call) {
                    model.state = State::Waiting;
                    model.waits.push(wait.clone());
                }
            }
            Event::CallWaits { call, wait, .. } => {
                if let Some(wanted) = self.capability(*call) {
                    wanted.state = State::Waiting;
                    wanted.waits.push(wait.clone());
                }
            }
            Event::ApprovalRequested { request, decided } => {
                if let Some(wanted) = self.capability(request.approval.call) {
                    wanted.capability = Some(request.capability.clone());
                    wanted.arguments = Some(request.arguments.clone());
                    wanted.value_usd_micros = request.value_usd_micros;
                    wanted.decided = Some(decided.clone());
                    wanted.consents.push(Consent::asked(request.clone(), decided.clone()));
                }
            }
            Event::ApprovalDecided { verdict } => {
                if let Some(consent) = self.consent(verdict.approval) {
                    consent.said(verdict);
                }
            }
            Event::ApprovalReminded { approval, what, to } => {
                if let Some(consent) = self.consent(*approval) {
                    consent.reminded.push(Told { at: envelope.at, what: *what, to: to.clone() });
                }
            }
            Event::ApprovalWithdrawn { approval, reason } => {
                if let Some(consent) = self.consent(*approval) {
                    consent.withdrawn = Some(reason.clone());
                }
            }
            _ => {}
        }
    }

    fn consent(&mut self, approval: domain::id::ApprovalId) -> Option<&mut Consent> {
        let asked = &mut self.capability(approval.call)?.consents;
        asked.iter_mut().rev().find(|consent| consent.request.approval == approval)
    }

    fn resolved(&mut self, id: CallId, resolved: Resolved) {
        let Some(call) = self.capability(id) else { return };
        call.state = match resolved.resolution {
            Resolution::Happened { .. } => State::Resolved,
            Resolution::DidNot => State::Wanted,
            Resolution::Abandon => State::Abandoned,
        };
        let (open, at) = (call.state == State::Wanted, resolved.at);
        call.resolution = Some(resolved);
        if !open {
            self.end(id, at);
        }
    }

    fn rested(&mut self, envelope: &Envelope, event: &Event) {
        let (what, compute) = match event {
            Event::Suspended { waits, compute_ms } => {
                (What::Suspended { waits: waits.clone(), slept_ms: None, compute_ms: *compute_ms }, *compute_ms)
            }
            Event::Finished { compute_ms } => {
                let answer = self.session.answer().map(|message| message.words());
                self.trace.answer.clone_from(&answer);
                (What::Finished { answer, compute_ms: *compute_ms }, *compute_ms)
            }
            Event::Failed { reason, refusal, compute_ms } => {
                let (reason, refusal) = (reason.clone(), refusal.clone());
                (What::Failed { reason, refusal, compute_ms: *compute_ms }, *compute_ms)
            }
            Event::Killed { by, reason } => {
                self.drop_open(envelope.at);
                (What::Killed { by: by.clone(), reason: reason.clone() }, 0)
            }
            _ => return,
        };
        self.trace.totals = self.trace.totals.plus(&Tally::compute(compute));
        let asleep = matches!(what, What::Suspended { .. });
        let index = self.push(envelope, what);
        self.asleep = asleep.then_some(index);
    }

    /// A session that was killed answers none of its open calls. What is in doubt stays in doubt.
    fn drop_open(&mut self, at: Timestamp) {
        for index in self.steps.values() {
            let step = &mut self.trace.steps[*index];
            let state = match &mut step.what {
                What::Model(call) => &mut call.state,
                What::Capability(call) => &mut call.state,
                _ => continue,
            };
            if matches!(state, State::Wanted | State::Waiting | State::InFlight) {
                *state = State::Dropped;
                step.ended_at = Some(at);
            }
        }
    }
}

/// A call that ended without an outcome and is not asked for again by itself: its client is to.
fn drop_if(over: bool, state: &mut State) {
    if over && *state == State::Wanted {
        *state = State::Dropped;
    }
}
