//! What must hold. Some of it always, some whenever the node rests, the rest at the end. All of it is read from the log
//! and compared with what the world outside knows.

use std::collections::{BTreeMap, BTreeSet};

use data::commit::Past;
use data::rows::InboxKey;
use data::store::HeadFilter;
use domain::budget::Meter;
use domain::call::CallOutcome;
use domain::event::{Event, Resolution};
use domain::id::{CallId, SessionId, Shard};
use domain::session::{CallState, Phase, Session};

use crate::books;
use crate::node::Node;
use crate::world::World;

mod end;

pub use end::at_the_end;

/// A session as its records tell it.
pub struct Tale {
    /// Which.
    pub id: SessionId,
    /// Its head and records.
    pub past: Past,
    /// What they fold into.
    pub session: Session,
}

impl Tale {
    /// Everything that happened in it, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.past.records.iter().flat_map(|record| record.events.iter().flatten())
    }
}

/// Every session, by id; what cannot be read is wrong.
pub async fn tales(node: &Node, wrong: &mut Vec<String>) -> Vec<Tale> {
    let heads = node.log.heads(HeadFilter::default()).await.unwrap_or_default();
    let mut ids: Vec<SessionId> = heads.into_iter().map(|(session, ..)| session).collect();
    ids.sort();
    let mut tales = Vec::new();
    for id in ids {
        match node.log.past(id).await {
            Ok(Some(past)) => match execution::fold(id, past.records.clone()) {
                Some(session) => tales.push(Tale { id, past, session }),
                None => wrong.push(format!("{id} does not fold")),
            },
            Ok(None) => wrong.push(format!("{id} has a head and no records")),
            Err(error) => wrong.push(format!("{id} cannot be read: {error}")),
        }
    }
    tales
}

/// Always: nothing that must never happen has happened, and no budget's window is overdrawn.
pub async fn always(world: &World, node: &Node) -> Vec<String> {
    let mut wrong = world.watch.wrong();
    let registry = node.gate.registry();
    for (budget, window, drawn, reserved, spent) in node.log.holdings(Shard(0)).await.unwrap_or_default() {
        let rules = registry.agent(&budget.agent).map(|agent| &agent.rules);
        let cap = rules.and_then(|rules| rules.caps.get(&(budget.meter, budget.window))).copied().unwrap_or(0);
        if budget.meter != Meter::ComputeMs && spent + reserved > cap.min(drawn) {
            wrong.push(format!("{budget} since {window}: {spent} spent and {reserved} reserved of {drawn} of {cap}"));
        }
        if reserved < 0 || spent < 0 {
            wrong.push(format!("{budget} since {window}: {spent} spent and {reserved} reserved"));
        }
    }
    wrong
}

/// Whenever the node rests.
pub async fn at_rest(world: &World, node: &Node) -> Vec<String> {
    let mut wrong = always(world, node).await;
    let tales = tales(node, &mut wrong).await;
    for tale in &tales {
        wrong.extend(head(tale).into_iter().map(|what| format!("{}: {what}", tale.id)));
        wrong.extend(mail(tale).into_iter().map(|what| format!("{}: {what}", tale.id)));
        wrong.extend(outcomes(world, tale));
    }
    wrong.extend(inbox(node, &tales).await);
    wrong.extend(books::compare(node, &tales).await);
    wrong
}

