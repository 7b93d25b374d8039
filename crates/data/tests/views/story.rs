//! A finance agent's session, told event by event: as records made by hand, or committed to a real log.

use std::sync::Arc;

use data::commit::Log;
use data::record::{CODEC_EVENTS, Envelope, Record, Stamp};
use data::rows::{Head, Rows};
use domain::budget::{Amounts, BudgetKey, Hold, Meter, Window};
use domain::call::{ApprovalRequest, ApprovalVerdict, Binding, CallOutcome, Settlement, Stop};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, Wait, WaitFor};
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, CallId, Digest, Epoch, Name, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::principal::{Autonomy, Link, Mode, Principal};
use domain::session::Phase;
use serde_json::{Value, json};

pub(crate) const START: i64 = 1_795_334_400_000;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) struct Story {
    pub(crate) session: SessionId,
    pub(crate) principal: Arc<Principal>,
    /// Each record: after how many milliseconds, by what cause, which events.
    pub(crate) told: Vec<(i64, String, Vec<Event>)>,
}

impl Story {
    pub(crate) fn begins(key: &str, autonomy: Autonomy) -> Self {
        let agent = name("reconciliation-finance");
        let session = SessionId::for_key(&agent, key);
        let link = Link { agent, revision: Digest::of(b"revision 1"), session, call: None };
        let principal = Principal {
            link,
            owner: name("finance-platform"),
            on_behalf_of: Some(name("ana")),
            parents: Vec::new(),
            autonomy,
        };
        let start = Event::SessionStarted {
            principal: principal.clone(),
            key: key.to_owned(),
            trace: TraceId(7),
            case: Some("case-9".to_owned()),
            partition: None,
            attached: false,
        };
        let principal = Arc::new(principal);
        Story { session, principal, told: vec![(0, "mail m-1".to_owned(), vec![start])] }
    }

    pub(crate) fn call(&self, ordinal: u32) -> CallId {
        CallId { session: self.session, ordinal }
    }

    /// Adds to the current record.
    pub(crate) fn and(&mut self, event: Event) -> &mut Self {
        self.told.last_mut().unwrap().2.push(event);
        self
    }

    /// A new record, so many milliseconds later.
    pub(crate) fn then(&mut self, ms: i64, event: Event) -> &mut Self {
        self.told.push((ms, format!("cause {}", self.told.len()), vec![event]));
        self
    }

    pub(crate) fn asks(&self, text: &str) -> Event {
        Event::MessageReceived {
            mail: "m-1".parse().unwrap(),
            from: Some(name("ana")),
            message: Message::text(Role::Person, Origin::Person, text),
        }
    }

    pub(crate) fn intent(&self, ordinal: u32, attempt: u16, arguments: &Value) -> Intent {
        let budget = BudgetKey::of_agent(self.principal.link.agent.clone(), Meter::UsdMicros, Window::Day);
        Intent {
            call: self.call(ordinal),
            attempt,
            arguments_hash: Digest::of_json(arguments),
            schema_hash: Digest::of(b"schema"),
            decided: decided(),
            worst: domain::budget::Amounts::default(),
            holds: vec![Hold { budget, window_start: Timestamp(START), amount: 50_000 }],
            idempotency_key: self.call(ordinal).to_string(),
        }
    }

    pub(crate) fn thinks(&self, ordinal: u32, attempt: u16) -> Event {
        Event::ModelRequested {
            intent: self.intent(ordinal, attempt, &json!({"messages": ordinal})),
            provider: name("anthropic"),
            model: "claude-x".to_owned(),
            messages: ordinal,
            max_output_tokens: 4096,
            scripted: true,
        }
    }

    pub(crate) fn says(&self, ordinal: u32, parts: Vec<Content>) -> Event {
        let stop = if parts.iter().any(|part| matches!(part, Content::Use { .. })) { Stop::Use } else { Stop::Done };
        let part = |content| Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
        let message = Message { role: Role::Agent, parts: parts.into_iter().map(part).collect() };
        Event::ModelAnswered {
            call: self.call(ordinal),
            attempt: 1,
            outcome: CallOutcome::Answered { message, stop: Some(stop) },
            settlement: model_settlement(),
        }
    }

    pub(crate) fn uses(&self, ordinal: u32, capability: &str, arguments: &Value, approval: Option<u16>) -> Event {
        Event::CallRequested {
            intent: self.intent(ordinal, 1, arguments),
            capability: CapabilityRef::External(name(capability)),
            arguments: arguments.clone(),
            effect: if approval.is_some() { Effect::Write } else { Effect::Read },
            value_usd_micros: approval.map(|_| 4_180_000_000),
            approval: approval.map(|round| self.approval(ordinal, round)),
            provenance: None,
        }
    }

