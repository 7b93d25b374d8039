//! Delegation: how an agent's session starts that another delegates to, and what everybody above it passes on. Rights
//! that an agent may use and rights that it may pass on are two things: `may` passes on what it need not hold itself, and
//! nobody passes on what was not passed on to them. What must never be known here: how a session is started.

use std::collections::BTreeSet;

use domain::capability::CapabilityRef;
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{Agent, OnePer};
use domain::expression::Expression;
use domain::id::{CallId, Digest, Name, SessionId};
use domain::mail::Start;
use domain::principal::{Link, Principal};

use crate::policy::{InForce, lesser};
use crate::registry::Registry;

/// The descriptors that bind an agent of a chain: the one that its session started under, and the current one. `None`: one
/// of them is not known any more.
pub(crate) fn both<'a>(registry: &'a Registry, link: &Link) -> Option<[&'a Agent; 2]> {
    let started = registry.revision(&link.agent, link.revision)?;
    Some([&started.descriptor, &registry.agent(&link.agent)?.descriptor])
}

/// What a principal has of everybody above it, where somebody delegated to it.
#[derive(Debug, Clone)]
pub struct Leave {
    /// Who that is, root first.
    pub above: Vec<Name>,
    /// Their revisions: the one that each session started under, and the current one.
    pub revisions: Vec<[Digest; 2]>,
    /// What all of them pass on.
    pub may: BTreeSet<CapabilityRef>,
    /// What must hold of the arguments of a tool that somebody may use only so, and passes on as they have it.
    pub when: Vec<(CapabilityRef, Expression)>,
}

impl Leave {
    /// What is passed on to a principal; `None`: nobody delegated to it, and it needs no leave. Whoever is not known any
    /// more passes nothing on.
    pub fn of(registry: &Registry, principal: &Principal) -> Option<Self> {
        let chain: Vec<&Link> = principal.chain().collect();
        let (mut revisions, mut may, mut when) = (Vec::new(), None::<BTreeSet<CapabilityRef>>, Vec::new());
        for hop in chain.windows(2) {
            let (by, to) = (hop[0], &hop[1].agent);
            let current = registry.agent(&by.agent).map_or(by.revision, |entry| entry.revision);
            revisions.push([by.revision, current]);
            let known = both(registry, by);
            let passed = known.map_or_else(BTreeSet::new, |both| {
                let [started, current] = both.map(|agent| agent.passes_on(to));
                &started & &current
            });
            for agent in known.into_iter().flatten() {
                if agent.delegates_to(to).is_some_and(|listed| listed.may.is_none()) {
                    let own = agent.spec.tools.iter();
                    when.extend(own.filter_map(|used| Some((used.tool.clone(), used.when.clone()?))));
                }
            }
            may = Some(may.map_or_else(|| passed.clone(), |all| &all & &passed));
        }
        let above = principal.parents.iter().map(|link| link.agent.clone()).collect();
        Some(Leave { above, revisions, may: may?, when })
    }
}

/// How a session of an agent starts that a call of this principal delegates to it.
///
/// # Errors
/// When there is no such agent, it works through partitions, or somebody's `limits.depth` is reached.
pub fn start(registry: &Registry, by: &Principal, (call, agent): (CallId, &Name)) -> Result<Start, Refusal> {
    let unready = |reason: String, next: String| Refusal { by: RefusedBy::Readiness, reason, next };
    let entry = registry.agent(agent).ok_or_else(|| {
        unready(
            format!("There is no agent {agent}."),
            format!("Go on without. A person may apply it: {}", apply(agent)),
        )
    })?;
    if let OnePer::Partition { .. } = entry.descriptor.spec.concurrency.one_per {
        return Err(unready(partitions(agent), "Go on without.".to_owned()));
    }
    deep_enough(registry, by, agent)?;
    let session = SessionId::delegated_by(call);
    let link = Link { agent: agent.clone(), revision: entry.revision, session, call: None };
    let above = Link { call: Some(call), ..by.link.clone() };
    let own = registry.autonomy(agent, entry.revision);
    let autonomy = InForce::of(registry, by).map(|rules| rules.autonomy).into_iter().chain(own);
    let principal = Principal {
        link,
        owner: entry.descriptor.metadata.owner.clone(),
        on_behalf_of: by.on_behalf_of.clone(),
        parents: by.parents.iter().cloned().chain([above]).collect(),
        autonomy: autonomy.fold(by.autonomy, lesser),
    };
    let trace = domain::id::TraceId(by.root().session.as_u128());
    Ok(Start { principal, key: call.to_string(), trace, case: None, partition: None, attached: false })
}

/// The command that puts an agent there.
pub(crate) fn apply(agent: &Name) -> String {
    format!("ostler apply -f {agent}.yaml   # kind: Agent, metadata.name: {agent}")
}

/// Why nobody delegates to an agent that works through partitions.
pub(crate) fn partitions(agent: &Name) -> String {
    format!("{agent} works through one session per partition (concurrency.one_per): nobody can delegate to it.")
}

/// Whether everybody in the chain lets one more stand below.
fn deep_enough(registry: &Registry, by: &Principal, agent: &Name) -> Result<(), Refusal> {
    let depth = by.parents.len() + 1;
    for (above, link) in by.chain().enumerate() {
        let limits = both(registry, link).map(|each| each.map(|agent| agent.spec.limits.depth));
        let most = limits.into_iter().flatten().min().unwrap_or(0);
        if depth - above > most as usize {
            let names: Vec<&str> = by.chain().map(|link| link.agent.as_str()).collect();
            let reason = format!(
                "{} may delegate {most} deep (limits.depth), and this would be {} below it: {} > {agent}.",
                link.agent,
                depth - above,
                names.join(" > ")
            );
            let next = "Do it without another agent.".to_owned();
            return Err(Refusal { by: RefusedBy::Policy, reason, next });
        }
    }
    Ok(())
}
