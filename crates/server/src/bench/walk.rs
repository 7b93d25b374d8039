//! A session that the real machine drives, behind a gate that says yes to everything: in benchmarks alone, so that the
//! log is measured and not the gate, and so that a million sleepers are written as real turns write them.
//!
//! ```text
//!   message ─▶ machine::wanted ─▶ intents ─▶ (commit) ─▶ land(outcome) ─▶ machine::wanted ─▶ … ─▶ finished
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use data::record::Stamp;
use data::rows::{Head, Rows};
use domain::budget::{Amounts, BudgetKey, Hold, Meter, Window};
use domain::call::{CallOutcome, Settlement, Stop};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::decision::DecidedAt;
use domain::event::{Event, Intent};
use domain::id::{CallId, Digest, Name, Pos, TraceId};
use domain::mail::Start;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::principal::Principal;
use domain::session::{CallKind, Phase, Session};
use execution::machine::{self, Look, Wanted};
use serde_json::{Value, json};

use super::text::Words;

/// How much one outcome says, and one intent, in bytes.
pub(crate) const SAID: usize = 1024;

/// The one capability that is used.
const CAPABILITY: &str = "look";

/// What a call is made under, in this benchmark.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The provider that would be asked.
    pub(crate) provider: Name,
    /// How many uses one answer of the model asks for.
    pub(crate) uses: usize,
}

/// A call whose intent is among the rows.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    /// Of the model.
    Model(CallId),
    /// Of the capability, with the use that its result answers.
    Capability(CallId, String),
}

impl Sent {
    /// Which call.
    pub(crate) fn call(&self) -> CallId {
        match self {
            Sent::Model(call) | Sent::Capability(call, _) => *call,
        }
    }
}

/// A session on its way.
pub(crate) struct Walk {
    /// Its state.
    pub(crate) session: Session,
    /// Calls that are sent, in order.
    pub(crate) sent: VecDeque<Sent>,
    /// How many bytes were said in it: messages, arguments and results, each once.
    pub(crate) said: u64,
    terms: Arc<Terms>,
    rows: Rows,
    cause: String,
}

impl Walk {
    /// A session that somebody has just written to.
    pub(crate) fn begin(principal: Principal, key: String, terms: Arc<Terms>, words: &str, now: Timestamp) -> Walk {
        let id = principal.link.session;
        let start =
            Start { principal, key, trace: TraceId(id.as_u128()), case: None, partition: None, attached: false };
        let session = Session::started(id, start.clone(), now);
        let Start { principal, key, trace, case, partition, attached } = start;
        let mut walk = Walk {
            session,
            sent: VecDeque::new(),
            said: 0,
            terms,
            rows: Rows::of(Event::SessionStarted { principal, key, trace, case, partition, attached }),
            cause: String::new(),
        };
        walk.written_to("msg:first", words, now);
        walk
    }

    fn written_to(&mut self, mail: &str, words: &str, now: Timestamp) {
        let message = Message::text(Role::Person, Origin::Person, words);
        self.said += words.len() as u64;
        self.cause = mail.to_owned();
        let mail = mail.parse().expect("a mail id of ours is short and printable");
        self.happen(Event::MessageReceived { mail, from: None, message }, now);
        self.intend(now);
    }

    /// What the model answers: uses of 1 KB in all, or, if it is done, 1 KB of words.
    pub(crate) fn model_says(&mut self, words: &mut Words, done: bool) -> Message {
        let part = |content| Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
        if done {
            let content = Content::Text { text: words.text(SAID).to_owned() };
            return Message { role: Role::Agent, parts: vec![part(content)] };
        }
        let uses = self.terms.uses;
        let one = |at| {
            let use_id = format!("toolu_scripted_{}_{at}", self.session.next_ordinal);
            let arguments = json!({ "item": words.text(SAID / uses - 12) });
            part(Content::Use { use_id, capability: CAPABILITY.to_owned(), arguments, malformed: None })
        };
        Message { role: Role::Agent, parts: (0..uses).map(one).collect() }
    }

    /// A call came to this message: it is folded, and what is wanted because of it is intended.
    pub(crate) fn land(&mut self, sent: Sent, message: Message, now: Timestamp) {
        self.said += bytes_said(&message);
        self.cause = sent.call().to_string();
        let settlement = settlement(now);
        let (call, attempt) = (sent.call(), 1);
        let event = match sent {
            Sent::Model(_) => {
                let uses = message.parts.iter().any(|part| matches!(part.content, Content::Use { .. }));
                let stop = Some(if uses { Stop::Use } else { Stop::Done });
                Event::ModelAnswered { call, attempt, outcome: CallOutcome::Answered { message, stop }, settlement }
            }
            Sent::Capability(..) => {
                let outcome = CallOutcome::Answered { message, stop: None };
                Event::CallAnswered { call, attempt, outcome, settlement }
            }
        };
        self.happen(event, now);
        self.intend(now);
        if self.sent.is_empty() {
            self.happen(Event::Finished { compute_ms: 1 }, now);
        }
    }

