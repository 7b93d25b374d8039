//! What records must mean together, checked on what stays readable of them: an outcome has an intent, a dispatch a
//! decision, a consent that was used somebody who gave it, to exactly what was sent.

use std::collections::{BTreeMap, BTreeSet};

use domain::capability::CapabilityRef;
use domain::event::{Event, Header};
use domain::id::{ApprovalId, CallId, Digest, Name, SessionId};
use domain::principal::Mode;

use crate::explain::within;
use crate::record::Envelope;

/// What is known of the sessions so far.
#[derive(Default)]
pub(super) struct Meaning {
    sessions: BTreeMap<SessionId, Known>,
    /// Consents whose edits could not be read, because the content was erased.
    pub(super) unread: u64,
}

#[derive(Default)]
struct Known {
    /// Attempts that were intended, and whether their outcome is final.
    attempts: BTreeMap<(u32, u16), bool>,
    wanted: BTreeMap<ApprovalId, Wanted>,
}

/// A consent that was asked for.
struct Wanted {
    arguments: Option<Digest>,
    schema: Option<Digest>,
    approved: Option<bool>,
    /// How many people must consent, and the yes of how many is to the same as the last, by name where it can be read.
    quorum: u16,
    yes: Vec<(Option<Name>, Option<Digest>)>,
    edited: Option<serde_json::Value>,
    used_by: BTreeSet<u32>,
}

impl Meaning {
    /// What is wrong with one record, given those before it. `events` are what it holds, where that can be read.
    pub(super) fn check(&mut self, envelope: &Envelope, events: Option<&[Event]>) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(events) = events {
            let kinds = events.iter().map(Event::kind);
            if !kinds.eq(envelope.headers.iter().map(|header| header.k.as_str())) {
                problems.push("its envelope tells of other events than its body holds".to_owned());
            }
        }
        let known = self.sessions.entry(envelope.session).or_default();
        for (i, header) in envelope.headers.iter().enumerate() {
            let event = events.and_then(|events| events.get(i));
            match header.k.as_str() {
                "model_requested" | "call_requested" => {
                    problems.extend(known.intended(envelope, header));
                    if let (Some(approval), "call_requested") = (header.approval, header.k.as_str()) {
                        let wrong = known.used(approval, header, event, events.is_none(), &mut self.unread);
                        problems.extend(wrong);
                    }
                    problems.extend(event.and_then(|event| sent_in_shadow(envelope, event)));
                    problems.extend(event.and_then(other_hash));
                }
                "call_recorded" => {
                    problems.extend(known.intended(envelope, header));
                    problems.extend(event.and_then(other_hash));
                    if envelope.mode != Mode::Shadow {
                        problems.push(format!("call {} was recorded and not sent, outside of shadow", name(header)));
                    }
                }
                "model_answered" | "call_answered" => problems.extend(known.ended(header)),
                "call_in_doubt" | "call_resolved" if !known.intends(header) => {
                    problems.push(format!("call {} is said to be in doubt and was never intended", name(header)));
                }
                "approval_requested" => known.asked(header),
                "approval_decided" => problems.extend(known.decided(header, event)),
                _ => {}
            }
        }
        problems
    }

    /// Forgets a session, when it was ended for good.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }
}

impl Known {
    fn intends(&self, header: &Header) -> bool {
        self.attempts.keys().any(|(ordinal, _)| Some(*ordinal) == header.call)
    }

    fn intended(&mut self, envelope: &Envelope, header: &Header) -> Vec<String> {
        let mut problems = Vec::new();
        match &header.decided {
            None => problems.push(format!("call {} was sent without a decision", name(header))),
            Some(decided) if decided.control_pos > envelope.control_pos => problems.push(format!(
                "call {} was decided at control position {}, after that of its record ({})",
                name(header),
                decided.control_pos,
                envelope.control_pos
            )),
            Some(_) => {}
        }
        let key = (header.call.unwrap_or(0), header.attempt.unwrap_or(1));
        if self.attempts.insert(key, header.k == "call_recorded").is_some() {
            problems.push(format!("attempt {} of call {} was intended twice", key.1, name(header)));
        }
        problems
    }

