//! How a session of an agent starts now: as which principal, in which partition, on which case. The same for a person's
//! message, a schedule and a webhook. What must never be known here: who is let in, how the session runs.

use domain::descriptor::OnePer;
use domain::id::{Name, SessionId, TraceId};
use domain::mail::Start;
use domain::principal::{Autonomy, Link, Principal};
use serde_json::Value;

use crate::registry::Registry;

/// What a session is started for.
#[derive(Debug, Clone, Default)]
pub struct For<'a> {
    /// The caller's own name for it.
    pub key: String,
    /// The shadow case that it works on; absent, the descriptor's `autonomy.human.case` says it of the input.
    pub case: Option<String>,
    /// What it is given, where that is a JSON object.
    pub input: Option<&'a Value>,
    /// The person behind it.
    pub on_behalf_of: Option<Name>,
}

/// Why a session cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStart {
    /// There is no such agent.
    #[error("There is no agent {0}.")]
    NoAgent(Name),
    /// The agent works on one partition at a time, and nothing says which this is.
    #[error("{agent} works through one session per {key} (concurrency.key), and {why}.")]
    NoPartition {
        /// The agent.
        agent: Name,
        /// The expression that gives the partition.
        key: String,
        /// Why it gives none.
        why: String,
    },
}

/// How a session of an agent starts now, under its current revision.
///
/// # Errors
/// When there is no such agent, or its sessions have partitions and this input gives none.
pub fn start(registry: &Registry, agent: &Name, what: For<'_>) -> Result<Start, NoStart> {
    let entry = registry.agent(agent).ok_or_else(|| NoStart::NoAgent(agent.clone()))?;
    let spec = &entry.descriptor.spec;
    let For { key, case, input, on_behalf_of } = what;
    let partition = match (&spec.concurrency.one_per, input) {
        (OnePer::Session, _) => None,
        (OnePer::Partition { key }, input) => {
            let none = |why: String| NoStart::NoPartition { agent: agent.clone(), key: key.to_string(), why };
            let input = input.ok_or_else(|| none("there is no input to take it from".to_owned()))?;
            spec.concurrency.partition(input).map_err(|why| none(why.to_string()))?
        }
    };
    let session = match &partition {
        Some(partition) => SessionId::in_partition(agent, &key, partition),
        None => SessionId::for_key(agent, &key),
    };
    let said = |input: &Value| spec.autonomy.human.as_ref()?.case.text(&[("input", input)]).ok();
    let principal = Principal {
        link: Link { agent: agent.clone(), revision: entry.revision, session, call: None },
        owner: entry.descriptor.metadata.owner.clone(),
        on_behalf_of,
        parents: Vec::new(),
        autonomy: registry.autonomy(agent, entry.revision).unwrap_or(Autonomy::Shadow),
    };
    let case = case.or_else(|| input.and_then(said));
    Ok(Start { principal, key, trace: TraceId(session.as_u128()), case, partition, attached: false })
}