    pub(crate) fn answers(&self, ordinal: u32, text: &str, trust: Trust) -> Event {
        let amounts = Amounts { external_actions: 1, calls: 1, ..Amounts::default() };
        Event::CallAnswered {
            call: self.call(ordinal),
            attempt: 1,
            outcome: returned(ordinal, text, trust),
            settlement: Settlement { amounts, waited_ms: 120, ..Settlement::default() },
        }
    }

    pub(crate) fn approval(&self, ordinal: u32, round: u16) -> ApprovalId {
        ApprovalId { call: self.call(ordinal), round }
    }

    pub(crate) fn needs_consent(&self, ordinal: u32, capability: &str, arguments: &Value) -> Event {
        Event::ApprovalRequested {
            request: ApprovalRequest {
                approval: self.approval(ordinal, 1),
                capability: CapabilityRef::External(name(capability)),
                arguments: arguments.clone(),
                binding: Binding {
                    arguments: Digest::of_json(arguments),
                    schema: Digest::of(b"schema"),
                    policy_set: Digest::of(b"no policies"),
                    revision: Digest::of(b"revision 1"),
                },
                value_usd_micros: Some(4_180_000_000),
                reason: "it is worth more than $1000.00".to_owned(),
                provenance: None,
                by: name("finance-platform"),
                asked_at: Timestamp(START + 3_000),
                expires_at: Timestamp(START + 86_400_000),
                terms: Default::default(),
            },
            decided: decided(),
        }
    }

    pub(crate) fn waits_for_consent(&self, ordinal: u32) -> [Event; 2] {
        let wait = Wait {
            why: WaitFor::Approval { approval: self.approval(ordinal, 1) },
            until: Some(Timestamp(START + 86_400_000)),
        };
        [
            Event::CallWaits { call: self.call(ordinal), model: false, wait: wait.clone() },
            Event::Suspended { waits: vec![wait], compute_ms: 12 },
        ]
    }

    pub(crate) fn decides(&self, ordinal: u32, approved: bool, edited: Option<Value>) -> Event {
        Event::ApprovalDecided {
            verdict: ApprovalVerdict {
                approval: self.approval(ordinal, 1),
                approved,
                person: name("bo"),
                reason: "matches the ledger".to_owned(),
                edited,
                at: Timestamp(START + 188_000),
                shown_at: None,
                by_link: None,
                signature: "c2lnbmVk".to_owned(),
            },
        }
    }

    /// The records, made by hand.
    pub(crate) fn records(&self) -> Vec<Record> {
        let (mut at, mut prev) = (START, 0);
        let mut records = Vec::new();
        for (i, (ms, cause, events)) in self.told.iter().enumerate() {
            at += ms;
            let pos = 10 + 3 * i as u64;
            let envelope = Envelope {
                shard: Shard(0),
                pos: Pos(pos),
                session: self.session,
                seq: Seq(i as u64 + 1),
                prev: Pos(prev),
                epoch: Epoch(1),
                at: Timestamp(at),
                principal: Digest::of(b"principal"),
                trace: TraceId(7),
                span: SpanId::of_session(self.session),
                parent: None,
                cause: cause.clone(),
                control_pos: Pos(4),
                mode: self.principal.mode(),
                synthetic: true,
                key: 1,
                codec: CODEC_EVENTS,
                headers: events.iter().map(Event::header).collect(),
            };
            prev = pos;
            records.push(Record { envelope, events: Some(events.clone()) });
        }
        records
    }

    /// The records, committed to a log.
    pub(crate) async fn commit(&self, log: &Log) {
        self.commit_from(log, 0).await;
    }

    /// The records from one of them on.
    pub(crate) async fn commit_from(&self, log: &Log, first: usize) {
        let mut writer = match log.load(self.session).await.unwrap() {
            Some(loaded) => loaded.writer,
            None => log.begin(self.session),
        };
        for (_, cause, events) in &self.told[first..] {
            let stamp = Stamp {
                principal: self.principal.clone(),
                trace: TraceId(7),
                parent: None,
                cause: cause.clone(),
                control_pos: Pos(4),
                mode: self.principal.mode(),
                synthetic: true,
            };
            let rows = Rows { events: events.clone(), ..Rows::default() };
            log.commit(&mut writer, stamp, self.head(), rows).await.unwrap();
        }
    }

