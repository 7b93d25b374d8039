//! Consent that takes more than one person, not the one on whose behalf it is, and other people after a while.

use control::approval::{Answer, answer, speak};
use control::{ControlError, Verdict};
use domain::approval::Reminder;
use domain::call::{ApprovalRequest, ApprovalVerdict};
use domain::capability::Effect;
use domain::control::ControlEvent;
use domain::event::Event;
use domain::id::{Digest, Name};
use domain::principal::Caller;
use serde_json::{Value, json};

use crate::answers::{House, mail, waiting_for};
use crate::world::{ARTICLE, Draft, NOW, World, name, person};

const MINUTE: i64 = 60_000;

/// The article's agent, with these lines under `approval`.
pub(crate) fn agent_with(lines: &str) -> String {
    ARTICLE.replace("on_action_value_usd_gt: 1000", &format!("on_action_value_usd_gt: 1000\n    {lines}"))
}

const TWO: &str = "by: {group: finance-platform, quorum: 2, not: [on_behalf_of]}";
const ESCALATES: &str = "expires: {after: 100m, escalate: {to: cfo, after: 70m}}";

fn world(lines: &str) -> World {
    let mut world = World::with(&agent_with(lines));
    for (person, group) in [("ben", "finance-platform"), ("cho", "finance-platform"), ("dee", "cfo")] {
        world.happened(ControlEvent::PersonAdded { person: name(person), groups: vec![name(group)] });
    }
    world.draw();
    world
}

fn of_finance(who: &str) -> Caller {
    person(who, &["finance-platform"])
}

/// Somebody's answer, as the control plane takes it, and as the session's fold counts it.
fn says(world: &mut World, who: &Caller, edited: Option<Value>) -> Result<(), ControlError> {
    let request = world.facts.approval.clone().unwrap();
    let said: Vec<ApprovalVerdict> = world.facts.said().cloned().collect();
    let seen = said.last().map(|last| request.meant_by(last)).filter(|_| edited.is_none());
    let yes = Answer { approved: true, edited, seen, ..Answer::default() };
    let verdict = world.signer.sign(&request, speak(who, &request, &said, (yes, world.now))?);
    counted(world, &request, verdict);
    Ok(())
}

fn counted(world: &mut World, request: &ApprovalRequest, verdict: ApprovalVerdict) {
    let all: Vec<_> = world.facts.said().cloned().chain([verdict.clone()]).collect();
    if domain::approval::Poll::of(request, &all).is_over() {
        world.facts.verdict = Some(verdict);
    } else {
        world.facts.votes.push(verdict);
    }
}

fn waits(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Wait { rows, .. } if rows.inbox.is_empty())
}

fn refused(verdict: &Verdict) -> &str {
    let Verdict::Deny { refusal, .. } = verdict else { panic!("it should be refused: {verdict:?}") };
    &refusal.reason
}

#[test]
fn it_goes_once_two_different_people_have_said_yes() {
    let mut world = world(TWO);
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    assert_eq!(request.terms.quorum, 2);
    says(&mut world, &of_finance("ana"), None).unwrap();
    assert!(waits(&world.ask(&draft)), "one is not enough");
    let again = says(&mut world, &of_finance("ana"), None).unwrap_err();
    assert!(again.to_string().starts_with("ana said yes to"), "{again}");
    assert!(waits(&world.ask(&draft)), "nor is the same one twice");
    says(&mut world, &of_finance("ben"), None).unwrap();
    let Verdict::Allow { approval, .. } = world.ask(&draft) else { panic!() };
    assert_eq!(approval, Some(request.approval));
}

#[test]
fn the_first_no_ends_it_whoever_said_yes_before() {
    let mut world = world(TWO);
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    says(&mut world, &of_finance("ana"), None).unwrap();
    let no = Answer { reason: "wrong vendor".to_owned(), ..Answer::default() };
    let said: Vec<_> = world.facts.said().cloned().collect();
    let no = speak(&of_finance("ben"), &request, &said, (no, world.now)).unwrap();
    let no = world.signer.sign(&request, no);
    counted(&mut world, &request, no);
    assert!(refused(&world.ask(&draft)).starts_with("ben of finance-platform said no: wrong vendor"));
    assert!(says(&mut world, &of_finance("cho"), None).is_err());
}

