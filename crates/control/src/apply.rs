//! Apply: descriptors become records of the control shard, all of them or none, in one commit. What did not change is
//! not recorded again; what widens the authority of a protected agent waits for a second person. What must never be
//! known here: files and YAML; descriptors arrive valid.

use std::collections::BTreeSet;

use domain::change::{Base, Change as Authority, Proposal, Rehearsal, Target};
use domain::clock::Timestamp;
use domain::control::{Applied, ControlEvent, ControlRecord, Kind};
use domain::descriptor::{Descriptor, Policy};
use domain::id::{Digest, Name, Pos};
use domain::principal::Caller;
use serde::{Deserialize, Serialize};

use crate::authority;
use crate::change::{self, Needs, WAITS_MS, after, must_wait, needs, proposed};
use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{must_be_admin, named};
use crate::policy::check::{self, Definitions, Wrong};
use crate::readiness::{self, Condition};
use crate::registry::Registry;

/// What applying one descriptor came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// The hash of its content.
    pub revision: Digest,
    /// What changed.
    pub change: Change,
    /// The conditions of an agent or a policy, as they are with everything of this apply in place; empty for other kinds.
    pub ready: Vec<Condition>,
}

/// What applying changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// There was none of this name.
    Created,
    /// There was another revision.
    Changed,
    /// This very revision is in force.
    Unchanged,
    /// It waits for a second person; what was in force is.
    Proposed,
}

/// What somebody wants to change.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Descriptors to apply.
    pub applies: Vec<Descriptor>,
    /// Descriptors to delete.
    pub deletes: Vec<Target>,
    /// Why.
    pub reason: String,
    /// Whether nothing is to be recorded.
    pub dry_run: bool,
    /// What it would have made of what happened lately, where somebody looked.
    pub rehearsal: Option<Rehearsal>,
}

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Came {
    /// Of each descriptor that was to be applied.
    pub applied: Vec<Outcome>,
    /// How authority changes.
    pub changes: Vec<Authority>,
    /// Where it waits, or, of a dry run, would wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
}

/// A change that waits for a second person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waits {
    /// What it is called; of a dry run, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Name>,
    /// Whose yes it takes.
    pub needs: Vec<Needs>,
    /// When it is rejected by itself.
    pub expires_at: Timestamp,
}

/// Applies descriptors, all or none. A dry run records nothing and answers the same.
///
/// # Errors
/// If the caller may not, or something does not fit.
pub async fn apply(
    gate: &Gate,
    caller: &Caller,
    applies: Vec<Descriptor>,
    dry_run: bool,
) -> Result<Vec<Outcome>, ControlError> {
    Ok(change(gate, caller, Wish { applies, dry_run, ..Wish::default() }).await?.applied)
}

/// Changes what there is: all of it or nothing, at once, or once a second person said yes.
///
/// # Errors
/// If the caller may not, or something does not fit.
pub async fn change(gate: &Gate, caller: &Caller, wish: Wish) -> Result<Came, ControlError> {
    if matches!(caller, Caller::Agent { .. }) {
        must_be_admin(caller, "apply descriptors")?;
    }
    let resources: Vec<Applied> = wish.applies.iter().map(applied).collect();
    each_once(&resources)?;
    let definitions = gate.definitions();
    let decide = |registry: &Registry| {
        let planned = plan(registry, caller, &resources, (&wish, gate.now()))?;
        let next = after(registry, &planned.events)?;
        fits(&next, &definitions, &wish.applies)?;
        if let Some(gone) = wish.deletes.iter().find(|target| target.of == Kind::Capability) {
            keeps_policies(registry, &next, [&definitions, &definitions], &format!("Deleting {}", gone.name))?;
        }
        let (events, waits) = if planned.waits { waiting(registry, &planned) } else { (planned.events.clone(), None) };
        let events = if wish.dry_run { Vec::new() } else { events };
        Ok((events, (next, planned, waits)))
    };
    let (next, planned, mut waits) = gate.commit(&named(caller), decide).await?;
    if wish.dry_run {
        waits.iter_mut().for_each(|waits| waits.change = None);
    }
    let proposed = waits.is_some() && !wish.dry_run;
    let applied = outcomes(gate, &next, &resources, (&planned.changes, proposed));
    Ok(Came { applied, changes: planned.proposal.changes, waits })
}