    fn head(&self) -> Head {
        Head {
            agent: self.principal.link.agent.clone(),
            revision: self.principal.link.revision,
            key: "invoice-7".to_owned(),
            phase: Phase::Running,
            since: Timestamp(START),
            waits_on: String::new(),
            scripted: true,
            mode: Mode::Live,
            partition: None,
        }
    }
}

pub(crate) fn decided() -> DecidedAt {
    DecidedAt {
        control_pos: Pos(4),
        policy_set: Digest::of(b"no policies"),
        policy_ids: vec!["descriptor/tools".to_owned()],
    }
}

pub(crate) fn model_settlement() -> Settlement {
    Settlement {
        amounts: Amounts { usd_micros: 2_300, calls: 1, tokens: 1_234, ..Amounts::default() },
        usage: Some(json!({"input_tokens": 1000, "output_tokens": 234})),
        served_model: Some("claude-x".to_owned()),
        price_table: Some(Digest::of(b"prices")),
        worst_case: false,
        waited_ms: 812,
        scripted: true,
        fallback: None,
        cache: None,
        delegated: None,
    }
}

pub(crate) fn returned(ordinal: u32, text: &str, trust: Trust) -> CallOutcome {
    let structured = serde_json::from_str(text).ok();
    let content = Content::Result {
        use_id: format!("use-{ordinal}"),
        text: text.to_owned(),
        structured,
        error: false,
        vouches: None,
    };
    let part = Part { content, origin: Origin::Capability, labels: vec!["finance".to_owned()], trust };
    CallOutcome::Answered { message: Message { role: Role::Capability, parts: vec![part] }, stop: None }
}

pub(crate) fn reasoning(text: &str) -> Content {
    Content::Reasoning { text: text.to_owned(), raw: json!({"signature": "s"}) }
}

pub(crate) fn words(text: &str) -> Content {
    Content::Text { text: text.to_owned() }
}

pub(crate) fn wants(capability: &str, arguments: &Value) -> Content {
    Content::Use {
        use_id: format!("use-{capability}"),
        capability: capability.to_owned(),
        arguments: arguments.clone(),
        malformed: None,
    }
}

pub(crate) fn payment() -> Value {
    json!({"to": "ap@acme.example", "amount_usd": 4180, "subject": "Payment request", "urgent": false})
}

/// Ana asks; the agent reads the books, drafts a payment request, sleeps until Bo approves, sends it and answers.
/// Calls: 1 model, 2 erp-read, 3 vendor-read, 4 model, 5 email-draft, 6 model.
pub(crate) fn reconciliation() -> Story {
    let mut s = Story::begins("invoice-7", Autonomy::Autonomous);
    s.and(s.asks("Reconcile invoice INV-7 of 4,180.00 USD"));
    s.and(s.thinks(1, 1));
    let (ledger, vendor) = (json!({"invoice": "INV-7"}), json!({"vendor": "acme"}));
    s.then(
        900,
        s.says(
            1,
            vec![
                reasoning("The ledger shows what is posted."),
                words("Let me look at the books."),
                wants("erp-read", &ledger),
                reasoning("The vendor's address is in the vendor file."),
                wants("vendor-read", &vendor),
            ],
        ),
    );
    s.and(s.uses(2, "erp-read", &ledger, None));
    s.and(s.uses(3, "vendor-read", &vendor, None));
    s.then(200, s.answers(2, r#"{"posted": 0, "invoice": "INV-7"}"#, Trust::Trusted));
    s.then(50, s.answers(3, r#"{"mail": "ap@acme.example"}"#, Trust::Untrusted));
    s.and(s.thinks(4, 1));
    let wanted = json!({"to": "ap@acme.example", "amount_usd": 4180, "subject": "Payment request"});
    s.then(850, s.says(4, vec![reasoning("Nothing is posted: ask for the payment."), wants("email-draft", &wanted)]));
    s.and(s.needs_consent(5, "email-draft", &payment()));
    let [waits, suspended] = s.waits_for_consent(5);
    s.and(waits).and(suspended);
    s.then(185_000, s.decides(5, true, None));
    s.and(s.uses(5, "email-draft", &payment(), Some(1)));
    s.then(300, s.answers(5, "drafted as D-1", Trust::Trusted));
    s.and(s.thinks(6, 1));
    s.then(700, s.says(6, vec![words("INV-7 was not posted; I asked Acme for 4,180.00 USD.")]));
    s.and(Event::Finished { compute_ms: 9 });
    s
}
