//! One example of each event at least, and of each shape within it that is persisted.

use domain::approval::Reminder;
use domain::budget::{BudgetKey, Hold, Meter, Subject, Window};
use domain::call::{ApprovalRequest, CallOutcome, Settlement, Stop};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::decision::{RefusedBy, Wait, WaitFor};
use domain::event::{Event, Intent, Resolution};
use domain::id::{SessionId, TraceId};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::provenance::{Provenance, Source, Vouches};
use domain::session::Run;
use serde_json::json;

use crate::part::{
    AT, approval, call, decided, digest, email, intent, linked_verdict, name, plain_intent, plain_principal,
    plain_verdict, principal, refusal, request, settlement, verdict,
};

/// How many kinds there are.
pub(crate) const KINDS: usize = 26;

/// A number per kind, dense: a new kind does not compile until it is here, and has no example until it has one.
pub(crate) fn number(event: &Event) -> usize {
    match event {
        Event::SessionStarted { .. } => 0,
        Event::MessageReceived { .. } => 1,
        Event::CapabilitiesOffered { .. } => 2,
        Event::ModelRequested { .. } => 3,
        Event::ModelAnswered { .. } => 4,
        Event::CallRequested { .. } => 5,
        Event::CallAnswered { .. } => 6,
        Event::CallRecorded { .. } => 7,
        Event::CallRefused { .. } => 8,
        Event::CallWaits { .. } => 9,
        Event::ApprovalRequested { .. } => 10,
        Event::ApprovalDecided { .. } => 11,
        Event::ApprovalWithdrawn { .. } => 12,
        Event::CallInDoubt { .. } => 13,
        Event::CallResolved { .. } => 14,
        Event::Suspended { .. } => 15,
        Event::Finished { .. } => 16,
        Event::Failed { .. } => 17,
        Event::Killed { .. } => 18,
        Event::Paused { .. } => 19,
        Event::Resumed { .. } => 20,
        Event::ClientSaid { .. } => 21,
        Event::ClientCalled { .. } => 22,
        Event::ClientTold { .. } => 23,
        Event::ApprovalReminded { .. } => 24,
        Event::Charged { .. } => 25,
    }
}

/// What a client that keeps the loop does.
fn client() -> Vec<Event> {
    let conversation = vec![Run { from: 0, count: 2 }, Run { from: 4, count: 1 }];
    let said = |messages, instructions: Option<&str>, tools| Event::ClientSaid {
        messages,
        conversation: conversation.clone(),
        instructions: instructions.map(str::to_owned),
        tools,
    };
    let told = |instead: Option<&str>| Event::ClientTold { call: call(), instead: instead.map(str::to_owned) };
    vec![
        said(vec![reply(), result(false, Origin::Capability)], Some("You reconcile."), Some(json!([{"name": "look"}]))),
        said(Vec::new(), None, None),
        Event::ClientCalled {
            call: call(),
            use_id: "toolu_1".to_owned(),
            capability: "email-draft".to_owned(),
            arguments: json!({"amount_usd": 4180.1}),
        },
        told(Some("all agents are frozen")),
        told(None),
    ]
}

pub(crate) fn examples() -> Vec<Event> {
    let mut all = conversation();
    all.extend(model());
    all.extend(capability());
    all.extend(refused());
    all.extend(approvals());
    all.extend(ends());
    all.extend(client());
    all
}

/// The same, of budgets: whose they are, and a wait for the end of a window.
pub(crate) fn of_budgets() -> Vec<Event> {
    let subjects = [
        Subject::Agent(name("finance")),
        Subject::Owner(name("finance-platform")),
        Subject::Session(SessionId::from_u128(7)),
    ];
    let hold = |(subject, window)| {
        let budget = BudgetKey { subject, meter: Meter::Tokens, window };
        Hold { budget, window_start: Timestamp(0), amount: 7 }
    };
    let windows = [Window::Hour, Window::Day, Window::Session];
    let holds = subjects.into_iter().zip(windows).map(hold).collect();
    let wait = Wait { why: WaitFor::Exhausted { budget: "agent/a/usd_micros_per_day".to_owned() }, until: Some(AT) };
    let Some(Event::ModelRequested { intent, provider, model, messages, max_output_tokens, scripted }) =
        self::model().into_iter().find(|event| matches!(event, Event::ModelRequested { .. }))
    else {
        return Vec::new();
    };
    let intent = Intent { holds, ..intent };
    vec![
        Event::CallWaits { call: call(), model: true, wait: wait.clone() },
        Event::Suspended { waits: vec![wait], compute_ms: 3 },
        Event::ModelRequested { intent, provider, model, messages, max_output_tokens, scripted },
    ]
}