/// What a wish comes to against one registry.
struct Planned {
    /// What there would be to record, if it need not wait.
    events: Vec<ControlEvent>,
    /// What becomes of each resource.
    changes: Vec<Change>,
    /// The same, as it would wait.
    proposal: Proposal,
    waits: bool,
    now: Timestamp,
}

fn plan(
    registry: &Registry,
    caller: &Caller,
    resources: &[Applied],
    (wish, now): (&Wish, Timestamp),
) -> Result<Planned, ControlError> {
    let changes: Vec<Change> = resources.iter().map(|applied| becomes(registry, applied)).collect();
    let new = resources.iter().zip(&changes).filter(|(_, change)| **change != Change::Unchanged);
    let applies: Vec<Applied> = new.map(|(applied, _)| applied.clone()).collect();
    for Target { of, name } in &wish.deletes {
        if registry.current(*of, name).is_none() {
            let reason = format!("There is no {of} named {name}.");
            return Err(ControlError::NotFound { reason, next: format!("List what there is: `ostler get {of}`.") });
        }
    }
    let of_applied = applies.iter().map(|one| Target { of: one.kind, name: one.name.clone() });
    let base = of_applied.chain(wish.deletes.iter().cloned()).map(|target| {
        let revision = registry.current(target.of, &target.name);
        Base { target, revision }
    });
    let mut proposal = Proposal {
        base: base.collect(),
        applies,
        deletes: wish.deletes.clone(),
        changes: Vec::new(),
        by: named(caller),
        reason: wish.reason.clone(),
        expires_at: now.plus_ms(WAITS_MS),
        rehearsal: wish.rehearsal.clone(),
    };
    let events = change::events(&proposal);
    proposal.changes = authority::compare(registry, &after(registry, &events)?);
    let waits = must_wait(registry, caller, (&proposal, resources))? && !events.is_empty();
    Ok(Planned { events, changes, proposal, waits, now })
}

fn becomes(registry: &Registry, applied: &Applied) -> Change {
    match registry.current(applied.kind, &applied.name) {
        None => Change::Created,
        Some(revision) if revision == applied.revision => Change::Unchanged,
        Some(_) => Change::Changed,
    }
}

/// The record of what waits, and what whoever asked is told of it.
fn waiting(registry: &Registry, planned: &Planned) -> (Vec<ControlEvent>, Option<Waits>) {
    let (event, name) = proposed(registry, planned.proposal.clone(), planned.now);
    let waits = Waits {
        change: Some(name),
        needs: needs(registry, &planned.proposal),
        expires_at: planned.proposal.expires_at,
    };
    (event.into_iter().collect(), Some(waits))
}

/// Whether every policy among descriptors fits.
fn fits(next: &Registry, definitions: &Definitions, descriptors: &[Descriptor]) -> Result<(), ControlError> {
    let wrong: Vec<_> = policies(descriptors).flat_map(|one| check::policy(next, definitions, one)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(ControlError::Policies(wrong)) }
}

/// Fails where a policy in force would not fit the tools any more: the gate would refuse whatever it bears on. `said` is
/// what servers say of the tools now, and what they would say then.
///
/// # Errors
/// Names the policy, and what would be wrong with it.
pub fn keeps_policies(
    now: &Registry,
    next: &Registry,
    said: [&Definitions; 2],
    change: &str,
) -> Result<(), ControlError> {
    let broken = check::broken(now, next, said);
    let Some(Wrong { policy, finding }) = broken.first() else { return Ok(()) };
    Err(ControlError::Conflict {
        reason: format!(
            "{change} would break the policy {policy}, and calls that it bears on would be refused: {}.",
            finding.message
        ),
        next: format!(
            "Apply it together with a policy {policy} that fits, in one `ostler apply`, or delete that policy first: `ostler \
             delete policy {policy}`. Nothing was changed."
        ),
    })
}

