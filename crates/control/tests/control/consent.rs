//! Consent: bound to the exact call, signed, in time, by a person who still may.

use control::approval::{Answer, open_request, read, speak};
use control::consent::Signer;
use control::{ControlError, Verdict};
use data::rows::{InboxChange, InboxKey};
use domain::capability::Effect;
use domain::control::ControlEvent;
use domain::decision::{Refusal, RefusedBy, WaitFor};
use domain::event::Event;
use domain::id::{ApprovalId, Digest};
use domain::principal::Caller;
use serde_json::json;

use crate::world::{ARTICLE, Draft, NOW, World, applied, article_with, name, person, requested};

const HOUR: i64 = 3_600_000;

fn refusal(verdict: &Verdict) -> &Refusal {
    let Verdict::Deny { refusal, .. } = verdict else { panic!("it should be refused: {verdict:?}") };
    refusal
}

/// The new request, which must follow a withdrawal of the old one.
fn asked_anew(verdict: &Verdict, old: ApprovalId) -> domain::call::ApprovalRequest {
    let Verdict::Wait { rows, wait } = verdict else { panic!("it should ask again: {verdict:?}") };
    let [
        Event::ApprovalWithdrawn { approval, reason },
        Event::ApprovalRequested { request, .. },
        Event::CallWaits { .. },
    ] = rows.events.as_slice()
    else {
        panic!("{:?}", rows.events)
    };
    assert_eq!((*approval, request.approval.round), (old, old.round + 1));
    assert!(request.reason.contains(reason.as_str()), "it says what changed: {}", request.reason);
    assert_eq!(rows.inbox[0], InboxChange::Close(InboxKey::Approval { approval: old }));
    assert!(
        matches!(&rows.inbox[1], InboxChange::Open(item) if item.key == InboxKey::Approval { approval: request.approval })
    );
    assert_eq!(wait.why, WaitFor::Approval { approval: request.approval });
    request.clone()
}

#[test]
fn a_write_above_the_threshold_asks_the_owner_group_and_expires_after_four_hours() {
    let mut world = World::new();
    let Verdict::Wait { rows, wait } = world.ask(&Draft::of(1500)) else { panic!() };
    let request = requested(&rows.events);
    assert_eq!(request.by, name("finance-platform"));
    assert_eq!(request.expires_at, NOW.plus_ms(4 * HOUR));
    assert_eq!(wait.until, Some(NOW.plus_ms(2 * HOUR)), "half of the time is when its people are reminded");
    assert_eq!(request.reason, "It is worth $1500.00, above the $1000.00 that the agent may act on alone.");
    let [InboxChange::Open(item)] = rows.inbox.as_slice() else { panic!() };
    assert_eq!((item.group.as_str(), item.expires), ("finance-platform", Some(request.expires_at)));
    assert!(rows.holdings.is_empty(), "nothing is held while a person thinks");
}

#[test]
fn a_group_that_the_descriptor_names_is_asked_instead() {
    let text =
        ARTICLE.replace("on_action_value_usd_gt: 1000", "on_action_value_usd_gt: 1000\n    by: {group: finance-leads}");
    let mut world = World::with(&text);
    assert_eq!(world.ask_for_consent(&Draft::of(1500)).by, name("finance-leads"));
}

#[test]
fn a_write_of_exactly_the_threshold_needs_no_consent() {
    assert!(matches!(World::new().ask(&Draft::of(1000)), Verdict::Allow { .. }));
}

#[test]
fn a_write_of_unknown_or_negative_value_counts_as_above_every_threshold() {
    for value in [None, Some(-1)] {
        World::new().ask_for_consent(&Draft { value, ..Draft::of(1) });
    }
}

#[test]
fn a_read_carries_no_value_unless_it_is_declared() {
    let read = Draft { effect: Effect::Read, value: None, ..Draft::of(1) };
    assert!(matches!(World::new().ask(&read), Verdict::Allow { .. }));
    World::new().ask_for_consent(&Draft { value: Some(2_000_000_000), ..read });
}

#[test]
fn a_yes_to_this_very_call_lets_it_go_and_closes_the_inbox_item() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    world.ana_says(true, "", None);
    let Verdict::Allow { rows, approval, .. } = world.ask(&draft) else { panic!() };
    assert_eq!(approval, Some(request.approval));
    assert_eq!(rows.inbox, [InboxChange::Close(InboxKey::Approval { approval: request.approval })]);
}