#[test]
fn the_person_on_whose_behalf_it_is_does_not_count() {
    let mut world = world(TWO);
    world.principal.on_behalf_of = Some(name("ana"));
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    assert_eq!(request.terms.not, [name("ana")]);
    let refused_to = says(&mut world, &of_finance("ana"), None).unwrap_err();
    assert!(matches!(refused_to, ControlError::Forbidden { .. }), "{refused_to}");
    // Not even signed, as an older build or a mistake may have it.
    world.ana_says(true, "", None);
    let forced = world.facts.verdict.take().unwrap();
    world.facts.votes.push(forced);
    says(&mut world, &of_finance("ben"), None).unwrap();
    assert!(refused(&world.ask(&draft)).contains("on behalf of ana"));
}

#[test]
fn an_edit_by_one_is_what_the_others_must_have_seen() {
    let mut world = world(TWO);
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    says(&mut world, &of_finance("ana"), Some(Draft::of(1200).arguments)).unwrap();
    let said: Vec<_> = world.facts.said().cloned().collect();
    let blind = Answer { approved: true, ..Answer::default() };
    let unseen = speak(&of_finance("ben"), &request, &said, (blind, world.now)).unwrap_err();
    assert!(unseen.to_string().contains("ana changed what"), "{unseen}");
    let old = Answer { approved: true, seen: Some(request.binding.arguments), ..Answer::default() };
    assert!(speak(&of_finance("ben"), &request, &said, (old, world.now)).is_err(), "what was asked is not it any more");
    says(&mut world, &of_finance("ben"), None).unwrap();
    let Verdict::Allow { approval, .. } = world.ask(&Draft::of(1200)) else { panic!() };
    assert_eq!(approval, Some(request.approval));
    assert!(!matches!(world.ask(&draft), Verdict::Allow { .. }), "the unedited call has no consent");
}

#[test]
fn an_edit_voids_the_yes_of_those_who_had_not_seen_it() {
    let mut world = world(TWO);
    let draft = Draft::of(1500);
    world.ask_for_consent(&draft);
    says(&mut world, &of_finance("ana"), None).unwrap();
    says(&mut world, &of_finance("ben"), Some(Draft::of(1200).arguments)).unwrap();
    assert!(waits(&world.ask(&draft)), "one yes to each is no two to either");
    says(&mut world, &of_finance("ana"), None).unwrap();
    assert!(matches!(world.ask(&Draft::of(1200)), Verdict::Allow { .. }));
}

#[test]
fn a_quorum_that_is_raised_meanwhile_asks_anew() {
    let mut world = world("by: {quorum: 1}");
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    says(&mut world, &of_finance("ana"), None).unwrap();
    let raised = crate::world::applied(&agent_with("by: {quorum: 2}"));
    world.happened(raised);
    world.draw();
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!() };
    assert!(matches!(&rows.events[0], Event::ApprovalWithdrawn { approval, .. } if *approval == request.approval));
}

#[test]
fn too_few_in_time_is_a_no_and_says_how_many_they_were() {
    let mut world = world(TWO);
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    says(&mut world, &of_finance("ana"), None).unwrap();
    world.now = request.expires_at;
    world.draw();
    assert!(refused(&world.ask(&draft)).starts_with("Of 2 who must say yes to"));
}

