//! Answers: a person's word becomes mail to the session that waits, once.

use control::approval::{Answer, answer, resolve};
use control::{ControlError, Query, Verdict, Want};
use data::rows::{InboxChange, InboxItem, InboxKey, Rows};
use domain::budget::Amounts;
use domain::call::{ApprovalRequest, ApprovalVerdict, CallOutcome, Facts, Settlement};
use domain::capability::Effect;
use domain::clock::Clock;
use domain::decision::DecidedAt;
use domain::event::{Event, Intent, Resolution};
use domain::id::{CallId, Digest, SessionId};
use domain::mail::{Mail, MailBody};
use domain::principal::Caller;
use serde_json::Value;

pub(crate) use crate::house::House;
use crate::world::{ARTICLE, Draft, NOW, name, person, requested};

fn decide(house: &House, facts: &Facts) -> Verdict {
    let (principal, draft) = (house.principal(), Draft::of(1500));
    let want = Want::Capability {
        capability: &draft.capability,
        effect: draft.effect,
        arguments: &draft.arguments,
        arguments_hash: Digest::of_json(&draft.arguments),
        schema_hash: draft.schema,
        input_schema: Some(&draft.input_schema),
        value_usd_micros: draft.value,
        worst: WORST,
        provenance: draft.provenance.as_ref(),
    };
    let call = CallId { session: principal.link.session, ordinal: 1 };
    house.gate.decide(&house.gate.registry(), &Query { call, attempt: 1, principal: &principal, facts, want })
}

/// One call of a capability.
const WORST: Amounts = Amounts { usd_micros: 0, calls: 1, tokens: 0, external_actions: 1, compute_ms: 0 };

/// A session that waits for consent, as its record has it.
async fn waiting() -> (House, ApprovalRequest) {
    waiting_for(ARTICLE).await
}

/// The same of another agent of the same name.
pub(crate) async fn waiting_for(agent: &str) -> (House, ApprovalRequest) {
    let house = House::of(agent).await;
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &WORST).await.unwrap());
    let Verdict::Wait { rows, .. } = decide(&house, &Facts::default()) else { panic!() };
    let request = requested(&rows.events);
    house.begun(rows).await;
    (house, request)
}

pub(crate) async fn mail(house: &House) -> Vec<Mail> {
    house.log.mail(house.principal().link.session, house.clock.now(), 10).await.unwrap().mail
}

fn yes() -> Answer {
    Answer { approved: true, ..Answer::default() }
}

#[tokio::test]
async fn a_yes_is_signed_mail_that_lets_the_call_go() {
    let (house, request) = waiting().await;
    let ana = person("ana", &["finance-platform"]);
    let verdict = answer(&house.gate, &ana, request.approval, yes()).await.unwrap();
    let [mail] = mail(&house).await.try_into().unwrap();
    assert_eq!(mail.id.to_string(), format!("verdict:{}", request.approval));
    assert_eq!(mail.body, MailBody::Verdict { verdict: verdict.clone() });
    let facts = Facts { approval: Some(request.clone()), verdict: Some(verdict), ..Facts::default() };
    let Verdict::Allow { approval, .. } = decide(&house, &facts) else { panic!() };
    assert_eq!(approval, Some(request.approval));
}

#[tokio::test]
async fn the_first_answer_counts_and_the_second_is_told_whose_it_was() {
    let (house, request) = waiting().await;
    let (ana, bob) = (person("ana", &["finance-platform"]), person("bob", &["finance-platform"]));
    answer(&house.gate, &ana, request.approval, yes()).await.unwrap();
    let second = answer(&house.gate, &bob, request.approval, Answer::default()).await.unwrap_err();
    assert!(second.to_string().starts_with("ana said yes to"), "{second}");
    assert_eq!(mail(&house).await.len(), 1);
}

#[tokio::test]
async fn of_two_people_at_once_exactly_one_answer_counts() {
    let (house, request) = waiting().await;
    let (ana, bob) = (person("ana", &["finance-platform"]), person("bob", &["finance-platform"]));
    let (a, b) = tokio::join!(
        answer(&house.gate, &ana, request.approval, yes()),
        answer(&house.gate, &bob, request.approval, Answer::default())
    );
    assert_ne!(a.is_ok(), b.is_ok());
    let [mail] = mail(&house).await.try_into().unwrap();
    assert_eq!(mail.body, MailBody::Verdict { verdict: a.or(b).unwrap() });
}

#[tokio::test]
async fn an_answer_that_was_consumed_is_still_the_first() {
    let (house, request) = waiting().await;
    let ana = person("ana", &["finance-platform"]);
    let verdict = answer(&house.gate, &ana, request.approval, yes()).await.unwrap();
    let id = mail(&house).await[0].id.clone();
    let mut writer = house.log.load(request.approval.call.session).await.unwrap().unwrap().writer;
    let mut rows = Rows::of(Event::ApprovalDecided { verdict });
    rows.consumed.push(id);
    house.commit(&mut writer, rows).await;
    assert!(mail(&house).await.is_empty());
    let second = answer(&house.gate, &ana, request.approval, yes()).await;
    assert!(matches!(second, Err(ControlError::Conflict { .. })));
}

