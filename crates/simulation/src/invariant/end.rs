//! What must hold at the end, when nothing waits for anybody any more: nothing is held, nothing is forgotten, every
//! effect leads back to what a person asked, and the audit finds nothing wrong.

use std::sync::Arc;

use data::audit::{Auditor, CheckpointKey, Kept, verify};
use data::store::{DueBy, HoldingRow};
use data::tail::Follower;
use domain::id::Shard;
use domain::session::Phase;

use super::{at_rest, tales};
use crate::chronicle::unexplained;
use crate::node::Node;
use crate::world::World;

/// At the end.
pub async fn at_the_end(world: &World, node: &Node) -> Vec<String> {
    let mut wrong = at_rest(world, node).await;
    let tales = tales(node, &mut wrong).await;
    for HoldingRow { budget, window_start: window, reserved, .. } in
        node.log.holdings(Shard(0)).await.unwrap_or_default()
    {
        if reserved != 0 {
            wrong.push(format!("{budget} since {window}: {reserved} are still reserved"));
        }
    }
    for tale in tales.iter().filter(|tale| tale.session.phase == Phase::Suspended) {
        wrong.push(format!("{} still waits on {}", tale.id, tale.past.head.waits_on));
    }
    for item in node.log.inbox().await.unwrap_or_default() {
        wrong.push(format!("{} is still in the inbox", item.key));
    }
    let by = DueBy::all(node.log.clock().now());
    let due = node.log.due(&[Shard(0)], by, None, 10).await.unwrap_or_default();
    for mail in due.rows {
        wrong.push(format!("mail {} is still there", mail.id));
    }
    wrong.extend(world.watch.all_done().into_iter().filter_map(|call| unexplained(call, &tales)));
    wrong.extend(audit(node).await);
    wrong
}

async fn audit(node: &Node) -> Vec<String> {
    let key = CheckpointKey::from_seed([7; 32]);
    let auditor = Arc::new(Auditor::new(&node.log, key, Kept::in_memory()).every(16));
    let mut follower = Follower::new(node.log.clone(), Some(auditor.clone()));
    if let Err(error) = follower.catch_up().await {
        return vec![format!("the views cannot follow: {error}")];
    }
    follower.sign_all();
    match verify(&node.log, auditor.kept(), &auditor.verifier()).await {
        Ok(report) => report.problems.iter().map(|problem| format!("audit: {problem}")).collect(),
        Err(error) => vec![format!("the audit cannot read: {error}")],
    }
}
