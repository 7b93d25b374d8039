//! Identity: who holds a key, and whether a principal still stands. Keys are `ostler_KIND_ID_SECRET`, of three kinds
//! from the first day; only a SHA-256 of the whole key is kept. What must never be known here: what is asked for.

use std::fmt;

use domain::control::{KeyHolder, Scope};
use domain::decision::{Refusal, RefusedBy};
use domain::id::{Digest, Name};
use domain::principal::{Caller, Link, Principal};
use serde::Serialize;

use crate::error::ControlError;
use crate::registry::{Freeze, Key, Registry};

/// A new key: shown once, never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Minted {
    /// Its public id, by which it is revoked.
    pub id: String,
    /// The key itself.
    pub key: String,
    /// Of the key.
    #[serde(skip)]
    pub hash: Digest,
}

/// A key made of random bits: 6 bytes name it, 32 are the secret.
pub(crate) fn mint(holder: &KeyHolder, random: &dyn Fn(&mut [u8])) -> Minted {
    let (mut id, mut secret) = ([0; 6], [0; 32]);
    random(&mut id);
    random(&mut secret);
    let id = hex(&id);
    let key = format!("ostler_{}_{id}_{}", kind_of(holder), hex(&secret));
    Minted { hash: Digest::of(key.as_bytes()), id, key }
}

/// Whose key this is, if it is a key at all, was not revoked, and its holder still stands.
pub fn authenticate(registry: &Registry, text: &str) -> Option<Caller> {
    let (kind, rest) = text.strip_prefix("ostler_")?.split_once('_')?;
    let (id, _) = rest.split_once('_')?;
    let Key { holder, hash, revoked, .. } = registry.key(id)?;
    let same = equal_in_constant_time(hash.as_bytes(), Digest::of(text.as_bytes()).as_bytes());
    if !same || *revoked || kind != kind_of(holder) {
        return None;
    }
    match holder {
        KeyHolder::Admin => Some(Caller::Admin),
        KeyHolder::Person { person } => {
            let groups = registry.person(person)?.groups.clone();
            Some(Caller::Person { name: person.clone(), groups })
        }
        KeyHolder::Agent { agent } => {
            registry.agent(agent)?;
            Some(Caller::Agent { name: agent.clone() })
        }
    }
}

/// How a caller is named in records: `admin`, `person/NAME`, `agent/NAME`.
pub fn named(caller: &Caller) -> String {
    match caller {
        Caller::Admin => "admin".to_owned(),
        Caller::Person { name, .. } => format!("person/{name}"),
        Caller::Agent { name } => format!("agent/{name}"),
    }
}

/// Only an administrator may do this.
pub(crate) fn must_be_admin(caller: &Caller, what: &str) -> Result<(), ControlError> {
    match caller {
        Caller::Admin => Ok(()),
        Caller::Person { .. } | Caller::Agent { .. } => Err(ControlError::Forbidden {
            reason: format!("{} may not {what}: that takes an administrator's key.", named(caller)),
            next: "Use the key in context.json of the server's data directory, or ask whoever holds it.".to_owned(),
        }),
    }
}

/// Only a person of this group may do this: no agent, and no administrator's key.
pub(crate) fn must_be_person_of<'a>(caller: &'a Caller, group: &Name, what: &str) -> Result<&'a Name, ControlError> {
    let reason = match caller {
        Caller::Person { name, groups } if groups.contains(group) => return Ok(name),
        Caller::Person { name, .. } => format!("{name} may not {what}: {name} is not in the group {group}."),
        Caller::Admin => format!("An administrator's key may not {what}: a person of the group {group} decides."),
        Caller::Agent { name } => format!("The agent {name} may not {what}: a person of the group {group} decides."),
    };
    let next = format!("Use the key of a person of {group}: `ostler person add NAME --group {group}` makes one.");
    Err(ControlError::Forbidden { reason, next })
}

/// Whether everyone in a principal's chain still exists.
pub fn stands(registry: &Registry, principal: &Principal) -> Result<(), Refusal> {
    for Link { agent, revision, .. } in principal.chain() {
        if registry.agent(agent).is_none() {
            return Err(refused(
                format!("The agent {agent} does not exist any more."),
                "Apply its descriptor again to let it go on: `ostler apply -f FILE`.".to_owned(),
            ));
        }
        if registry.revision(agent, *revision).is_none() {
            return Err(refused(
                format!("Revision {} of the agent {agent} was never applied here.", revision.short()),
                format!("Start a new session: `ostler run {agent}`."),
            ));
        }
    }
    Ok(())
}

/// A freeze that covers a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// What is frozen.
    pub scope: Scope,
    /// By whom, since when, and why.
    pub freeze: Freeze,
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Freeze { reason, by, at } = &self.freeze;
        write!(f, "frozen since {at} by {by}: {}", scope_text(&self.scope))?;
        if reason.is_empty() { Ok(()) } else { write!(f, ", because: {reason}") }
    }
}

/// What of a principal's chain is frozen, if anything is: everything, its person, or an agent, revision or session.
pub fn frozen(registry: &Registry, principal: &Principal) -> Option<Frozen> {
    let person = principal.on_behalf_of.iter().map(|person| Scope::Person { person: person.clone() });
    let links = principal.chain().flat_map(|link| {
        let Link { agent, revision, session, .. } = link.clone();
        [Scope::Agent { agent }, Scope::Revision { revision }, Scope::Session { session }]
    });
    let mut scopes = std::iter::once(Scope::All).chain(person).chain(links);
    scopes.find_map(|scope| registry.frozen(&scope).cloned().map(|freeze| Frozen { scope, freeze }))
}

/// A scope, as people say it.
pub fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::All => "everything".to_owned(),
        Scope::Session { session } => format!("the session {session}"),
        Scope::Agent { agent } => format!("the agent {agent}"),
        Scope::Revision { revision } => format!("the revision {}", revision.short()),
        Scope::Person { person } => format!("all work on behalf of {person}"),
    }
}

fn refused(reason: String, next: String) -> Refusal {
    Refusal { by: RefusedBy::Identity, reason, next }
}

fn kind_of(holder: &KeyHolder) -> &'static str {
    match holder {
        KeyHolder::Admin => "admin",
        KeyHolder::Person { .. } => "person",
        KeyHolder::Agent { .. } => "agent",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Compares without stopping at the first difference, so that the time says nothing about where it lies.
fn equal_in_constant_time(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}