#[test]
fn a_second_attempt_goes_under_the_same_consent() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    world.ana_says(true, "", None);
    assert!(matches!(world.ask(&draft), Verdict::Allow { .. }));
    (world.attempt, world.now) = (2, NOW.plus_ms(4 * HOUR - 1));
    world.draw();
    let Verdict::Allow { approval, .. } = world.ask(&draft) else { panic!() };
    assert_eq!(approval, Some(world.approval(1)));
}

#[test]
fn a_yes_is_good_for_as_long_as_it_was_waited_for_and_is_asked_for_anew_after_that() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    world.now = NOW.plus_ms(HOUR);
    world.ana_says(true, "", None);
    world.now = NOW.plus_ms(5 * HOUR - 1);
    world.draw();
    assert!(matches!(world.ask(&draft), Verdict::Allow { .. }));
    world.now = NOW.plus_ms(5 * HOUR);
    world.draw();
    let anew = asked_anew(&world.ask(&draft), request.approval);
    assert!(anew.reason.ends_with("because the consent is older than 4h."), "{}", anew.reason);
}

#[test]
fn while_nobody_has_answered_it_waits_without_asking_again() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    let Verdict::Wait { rows, wait } = world.ask(&draft) else { panic!() };
    assert!(matches!(rows.events.as_slice(), [Event::CallWaits { .. }]) && rows.inbox.is_empty());
    assert_eq!(wait.until, Some(request.changes_after(NOW)));
}

#[test]
fn silence_turns_into_denial() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    world.now = request.expires_at;
    world.draw();
    let verdict = world.ask(&draft);
    assert_eq!(refusal(&verdict).by, RefusedBy::Approval);
    assert!(refusal(&verdict).reason.ends_with("within 4h."), "{}", refusal(&verdict).reason);
    let Verdict::Deny { rows, .. } = &verdict else { panic!() };
    assert_eq!(rows.inbox, [InboxChange::Close(InboxKey::Approval { approval: request.approval })]);
}

#[test]
fn a_yes_that_came_too_late_is_a_no() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    world.now = request.expires_at;
    world.draw();
    world.ana_says(true, "", None);
    assert_eq!(refusal(&world.ask(&draft)).by, RefusedBy::Approval);
}

#[test]
fn a_no_is_told_to_the_agent_with_the_persons_reason() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    world.ana_says(false, "wrong vendor", None);
    let verdict = world.ask(&draft);
    assert_eq!(refusal(&verdict).by, RefusedBy::Approval);
    assert!(refusal(&verdict).reason.contains("ana of finance-platform said no: wrong vendor"));
}

#[test]
fn a_no_still_counts_when_consent_is_not_needed_any_more() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    world.ana_says(false, "wrong vendor", None);
    assert_eq!(refusal(&world.ask(&Draft { value: Some(1), ..draft })).by, RefusedBy::Approval);
}

#[test]
fn changed_arguments_void_the_consent_and_are_asked_for_anew() {
    let mut world = World::new();
    let request = world.ask_for_consent(&Draft::of(1500));
    world.ana_says(true, "", None);
    let anew = asked_anew(&world.ask(&Draft::of(9000)), request.approval);
    assert!(anew.reason.contains("amount_usd 1500 became 9000"), "{}", anew.reason);
    assert_eq!(anew.arguments["amount_usd"], 9000);
}

#[test]
fn every_single_change_after_the_yes_voids_it() {
    type Change = fn(&mut World, &mut Draft);
    let changes: [(&str, Change); 6] = [
        ("amount_usd", |_, draft| draft.arguments["amount_usd"] = json!(1501)),
        ("to", |_, draft| draft.arguments["to"] = json!("mallory@evil.example")),
        ("cc \"mallory\" is new", |_, draft| draft.arguments["cc"] = json!("mallory")),
        ("to \"billing@acme.example\" is gone", |_, draft| {
            draft.arguments = json!({"amount_usd": draft.arguments["amount_usd"]});
        }),
        ("definition of mcp://gateway/email-draft", |_, draft| draft.schema = Digest::of(b"rug pull")),
        ("descriptor changed from revision", |world, _| {
            world.happened(applied(&ARTICLE.replace("retention_days: 90", "retention_days: 91")));
        }),
    ];
    let all = changes.len();
    let mut voided = 0;
    for (what, change) in changes {
        let mut world = World::new();
        let mut draft = Draft::of(1500);
        let request = world.ask_for_consent(&draft);
        world.ana_says(true, "", None);
        change(&mut world, &mut draft);
        world.draw();
        let anew = asked_anew(&world.ask(&draft), request.approval);
        assert!(anew.reason.contains(what), "{what}: {}", anew.reason);
        world.facts.approval = Some(anew);
        world.facts.verdict = None;
        world.ana_says(true, "", None);
        assert!(matches!(world.ask(&draft), Verdict::Allow { .. }), "{what}: a new yes lets it go");
        voided += 1;
    }
    assert_eq!(voided, all);
}