#[tokio::test]
async fn nobody_but_a_person_of_the_group_posts_anything() {
    let (house, request) = waiting().await;
    let agent = Caller::Agent { name: name("reconciliation-finance") };
    for caller in [Caller::Admin, agent, person("eve", &["sales"])] {
        let refused = answer(&house.gate, &caller, request.approval, yes()).await;
        assert!(matches!(refused, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
    assert!(mail(&house).await.is_empty());
}

#[tokio::test]
async fn an_answer_after_the_end_posts_nothing() {
    let (house, request) = waiting().await;
    house.clock.pass(4 * 3_600_000);
    let late = answer(&house.gate, &person("ana", &["finance-platform"]), request.approval, yes()).await;
    assert!(matches!(late, Err(ControlError::Conflict { .. })));
    assert!(mail(&house).await.is_empty());
}

#[tokio::test]
async fn mail_that_cannot_be_read_keeps_nobody_from_answering() {
    let (house, request) = waiting().await;
    let ana = person("ana", &["finance-platform"]);
    let verdict = answer(&house.gate, &ana, request.approval, yes()).await.unwrap();
    let deep = (0..126).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let body = MailBody::Verdict { verdict: ApprovalVerdict { edited: Some(deep), ..verdict } };
    let (id, session) = ("verdict:another".parse().unwrap(), SessionId::from_u128(9));
    house.log.post(vec![Mail { id, session, due: NOW, body }]).await.unwrap();
    let second = answer(&house.gate, &ana, request.approval, yes()).await;
    assert!(matches!(second, Err(ControlError::Conflict { .. })), "{second:?}");
}

/// A session with a write whose outcome nobody knows.
async fn in_doubt() -> (House, CallId) {
    let house = House::new().await;
    let (draft, session) = (Draft::of(50), house.principal().link.session);
    let call = CallId { session, ordinal: 1 };
    let decided =
        DecidedAt { control_pos: house.gate.registry().pos(), policy_set: Digest::of(b"[]"), policy_ids: Vec::new() };
    let intent = Intent {
        call,
        attempt: 2,
        arguments_hash: Digest::of_json(&draft.arguments),
        schema_hash: draft.schema,
        decided,
        worst: domain::budget::Amounts::default(),
        holds: Vec::new(),
        idempotency_key: call.to_string(),
    };
    let (capability, arguments, effect) = (draft.capability, draft.arguments, Effect::Write);
    let value_usd_micros = draft.value;
    let mut rows = Rows::of(Event::CallRequested {
        intent,
        capability,
        arguments,
        effect,
        value_usd_micros,
        approval: None,
        provenance: None,
    });
    let outcome = CallOutcome::Unknown { error: "no answer".to_owned() };
    rows.events.push(Event::CallAnswered { call, attempt: 2, outcome, settlement: Settlement::default() });
    rows.inbox.push(InboxChange::Open(InboxItem {
        key: InboxKey::InDoubt { call },
        session,
        agent: name("reconciliation-finance"),
        group: name("finance-platform"),
        since: house.clock.now(),
        expires: None,
    }));
    house.begun(rows).await;
    (house, call)
}

#[tokio::test]
async fn a_person_says_what_came_of_a_write_in_doubt_once() {
    let (house, call) = in_doubt().await;
    let ana = person("ana", &["finance-platform"]);
    resolve(&house.gate, &ana, call, Resolution::DidNot).await.unwrap();
    let [mail] = mail(&house).await.try_into().unwrap();
    assert_eq!(mail.id.to_string(), format!("resolve:{call}:2"));
    let MailBody::Resolved { attempt, person, .. } = mail.body else { panic!() };
    assert_eq!((attempt, person), (2, name("ana")));
    let again = resolve(&house.gate, &ana, call, Resolution::Abandon).await.unwrap_err();
    assert!(again.to_string().starts_with("ana said already"), "{again}");
}

#[tokio::test]
async fn only_a_person_of_the_group_resolves_and_only_what_is_in_doubt() {
    let (house, call) = in_doubt().await;
    for caller in [Caller::Admin, person("eve", &["sales"])] {
        let refused = resolve(&house.gate, &caller, call, Resolution::DidNot).await;
        assert!(matches!(refused, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
    let other = CallId { ordinal: 9, ..call };
    let ana = person("ana", &["finance-platform"]);
    assert!(matches!(resolve(&house.gate, &ana, other, Resolution::DidNot).await, Err(ControlError::Conflict { .. })));
}
