//! A session in words: what it is told and what comes of its calls, as the events that doors and people would make.

use domain::budget::Amounts;
use domain::call::{ApprovalRequest, ApprovalVerdict, Binding, CallOutcome, Settlement, Stop};
use domain::capability::Effect;
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::decision::{DecidedAt, Refusal, RefusedBy, Wait, WaitFor};
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, CallId, Digest, MailId, Pos, SessionId, TraceId};
use domain::mail::{Mail, MailBody, Start};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::principal::{Autonomy, Link, Principal};
use domain::session::Session;
use execution::machine::{self, Look, Rest, Wanted};
use serde_json::json;

/// The turns that a message may cause.
pub(crate) const TURNS: u32 = 6;
/// When consent that was asked for expires.
pub(crate) const EXPIRES: Timestamp = Timestamp(5_000);

/// A session and the time.
pub(crate) struct Said {
    pub(crate) session: Session,
    pub(crate) now: Timestamp,
}

pub(crate) fn mail(id: &str, body: MailBody) -> Mail {
    Mail { id: id.parse().unwrap(), session: session_id(), due: Timestamp(0), body }
}

fn session_id() -> SessionId {
    SessionId::from_u128(7)
}

pub(crate) fn start() -> Start {
    let link =
        Link { agent: "payer".parse().unwrap(), revision: Digest::of(b"revision"), session: session_id(), call: None };
    let owner = "finance".parse().unwrap();
    let principal = Principal { link, owner, on_behalf_of: None, parents: Vec::new(), autonomy: Autonomy::Autonomous };
    Start { principal, key: "k".to_owned(), trace: TraceId(1), case: None, partition: None, attached: false }
}

pub(crate) fn session_of(start: Start) -> Session {
    Session::started(session_id(), start, Timestamp(0))
}

pub(crate) fn written(id: &str, words: &str) -> Mail {
    let message = Message::text(Role::Person, Origin::Person, words);
    mail(id, MailBody::Message { start: Box::new(start()), from: None, message })
}

pub(crate) fn call(ordinal: u32) -> CallId {
    CallId { session: session_id(), ordinal }
}

pub(crate) fn approval(ordinal: u32, round: u16) -> ApprovalId {
    ApprovalId { call: call(ordinal), round }
}

fn part(content: Content) -> Part {
    Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted }
}

fn decided() -> DecidedAt {
    DecidedAt { control_pos: Pos(1), policy_set: Digest::of(b"[]"), policy_ids: Vec::new() }
}

fn intent(ordinal: u32, attempt: u16) -> Intent {
    Intent {
        call: call(ordinal),
        attempt,
        arguments_hash: Digest::of(b"arguments"),
        schema_hash: Digest::of(b"schema"),
        decided: decided(),
        worst: Amounts::default(),
        holds: Vec::new(),
        idempotency_key: call(ordinal).to_string(),
    }
}

impl Said {
    /// A session that was told one thing.
    pub(crate) fn hello() -> Self {
        let mut said = Said { session: Session::started(session_id(), start(), Timestamp(0)), now: Timestamp(1) };
        said.receive(&written("m-1", "hello"));
        said
    }

    pub(crate) fn happen(&mut self, event: Event) {
        self.session.apply(&event, self.now);
    }

