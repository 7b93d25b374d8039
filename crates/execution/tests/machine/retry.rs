//! A model that fails and may do better later: its session waits, asks again by itself, and gives up in the end.

use domain::call::{CallOutcome, Settlement};
use domain::clock::Timestamp;
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::mail::MailBody;
use execution::machine::{self, PATIENCE_MS, Rest};

use crate::said::{Said, TURNS, mail, start, written};

const MINUTE: i64 = 60_000;

impl Said {
    fn fails(&mut self, retryable: bool, retry_after_ms: Option<i64>) {
        let (call, attempt) = self.asks_model();
        let outcome = CallOutcome::Failed { error: "HTTP 503.".to_owned(), retryable, retry_after_ms };
        self.happen(Event::ModelAnswered { call, attempt, outcome, settlement: Settlement::default() });
    }

    /// It comes to rest, and its clock goes on until it is to be woken; how long that is, in milliseconds.
    fn sleeps(&mut self) -> i64 {
        let Rest::Suspended(waits, Some(until)) = self.rest() else { panic!("{:?}", self.rest()) };
        self.happen(Event::Suspended { waits, compute_ms: 0 });
        assert!(self.wants().is_empty(), "not before its time");
        let slept = until.since_ms(self.now);
        self.now = until;
        slept
    }
}

#[test]
fn it_is_asked_again_after_pauses_that_grow_and_are_bounded() {
    let mut said = Said::hello();
    let mut pauses = Vec::new();
    for failed in 1..=12 {
        said.fails(true, None);
        assert_eq!(machine::waits(&said.session)[0].why, WaitFor::Model { failed });
        pauses.push(said.sleeps());
    }
    assert!((5_000..=7_000).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[..6].windows(2).all(|two| two[0] < two[1]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 7 * MINUTE), "{pauses:?}");
    assert_eq!(said.session.turns, 1, "asking again is no other turn");
    said.thinks(0);
    assert_eq!((said.rest(), said.session.retry.clone()), (Rest::Finished, None));
}

#[test]
fn each_attempt_is_a_call_of_its_own() {
    let mut said = Said::hello();
    for ordinal in 1..=3 {
        assert_eq!(said.wants(), [ordinal]);
        said.fails(true, None);
        assert!(said.session.open.is_empty(), "it is settled");
        said.sleeps();
    }
}

#[test]
fn what_the_provider_asks_for_is_kept_to() {
    let mut said = Said::hello();
    said.fails(true, Some(40 * MINUTE));
    assert!(said.sleeps() >= 40 * MINUTE);
    said.fails(true, None);
    assert!(said.sleeps() < MINUTE, "it was asked for once");
}

#[test]
fn after_hours_it_fails_and_says_why_and_a_new_message_tries_again() {
    let mut said = Said::hello();
    let began = said.now;
    while {
        said.fails(true, None);
        !matches!(said.rest(), Rest::Failed(_))
    } {
        said.sleeps();
    }
    let waited = said.now.since_ms(began);
    assert!((PATIENCE_MS - 7 * MINUTE..=PATIENCE_MS).contains(&waited), "{waited}");
    let reason = said.failure();
    assert!(reason.contains("times in a row") && reason.contains("4 h") && reason.contains("HTTP 503"), "{reason}");
    assert!(said.wants().is_empty());
    said.happen(Event::Failed { reason, refusal: None, compute_ms: 0 });
    said.receive(&written("m-2", "again"));
    assert_eq!((said.wants().len(), said.session.retry.clone()), (1, None));
}

#[test]
fn whoever_asks_to_be_left_alone_for_longer_than_that_is_not_waited_for() {
    let mut said = Said::hello();
    said.fails(true, Some(PATIENCE_MS + 1));
    assert!(said.failure().contains("failed once"), "{}", said.failure());
}

#[test]
fn what_will_not_help_is_not_tried_again() {
    let mut said = Said::hello();
    said.fails(false, None);
    assert_eq!(said.failure(), "HTTP 503.");
    let mut said = Said::hello();
    said.fails(true, None);
    said.sleeps();
    said.fails(false, None);
    assert_eq!(said.failure(), "HTTP 503.", "the second was for good");
}

#[test]
fn a_message_has_it_asked_at_once_with_what_it_says() {
    let mut said = Said::hello();
    said.fails(true, None);
    let Rest::Suspended(waits, _) = said.rest() else { panic!("{:?}", said.rest()) };
    said.happen(Event::Suspended { waits, compute_ms: 0 });
    said.receive(&written("m-2", "are you there?"));
    assert_eq!((said.wants(), said.session.messages.len()), (vec![2], 2));
}

#[test]
fn a_message_that_came_while_it_was_asked_is_in_the_next_attempt() {
    let mut said = Said::hello();
    let (call, attempt) = said.asks_model();
    said.receive(&written("m-2", "and hurry"));
    let outcome = CallOutcome::Failed { error: "HTTP 503.".to_owned(), retryable: true, retry_after_ms: None };
    said.happen(Event::ModelAnswered { call, attempt, outcome, settlement: Settlement::default() });
    said.sleeps();
    assert_eq!((said.wants(), said.session.messages.len()), (vec![2], 2));
}

#[test]
fn one_that_is_held_meanwhile_is_asked_again_once_it_is_let_go_on() {
    let mut said = Said::hello();
    said.fails(true, None);
    said.sleeps();
    said.receive(&mail("s", MailBody::Suspend { by: "ana".to_owned(), reason: "wait".to_owned() }));
    assert!(said.wants().is_empty());
    let Rest::Suspended(waits, None) = machine::rest(&said.session, TURNS) else { panic!("{:?}", said.rest()) };
    assert!(matches!(waits[..], [Wait { why: WaitFor::Paused { .. }, .. }, Wait { why: WaitFor::Model { .. }, .. }]));
    said.happen(Event::Suspended { waits, compute_ms: 0 });
    said.receive(&mail("r", MailBody::Resume { by: "ana".to_owned() }));
    assert_eq!(said.wants(), [2]);
}

#[test]
fn a_client_asks_again_itself() {
    let mut said = Said::hello();
    said.session = domain::session::Session::started(
        said.session.id,
        domain::mail::Start { attached: true, ..start() },
        Timestamp(0),
    );
    let call = domain::id::CallId { session: said.session.id, ordinal: 1 };
    let outcome = CallOutcome::Failed { error: "HTTP 503.".to_owned(), retryable: true, retry_after_ms: None };
    said.happen(Event::ModelAnswered { call, attempt: 1, outcome, settlement: Settlement::default() });
    assert_eq!((said.session.retry.clone(), said.failure()), (None, "HTTP 503.".to_owned()));
}
