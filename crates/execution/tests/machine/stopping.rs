//! A session that is suspended or frozen: it holds still, keeps what arrives, and goes on where it was.

use domain::call::CallOutcome;
use domain::capability::Effect;
use domain::event::Event;
use domain::mail::{Mail, MailBody};
use domain::message::Role;
use domain::session::Phase;
use execution::machine::{self, LOST_ANSWERS, Rest};

use crate::said::{Said, call, kinds, mail, verdict, written};

fn suspend(id: &str) -> Mail {
    mail(id, MailBody::Suspend { by: "person/ana".to_owned(), reason: "odd drafts".to_owned() })
}

fn resume(id: &str) -> Mail {
    mail(id, MailBody::Resume { by: "person/ana".to_owned() })
}

#[test]
fn a_suspended_session_wants_nothing_until_it_is_resumed() {
    let mut said = Said::hello();
    said.thinks(2);
    assert_eq!(kinds(&said.receive(&suspend("s-1"))), ["paused"]);
    assert!(said.wants().is_empty());
    assert_eq!(machine::waits_on(&said.session), "suspended by person/ana");
    let Rest::Suspended(waits, None) = said.rest() else { panic!("{:?}", said.rest()) };
    assert_eq!(waits.len(), 1);
    assert!(said.receive(&suspend("s-2")).is_empty(), "it is suspended already");
    assert_eq!(kinds(&said.receive(&resume("r-1"))), ["resumed"]);
    assert_eq!(said.wants(), [2, 3]);
    assert!(said.receive(&resume("r-2")).is_empty(), "it goes on already");
}

#[test]
fn what_arrives_while_it_is_suspended_is_kept_for_later() {
    let mut said = Said::hello();
    said.thinks(1);
    said.asks(2, 1);
    said.receive(&suspend("s-1"));
    assert_eq!(kinds(&said.receive(&verdict(2, 1))), ["approval_decided"]);
    assert_eq!(kinds(&said.receive(&written("m-2", "well?"))), ["message_received"]);
    assert!(said.wants().is_empty());
    let Rest::Suspended(_, until) = said.rest() else { panic!("{:?}", said.rest()) };
    assert_eq!(until, None, "nothing that falls due wakes it");
    said.receive(&resume("r-1"));
    assert_eq!(said.wants(), [2], "the consent was kept");
    said.sends(2, 1, Effect::Write);
    said.answers(2, "use-1");
    assert_eq!(said.roles().last(), Some(&Role::Person), "and so was the message");
}

#[test]
fn a_session_that_had_ended_has_ended_again_once_it_is_resumed_unless_it_was_told_something() {
    let mut said = Said::hello();
    said.thinks(0);
    said.happen(Event::Finished { compute_ms: 0 });
    said.receive(&suspend("s-1"));
    assert_eq!((said.rest(), said.session.phase), (Rest::Nothing, Phase::Finished), "it is in nobody's way");
    assert_eq!(machine::waits_on(&said.session), "suspended by person/ana");
    said.receive(&resume("r-1"));
    assert_eq!((said.session.phase, said.wants()), (Phase::Finished, vec![]));
    said.receive(&suspend("s-2"));
    said.receive(&written("m-2", "and now?"));
    assert!(matches!(said.rest(), Rest::Suspended(..)), "now it waits");
    said.receive(&resume("r-2"));
    assert_eq!((said.session.phase, said.wants()), (Phase::Running, vec![2]));
}

#[test]
fn a_suspended_session_can_be_killed() {
    let mut said = Said::hello();
    said.receive(&suspend("s-1"));
    let kill = mail("kill", MailBody::Kill { by: "admin".to_owned(), reason: "enough".to_owned() });
    assert_eq!(kinds(&said.receive(&kill)), ["killed"]);
    assert!(said.receive(&resume("r-1")).is_empty());
    assert_eq!(said.rest(), Rest::Nothing);
}

#[test]
fn a_frozen_call_waits_until_what_froze_it_is_let_go_on() {
    let mut said = Said::hello();
    said.is_frozen(1, true);
    let Rest::Suspended(waits, None) = said.rest() else { panic!("{:?}", said.rest()) };
    assert_eq!((waits.len(), machine::waits_on(&said.session)), (1, "frozen: all".to_owned()));
    assert!(said.wants().is_empty());
    assert_eq!(said.sees(true).len(), 1);
    said.receive(&written("m-2", "hurry"));
    assert!(said.wants().is_empty(), "a message changes nothing about that");
    said.receive(&suspend("s-1"));
    assert!(said.sees(true).is_empty(), "it is suspended, too");
}

#[test]
fn what_was_cut_off_is_asked_again_and_counts_as_no_lost_answer() {
    let mut said = Said::hello();
    for _ in 0..=LOST_ANSWERS {
        said.is_cut_off();
        assert_eq!(said.wants(), [1], "the same call");
    }
    said.loses_answer();
    assert_eq!(said.wants(), [1]);
    said.thinks(1);
    said.sends(2, 1, Effect::Read);
    let outcome = CallOutcome::Stopped { why: "all is frozen".to_owned() };
    said.happen(Event::CallAnswered { call: call(2), attempt: 1, outcome, settlement: Default::default() });
    assert_eq!(said.wants(), [2]);
}