#[test]
fn people_are_reminded_and_others_asked_and_nothing_is_ever_allowed_by_it() {
    let mut world = world(ESCALATES);
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    let dee = person("dee", &["cfo"]);
    assert!(says(&mut world, &dee, None).is_err(), "not yet");
    let mut told = Vec::new();
    for (minutes, what, to, next) in [
        (50, Reminder::HalfOver, "finance-platform", 70),
        (70, Reminder::Escalated, "cfo", 90),
        (90, Reminder::NearlyOver, "finance-platform", 100),
    ] {
        world.now = NOW.plus_ms(minutes * MINUTE);
        world.draw();
        let Verdict::Wait { rows, wait } = world.ask(&draft) else { panic!("minute {minutes}") };
        let Event::ApprovalReminded { approval, what: said, to: group } = &rows.events[0] else { panic!("{rows:?}") };
        assert_eq!((*approval, *said, group), (request.approval, what, &name(to)));
        assert_eq!(wait.until, Some(NOW.plus_ms(next * MINUTE)));
        told.push(what);
        world.facts.reminded.clone_from(&told);
        assert!(waits(&world.ask(&draft)), "once is enough");
    }
    says(&mut world, &dee, None).unwrap();
    assert!(matches!(world.ask(&draft), Verdict::Allow { .. }), "the other group may answer, too");
}

#[test]
fn whoever_was_asked_later_did_not_answer_earlier() {
    let mut world = world(ESCALATES);
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    let early = ApprovalVerdict {
        approval: request.approval,
        approved: true,
        person: name("dee"),
        reason: String::new(),
        edited: None,
        at: NOW,
        shown_at: None,
        by_link: None,
        signature: String::new(),
    };
    world.facts.verdict = Some(world.signer.sign(&request, early));
    let Verdict::Wait { rows, .. } = world.ask(&draft) else { panic!() };
    assert!(matches!(&rows.events[0], Event::ApprovalWithdrawn { .. }));
}

#[test]
fn an_effect_that_the_descriptor_names_asks_whatever_it_is_worth() {
    let mut world = World::with(&agent_with("on_effect: [irreversible]"));
    let draft = Draft { effect: Effect::Irreversible, ..Draft::of(1) };
    let request = world.ask_for_consent(&draft);
    assert!(request.reason.starts_with("It cannot be undone"), "{}", request.reason);
    assert!(matches!(World::with(&agent_with("on_effect: [irreversible]")).ask(&Draft::of(1)), Verdict::Allow { .. }));
}

async fn answered(house: &House, who: &str, request: &ApprovalRequest, said: Answer) -> Result<Name, ControlError> {
    answer(&house.gate, &of_finance(who), request.approval, said).await.map(|verdict| verdict.person)
}

#[tokio::test]
async fn each_persons_answer_is_one_piece_of_mail() {
    let (house, request) = waiting_for(&agent_with(TWO)).await;
    let yes = || Answer { approved: true, ..Answer::default() };
    answered(&house, "ana", &request, yes()).await.unwrap();
    let again = answered(&house, "ana", &request, yes()).await.unwrap_err();
    assert!(again.to_string().starts_with("ana said yes"), "{again}");
    let edit = Answer { edited: Some(json!({"to": "billing@acme.example", "amount_usd": 1200})), ..yes() };
    answered(&house, "bob", &request, edit).await.unwrap();
    let blind = answered(&house, "ana", &request, yes()).await.unwrap_err();
    assert!(blind.to_string().contains("bob changed what"), "{blind}");
    let seen = Some(Digest::of_json(&json!({"to": "billing@acme.example", "amount_usd": 1200})));
    answered(&house, "ana", &request, Answer { seen, ..yes() }).await.unwrap();
    assert_eq!(mail(&house).await.len(), 3);
    let over = answered(&house, "bob", &request, Answer::default()).await.unwrap_err();
    assert!(over.to_string().starts_with("ana said yes"), "{over}");
}

#[tokio::test]
async fn two_answers_of_one_person_at_once_are_one() {
    let (house, request) = waiting_for(&agent_with(TWO)).await;
    let yes = || Answer { approved: true, ..Answer::default() };
    let (a, b) = tokio::join!(answered(&house, "ana", &request, yes()), answered(&house, "ana", &request, yes()));
    assert!(a.is_ok() || b.is_ok());
    assert_eq!(mail(&house).await.len(), 1);
}
