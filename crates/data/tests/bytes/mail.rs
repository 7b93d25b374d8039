//! One example of each kind of mail at least: it waits in the store while versions come and go.

use domain::event::Resolution;
use domain::id::{SessionId, TraceId};
use domain::mail::{MailBody, Returned, Start};
use domain::message::{Message, Origin, Role};

use crate::part::{call, name, plain_principal, plain_verdict, principal, settlement, verdict};

/// How many kinds there are.
pub(crate) const KINDS: usize = 9;

/// A number per kind, dense.
pub(crate) fn number(mail: &MailBody) -> usize {
    match mail {
        MailBody::Message { .. } => 0,
        MailBody::Verdict { .. } => 1,
        MailBody::Resolved { .. } => 2,
        MailBody::Wake => 3,
        MailBody::Kill { .. } => 4,
        MailBody::Suspend { .. } => 5,
        MailBody::Resume { .. } => 6,
        MailBody::Tick { .. } => 7,
        MailBody::Returned { .. } => 8,
    }
}

pub(crate) fn examples() -> Vec<MailBody> {
    let message = || Message::text(Role::Person, Origin::Person, "Reconcile invoice 7");
    let (key, case) = (|| "invoice-7".to_owned(), Some("INV-7".to_owned()));
    let full = Start { principal: principal(), key: key(), trace: TraceId(7), case, partition: None, attached: false };
    let plain = Start {
        principal: plain_principal(),
        key: key(),
        trace: TraceId(7),
        case: None,
        partition: None,
        attached: false,
    };
    let returned = |end, labels| MailBody::Returned {
        call: call(),
        from: SessionId::delegated_by(call()),
        end,
        spent: settlement().amounts,
        labels,
    };
    let resolved = |resolution| MailBody::Resolved { call: call(), attempt: 1, person: name("ana"), resolution };
    vec![
        MailBody::Message { start: Box::new(full), from: Some(name("ana")), message: message() },
        MailBody::Message { start: Box::new(plain), from: None, message: message() },
        MailBody::Verdict { verdict: verdict() },
        MailBody::Verdict { verdict: plain_verdict() },
        resolved(Resolution::Happened { result: "drafted".to_owned() }),
        resolved(Resolution::DidNot),
        resolved(Resolution::Abandon),
        MailBody::Wake,
        MailBody::Tick { agent: name("reconciliation-finance"), trigger: name("nightly") },
        MailBody::Kill { by: "admin".to_owned(), reason: "stuck".to_owned() },
        MailBody::Suspend { by: "person/ana".to_owned(), reason: "odd drafts".to_owned() },
        MailBody::Resume { by: "person/ana".to_owned() },
        returned(Returned::Answered { text: "It is 1,418.20 USD.".to_owned() }, vec!["confidential".to_owned()]),
        returned(Returned::Failed { reason: "the budget is spent".to_owned() }, Vec::new()),
        returned(Returned::Killed { by: "admin".to_owned(), reason: "stuck".to_owned() }, Vec::new()),
    ]
}
