//! A call that was delegated: it waits, costs nothing, and ends once, with what the session that it began came to.

use domain::budget::Amounts;
use domain::capability::Effect;
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::id::SessionId;
use domain::mail::{Mail, MailBody, Returned};
use domain::message::{Origin, Trust};
use execution::machine::{self, Rest};

use crate::said::{Said, call, kinds, mail, written};

fn child() -> SessionId {
    SessionId::delegated_by(call(2))
}

/// A session whose only call waits for another agent.
fn delegating() -> Said {
    let mut said = Said::hello();
    said.thinks(1);
    said.sends(2, 1, Effect::Read);
    let why = WaitFor::Delegated { agent: "clerk".parse().unwrap(), session: child() };
    said.happen(Event::CallWaits { call: call(2), model: false, wait: Wait { why, until: None } });
    said
}

fn returned(id: &str, from: SessionId, end: Returned) -> Mail {
    let spent = Amounts { usd_micros: 70, calls: 2, ..Amounts::default() };
    mail(id, MailBody::Returned { call: call(2), from, end, spent, labels: vec!["secret".to_owned()] })
}

fn answer() -> Returned {
    Returned::Answered { text: "It is done.".to_owned() }
}

#[test]
fn it_sleeps_until_the_other_comes_back_and_hears_it_once() {
    let mut said = delegating();
    assert!(said.wants().is_empty() && machine::recover(&said.session).is_empty(), "nothing of it is in doubt");
    assert!(matches!(said.rest(), Rest::Suspended(waits, None) if waits.len() == 1));
    assert_eq!(machine::waits_on(&said.session), format!("clerk in {}", child()));
    assert!(said.receive(&returned("r-0", SessionId::from_u128(9), answer())).is_empty(), "not whom it asked");
    said.receive(&written("m-2", "well?"));
    assert_eq!(kinds(&said.receive(&returned("r-1", child(), answer()))), ["call_answered"]);
    assert!(said.receive(&returned("r-2", child(), answer())).is_empty(), "it came back already");
    assert_eq!(said.session.spent.usd_micros, 70);
    let told = said.session.messages.iter().flat_map(|message| &message.parts).find(|p| p.origin == Origin::Agent);
    let told = told.unwrap();
    assert_eq!((told.trust, told.labels.as_slice()), (Trust::Untrusted, ["secret".to_owned()].as_slice()));
    assert_eq!(said.wants(), [3], "the model is asked next");
}

#[test]
fn one_that_was_ended_or_failed_comes_back_as_an_error_that_says_so() {
    let killed = Returned::Killed { by: "person/ana".to_owned(), reason: "enough".to_owned() };
    let failed = Returned::Failed { reason: "the budget is spent".to_owned() };
    for (end, says) in [(killed, "person/ana ended the session of the agent clerk: enough"), (failed, "the budget")] {
        let mut said = delegating();
        said.receive(&returned("r-1", child(), end));
        let words = said.session.messages.last().unwrap().words();
        assert!(words.contains(says), "{words}");
    }
}

#[test]
fn a_session_that_is_over_hears_nothing() {
    let mut said = delegating();
    said.receive(&mail("k-1", MailBody::Kill { by: "admin".to_owned(), reason: "enough".to_owned() }));
    assert!(said.receive(&returned("r-1", child(), answer())).is_empty());
}