    /// Whether it has come to rest.
    pub(crate) fn rests(&self) -> bool {
        self.session.phase == Phase::Finished
    }

    /// What the next commit writes.
    pub(crate) fn take(&mut self) -> (Stamp, Head, Rows) {
        let stamp = Stamp {
            principal: self.session.principal.clone(),
            trace: self.session.trace,
            parent: None,
            cause: std::mem::take(&mut self.cause),
            control_pos: Pos(1),
            mode: self.session.principal.mode(),
            synthetic: true,
        };
        (stamp, head(&self.session), std::mem::take(&mut self.rows))
    }

    fn happen(&mut self, event: Event, now: Timestamp) {
        self.session.apply(&event, now);
        self.rows.events.push(event);
    }

    /// The gate is not asked: whatever is wanted is intended.
    fn intend(&mut self, now: Timestamp) {
        for want in machine::wanted(&self.session, Look { now, turns: u32::MAX, thawed: false }) {
            let (event, sent) = match want {
                Wanted::Model { call, .. } => (self.model_requested(call), Sent::Model(call)),
                Wanted::Capability { call, .. } => {
                    let CallKind::Capability { use_id, arguments, .. } = call.kind else { continue };
                    (self.call_requested(call.id, arguments, now), Sent::Capability(call.id, use_id))
                }
            };
            self.happen(event, now);
            self.sent.push_back(sent);
        }
    }

    fn model_requested(&self, call: CallId) -> Event {
        Event::ModelRequested {
            intent: self.intent(call, Digest::of(&call.ordinal.to_be_bytes()), self.session.since),
            provider: self.terms.provider.clone(),
            model: "small".to_owned(),
            messages: u32::try_from(self.session.messages.len()).unwrap_or(u32::MAX),
            max_output_tokens: 1024,
            scripted: true,
        }
    }

    fn call_requested(&self, call: CallId, arguments: Value, now: Timestamp) -> Event {
        Event::CallRequested {
            intent: self.intent(call, Digest::of_json(&arguments), now),
            capability: capability(),
            arguments,
            effect: Effect::Read,
            value_usd_micros: None,
            approval: None,
            provenance: None,
        }
    }

    fn intent(&self, call: CallId, arguments_hash: Digest, now: Timestamp) -> Intent {
        let agent = &self.session.principal.link.agent;
        let held = |meter, window: Window, amount| Hold {
            budget: BudgetKey::of_agent(agent.clone(), meter, window),
            window_start: window.start(now),
            amount,
        };
        Intent {
            call,
            attempt: 1,
            arguments_hash,
            schema_hash: Digest::of(b"schema"),
            decided: DecidedAt { control_pos: Pos(1), policy_set: Digest::of(b"[]"), policy_ids: Vec::new() },
            worst: Amounts { usd_micros: 7800, calls: 1, tokens: 2024, ..Amounts::default() },
            holds: vec![held(Meter::Calls, Window::Hour, 1), held(Meter::UsdMicros, Window::Day, 7800)],
            idempotency_key: call.to_string(),
        }
    }
}

/// The one capability that is used.
fn capability() -> CapabilityRef {
    CapabilityRef::External(CAPABILITY.parse().expect("it is a name"))
}

/// A result of so many words, as an upstream's answer is kept.
pub(crate) fn result(use_id: String, text: String) -> Message {
    let content = Content::Result { use_id, text, structured: None, error: false, vouches: None };
    let part = Part { content, origin: Origin::Capability, labels: Vec::new(), trust: Trust::Untrusted };
    Message { role: Role::Capability, parts: vec![part] }
}

fn settlement(now: Timestamp) -> Settlement {
    let usage = json!({ "input_tokens": 900, "output_tokens": 256, "scripted": true });
    let amounts = Amounts { usd_micros: 2180, calls: 1, tokens: 1156, ..Amounts::default() };
    let waited_ms = now.0.rem_euclid(7);
    Settlement {
        amounts,
        usage: Some(usage),
        served_model: Some("small".to_owned()),
        waited_ms,
        ..Settlement::default()
    }
}

/// What a message says, in bytes: words, arguments and results.
pub(crate) fn bytes_said(message: &Message) -> u64 {
    let of = |part: &Part| match &part.content {
        Content::Text { text } | Content::Result { text, .. } => text.len(),
        Content::Reasoning { text, .. } => text.len(),
        Content::Use { arguments, .. } => arguments.to_string().len(),
        Content::Other { raw } => raw.to_string().len(),
    };
    message.parts.iter().map(|part| of(part) as u64).sum()
}

fn head(session: &Session) -> Head {
    Head {
        agent: session.principal.link.agent.clone(),
        revision: session.principal.link.revision,
        key: session.key.clone(),
        phase: session.phase,
        since: session.since,
        waits_on: machine::waits_on(session),
        scripted: session.scripted,
        mode: session.principal.mode(),
        partition: None,
    }
}
