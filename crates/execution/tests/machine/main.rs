//! The machine, alone: what a session wants next and how it comes to rest, from what happened to it.

#[cfg(test)]
mod client;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod said;
#[cfg(test)]
mod stopping;
mod written;

use domain::capability::Effect;
use domain::clock::Timestamp;
use domain::decision::RefusedBy;
use domain::event::{Event, Resolution};
use domain::mail::MailBody;
use domain::message::Role;
use domain::session::Phase;
use execution::machine::{self, LOST_ANSWERS, Rest, UNFIT_IN_A_ROW};
use said::{EXPIRES, Said, TURNS, call, consumed, kinds, mail, verdict, written};

#[test]
fn results_answer_in_the_order_asked() {
    let mut said = Said::hello();
    said.thinks(3);
    assert_eq!(said.wants(), [2, 3, 4]);
    for ordinal in [2, 3, 4] {
        said.sends(ordinal, 1, Effect::Write);
    }
    assert!(said.wants().is_empty());
    for ordinal in [4, 2, 3] {
        said.answers(ordinal, &format!("use-{}", ordinal - 1));
    }
    assert_eq!(said.answered(), ["use-1", "use-2", "use-3"]);
    assert_eq!(said.wants(), [5], "the model is asked next");
}

#[test]
fn the_model_waits_until_every_use_has_its_result() {
    let mut said = Said::hello();
    said.thinks(2);
    said.sends(2, 1, Effect::Read);
    said.is_refused(3, RefusedBy::Budget);
    assert!(said.wants().is_empty());
    said.answers(2, "use-1");
    assert_eq!((said.wants(), said.answered().len()), (vec![4], 2));
}

#[test]
fn messages_that_arrive_during_work_wait_for_the_round() {
    let mut said = Said::hello();
    said.thinks(1);
    said.sends(2, 1, Effect::Write);
    said.receive(&written("m-2", "and another thing"));
    assert_eq!(said.roles(), [Role::Person, Role::Agent]);
    said.answers(2, "use-1");
    assert_eq!(said.roles(), [Role::Person, Role::Agent, Role::Capability, Role::Person]);
    said.thinks(0);
    assert_eq!(said.rest(), Rest::Finished);
}

#[test]
fn a_message_that_arrives_while_the_model_thinks_is_answered_too() {
    let mut said = Said::hello();
    let (asked, _) = said.asks_model();
    said.receive(&written("m-2", "wait"));
    assert!(said.wants().is_empty(), "call {asked} is under way");
    let mut done = Said::hello();
    done.thinks(0);
    let answer = done.session.messages.last().unwrap().as_ref().clone();
    let outcome = domain::call::CallOutcome::Answered { message: answer, stop: None };
    said.happen(Event::ModelAnswered { call: asked, attempt: 1, outcome, settlement: Default::default() });
    assert_eq!(said.roles(), [Role::Person, Role::Agent, Role::Person]);
    assert_eq!(said.wants(), [2]);
}

#[test]
fn mail_posted_again_after_it_was_consumed_does_nothing() {
    let mut said = Said::hello();
    assert_eq!(consumed(&said).len(), 1);
    assert!(said.receive(&written("m-1", "hello")).is_empty());
    said.thinks(0);
    assert!(said.receive(&written("m-1", "hello")).is_empty());
    assert_eq!(kinds(&said.receive(&written("m-2", "hello"))), ["message_received"]);
}

#[test]
fn unfit_arguments_are_answered_a_few_times_and_then_the_session_fails_with_the_reason() {
    let mut said = Said::hello();
    for used in 1..=UNFIT_IN_A_ROW {
        assert_eq!(said.rest(), Rest::Finished, "it goes on");
        said.thinks(1);
        said.is_refused(used * 2, RefusedBy::Arguments);
    }
    assert!(said.wants().is_empty());
    assert!(said.failure().contains("unfit arguments 4 times in a row"), "{}", said.failure());
    said.receive(&written("m-2", "try again"));
    assert_eq!(said.wants().len(), 1, "a new message lets it try again");
}

#[test]
fn a_use_that_fits_begins_the_count_anew() {
    let mut said = Said::hello();
    for round in 0..3 {
        said.thinks(1);
        said.is_refused(round * 4 + 2, RefusedBy::Arguments);
        said.thinks(1);
        said.sends(round * 4 + 4, 1, Effect::Read);
        said.answers(round * 4 + 4, "use-1");
    }
    assert_eq!(said.session.unfit_in_a_row, 0);
}

#[test]
fn what_waits_beside_unfit_uses_is_still_asked_for_before_the_session_fails() {
    let mut said = Said::hello();
    said.thinks(5);
    for ordinal in 2..=5 {
        said.is_refused(ordinal, RefusedBy::Arguments);
    }
    said.asks(6, 1);
    assert!(matches!(said.rest(), Rest::Suspended(..)));
    said.receive(&verdict(6, 1));
    assert_eq!(said.wants(), [6], "what a person consented to is not forgotten");
    said.sends(6, 1, Effect::Write);
    said.answers(6, "use-5");
    assert_eq!(said.wants(), [7], "a use that fits begins the count anew");
}