    /// What a piece of mail makes happen, which happens.
    pub(crate) fn receive(&mut self, mail: &Mail) -> Vec<Event> {
        let events = machine::receive(&self.session, mail);
        events.iter().cloned().for_each(|event| self.happen(event));
        events
    }

    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        self.sees(false)
    }

    /// What is wanted, where what it was frozen by is let go on, or is not.
    pub(crate) fn sees(&self, thawed: bool) -> Vec<Wanted> {
        machine::wanted(&self.session, Look { now: self.now, turns: TURNS, thawed })
    }

    /// The ordinals of what is wanted.
    pub(crate) fn wants(&self) -> Vec<u32> {
        let ordinal = |wanted: Wanted| match wanted {
            Wanted::Model { call, .. } => call.ordinal,
            Wanted::Capability { call, .. } => call.id.ordinal,
        };
        self.wanted().into_iter().map(ordinal).collect()
    }

    pub(crate) fn rest(&self) -> Rest {
        machine::rest(&self.session, TURNS)
    }

    pub(crate) fn failure(&self) -> String {
        match self.rest() {
            Rest::Failed(reason) => reason,
            other => panic!("it should fail: {other:?}"),
        }
    }

    /// The model is asked, as the machine wants it.
    pub(crate) fn asks_model(&mut self) -> (CallId, u16) {
        let [Wanted::Model { call, attempt }] = self.wanted()[..] else { panic!("{:?}", self.wanted()) };
        self.happen(Event::ModelRequested {
            intent: intent(call.ordinal, attempt),
            provider: "thinker".parse().unwrap(),
            model: "small".to_owned(),
            messages: 1,
            max_output_tokens: 10,
            scripted: true,
        });
        (call, attempt)
    }

    /// The model is asked and wants this many uses of a tool; none: it is done.
    pub(crate) fn thinks(&mut self, uses: usize) {
        let (call, attempt) = self.asks_model();
        let use_of = |i| {
            part(Content::Use {
                use_id: format!("use-{i}"),
                capability: "pay".to_owned(),
                arguments: json!({"amount_usd": i}),
                malformed: None,
            })
        };
        let mut parts: Vec<Part> = (1..=uses).map(use_of).collect();
        parts.push(part(Content::Text { text: format!("{uses} uses") }));
        let outcome = CallOutcome::Answered {
            message: Message { role: Role::Agent, parts },
            stop: Some(if uses == 0 { Stop::Done } else { Stop::Use }),
        };
        self.happen(Event::ModelAnswered { call, attempt, outcome, settlement: Settlement::default() });
    }

    /// The model is asked and its answer is lost.
    pub(crate) fn loses_answer(&mut self) {
        let (call, attempt) = self.asks_model();
        let outcome = CallOutcome::Unknown { error: "lost".to_owned() };
        let settlement = Settlement { worst_case: true, ..Settlement::default() };
        self.happen(Event::ModelAnswered { call, attempt, outcome, settlement });
    }

    /// The model is asked and cut off.
    pub(crate) fn is_cut_off(&mut self) {
        let (call, attempt) = self.asks_model();
        let outcome = CallOutcome::Stopped { why: "all is frozen".to_owned() };
        self.happen(Event::ModelAnswered { call, attempt, outcome, settlement: Settlement::default() });
    }

    /// A call waits because everything is frozen.
    pub(crate) fn is_frozen(&mut self, ordinal: u32, model: bool) {
        let wait = Wait { why: WaitFor::Frozen { scope: Scope::All }, until: None };
        self.happen(Event::CallWaits { call: call(ordinal), model, wait });
    }

    pub(crate) fn sends(&mut self, ordinal: u32, attempt: u16, effect: Effect) {
        self.happen(Event::CallRequested {
            intent: intent(ordinal, attempt),
            capability: "mcp://gateway/pay".parse().unwrap(),
            arguments: json!({}),
            effect,
            value_usd_micros: None,
            approval: None,
            provenance: None,
        });
    }

    pub(crate) fn answers(&mut self, ordinal: u32, use_id: &str) {
        let content = Content::Result {
            use_id: use_id.to_owned(),
            text: "done".to_owned(),
            structured: None,
            error: false,
            vouches: None,
        };
        let message = Message { role: Role::Capability, parts: vec![part(content)] };
        let outcome = CallOutcome::Answered { message, stop: None };
        self.happen(Event::CallAnswered {
            call: call(ordinal),
            attempt: 1,
            outcome,
            settlement: Settlement::default(),
        });
    }

    pub(crate) fn is_refused(&mut self, ordinal: u32, by: RefusedBy) {
        let refusal = Refusal { by, reason: "No.".to_owned(), next: "Go on.".to_owned() };
        self.happen(Event::CallRefused {
            call: call(ordinal),
            model: false,
            capability: None,
            refusal,
            decided: decided(),
        });
    }

    /// A person is asked, for the how-many-eth time, and the call waits.
    pub(crate) fn asks(&mut self, ordinal: u32, round: u16) {
        let approval = approval(ordinal, round);
        let digest = Digest::of(b"");
        let request = ApprovalRequest {
            approval,
            capability: "mcp://gateway/pay".parse().unwrap(),
            arguments: json!({}),
            binding: Binding { arguments: digest, schema: digest, policy_set: digest, revision: digest },
            value_usd_micros: None,
            reason: "It is a write.".to_owned(),
            provenance: None,
            by: "finance".parse().unwrap(),
            asked_at: self.now,
            expires_at: EXPIRES,
            terms: Default::default(),
        };
        self.happen(Event::ApprovalRequested { request, decided: decided() });
        let wait = Wait { why: WaitFor::Approval { approval }, until: Some(EXPIRES) };
        self.happen(Event::CallWaits { call: call(ordinal), model: false, wait });
    }

    /// Which uses the last message answers, in its order.
    pub(crate) fn answered(&self) -> Vec<String> {
        let parts = self.session.messages.last().into_iter().flat_map(|message| message.parts.iter());
        let uses = parts.filter_map(|part| match &part.content {
            Content::Result { use_id, .. } => Some(use_id.clone()),
            _ => None,
        });
        uses.collect()
    }

    /// Who spoke, in order.
    pub(crate) fn roles(&self) -> Vec<Role> {
        self.session.messages.iter().map(|message| message.role).collect()
    }
}

pub(crate) fn verdict(ordinal: u32, round: u16) -> Mail {
    let approval = approval(ordinal, round);
    let verdict = ApprovalVerdict {
        approval,
        approved: true,
        person: "ana".parse().unwrap(),
        reason: String::new(),
        edited: None,
        at: Timestamp(2),
        shown_at: None,
        by_link: None,
        signature: "signed".to_owned(),
    };
    mail(&format!("verdict:{approval}"), MailBody::Verdict { verdict })
}

pub(crate) fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::kind).collect()
}

pub(crate) fn consumed(said: &Said) -> Vec<MailId> {
    said.session.consumed.iter().cloned().collect()
}
