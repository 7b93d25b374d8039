//! A session whose loop a client keeps: what it tells is kept once, what it uses is one call however often it asks, and
//! the machine wants nothing by itself.

use domain::call::{CallOutcome, Settlement, Stop};
use domain::capability::Effect;
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, Wait, WaitFor};
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, CallId, Digest, Pos};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::session::{CallState, Phase, Run, Session};
use execution::machine::{self, Look, Rest, Told};
use serde_json::json;

use crate::said::{session_of, start};

fn attached() -> Session {
    session_of(domain::mail::Start { attached: true, ..start() })
}

fn person(text: &str) -> Message {
    Message::text(Role::Person, Origin::Person, text)
}

fn agent(text: &str) -> Message {
    Message::text(Role::Agent, Origin::Model, text)
}

fn tell(session: &mut Session, messages: &[Message]) -> Told {
    let told = machine::told(session, messages);
    let Told { new, conversation } = told.clone();
    let said = Event::ClientSaid { messages: new, conversation, instructions: None, tools: None };
    session.apply(&said, Timestamp(1));
    told
}

fn intent(call: CallId) -> Intent {
    Intent {
        call,
        attempt: 1,
        arguments_hash: Digest::of(b"a"),
        schema_hash: Digest::of(b"s"),
        decided: DecidedAt { control_pos: Pos(1), policy_set: Digest::of(b"p"), policy_ids: Vec::new() },
        worst: domain::budget::Amounts::default(),
        holds: Vec::new(),
        idempotency_key: String::new(),
    }
}

/// The model is asked, and says this.
fn answer(session: &mut Session, message: Message) -> CallId {
    let call = next(session);
    let requested = Event::ModelRequested {
        intent: intent(call),
        provider: "p".parse().unwrap(),
        model: "m".to_owned(),
        messages: 1,
        max_output_tokens: 1,
        scripted: false,
    };
    session.apply(&requested, Timestamp(2));
    let outcome = CallOutcome::Answered { message, stop: Some(Stop::Done) };
    let settlement = Settlement::default();
    session.apply(&Event::ModelAnswered { call, attempt: 1, outcome, settlement }, Timestamp(3));
    call
}

fn next(session: &Session) -> CallId {
    CallId { session: session.id, ordinal: session.next_ordinal }
}

fn look() -> Look {
    Look { now: Timestamp(10), turns: 60, thawed: false }
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::words).collect()
}

#[test]
fn what_a_client_tells_again_is_not_kept_again() {
    let mut session = attached();
    let first = tell(&mut session, &[person("one")]);
    assert_eq!(texts(&first.new), ["one"]);
    answer(&mut session, agent("two"));
    let second = tell(&mut session, &[person("one"), agent("two"), person("one")]);
    assert_eq!(texts(&second.new), ["one"], "what follows is new, also where the same was said before");
    assert_eq!(second.conversation, [Run { from: 0, count: 3 }]);
    answer(&mut session, agent("four"));
    let again = machine::told(&session, &[person("one"), agent("two"), person("one"), agent("four")]);
    assert_eq!((again.new.len(), again.conversation), (0, vec![Run { from: 0, count: 4 }]));
}

#[test]
fn a_history_that_is_rewritten_keeps_what_was_said_and_its_new_order() {
    let mut session = attached();
    tell(&mut session, &[person("one")]);
    answer(&mut session, agent("two"));
    tell(&mut session, &[person("one"), agent("two"), person("three")]);
    let rewritten = tell(&mut session, &[person("summary"), person("three")]);
    assert_eq!(texts(&rewritten.new), ["summary"]);
    assert_eq!(rewritten.conversation, [Run { from: 3, count: 1 }, Run { from: 2, count: 1 }]);
    // Another branch of it, and back: nothing is kept twice.
    let back = tell(&mut session, &[person("one"), agent("two"), person("three")]);
    assert_eq!((back.new.len(), back.conversation), (0, vec![Run { from: 0, count: 3 }]));
    assert_eq!(session.messages.len(), 4);
}

