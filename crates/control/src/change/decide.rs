//! What people say to a change that waits. It is decided against the registry of the very record that it goes into, so
//! it comes into force once, and as it was shown, or not at all.

use domain::change::{Change, Closed, Proposal};
use domain::clock::Timestamp;
use domain::control::{ControlEvent, ControlRecord};
use domain::id::Name;
use domain::principal::Caller;

use super::state::{Proposed, Vote};
use super::{author, needs, widening};
use crate::authority;
use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{must_be_person_of, named};
use crate::policy::check::{self, Definitions};
use crate::registry::Registry;

/// What a person says to a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub approved: bool,
    /// Why; a no has a reason.
    pub reason: String,
}

/// What an answer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is in force.
    InForce,
    /// So many more people must say yes.
    More {
        /// How many.
        people: usize,
    },
    /// It is rejected.
    Rejected,
}

/// What a decision is made of: the records, and what whoever decided is told.
type Decided = (Vec<ControlEvent>, Result<Said, ControlError>);

/// Says yes or no to a change that waits. With the last yes that it takes, it is in force when this returns.
///
/// # Errors
/// If the caller may not decide it, it is over, or it is not what was shown any more: then it is superseded.
pub async fn answer(gate: &Gate, caller: &Caller, name: &Name, answer: Answer) -> Result<Said, ControlError> {
    let definitions = gate.definitions();
    let by = named(caller);
    gate.commit(&by, |registry| decide(registry, &definitions, (caller, name), (&answer, gate.now()))).await?
}

fn decide(
    registry: &Registry,
    definitions: &Definitions,
    (caller, name): (&Caller, &Name),
    (answer, now): (&Answer, Timestamp),
) -> Result<Decided, ControlError> {
    let proposed = open(registry, name, now)?;
    let person = may_decide(registry, caller, (name, proposed))?.clone();
    let decided = |approved, in_force| {
        let (name, person, reason) = (name.clone(), person.clone(), answer.reason.clone());
        ControlEvent::ChangeDecided { name, person, approved, reason, in_force }
    };
    if !answer.approved {
        if answer.reason.trim().is_empty() {
            let next = "Say why: --reason TEXT.".to_owned();
            return Err(ControlError::Invalid { reason: "A no to a change has a reason.".to_owned(), next });
        }
        return Ok((vec![decided(false, false)], Ok(Said::Rejected)));
    }
    let events = events(&proposed.proposal);
    if let Some(why) = moved(registry, definitions, (&proposed.proposal, &events))? {
        let reason = format!("{name} is not what was shown any more: {why}.");
        let next = "Apply it again: what it changes now is shown then.".to_owned();
        let (name, by, how) = (name.clone(), named(caller), Closed::Superseded);
        let closed = ControlEvent::ChangeClosed { name, how, by, reason: why };
        return Ok((vec![closed], Err(ControlError::Conflict { reason, next })));
    }
    let vote = Vote { person: person.clone(), reason: answer.reason.clone(), at: now };
    let missing = missing(registry, proposed, &vote);
    if missing > 0 {
        return Ok((vec![decided(true, false)], Ok(Said::More { people: missing })));
    }
    let all = std::iter::once(decided(true, true)).chain(events).collect();
    Ok((all, Ok(Said::InForce)))
}

/// What comes into force with it.
pub(crate) fn events(proposal: &Proposal) -> Vec<ControlEvent> {
    let (by, reason) = (proposal.by.clone(), proposal.reason.clone());
    let applied = ControlEvent::Applied { resources: proposal.applies.clone(), by: by.clone(), reason };
    let applied = (!proposal.applies.is_empty()).then_some(applied);
    let deleted = proposal.deletes.iter().map(|target| ControlEvent::Deleted {
        of: target.of,
        name: target.name.clone(),
        by: by.clone(),
    });
    applied.into_iter().chain(deleted).collect()
}

/// Why it is not what was shown any more, if it is not.
fn moved(
    registry: &Registry,
    definitions: &Definitions,
    (proposal, events): (&Proposal, &[ControlEvent]),
) -> Result<Option<String>, ControlError> {
    let other = proposal.base.iter().find(|base| registry.current(base.target.of, &base.target.name) != base.revision);
    if let Some(base) = other {
        return Ok(Some(format!("{} {} changed meanwhile", base.target.of, base.target.name)));
    }
    let next = after(registry, events)?;
    let changes = authority::compare(registry, &next);
    let shown = |change: &Change| proposal.changes.contains(change);
    if let Some(new) = widening(&changes).find(|change| !shown(change)) {
        return Ok(Some(format!("by now it would also change this: {new}")));
    }
    let policies = proposal.applies.iter().filter_map(|one| next.policy(&one.name));
    let mut wrong = policies.flat_map(|policy| check::policy(&next, definitions, &policy.entry.descriptor));
    let fits = wrong.next();
    Ok(fits.map(|wrong| format!("the policy {} does not fit any more: {}", wrong.policy, wrong.finding.message)))
}