/// The head is what the records fold into, and rests.
fn head(tale: &Tale) -> Vec<String> {
    let Tale { past, session, .. } = tale;
    let head = &past.head;
    let mut wrong = Vec::new();
    let mut same = |what: &str, same: bool| wrong.extend((!same).then(|| format!("its head has another {what}")));
    same("phase", head.phase == session.phase);
    same("agent", head.agent == session.principal.link.agent);
    same("revision", head.revision == session.principal.link.revision);
    same("key", head.key == session.key);
    same("mode", head.mode == session.principal.mode());
    same("provider", head.scripted == session.scripted);
    same("wait", head.waits_on == execution::machine::waits_on(session));
    let open =
        session.open.values().filter(|open| matches!(open.state, CallState::Wanted | CallState::InFlight { .. }));
    wrong.extend(open.map(|open| format!("{} is open and nobody works on it: {:?}", open.id, open.state)));
    match session.phase {
        Phase::Ready | Phase::Running => wrong.push(format!("it is {} and nobody works on it", session.phase)),
        Phase::Suspended if session.open.is_empty() => wrong.push("it waits for nothing".to_owned()),
        // One that failed says it together with whatever it is told next.
        Phase::Finished if !session.pending.is_empty() => wrong.push("mail is unanswered".to_owned()),
        Phase::Finished if session.wants_model() => wrong.push("it finished without an answer".to_owned()),
        Phase::Suspended | Phase::Finished | Phase::Failed | Phase::Killed => {}
    }
    wrong
}

/// Mail is consumed once, and a consent is used once, unless a person said that the call did not happen, or
/// the call may be repeated.
fn mail(tale: &Tale) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut mails, mut used) = (BTreeSet::new(), BTreeMap::new());
    for event in tale.events() {
        match event {
            Event::MessageReceived { mail, .. } if !mails.insert(mail) => {
                wrong.push(format!("{mail} was received twice"));
            }
            Event::CallRequested { intent, approval: Some(approval), effect, .. }
                if used.insert(*approval, intent.attempt).is_some() && !effect.may_be_repeated() =>
            {
                wrong.push(format!("consent {approval} was used twice"));
            }
            Event::CallResolved { call, resolution: Resolution::DidNot, .. } => {
                used.retain(|approval, _| approval.call != *call);
            }
            _ => {}
        }
    }
    wrong
}

/// What the record says of each call is what the upstream knows.
fn outcomes(world: &World, tale: &Tale) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut outside: BTreeMap<CallId, bool> = BTreeMap::new();
    for event in tale.events() {
        match event {
            Event::CallRequested {
                intent, capability: domain::capability::CapabilityRef::External(_), effect, ..
            } => {
                outside.insert(intent.call, !effect.may_be_repeated());
            }
            Event::CallAnswered { call, outcome, .. } if outside.get(call) == Some(&true) => {
                let (done, fine) = (world.watch.done(*call), says_done(outcome));
                if fine.is_some_and(|fine| fine != (done == 1)) {
                    wrong.push(format!("{call} was done {done} times, and its record says {outcome:?}"));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// Whether an outcome says that something was done; `None`: that nobody knows.
fn says_done(outcome: &CallOutcome) -> Option<bool> {
    use domain::message::Content;
    match outcome {
        CallOutcome::Answered { message, .. } => {
            let failed = |part: &domain::message::Part| matches!(part.content, Content::Result { error: true, .. });
            Some(!message.parts.iter().any(failed))
        }
        CallOutcome::Failed { .. } | CallOutcome::Stopped { .. } => Some(false),
        CallOutcome::Unknown { .. } => None,
    }
}

/// The inbox holds exactly what waits for a person.
async fn inbox(node: &Node, tales: &[Tale]) -> Vec<String> {
    let shown: BTreeSet<InboxKey> = node.log.inbox().await.unwrap_or_default().iter().map(|item| item.key).collect();
    let open = tales.iter().flat_map(|tale| tale.session.open.values());
    let waits: BTreeSet<InboxKey> = open
        .filter_map(|open| match (&open.state, &open.approval, &open.verdict) {
            (CallState::InDoubt { .. }, ..) => Some(InboxKey::InDoubt { call: open.id }),
            (CallState::Waiting { wait }, Some(request), None) => {
                let for_consent = matches!(wait.why, domain::decision::WaitFor::Approval { .. });
                for_consent.then_some(InboxKey::Approval { approval: request.approval })
            }
            _ => None,
        })
        .collect();
    let missing = waits.difference(&shown).map(|key| format!("{key} waits and is not in the inbox"));
    let stale = shown.difference(&waits).map(|key| format!("{key} is in the inbox and does not wait"));
    missing.chain(stale).collect()
}