/// What kinds that were there before learned to say since: in files of their own, for a file never changes.
pub(crate) fn added() -> Vec<Event> {
    let frozen = |scope| Wait { why: WaitFor::Frozen { scope }, until: None };
    let waits = vec![
        frozen(Scope::All),
        frozen(Scope::Agent { agent: name("note-keeper") }),
        Wait { why: WaitFor::Paused { by: "person/ana".to_owned() }, until: None },
        Wait { why: WaitFor::Timer, until: Some(AT) },
    ];
    let outcome = || CallOutcome::Stopped { why: "agent note-keeper is frozen".to_owned() };
    let settlement = Settlement::default;
    let each = waits.iter().map(|wait| Event::CallWaits { call: call(), model: false, wait: wait.clone() });
    let mut all: Vec<Event> = each.collect();
    all.push(Event::ApprovalDecided { verdict: linked_verdict() });
    all.push(Event::SessionStarted {
        principal: plain_principal(),
        key: String::new(),
        trace: TraceId(7),
        case: None,
        partition: None,
        attached: true,
    });
    all.push(Event::ModelAnswered { call: call(), attempt: 1, outcome: outcome(), settlement: settlement() });
    all.push(Event::CallAnswered { call: call(), attempt: 1, outcome: outcome(), settlement: settlement() });
    all.push(Event::Suspended { waits, compute_ms: 17 });
    all
}

/// What is said since a model that failed is asked again.
pub(crate) fn of_retries() -> Vec<Event> {
    let wait = Wait { why: WaitFor::Model { failed: 2 }, until: Some(AT) };
    let error = "overloaded".to_owned();
    let outcome = CallOutcome::Failed { error, retryable: true, retry_after_ms: Some(7_000) };
    vec![
        Event::ModelAnswered { call: call(), attempt: 1, outcome, settlement: Settlement::default() },
        Event::Suspended { waits: vec![wait], compute_ms: 3 },
    ]
}

/// What is said since the gate knows where arguments come from.
pub(crate) fn of_origins() -> Vec<Event> {
    let vouches = Vouches {
        fields: [("result.id".to_owned(), ["id".to_owned()].into())].into(),
        named_by: ["result.title".to_owned()].into(),
        when_named: [("result.by".to_owned(), ["to".to_owned()].into())].into(),
    };
    let mut message = result(false, Origin::Capability);
    if let Content::Result { vouches: of, .. } = &mut message.parts[0].content {
        *of = Some(Box::new(vouches));
    }
    let provenance = Provenance {
        arguments: [("to.0".to_owned(), Source::ALL.into()), ("amount".to_owned(), [Source::Model].into())].into(),
        unvouched: ["amount".to_owned()].into(),
        requested: true,
        tainted: true,
        labels: ["internal".to_owned()].into(),
    };
    let request = ApprovalRequest { provenance: Some(Box::new(provenance.clone())), ..request() };
    vec![
        Event::CallRequested {
            intent: plain_intent(),
            capability: email(),
            arguments: json!({"to": ["a@b.example"], "amount": 3}),
            effect: Effect::Write,
            value_usd_micros: None,
            approval: None,
            provenance: Some(Box::new(provenance)),
        },
        Event::CallAnswered {
            call: call(),
            attempt: 1,
            outcome: CallOutcome::Answered { message, stop: None },
            settlement: Settlement::default(),
        },
        Event::ApprovalRequested { request, decided: plain_intent().decided },
    ]
}