#[test]
fn what_a_model_thought_may_be_left_out_by_its_client() {
    let mut session = attached();
    tell(&mut session, &[person("one")]);
    let mut thoughtful = agent("two");
    let thought = Content::Reasoning { text: "Hm.".to_owned(), raw: json!({"signature": "x"}) };
    let part = Part { content: thought, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
    thoughtful.parts.insert(0, part);
    answer(&mut session, thoughtful);
    assert_eq!(texts(&tell(&mut session, &[person("one"), agent("two"), person("three")]).new), ["three"]);
}

#[test]
fn the_machine_wants_no_model_and_no_use_by_itself_and_rests() {
    let mut session = attached();
    tell(&mut session, &[person("one")]);
    assert_eq!(machine::wanted(&session, look()), []);
    let content =
        Content::Use { use_id: "u".to_owned(), capability: "draft".to_owned(), arguments: json!({}), malformed: None };
    let part = Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
    answer(&mut session, Message { role: Role::Agent, parts: vec![part] });
    assert!(session.open.is_empty());
    assert_eq!((machine::wanted(&session, look()), machine::rest(&session, 60)), (Vec::new(), Rest::Finished));
    assert_eq!(machine::waits_on(&session), "its client");
}

/// The client uses `draft`.
fn called(session: &mut Session) -> CallId {
    let call = next(session);
    let (use_id, capability) = ("u".to_owned(), "draft".to_owned());
    session.apply(&Event::ClientCalled { call, use_id, capability, arguments: json!({"a": 1}) }, Timestamp(4));
    call
}

fn same(session: &Session) -> Option<u32> {
    session.attached.as_ref().unwrap().same("draft", Digest::of_json(&json!({"a": 1})))
}

fn requested(session: &mut Session, call: CallId, effect: Effect) {
    let capability = "mcp://gateway/draft".parse().unwrap();
    let (arguments, value_usd_micros, approval) = (json!({"a": 1}), None, None);
    let event = Event::CallRequested {
        intent: intent(call),
        capability,
        arguments,
        effect,
        value_usd_micros,
        approval,
        provenance: None,
    };
    session.apply(&event, Timestamp(5));
}

#[test]
fn a_call_that_waits_or_was_not_told_is_the_same_call_when_it_is_made_again() {
    let mut session = attached();
    let call = called(&mut session);
    let approval = ApprovalId { call, round: 1 };
    let wait = Wait { why: WaitFor::Approval { approval }, until: Some(Timestamp(99)) };
    session.apply(&Event::CallWaits { call, model: false, wait }, Timestamp(5));
    assert_eq!((same(&session), session.next_ordinal), (Some(call.ordinal), call.ordinal + 1));
    assert!(matches!(machine::rest(&session, 60), Rest::Suspended(..)));
    requested(&mut session, call, Effect::Write);
    let content = Content::Result {
        use_id: "u".to_owned(),
        text: "done".to_owned(),
        structured: None,
        error: false,
        vouches: None,
    };
    let part = Part { content, origin: Origin::Capability, labels: Vec::new(), trust: Trust::Trusted };
    let outcome = CallOutcome::Answered { message: Message { role: Role::Capability, parts: vec![part] }, stop: None };
    session.apply(&Event::CallAnswered { call, attempt: 1, outcome, settlement: Settlement::default() }, Timestamp(6));
    assert_eq!((session.open.len(), same(&session)), (0, Some(call.ordinal)), "nobody was told");
    assert!(session.messages.is_empty(), "what a client is told it tells itself");
    session.apply(&Event::ClientTold { call, instead: None }, Timestamp(7));
    assert_eq!(same(&session), None, "the next is another call");
}

#[test]
fn after_a_crash_a_read_is_dropped_and_a_write_is_in_doubt_and_stays_the_same_call() {
    for (effect, stays) in [(Effect::Read, false), (Effect::Write, true)] {
        let mut session = attached();
        let call = called(&mut session);
        requested(&mut session, call, effect);
        assert_eq!(machine::recover(&session).len(), 1);
        let settlement = effect.may_be_repeated().then(Settlement::default);
        session.apply(&Event::CallInDoubt { call, attempt: 1, settlement }, Timestamp(6));
        assert_eq!(machine::wanted(&session, look()), [], "nothing is made again by itself");
        let doubted = session.open.get(&call.ordinal).map(|open| matches!(open.state, CallState::InDoubt { .. }));
        assert_eq!((doubted, same(&session).is_some()), (stays.then_some(true), stays));
    }
}

#[test]
fn a_model_call_that_was_lost_or_cut_off_is_not_asked_again_by_itself() {
    for outcome in [
        CallOutcome::Unknown { error: "lost".to_owned() },
        CallOutcome::Stopped { why: "frozen".to_owned() },
        CallOutcome::Failed { error: "no".to_owned(), retryable: true, retry_after_ms: None },
    ] {
        let mut session = attached();
        tell(&mut session, &[person("one")]);
        let call = next(&session);
        let requested = Event::ModelRequested {
            intent: intent(call),
            provider: "p".parse().unwrap(),
            model: "m".to_owned(),
            messages: 1,
            max_output_tokens: 1,
            scripted: false,
        };
        session.apply(&requested, Timestamp(2));
        let settlement = Settlement { worst_case: true, ..Settlement::default() };
        session.apply(&Event::ModelAnswered { call, attempt: 1, outcome, settlement }, Timestamp(3));
        assert!(session.open.is_empty());
        assert_eq!(machine::wanted(&session, look()), []);
        assert!(matches!(machine::rest(&session, 60), Rest::Failed(_)));
        tell(&mut session, &[person("one"), person("two")]);
        assert_eq!(session.phase, Phase::Running, "the next request begins anew");
    }
}

#[test]
fn a_session_reads_back_as_it_was_written() {
    let mut session = attached();
    tell(&mut session, &[person("one")]);
    called(&mut session);
    let written = serde_json::to_vec(&session).unwrap();
    assert_eq!(serde_json::from_slice::<Session>(&written).unwrap(), session);
}