/// The policies among descriptors.
pub fn policies(descriptors: &[Descriptor]) -> impl Iterator<Item = &Policy> {
    descriptors.iter().filter_map(|descriptor| match descriptor {
        Descriptor::Policy(policy) => Some(policy),
        Descriptor::Agent(_) | Descriptor::Capability(_) | Descriptor::McpServer(_) | Descriptor::ModelProvider(_) => {
            None
        }
    })
}

/// What there would be with these descriptors in place; nothing is recorded.
///
/// # Errors
/// If one of them cannot be read by this build.
pub fn preview(gate: &Gate, descriptors: &[Descriptor]) -> Result<Registry, ControlError> {
    previewed(&gate.registry(), descriptors, &[])
}

/// What there would be if these descriptors were all; nothing is recorded.
///
/// # Errors
/// If they cannot be read again as they would be recorded.
pub fn alone(descriptors: &[Descriptor]) -> Result<Registry, ControlError> {
    let resources: Vec<Applied> = descriptors.iter().map(applied).collect();
    each_once(&resources)?;
    let event = ControlEvent::Applied { resources, by: String::new(), reason: String::new() };
    Registry::default().after(&[ControlRecord { pos: Pos(1), at: Timestamp::default(), event }])
}

/// The same, with others deleted.
///
/// # Errors
/// If one of them cannot be read by this build.
pub fn previewed(registry: &Registry, applies: &[Descriptor], deletes: &[Target]) -> Result<Registry, ControlError> {
    let resources = applies.iter().map(applied).collect();
    let applied = ControlEvent::Applied { resources, by: String::new(), reason: String::new() };
    let deleted = deletes.iter().map(|target| ControlEvent::Deleted {
        of: target.of,
        name: target.name.clone(),
        by: String::new(),
    });
    after(registry, &std::iter::once(applied).chain(deleted).collect::<Vec<_>>())
}

/// Deletes a descriptor. Sessions of a deleted agent are refused their next call. A policy that a protected agent is
/// bound by is deleted once a second person said yes.
///
/// # Errors
/// If the caller may not, or there is none.
pub async fn delete(gate: &Gate, caller: &Caller, kind: Kind, name: &Name) -> Result<Came, ControlError> {
    must_be_admin(caller, "delete descriptors")?;
    let deletes = vec![Target { of: kind, name: name.clone() }];
    change(gate, caller, Wish { deletes, ..Wish::default() }).await
}

fn outcomes(
    gate: &Gate,
    registry: &Registry,
    resources: &[Applied],
    (changes, proposed): (&[Change], bool),
) -> Vec<Outcome> {
    let definitions = gate.definitions();
    let each = resources.iter().zip(changes).map(|(applied, &change)| {
        let (kind, name, revision) = (applied.kind, applied.name.clone(), applied.revision);
        let ready = match kind {
            Kind::Agent => {
                let mut all = readiness::of(registry, gate.checks(), &name);
                all.extend(check::when(registry, &definitions, &name));
                all
            }
            Kind::Policy => {
                registry.policy(&name).map_or_else(Vec::new, |policy| check::conditions(registry, &definitions, policy))
            }
            Kind::Capability | Kind::McpServer | Kind::ModelProvider => Vec::new(),
        };
        let change = if proposed && change != Change::Unchanged { Change::Proposed } else { change };
        Outcome { kind, name, revision, change, ready }
    });
    each.collect()
}

/// A descriptor as it is recorded.
pub(crate) fn applied(descriptor: &Descriptor) -> Applied {
    let canonical = descriptor.canonical();
    let (kind, name) = (descriptor.kind(), descriptor.name().clone());
    Applied { kind, name, revision: Digest::of_json(&canonical), descriptor: canonical }
}

fn each_once(resources: &[Applied]) -> Result<(), ControlError> {
    let mut seen = BTreeSet::new();
    match resources.iter().find(|applied| !seen.insert((applied.kind, applied.name.clone()))) {
        None => Ok(()),
        Some(twice) => Err(ControlError::Invalid {
            reason: format!("{} {} is described more than once.", twice.kind, twice.name),
            next: "Keep one of them; nothing was applied.".to_owned(),
        }),
    }
}
