//! Apply: descriptors become records of the control shard, all of them or none, in one commit. What did not change is
//! not recorded again. What must never be known here: files and YAML; descriptors arrive valid.

use std::collections::BTreeSet;

use domain::clock::Timestamp;
use domain::control::{Applied, ControlEvent, ControlRecord, Kind};
use domain::descriptor::{Descriptor, Policy};
use domain::id::{Digest, Name, Pos};
use domain::principal::Caller;
use serde::{Deserialize, Serialize};

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
}

/// Applies descriptors, all or none. A dry run records nothing and answers the same.
pub async fn apply(
    gate: &Gate,
    caller: &Caller,
    descriptors: Vec<Descriptor>,
    dry_run: bool,
) -> Result<Vec<Outcome>, ControlError> {
    must_be_admin(caller, "apply descriptors")?;
    let resources: Vec<Applied> = descriptors.iter().map(applied).collect();
    each_once(&resources)?;
    let by = named(caller);
    let definitions = gate.definitions();
    let (next, changes) = gate
        .commit(&by, |registry| {
            let (event, changes) = planned(registry, &resources, &by);
            let events = if dry_run { Vec::new() } else { event.clone().into_iter().collect() };
            let record = event.map(|event| ControlRecord { pos: registry.pos(), at: Timestamp::default(), event });
            let next = registry.after(record.as_slice())?;
            let wrong: Vec<_> =
                policies(&descriptors).flat_map(|one| check::policy(&next, &definitions, one)).collect();
            if !wrong.is_empty() {
                return Err(ControlError::Policies(wrong));
            }
            Ok((events, (next, changes)))
        })
        .await?;
    Ok(outcomes(gate, &next, &resources, &changes))
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
pub fn preview(gate: &Gate, descriptors: &[Descriptor]) -> Result<Registry, ControlError> {
    let (registry, resources) = (gate.registry(), descriptors.iter().map(applied).collect());
    let event = ControlEvent::Applied { resources, by: String::new() };
    registry.after(&[ControlRecord { pos: registry.pos(), at: Timestamp::default(), event }])
}

/// What there would be if these descriptors were all; nothing is recorded.
///
/// # Errors
/// If they cannot be read again as they would be recorded.
pub fn alone(descriptors: &[Descriptor]) -> Result<Registry, ControlError> {
    let resources: Vec<Applied> = descriptors.iter().map(applied).collect();
    each_once(&resources)?;
    let event = ControlEvent::Applied { resources, by: String::new() };
    Registry::default().after(&[ControlRecord { pos: Pos(1), at: Timestamp::default(), event }])
}

/// Deletes a descriptor. Sessions of a deleted agent are refused their next call.
pub async fn delete(gate: &Gate, caller: &Caller, kind: Kind, name: &Name) -> Result<(), ControlError> {
    must_be_admin(caller, "delete descriptors")?;
    let by = named(caller);
    gate.commit(&by, |registry| {
        if registry.current(kind, name).is_none() {
            let reason = format!("There is no {kind} named {name}.");
            return Err(ControlError::NotFound { reason, next: format!("List what there is: `ostler get {kind}`.") });
        }
        let event = ControlEvent::Deleted { of: kind, name: name.clone(), by: by.clone() };
        if kind == Kind::Capability {
            let record = ControlRecord { pos: registry.pos(), at: Timestamp::default(), event: event.clone() };
            let change = format!("Deleting {name}");
            let said = gate.definitions();
            keeps_policies(registry, &registry.after(&[record])?, [&said, &said], &change)?;
        }
        Ok((vec![event], ()))
    })
    .await
}

/// What must be recorded for these resources to be in force, and what changes.
fn planned(registry: &Registry, resources: &[Applied], by: &str) -> (Option<ControlEvent>, Vec<Change>) {
    let changes: Vec<Change> = resources
        .iter()
        .map(|applied| match registry.current(applied.kind, &applied.name) {
            None => Change::Created,
            Some(revision) if revision == applied.revision => Change::Unchanged,
            Some(_) => Change::Changed,
        })
        .collect();
    let new = resources.iter().zip(&changes).filter(|(_, change)| **change != Change::Unchanged);
    let resources: Vec<_> = new.map(|(applied, _)| applied.clone()).collect();
    let event = (!resources.is_empty()).then(|| ControlEvent::Applied { resources, by: by.to_owned() });
    (event, changes)
}

fn outcomes(gate: &Gate, registry: &Registry, resources: &[Applied], changes: &[Change]) -> Vec<Outcome> {
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
