//! What must hold. Most of it after every commit, as the chronicle follows the log; some when somebody has done
//! something, some whenever the node rests, the rest at the end. All of it is read from the log and compared with what
//! the world outside knows.

use std::collections::BTreeSet;

use data::commit::Log;
use data::rows::InboxKey;
use data::store::{HeadFilter, HoldingRow};
use domain::budget::{Meter, Subject};
use domain::decision::WaitFor;
use domain::id::{SessionId, Shard};
use domain::session::CallState;

use crate::books;
use crate::node::Node;
use crate::world::World;

pub(crate) mod consent;
pub(crate) mod delegation;
mod end;
pub(crate) mod tale;

pub use end::at_the_end;
pub use tale::Tale;

/// Every session, by id, folded from its first record; what cannot be read is wrong.
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
    wrong.extend(world.chronicle.wrong().await);
    let registry = node.gate.registry();
    for HoldingRow { budget, window_start: window, drawn, reserved, spent, .. } in
        node.log.holdings(Shard(0)).await.unwrap_or_default()
    {
        let agent = if let Subject::Agent(agent) = &budget.subject { registry.agent(agent) } else { None };
        let rules = agent.map(|agent| &agent.rules);
        let given = if let Subject::Grant(name) = &budget.subject { registry.standing(name) } else { None };
        let of_grant = given.and_then(|standing| match budget.meter {
            Meter::UsdMicros => standing.grant.usd_micros,
            Meter::Calls => standing.grant.times,
            Meter::Tokens | Meter::ExternalActions | Meter::ComputeMs => None,
        });
        let of_tool = match &budget.subject {
            Subject::Tool { agent, tool } => registry.agent(agent).and_then(|entry| {
                entry.rules.per_hour.iter().find(|(of, _)| of.name() == tool).map(|(_, per_hour)| *per_hour)
            }),
            Subject::Agent(_) | Subject::Owner(_) | Subject::Session(_) | Subject::Grant(_) => None,
        };
        let cap = of_grant
            .or(of_tool)
            .or(rules.and_then(|rules| rules.caps.get(&(budget.meter, budget.window))).copied())
            .unwrap_or(0);
        // What one session may spend is its account's to say: it is drawn from that, and from nothing else.
        let cap = if matches!(budget.subject, Subject::Session(_)) { drawn } else { cap };
        world.watch.checked(1);
        if budget.meter != Meter::ComputeMs && spent + reserved > cap.min(drawn) {
            wrong.push(format!("{budget} since {window}: {spent} spent and {reserved} reserved of {drawn} of {cap}"));
        }
    }
    wrong
}

/// Whenever the node rests: nothing is left to do, and what is folded from the first record is what was followed.
pub async fn at_rest(world: &World, node: &Node) -> Vec<String> {
    let mut wrong = always(world, node).await;
    let tales = tales(node, &mut wrong).await;
    for tale in &tales {
        wrong.extend(tale::head(tale).into_iter().map(|what| format!("{}: {what}", tale.id)));
        wrong.extend(tale::rest(tale).into_iter().map(|what| format!("{}: {what}", tale.id)));
    }
    world.watch.checked(3 * tales.len() as u64);
    let behind = node.behind_others().await.unwrap_or_default();
    for (mail, session) in world.watch.all_accepted() {
        let tale = tales.iter().find(|tale| tale.id == session);
        if !behind.contains(&mail) && !tale.is_some_and(|tale| tale.heard(&mail)) {
            wrong.push(format!("{session} has never received {mail}, which was accepted"));
        }
    }
    wrong.extend(world.chronicle.differs(&tales).await);
    let (differ, snapshots) = world.chronicle.snapshots(&tales).await;
    wrong.extend(differ);
    world.watch.saw_snapshots(snapshots);
    wrong.extend(inbox(&node.log, &tales).await);
    wrong.extend(books::compare(&node.log, &tales).await);
    wrong.extend(delegation::at_rest(&tales));
    wrong
}

/// The inbox holds exactly what waits for a person.
pub(crate) async fn inbox(log: &Log, tales: &[Tale]) -> Vec<String> {
    let Ok(items) = log.inbox().await else { return Vec::new() };
    let shown: BTreeSet<InboxKey> = items.iter().map(|item| item.key).collect();
    let open = tales.iter().flat_map(|tale| tale.session.open.values());
    let waits: BTreeSet<InboxKey> = open
        .filter_map(|open| match (&open.state, &open.approval, &open.verdict) {
            (CallState::InDoubt { .. }, ..) => Some(InboxKey::InDoubt { call: open.id }),
            (CallState::Waiting { wait }, Some(request), None) => {
                // What is frozen can be consented to meanwhile.
                let frozen = matches!(wait.why, WaitFor::Frozen { .. }) && !open.withdrawn;
                let for_consent = frozen || matches!(wait.why, WaitFor::Approval { .. });
                for_consent.then_some(InboxKey::Approval { approval: request.approval })
            }
            _ => None,
        })
        .collect();
    let missing = waits.difference(&shown).map(|key| format!("{key} waits and is not in the inbox"));
    let stale = shown.difference(&waits).map(|key| format!("{key} is in the inbox and does not wait"));
    missing.chain(stale).collect()
}