/// The registry with events in it; nothing is recorded.
pub(crate) fn after(registry: &Registry, events: &[ControlEvent]) -> Result<Registry, ControlError> {
    let record =
        |event: &ControlEvent| ControlRecord { pos: registry.pos(), at: Timestamp::default(), event: event.clone() };
    registry.after(&events.iter().map(record).collect::<Vec<_>>())
}

/// How many more people must say yes once this vote counts, too.
fn missing(registry: &Registry, proposed: &Proposed, vote: &Vote) -> usize {
    let each = needs(registry, &proposed.proposal).into_iter().map(|need| {
        let of_it = |vote: &&Vote| {
            let person = registry.person(&vote.person);
            person.is_some_and(|person| person.groups.contains(&need.group))
        };
        let yes = proposed.yes.iter().chain([vote]).filter(of_it).count();
        usize::from(need.quorum).saturating_sub(yes)
    });
    each.max().unwrap_or(0)
}

/// The person that a caller is, if they may decide it: of a group that it takes, not whoever proposed it, and not twice.
fn may_decide<'a>(
    registry: &Registry,
    caller: &'a Caller,
    (name, proposed): (&Name, &Proposed),
) -> Result<&'a Name, ControlError> {
    let what = format!("decide {name}");
    let needs = needs(registry, &proposed.proposal);
    let of_some = needs.iter().find_map(|need| must_be_person_of(caller, &need.group, &what).ok());
    let Some(first) = needs.first() else {
        // Nothing in it is protected any more: it would be applied at once.
        let reason = format!("{name} needs nobody's word any more.");
        return Err(ControlError::Conflict { reason, next: "Apply it again.".to_owned() });
    };
    let person = of_some.map_or_else(|| must_be_person_of(caller, &first.group, &what), Ok)?;
    if author(&proposed.proposal.by) == Some(person.as_str()) {
        let reason = format!("{person} proposed {name}, and may not be the one who decides it.");
        let next = format!("Another person of {} decides it: `ostler inbox`.", first.group);
        return Err(ControlError::Forbidden { reason, next });
    }
    if let Some(vote) = proposed.yes.iter().find(|vote| vote.person == *person) {
        let reason = format!("{person} said yes to {name} already, at {}.", vote.at);
        return Err(ControlError::Conflict { reason, next: "Others decide now: `ostler inbox`.".to_owned() });
    }
    Ok(person)
}

/// A proposal that waits.
fn open<'a>(registry: &'a Registry, name: &Name, now: Timestamp) -> Result<&'a Proposed, ControlError> {
    let Some(proposed) = registry.changes().get(name) else {
        let reason = format!("There is no change {name}.");
        return Err(ControlError::NotFound { reason, next: "List those that wait: `ostler inbox`.".to_owned() });
    };
    match proposed.over_by(now) {
        None => Ok(proposed),
        Some(over) => Err(ControlError::Conflict {
            reason: format!("{name} is over: {over}."),
            next: "If it is still wanted, apply it again: `ostler apply -f FILE`.".to_owned(),
        }),
    }
}

/// Takes a proposal back. Only whoever made it may.
///
/// # Errors
/// If it is somebody else's, or over.
pub async fn withdraw(gate: &Gate, caller: &Caller, name: &Name, reason: &str) -> Result<(), ControlError> {
    let who = named(caller);
    gate.commit(&who, |registry| {
        let proposed = open(registry, name, gate.now())?;
        if proposed.proposal.by != who {
            let reason = format!("{} proposed {name}; {who} may not take it back.", proposed.proposal.by);
            let next = format!("Say no to it: `ostler deny {name} --as PERSON --reason WHY`.");
            return Err(ControlError::Forbidden { reason, next });
        }
        let (name, by, reason) = (name.clone(), who.clone(), reason.to_owned());
        Ok((vec![ControlEvent::ChangeClosed { name, how: Closed::Withdrawn, by, reason }], ()))
    })
    .await
}
