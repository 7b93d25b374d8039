//! People, keys and the kill switch: what an administrator records about who may come in and what is stopped.

use domain::control::{ControlEvent, KeyHolder, Scope};
use domain::id::Name;
use domain::principal::Caller;

use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{Minted, mint, must_be_admin, named};
use crate::registry::Registry;

/// Makes the first administrator's key of a store that has none.
pub async fn bootstrap(gate: &Gate) -> Result<Option<Minted>, ControlError> {
    let minted = mint(&KeyHolder::Admin, &|bytes| gate.clock().fill_random(bytes));
    gate.commit("bootstrap", |registry| {
        if registry.keys().any(|(_, key)| key.holder == KeyHolder::Admin) {
            return Ok((Vec::new(), None));
        }
        Ok((vec![added(&minted, KeyHolder::Admin)], Some(minted.clone())))
    })
    .await
}

/// Adds a person, or changes the groups of one. A new person's key comes back, this once.
pub async fn add_person(
    gate: &Gate,
    caller: &Caller,
    person: &Name,
    groups: &[Name],
) -> Result<Option<Minted>, ControlError> {
    must_be_admin(caller, "add people")?;
    let holder = KeyHolder::Person { person: person.clone() };
    let minted = mint(&holder, &|bytes| gate.clock().fill_random(bytes));
    let mut groups = groups.to_vec();
    groups.sort();
    groups.dedup();
    gate.commit(&named(caller), |registry| {
        let known = registry.person(person);
        if known.is_some_and(|known| known.groups == groups) {
            return Ok((Vec::new(), None));
        }
        let mut events = vec![ControlEvent::PersonAdded { person: person.clone(), groups: groups.clone() }];
        if known.is_some() {
            return Ok((events, None));
        }
        events.push(added(&minted, holder.clone()));
        Ok((events, Some(minted.clone())))
    })
    .await
}

/// Makes a key. It comes back this once.
pub async fn add_key(gate: &Gate, caller: &Caller, holder: &KeyHolder) -> Result<Minted, ControlError> {
    must_be_admin(caller, "make keys")?;
    let minted = mint(holder, &|bytes| gate.clock().fill_random(bytes));
    gate.commit(&named(caller), |registry| {
        holder_exists(registry, holder)?;
        Ok((vec![added(&minted, holder.clone())], minted.clone()))
    })
    .await
}

/// Makes a key void. The last administrator's key stays.
pub async fn revoke_key(gate: &Gate, caller: &Caller, id: &str) -> Result<(), ControlError> {
    must_be_admin(caller, "revoke keys")?;
    gate.commit(&named(caller), |registry| {
        let Some(key) = registry.key(id) else {
            let reason = format!("There is no key {id:?}.");
            return Err(ControlError::NotFound { reason, next: "List them with `ostler key list`.".to_owned() });
        };
        if key.revoked {
            return Ok((Vec::new(), ()));
        }
        let left = registry.keys().filter(|(_, key)| key.holder == KeyHolder::Admin && !key.revoked).count();
        if key.holder == KeyHolder::Admin && left == 1 {
            let reason = "This is the last administrator's key.".to_owned();
            return Err(ControlError::Conflict {
                reason,
                next: "Make another one first: `ostler key add admin`.".to_owned(),
            });
        }
        Ok((vec![ControlEvent::KeyRevoked { id: id.to_owned() }], ()))
    })
    .await
}

/// Stops something: no call of it that is committed after this returns is sent, and what this node has under way of it
/// is cut off; [`Gate::quiet`] says when that is over. What waits for it goes on once it is unfrozen.
pub async fn freeze(gate: &Gate, caller: &Caller, what: &Scope, reason: &str) -> Result<(), ControlError> {
    must_be_admin(caller, "freeze anything")?;
    let by = named(caller);
    gate.commit(&by, |_| {
        let (what, reason, by) = (what.clone(), reason.to_owned(), by.clone());
        Ok((vec![ControlEvent::Frozen { what, reason, by }], ()))
    })
    .await
}

/// Lets something go on; nothing happens if it was not frozen.
pub async fn unfreeze(gate: &Gate, caller: &Caller, what: &Scope) -> Result<(), ControlError> {
    must_be_admin(caller, "unfreeze anything")?;
    let by = named(caller);
    gate.commit(&by, |registry| {
        let frozen = registry.frozen(what).map(|_| ControlEvent::Unfrozen { what: what.clone(), by: by.clone() });
        Ok((frozen.into_iter().collect(), ()))
    })
    .await
}

fn added(minted: &Minted, key_of: KeyHolder) -> ControlEvent {
    ControlEvent::KeyAdded { id: minted.id.clone(), key_of, hash: minted.hash }
}

fn holder_exists(registry: &Registry, holder: &KeyHolder) -> Result<(), ControlError> {
    let (there, what, next) = match holder {
        KeyHolder::Admin => return Ok(()),
        KeyHolder::Person { person } => (
            registry.person(person).is_some(),
            format!("person {person}"),
            format!("ostler person add {person} --group GROUP"),
        ),
        KeyHolder::Agent { agent } => {
            (registry.agent(agent).is_some(), format!("agent {agent}"), "ostler apply -f FILE".to_owned())
        }
    };
    let missing =
        || ControlError::NotFound { reason: format!("There is no {what}."), next: format!("Add it first: `{next}`.") };
    there.then_some(()).ok_or_else(missing)
}