fn part(content: Content, origin: Origin, trust: Trust) -> Part {
    Part { content, origin, labels: Vec::new(), trust }
}

fn conversation() -> Vec<Event> {
    let trace = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    let case = Some("INV-7".to_owned());
    let descriptor = Message::text(Role::Person, Origin::Descriptor, "Reconcile");
    vec![
        Event::SessionStarted {
            principal: principal(),
            key: "invoice-7".to_owned(),
            trace,
            case,
            partition: None,
            attached: false,
        },
        Event::SessionStarted {
            principal: plain_principal(),
            key: String::new(),
            trace,
            case: None,
            partition: None,
            attached: false,
        },
        Event::MessageReceived {
            mail: "mail-1".parse().unwrap(),
            from: Some(name("ana")),
            message: Message::text(Role::Person, Origin::Person, "Reconcile \"invoice 7\"\n— now"),
        },
        Event::MessageReceived { mail: "mail-2".parse().unwrap(), from: None, message: descriptor },
        Event::CapabilitiesOffered { offers: digest("offers") },
    ]
}

/// Everything that a model can say.
fn reply() -> Message {
    let raw = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    let used = |malformed: Option<&str>| Content::Use {
        use_id: "toolu_1".to_owned(),
        capability: "email-draft".to_owned(),
        arguments: json!({"amount_usd": 4180.1}),
        malformed: malformed.map(str::to_owned),
    };
    let parts = [
        Content::Text { text: "One moment.".to_owned() },
        Content::Reasoning { text: "Hm.".to_owned(), raw },
        used(None),
        used(Some("{\"amount_usd\":")),
        Content::Other { raw: json!({"type": "server_tool_use"}) },
    ];
    let parts = parts.into_iter().map(|content| part(content, Origin::Model, Trust::Trusted));
    Message { role: Role::Agent, parts: parts.collect() }
}

fn result(error: bool, origin: Origin) -> Message {
    let structured = (!error).then(|| json!({"draft": 3}));
    let content =
        Content::Result { use_id: "toolu_1".to_owned(), text: "drafted".to_owned(), structured, error, vouches: None };
    let labels = vec!["finance".to_owned()];
    Message { role: Role::Capability, parts: vec![Part { labels, ..part(content, origin, Trust::Untrusted) }] }
}

fn model() -> Vec<Event> {
    let requested = |intent, scripted| Event::ModelRequested {
        intent,
        provider: name("anthropic"),
        model: "claude-sonnet-4-6".to_owned(),
        messages: 3,
        max_output_tokens: 1024,
        scripted,
    };
    let answered = |outcome, settlement| Event::ModelAnswered { call: call(), attempt: 2, outcome, settlement };
    let failed =
        |retry_after_ms| CallOutcome::Failed { error: "overloaded".to_owned(), retryable: true, retry_after_ms };
    let stopped = |stop| {
        let message = Message::text(Role::Agent, Origin::Model, "Done.");
        CallOutcome::Answered { message, stop }
    };
    vec![
        requested(intent(), true),
        requested(plain_intent(), false),
        answered(CallOutcome::Answered { message: reply(), stop: Some(Stop::Use) }, settlement()),
        answered(stopped(Some(Stop::Done)), Settlement::default()),
        answered(stopped(Some(Stop::Length)), Settlement::default()),
        answered(stopped(Some(Stop::Refused)), Settlement::default()),
        answered(stopped(None), Settlement::default()),
        answered(failed(None), Settlement::default()),
        answered(CallOutcome::Unknown { error: "the line went dead".to_owned() }, settlement()),
    ]
}

