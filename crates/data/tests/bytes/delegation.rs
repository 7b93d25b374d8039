//! What is said since agents delegate to agents: whose call started a session, what is waited for, and what came back.

use domain::call::{CallOutcome, Settlement};
use domain::capability::{CapabilityRef, Effect};
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::id::{SessionId, TraceId};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::principal::{Link, Principal};
use serde_json::json;

use crate::part::{call, link, name, plain_intent, plain_principal, settlement};

pub(crate) fn examples() -> Vec<Event> {
    let session = SessionId::delegated_by(call());
    let above = Link { call: Some(call()), ..link("root") };
    let principal = Principal { link: Link { session, ..link("clerk") }, parents: vec![above], ..plain_principal() };
    let part = |content, origin, trust| Part { content, origin, labels: vec!["confidential".to_owned()], trust };
    let asked = part(Content::Text { text: "Look it up".to_owned() }, Origin::Agent, Trust::Trusted);
    let said = Content::Result {
        use_id: "toolu_1".to_owned(),
        text: "It is 1,418.20 USD.".to_owned(),
        structured: None,
        error: false,
        vouches: None,
    };
    let said = part(said, Origin::Agent, Trust::Untrusted);
    let message = Message { role: Role::Capability, parts: vec![said] };
    let why = WaitFor::Delegated { agent: name("clerk"), session };
    let wait = Wait { why, until: None };
    vec![
        Event::SessionStarted {
            principal,
            key: call().to_string(),
            trace: TraceId(7),
            case: None,
            partition: None,
            attached: false,
        },
        Event::MessageReceived {
            mail: format!("delegate:{}", call()).parse().unwrap(),
            from: None,
            message: Message { role: Role::Person, parts: vec![asked] },
        },
        Event::CallRequested {
            intent: plain_intent(),
            capability: CapabilityRef::Agent(name("clerk")),
            arguments: json!({"input": "Look it up"}),
            effect: Effect::Read,
            value_usd_micros: None,
            approval: None,
            provenance: None,
        },
        Event::CallWaits { call: call(), model: false, wait: wait.clone() },
        Event::CallAnswered {
            call: call(),
            attempt: 1,
            outcome: CallOutcome::Answered { message, stop: None },
            settlement: Settlement { delegated: Some(settlement().amounts), ..Settlement::default() },
        },
        Event::Suspended { waits: vec![wait], compute_ms: 17 },
    ]
}