#[test]
fn turns_are_bounded_per_message() {
    let mut said = Said::hello();
    for turn in 0..TURNS {
        said.thinks(1);
        let ordinal = turn * 2 + 2;
        said.sends(ordinal, 1, Effect::Read);
        said.answers(ordinal, "use-1");
    }
    assert!(said.wants().is_empty());
    assert!(said.failure().contains("6 times for one message (limits.turns)"), "{}", said.failure());
    said.receive(&written("m-2", "go on"));
    assert_eq!(said.wants().len(), 1);
}

#[test]
fn a_model_whose_answer_is_lost_is_asked_again_a_few_times_only() {
    let mut said = Said::hello();
    for attempt in 1..=LOST_ANSWERS {
        assert_eq!(said.wants(), [1], "the same call, attempt {attempt}");
        said.loses_answer();
    }
    assert!(said.wants().is_empty());
    let reason = said.failure();
    assert!(reason.contains("possibly billed") && reason.contains("3 times"), "{reason}");
}

#[test]
fn after_lost_answers_a_new_message_is_answered_by_a_new_call() {
    let mut said = Said::hello();
    (0..LOST_ANSWERS).for_each(|_| said.loses_answer());
    said.happen(Event::Failed { reason: said.failure(), refusal: None, compute_ms: 0 });
    assert!(said.wants().is_empty(), "a session that failed wants nothing by itself");
    said.receive(&written("m-2", "try again"));
    assert_eq!((said.wants(), said.roles()), (vec![2], vec![Role::Person, Role::Person]));
    said.thinks(0);
    assert_eq!(said.rest(), Rest::Finished);
}

#[test]
fn a_call_that_waits_is_asked_for_again_when_its_time_has_come_and_not_before() {
    let mut said = Said::hello();
    said.thinks(1);
    said.asks(2, 1);
    let Rest::Suspended(waits, until) = said.rest() else { panic!("{:?}", said.rest()) };
    assert_eq!((waits.len(), until), (1, Some(EXPIRES)));
    said.now = Timestamp(EXPIRES.0 - 1);
    assert!(said.wants().is_empty());
    said.now = EXPIRES;
    assert_eq!(said.wants(), [2]);
}

#[test]
fn an_answer_to_consent_counts_once_and_only_for_what_was_asked_last() {
    let mut said = Said::hello();
    said.thinks(1);
    said.asks(2, 1);
    said.asks(2, 2);
    assert!(said.receive(&verdict(2, 1)).is_empty(), "the first request was withdrawn");
    assert_eq!(kinds(&said.receive(&verdict(2, 2))), ["approval_decided"]);
    assert_eq!(said.wants(), [2]);
    assert!(said.receive(&verdict(2, 2)).is_empty(), "it was answered");
    said.sends(2, 1, Effect::Write);
    assert!(said.receive(&verdict(2, 2)).is_empty(), "it was used");
}

#[test]
fn what_was_sent_before_a_crash_is_in_doubt_and_only_a_person_lets_a_write_go_on() {
    let mut said = Said::hello();
    said.thinks(2);
    said.sends(2, 1, Effect::Write);
    let lost = machine::recover(&said.session);
    assert_eq!(kinds(&lost), ["call_in_doubt"]);
    lost.into_iter().for_each(|event| said.happen(event));
    assert_eq!(said.wants(), [3], "the other use was never sent");
    said.is_refused(3, RefusedBy::Policy);
    assert!(said.wants().is_empty());
    let Rest::Suspended(waits, None) = said.rest() else { panic!("{:?}", said.rest()) };
    assert_eq!(waits.len(), 1);
    assert_eq!(machine::waits_on(&said.session), format!("resolve {}", call(2)));
    let resolved = |attempt| {
        let (person, resolution) = ("ana".parse().unwrap(), Resolution::DidNot);
        mail(&format!("r-{attempt}"), MailBody::Resolved { call: call(2), attempt, person, resolution })
    };
    assert!(said.receive(&resolved(2)).is_empty(), "nobody asked about a second attempt");
    assert_eq!(kinds(&said.receive(&resolved(1))), ["call_resolved"]);
    assert_eq!(said.wants(), [2], "it is sent again");
}

#[test]
fn a_killed_session_ends_what_it_began_and_is_deaf_from_then_on() {
    let mut said = Said::hello();
    said.thinks(3);
    said.sends(2, 1, Effect::Write);
    said.asks(3, 1);
    let kill = mail("kill", MailBody::Kill { by: "admin".to_owned(), reason: "enough".to_owned() });
    let ended = said.receive(&kill);
    assert_eq!(kinds(&ended), ["call_in_doubt", "approval_withdrawn", "killed"]);
    assert_eq!((said.session.phase, said.wants(), said.rest()), (Phase::Killed, vec![], Rest::Nothing));
    for late in [kill, verdict(3, 1), written("m-2", "hello?")] {
        assert!(said.receive(&late).is_empty());
    }
}