#[test]
fn the_same_arguments_written_differently_are_the_same() {
    let mut world = World::new();
    let mut draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    world.ana_says(true, "", None);
    draft.arguments = json!({"amount_usd": 1500.0, "to": "billing@acme.example"});
    assert!(matches!(world.ask(&draft), Verdict::Allow { .. }));
}

#[test]
fn a_change_while_nobody_has_answered_is_asked_for_anew_too() {
    let mut world = World::new();
    let request = world.ask_for_consent(&Draft::of(1500));
    asked_anew(&world.ask(&Draft::of(1600)), request.approval);
}

#[test]
fn edited_arguments_are_what_the_yes_is_bound_to() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    let edited = json!({"to": "billing@acme.example", "amount_usd": 1200});
    world.ana_says(true, "the rest is disputed", Some(edited));
    asked_anew(&world.ask(&draft), request.approval);
    let Verdict::Allow { approval, .. } = world.ask(&Draft::of(1200)) else { panic!() };
    assert_eq!(approval, Some(request.approval));
}

#[test]
fn edited_below_the_threshold_it_still_carries_the_consent_that_it_was_given() {
    let mut world = World::new();
    let request = world.ask_for_consent(&Draft::of(1500));
    world.ana_says(true, "", Some(json!({"to": "billing@acme.example", "amount_usd": 900})));
    let Verdict::Allow { rows, approval, .. } = world.ask(&Draft::of(900)) else { panic!() };
    assert_eq!((approval, rows.inbox.len()), (Some(request.approval), 1));
}

#[test]
fn edited_below_the_threshold_a_yes_to_another_revision_does_not_go_along() {
    let mut world = World::new();
    world.ask_for_consent(&Draft::of(1500));
    world.ana_says(true, "", Some(json!({"to": "billing@acme.example", "amount_usd": 900})));
    world.happened(applied(&article_with("  limits: {turns: 9}")));
    let Verdict::Allow { rows, approval, .. } = world.ask(&Draft::of(900)) else { panic!() };
    assert_eq!((approval, rows.inbox.len()), (None, 1), "it is allowed without any");
}

#[test]
fn a_person_who_left_the_group_has_not_consented() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    world.ana_says(true, "", None);
    world.happened(ControlEvent::PersonAdded { person: name("ana"), groups: Vec::new() });
    asked_anew(&world.ask(&draft), request.approval);
}

#[test]
fn an_answer_that_the_control_plane_did_not_sign_is_refused() {
    type Forgery = fn(&mut World);
    let forgeries: [(&str, Forgery); 6] = [
        ("other arguments", |world| world.facts.verdict.as_mut().unwrap().edited = Some(Draft::of(1500).arguments)),
        ("no signature", |world| world.facts.verdict.as_mut().unwrap().signature.clear()),
        ("another key", |world| {
            let (request, verdict) = (world.facts.approval.clone().unwrap(), world.facts.verdict.clone().unwrap());
            world.facts.verdict = Some(Signer::new(b"another").sign(&request, verdict));
        }),
        ("another person", |world| world.facts.verdict.as_mut().unwrap().person = name("eve")),
        ("a no turned into a yes", |world| {
            world.ana_says(false, "", None);
            world.facts.verdict.as_mut().unwrap().approved = true;
        }),
        ("another binding", |world| {
            world.facts.approval.as_mut().unwrap().binding.arguments = Digest::of_json(&Draft::of(9000).arguments);
        }),
    ];
    for (what, forge) in forgeries {
        let mut world = World::new();
        world.ask_for_consent(&Draft::of(1500));
        world.ana_says(true, "", None);
        forge(&mut world);
        let verdict = world.ask(&Draft::of(1500));
        assert!(refusal(&verdict).reason.contains("signature"), "{what}");
    }
}

#[test]
fn a_consent_to_one_call_is_none_to_another() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    world.ana_says(true, "", None);
    world.principal.link.session = domain::id::SessionId::from_u128(8);
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!() };
    assert_eq!(requested(&rows.events).approval, world.approval(1));
}

#[test]
fn a_pending_request_is_withdrawn_when_the_call_is_refused_otherwise() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    world.happened(applied(&ARTICLE.replace("    - mcp://gateway/email-draft\n", "")));
    let Verdict::Deny { rows, .. } = world.ask(&draft) else { panic!() };
    assert!(matches!(&rows.events[0], Event::ApprovalWithdrawn { approval, .. } if *approval == request.approval));
    assert_eq!(rows.inbox, [InboxChange::Close(InboxKey::Approval { approval: request.approval })]);
}

