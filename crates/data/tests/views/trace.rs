//! The logical trace, from records made by hand.

use data::trace::{Said, State, Trace, What, render_transcript, render_tree};
use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement, Stop};
use domain::capability::{CapabilityRef, Effect};
use domain::decision::{Refusal, RefusedBy, Wait, WaitFor};
use domain::event::{Event, Resolution};
use domain::message::Trust;
use domain::principal::Autonomy;
use domain::session::Phase;
use serde_json::json;

use crate::story::{Story, decided, name, payment, reasoning, reconciliation, returned, wants, words};

fn kinds(trace: &Trace) -> Vec<&'static str> {
    let kind = |what: &What| match what {
        What::Message { .. } => "message",
        What::Client(_) => "client",
        What::Model(_) => "model",
        What::Capability(_) => "capability",
        What::Suspended { .. } => "suspended",
        What::Resumed { .. } => "resumed",
        What::Finished { .. } => "finished",
        What::Failed { .. } => "failed",
        What::Killed { .. } => "killed",
        What::Paused { .. } => "paused",
        What::Continued { .. } => "continued",
    };
    trace.steps.iter().map(|step| kind(&step.what)).collect()
}

#[test]
fn a_trace_tells_who_acted_for_whom_and_what_it_came_to() {
    let trace = Trace::of(&reconciliation().records()).unwrap();
    assert_eq!(trace.agent, name("reconciliation-finance"));
    assert_eq!(trace.on_behalf_of, Some(name("ana")));
    assert_eq!(trace.owner, name("finance-platform"));
    assert_eq!((trace.phase, trace.scripted), (Phase::Finished, true));
    assert_eq!(trace.case.as_deref(), Some("case-9"));
    let amounts = Amounts { usd_micros: 6_900, calls: 6, tokens: 3_702, external_actions: 3, compute_ms: 21 };
    assert_eq!(trace.totals.amounts, amounts);
    assert_eq!(trace.totals.scripted_calls, 3);
    assert_eq!(trace.waited_ms, 3 * 812 + 3 * 120);
    assert_eq!(trace.answer.as_deref(), Some("INV-7 was not posted; I asked Acme for 4,180.00 USD."));
}

#[test]
fn steps_are_in_order_and_a_call_is_one_step_from_wish_to_outcome() {
    let trace = Trace::of(&reconciliation().records()).unwrap();
    let expected = [
        "message",
        "model",
        "capability",
        "capability",
        "model",
        "capability",
        "suspended",
        "resumed",
        "model",
        "finished",
    ];
    assert_eq!(kinds(&trace), expected);
    let draft = trace.steps.iter().find(|step| matches!(&step.what, What::Capability(c) if c.call.ordinal == 5));
    let draft = draft.unwrap();
    assert_eq!(draft.ended_at.unwrap().since_ms(draft.at), 185_300);
}

#[test]
fn each_use_has_the_reasoning_directly_above_it() {
    let story = reconciliation();
    let trace = Trace::of(&story.records()).unwrap();
    let reasons = |ordinal| trace.capability(story.call(ordinal)).unwrap().reasoning.clone();
    assert_eq!(reasons(2), ["The ledger shows what is posted."]);
    assert_eq!(reasons(3), ["The vendor's address is in the vendor file."]);
    assert_eq!(trace.capability(story.call(5)).unwrap().asked_by, Some(story.call(4)));
    let says = &trace.model(story.call(1)).unwrap().says;
    assert!(matches!(&says[2], Said::Use { call, .. } if *call == story.call(2)), "{says:?}");
    assert!(matches!(&says[3], Said::Reasoning { .. }), "{says:?}");
}

#[test]
fn a_consent_shows_who_was_asked_who_answered_when_and_why() {
    let story = reconciliation();
    let trace = Trace::of(&story.records()).unwrap();
    let draft = trace.capability(story.call(5)).unwrap();
    let consent = &draft.consents[0];
    assert_eq!(consent.request.by, name("finance-platform"));
    let verdict = consent.verdict.as_ref().unwrap();
    assert_eq!((verdict.person.clone(), verdict.reason.as_str()), (name("bo"), "matches the ledger"));
    assert_eq!(draft.attempts[0].approval, Some(story.approval(5, 1)));
    assert_eq!(draft.result.as_ref().unwrap().text, "drafted as D-1");
    assert_eq!((draft.state, draft.effect), (State::Answered, Some(Effect::Write)));
    let slept = trace.steps.iter().find_map(|step| match &step.what {
        What::Suspended { slept_ms, .. } => *slept_ms,
        _ => None,
    });
    assert_eq!(slept, Some(185_000));
}