fn capability() -> Vec<Event> {
    let arguments = json!({"to": "vendor@example.com", "amount_usd": 4180.1});
    let answered = |origin, error| Event::CallAnswered {
        call: call(),
        attempt: 1,
        outcome: CallOutcome::Answered { message: result(error, origin), stop: None },
        settlement: Settlement::default(),
    };
    let requested = |effect, value_usd_micros, approval| Event::CallRequested {
        intent: intent(),
        capability: email(),
        arguments: arguments.clone(),
        effect,
        value_usd_micros,
        approval,
        provenance: None,
    };
    vec![
        requested(Effect::Write, Some(4_180_100_000), Some(approval())),
        requested(Effect::Read, None, None),
        requested(Effect::Idempotent, None, None),
        requested(Effect::Irreversible, None, None),
        Event::CallRequested {
            intent: plain_intent(),
            capability: CapabilityRef::Internal(name("remember")),
            arguments: json!({}),
            effect: Effect::Idempotent,
            value_usd_micros: None,
            approval: None,
            provenance: None,
        },
        answered(Origin::Capability, false),
        answered(Origin::Memory, false),
        answered(Origin::Runtime, true),
        Event::CallRecorded {
            intent: plain_intent(),
            capability: email(),
            arguments,
            effect: Effect::Write,
            value_usd_micros: Some(4_180_100_000),
            outcome: CallOutcome::Answered { message: result(false, Origin::Runtime), stop: None },
        },
    ]
}

fn refused() -> Vec<Event> {
    let all = [
        RefusedBy::Identity,
        RefusedBy::Policy,
        RefusedBy::Budget,
        RefusedBy::Approval,
        RefusedBy::Arguments,
        RefusedBy::Readiness,
        RefusedBy::Bound,
    ];
    let refusals = all.into_iter().map(|by| Event::CallRefused {
        call: call(),
        model: by == RefusedBy::Budget,
        capability: (by != RefusedBy::Budget).then(|| "email-draft".to_owned()),
        refusal: refusal(by),
        decided: decided(),
    });
    let waits = waits().into_iter().map(|wait| Event::CallWaits { call: call(), model: wait.until.is_none(), wait });
    refusals.chain(waits).collect()
}

fn waits() -> Vec<Wait> {
    vec![
        Wait { why: WaitFor::Approval { approval: approval() }, until: Some(AT) },
        Wait { why: WaitFor::TiedUp { budget: "agent/a/calls_per_hour".to_owned() }, until: Some(AT) },
        Wait { why: WaitFor::InDoubt { call: call() }, until: None },
    ]
}

fn approvals() -> Vec<Event> {
    let unknown = domain::call::ApprovalRequest { value_usd_micros: None, ..request() };
    let resolved = |resolution| Event::CallResolved { call: call(), person: name("ana"), resolution, settlement: None };
    vec![
        Event::ApprovalRequested { request: request(), decided: decided() },
        Event::ApprovalRequested { request: unknown, decided: decided() },
        Event::ApprovalReminded { approval: approval(), what: Reminder::HalfOver, to: name("finance-platform") },
        Event::ApprovalReminded { approval: approval(), what: Reminder::NearlyOver, to: name("finance-platform") },
        Event::ApprovalReminded { approval: approval(), what: Reminder::Escalated, to: name("cfo") },
        Event::ApprovalDecided { verdict: verdict() },
        Event::ApprovalDecided { verdict: plain_verdict() },
        Event::ApprovalWithdrawn { approval: approval(), reason: "the policy changed".to_owned() },
        Event::CallInDoubt { call: call(), attempt: 1, settlement: None },
        resolved(Resolution::Happened { result: "drafted".to_owned() }),
        resolved(Resolution::DidNot),
        resolved(Resolution::Abandon),
    ]
}

fn ends() -> Vec<Event> {
    let failed = |refusal| Event::Failed { reason: "too many turns".to_owned(), refusal, compute_ms: 5 };
    vec![
        Event::Suspended { waits: waits(), compute_ms: 17 },
        Event::Finished { compute_ms: 17 },
        failed(Some(refusal(RefusedBy::Budget))),
        failed(None),
        Event::Killed { by: "admin".to_owned(), reason: "stuck".to_owned() },
        Event::Paused { by: "person/ana".to_owned(), reason: "odd drafts".to_owned() },
        Event::Resumed { by: "person/ana".to_owned() },
        Event::Charged { usd_micros: 3 },
    ]
}