#[test]
fn a_pending_request_is_withdrawn_when_the_agent_falls_back_to_shadow() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    world.happened(applied(&article_with("  autonomy: shadow")));
    let Verdict::Record { rows, .. } = world.ask(&draft) else { panic!() };
    assert_eq!((rows.events.len(), rows.inbox.len()), (1, 1));
}

#[test]
fn a_request_that_is_void_is_withdrawn_once_however_often_the_call_looks_for_room() {
    // The session's own revision asks for none; the agent's current one does.
    let lenient = ARTICLE.replace("gt: 1000", "gt: 9000");
    let mut world = World::with(&lenient);
    let draft = Draft::of(1500);
    world.happened(applied(ARTICLE));
    let request = world.ask_for_consent(&draft);
    world.happened(applied(&lenient));
    let limits = control::budget::limits(&world.registry, &world.principal, NOW);
    let all = domain::budget::Amounts { usd_micros: 40_000_000, ..Default::default() };
    world.holdings.reserve(domain::id::Shard(0), &limits, &all).unwrap();
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!("its budget is tied up") };
    let withdrawn = |rows: &data::rows::Rows| {
        rows.events.iter().filter(|event| matches!(event, Event::ApprovalWithdrawn { .. })).count()
    };
    assert_eq!((withdrawn(&rows), rows.inbox.len()), (1, 1));
    world.facts.withdrawn = true;
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!("it still is") };
    assert_eq!(withdrawn(&rows), 0, "{rows:?}");
    world.happened(applied(ARTICLE));
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!("consent is needed again") };
    let anew = requested(&rows.events);
    assert_eq!(anew.approval.round, request.approval.round + 1, "nobody looks at the one that is closed");
    assert!(rows.inbox.iter().any(|change| matches!(change, InboxChange::Open(_))));
}

#[test]
fn a_person_of_the_group_decides_and_nobody_else() {
    let mut world = World::new();
    let request = world.ask_for_consent(&Draft::of(1500));
    let yes = || Answer { approved: true, ..Answer::default() };
    let agent = Caller::Agent { name: name("reconciliation-finance") };
    for caller in [Caller::Admin, agent, person("bob", &["sales"]), person("eve", &[])] {
        let refused = speak(&caller, &request, &[], (yes(), NOW));
        assert!(matches!(refused, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
    let verdict = speak(&person("ana", &["finance-platform"]), &request, &[], (yes(), NOW)).unwrap();
    assert_eq!((verdict.person, verdict.approved), (name("ana"), true));
}

#[test]
fn an_answer_after_the_end_is_refused() {
    let mut world = World::new();
    let request = world.ask_for_consent(&Draft::of(1500));
    let late = speak(&person("ana", &["finance-platform"]), &request, &[], (Answer::default(), request.expires_at));
    assert!(matches!(late, Err(ControlError::Conflict { .. })));
}

#[test]
fn edited_arguments_must_be_an_object_and_go_with_a_yes() {
    let mut world = World::new();
    let request = world.ask_for_consent(&Draft::of(1500));
    let ana = person("ana", &["finance-platform"]);
    let answer = |approved, edited| Answer { approved, edited: Some(edited), ..Answer::default() };
    for wrong in [answer(true, json!([1])), answer(false, json!({}))] {
        assert!(matches!(speak(&ana, &request, &[], (wrong, NOW)), Err(ControlError::Invalid { .. })));
    }
    let deep = (0..65).fold(json!(1), |inner, _| json!({"a": inner}));
    let refused = speak(&ana, &request, &[], (answer(true, deep), NOW)).unwrap_err();
    assert!(refused.to_string().contains("64 levels"), "it could not be read again: {refused}");
    let unchanged = answer(true, request.arguments.clone());
    assert_eq!(speak(&ana, &request, &[], (unchanged, NOW)).unwrap().edited, None);
}

#[test]
fn a_second_answer_is_told_who_gave_the_first() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!() };
    let request = requested(&rows.events);
    assert_eq!(open_request(request.approval, read(&rows.events, request.approval)).unwrap(), request);
    world.facts.approval = Some(request.clone());
    world.ana_says(true, "", None);
    let mut events = rows.events;
    events.push(Event::ApprovalDecided { verdict: world.facts.verdict.clone().unwrap() });
    let refused = open_request(request.approval, read(&events, request.approval)).unwrap_err();
    assert!(refused.to_string().starts_with("ana said yes to"), "{refused}");
    let unknown = ApprovalId { round: 9, ..request.approval };
    assert!(matches!(open_request(unknown, read(&events, unknown)), Err(ControlError::NotFound { .. })));
}