    fn ended(&mut self, header: &Header) -> Option<String> {
        let attempt = header.attempt.unwrap_or(1);
        let Some(done) = self.attempts.get_mut(&(header.call.unwrap_or(0), attempt)) else {
            return Some(format!("attempt {attempt} of call {} has an outcome and no intent", name(header)));
        };
        let known = header.end.as_deref() != Some("unknown");
        let twice = std::mem::replace(done, *done || known) && known;
        twice.then(|| format!("attempt {attempt} of call {} has two outcomes", name(header)))
    }

    fn asked(&mut self, header: &Header) {
        if let Some(approval) = header.approval {
            let (arguments, schema) = (header.args, header.schema);
            let quorum = header.quorum.unwrap_or(1);
            let (yes, edited, used_by) = (Vec::new(), None, BTreeSet::new());
            let wanted = Wanted { arguments, schema, approved: None, quorum, yes, edited, used_by };
            self.wanted.insert(approval, wanted);
        }
    }

    fn decided(&mut self, header: &Header, event: Option<&Event>) -> Option<String> {
        let approval = header.approval?;
        let Some(wanted) = self.wanted.get_mut(&approval) else {
            return Some(format!("consent {approval} was answered and never asked for"));
        };
        wanted.approved = Some(header.end.as_deref() == Some("approved"));
        let person = match event {
            Some(Event::ApprovalDecided { verdict }) => Some(verdict.person.clone()),
            Some(_) | None => None,
        };
        let meant = header.args.or(wanted.arguments);
        wanted.yes.retain(|(who, what)| *what == meant && (who.is_none() || *who != person));
        wanted.yes.push((person, meant));
        if let Some(Event::ApprovalDecided { verdict }) = event {
            wanted.edited.clone_from(&verdict.edited);
            if verdict.signature.is_empty() {
                return Some(format!("the answer to consent {approval} is not signed"));
            }
        }
        None
    }

    fn used(
        &mut self,
        approval: ApprovalId,
        header: &Header,
        event: Option<&Event>,
        erased: bool,
        unread: &mut u64,
    ) -> Vec<String> {
        let call = name(header);
        let Some(wanted) = self.wanted.get_mut(&approval) else {
            return vec![format!("call {call} was sent under consent {approval}, which was never asked for")];
        };
        let mut problems = Vec::new();
        match wanted.approved {
            Some(true) if wanted.yes.len() < usize::from(wanted.quorum) => problems.push(format!(
                "call {call} was sent under consent {approval}, to which {} of {} people said yes",
                wanted.yes.len(),
                wanted.quorum
            )),
            Some(true) => {}
            Some(false) => problems.push(format!("call {call} was sent under consent {approval}, which was denied")),
            None => problems.push(format!("call {call} was sent under consent {approval}, which nobody gave")),
        }
        wanted.used_by.insert(header.call.unwrap_or(0));
        if wanted.used_by.len() > 1 || Some(approval.call.ordinal) != header.call {
            problems.push(format!("consent {approval} was used for call {call}, and was given to another"));
        }
        if wanted.schema != header.schema {
            problems.push(format!("call {call} was sent under another schema than consent {approval} is for"));
        }
        if wanted.arguments != header.args {
            match (&wanted.edited, event) {
                (Some(edited), Some(Event::CallRequested { arguments, .. })) if within(edited, arguments) => {}
                (None, None) if erased => *unread += 1,
                _ => problems.push(format!("call {call} was sent with other arguments than consent {approval} is for")),
            }
        }
        problems
    }
}

/// A write that left the house while nothing was to be sent.
fn sent_in_shadow(envelope: &Envelope, event: &Event) -> Option<String> {
    match event {
        Event::CallRequested { intent, capability: CapabilityRef::External(capability), effect, .. }
            if envelope.mode == Mode::Shadow && effect.changes_something() =>
        {
            let CallId { ordinal, .. } = intent.call;
            Some(format!("call {ordinal} ({capability}) was sent in shadow, though it may change something"))
        }
        _ => None,
    }
}

/// An intent that vouches for other arguments than it holds.
fn other_hash(event: &Event) -> Option<String> {
    match event {
        Event::CallRequested { intent, arguments, .. } | Event::CallRecorded { intent, arguments, .. } => {
            let same = Digest::of_json(arguments) == intent.arguments_hash;
            (!same).then(|| format!("call {} has a hash of other arguments than it holds", intent.call.ordinal))
        }
        _ => None,
    }
}

fn name(header: &Header) -> String {
    header.call.map_or("without a number".to_owned(), |ordinal| ordinal.to_string())
}