#[test]
fn the_tree_shows_one_line_per_step_in_words() {
    let tree = render_tree(&Trace::of(&reconciliation().records()).unwrap());
    for line in [
        "scripted: a script stood in for the model; nobody was billed for what it says",
        "├─ ana: Reconcile invoice INV-7 of 4,180.00 USD",
        "├─ thinks: anthropic claude-x (scripted) · 900 ms · 1234 tokens, $0.0023",
        "│  ├─ because: The ledger shows what is posted.",
        "│  ├─ erp-read (read) [2] invoice: \"INV-7\" · ok · 200 ms · 1 external action",
        "│     ├─ approved by bo after 3 min 5 s: “matches the ledger”",
        "│  └─ email-draft (write, worth $4180.00) [5]",
        "slept 3 min 5 s",
        "└─ finished: INV-7 was not posted; I asked Acme for 4,180.00 USD.",
    ] {
        assert!(tree.contains(line), "{line}\n{tree}");
    }
    assert!(!tree.contains('\u{1b}'));
}

#[test]
fn the_transcript_reads_as_a_conversation_with_its_decisions() {
    let text = render_transcript(&Trace::of(&reconciliation().records()).unwrap());
    let places: Vec<_> = [
        "ana — 2026-11-22 08:00:00\n  Reconcile invoice INV-7 of 4,180.00 USD",
        "(thinks) The ledger shows what is posted.",
        "→ erp-read (read) · ok",
        "decided at control position 4 by descriptor/tools",
        "(thinks) The vendor's address is in the vendor file.",
        "→ vendor-read (read) · ok",
        "← (untrusted) {\"mail\": \"ap@acme.example\"}",
        "(thinks) Nothing is posted: ask for the payment.",
        "approved by bo after 3 min 5 s: “matches the ledger”",
        "[resumed by cause 5]",
        "[finished]",
    ]
    .iter()
    .map(|line| text.find(line).unwrap_or_else(|| panic!("{line}\n{text}")))
    .collect();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn a_shadow_run_says_that_nothing_was_sent() {
    let mut s = Story::begins("shadow", Autonomy::Shadow);
    s.and(s.asks("Pay Acme"));
    s.and(s.thinks(1, 1));
    s.then(800, s.says(1, vec![reasoning("They want a payment."), wants("email-draft", &payment())]));
    s.and(Event::CallRecorded {
        intent: s.intent(2, 1, &payment()),
        capability: CapabilityRef::External(name("email-draft")),
        arguments: payment(),
        effect: Effect::Write,
        value_usd_micros: Some(4_180_000_000),
        outcome: returned(2, "recorded, not sent", Trust::Trusted),
    });
    let trace = Trace::of(&s.records()).unwrap();
    assert!(trace.capability(s.call(2)).unwrap().recorded_not_sent());
    assert_eq!(trace.totals.amounts.external_actions, 0);
    let tree = render_tree(&trace);
    assert!(tree.contains("SHADOW: nothing that changes anything was sent"), "{tree}");
    assert!(tree.contains("SHADOW: recorded, not sent"), "{tree}");
    assert!(render_transcript(&trace).contains("SHADOW: recorded, not sent"));
}

#[test]
fn a_refusal_is_shown_with_what_to_do_next() {
    let mut s = Story::begins("refused", Autonomy::Autonomous);
    s.and(s.asks("Pay"));
    s.and(s.thinks(1, 1));
    s.then(800, s.says(1, vec![wants("wire-transfer", &json!({"amount_usd": 5}))]));
    let refusal = Refusal {
        by: RefusedBy::Policy,
        reason: "wire-transfer is not among this agent's tools.".to_owned(),
        next: "Use one of its tools.".to_owned(),
    };
    s.and(Event::CallRefused {
        call: s.call(2),
        model: false,
        capability: Some("wire-transfer".to_owned()),
        refusal,
        decided: decided(),
    });
    let trace = Trace::of(&s.records()).unwrap();
    assert_eq!(trace.capability(s.call(2)).unwrap().state, State::Refused);
    let tree = render_tree(&trace);
    let told = "refused by descriptor/tools: wire-transfer is not among this agent's tools. Use one of its tools.";
    assert!(tree.contains(told), "{tree}");
}

#[test]
fn a_model_call_that_is_refused_before_it_is_sent_is_a_step() {
    let mut s = Story::begins("spent", Autonomy::Autonomous);
    s.and(s.asks("Go on"));
    let refusal = Refusal { by: RefusedBy::Budget, reason: "Spent.".to_owned(), next: "Ask for more.".to_owned() };
    s.and(Event::CallRefused {
        call: s.call(1),
        model: true,
        capability: None,
        refusal: refusal.clone(),
        decided: decided(),
    });
    s.and(Event::Failed { reason: "Spent.".to_owned(), refusal: Some(refusal), compute_ms: 1 });
    let trace = Trace::of(&s.records()).unwrap();
    assert_eq!(kinds(&trace), ["message", "model", "failed"]);
    assert_eq!(trace.model(s.call(1)).unwrap().state, State::Refused);
    assert_eq!(trace.phase, Phase::Failed);
}

#[test]
fn a_write_in_doubt_and_what_a_person_said_of_it_are_shown() {
    let mut s = Story::begins("doubt", Autonomy::Autonomous);
    s.and(s.asks("Draft it"));
    s.and(s.thinks(1, 1));
    s.then(800, s.says(1, vec![wants("email-draft", &payment())]));
    s.and(s.uses(2, "email-draft", &payment(), None));
    s.then(60_000, Event::CallInDoubt { call: s.call(2), attempt: 1, settlement: None });
    let wait = Wait { why: WaitFor::InDoubt { call: s.call(2) }, until: None };
    s.and(Event::Suspended { waits: vec![wait], compute_ms: 1 });
    let asleep = Trace::of(&s.records()).unwrap();
    assert_eq!(asleep.capability(s.call(2)).unwrap().state, State::InDoubt);
    assert!(render_tree(&asleep).contains("IN DOUBT"));
    assert!(render_tree(&asleep).contains("sleeps still"));
    let resolution = Resolution::Happened { result: "drafted as D-9".to_owned() };
    s.then(1_000, Event::CallResolved { call: s.call(2), person: name("ana"), resolution, settlement: None });
    let trace = Trace::of(&s.records()).unwrap();
    let call = trace.capability(s.call(2)).unwrap();
    assert_eq!(call.state, State::Resolved);
    assert!(render_tree(&trace).contains("it happened: drafted as D-9"), "{}", render_tree(&trace));
}

#[test]
fn a_model_call_that_was_repeated_is_one_step_with_both_attempts() {
    let mut s = Story::begins("again", Autonomy::Autonomous);
    s.and(s.asks("Hello"));
    s.and(s.thinks(1, 1));
    let amounts = Amounts { usd_micros: 9_000, calls: 1, tokens: 5_000, ..Amounts::default() };
    let settlement = Settlement { amounts, worst_case: true, ..Settlement::default() };
    let outcome = CallOutcome::Unknown { error: "the runtime stopped before the answer".to_owned() };
    s.then(5_000, Event::ModelAnswered { call: s.call(1), attempt: 1, outcome, settlement });
    s.and(s.thinks(1, 2));
    s.then(800, s.says(1, vec![words("Hello.")])).and(Event::Finished { compute_ms: 1 });
    let trace = Trace::of(&s.records()).unwrap();
    let call = trace.model(s.call(1)).unwrap();
    assert_eq!((call.attempts.len(), call.state, call.stop), (2, State::Answered, Some(Stop::Done)));
    assert_eq!(trace.totals.possibly_billed_usd_micros, 9_000);
    assert!(render_tree(&trace).contains("attempt 2"), "{}", render_tree(&trace));
    assert!(render_tree(&trace).contains("of which $0.009 possibly billed"), "{}", render_tree(&trace));
}

#[test]
fn a_kill_drops_what_was_open_and_does_not_look_like_waking() {
    let mut s = Story::begins("killed", Autonomy::Autonomous);
    s.and(s.asks("Pay"));
    s.and(s.thinks(1, 1));
    s.then(800, s.says(1, vec![wants("email-draft", &payment())]));
    s.and(s.needs_consent(2, "email-draft", &payment()));
    let [waits, suspended] = s.waits_for_consent(2);
    s.and(waits).and(suspended);
    s.then(1_000, Event::Killed { by: "admin".to_owned(), reason: "wrong month".to_owned() });
    let trace = Trace::of(&s.records()).unwrap();
    assert_eq!(kinds(&trace), ["message", "model", "capability", "suspended", "killed"]);
    assert_eq!(trace.capability(s.call(2)).unwrap().state, State::Dropped);
    assert_eq!(trace.phase, Phase::Killed);
}

#[test]
fn a_trace_reads_back_from_its_json() {
    let trace = Trace::of(&reconciliation().records()).unwrap();
    let json = serde_json::to_value(&trace).unwrap();
    assert_eq!(json["steps"][0]["step"], "message");
    assert_eq!(json["steps"][2]["capability"], "mcp://gateway/erp-read");
    assert_eq!(json["totals"]["tokens"], 3_702);
    assert_eq!(serde_json::from_value::<Trace>(json).unwrap(), trace);
}

#[test]
fn erased_records_and_none_at_all_have_no_trace() {
    let mut records = reconciliation().records();
    assert_eq!(Trace::of(&[]), None);
    records.iter_mut().for_each(|record| record.events = None);
    assert_eq!(Trace::of(&records), None);
}
