//! What administrators do: freeze, let go on, apply, grant, and pull the upstream's plug.

use std::time::Duration;

use control::{apply, grants, people};
use domain::control::{Scope, StandingGrant};
use domain::id::Digest;
use domain::principal::Caller;

use super::{People, SCRIPTS, outcome};
use crate::node::{EVERYBODYS, Node, elsewhere, name, person, with_instructions};
use crate::world::World;

/// The furthest that the clock is set back.
const FURTHEST_BACK: Duration = Duration::from_secs(600);

impl People {
    pub(super) async fn freeze(&mut self, world: &World, node: &Node) -> String {
        let what = self.scope(node);
        let frozen = people::freeze(&node.gate, &Caller::Admin, &what, "stop").await;
        if frozen.is_ok() {
            world.watch.froze(what.clone(), true);
        }
        format!("{what:?}: {}", outcome(&frozen))
    }

    fn scope(&mut self, node: &Node) -> Scope {
        let agent = name(self.chance.weighed(&SCRIPTS).0);
        let one = self.sessions.first().map(|_| *self.chance.pick(&self.sessions));
        let revision = node.gate.registry().agent(&agent).map(|entry| entry.revision);
        let what = match (self.chance.weighed(&[(2, 0), (5, 1), (4, 2), (2, 3), (1, 4)]), one, revision) {
            (0, ..) => Scope::All,
            (2, Some(session), _) => Scope::Session { session },
            (3, _, Some(revision)) => Scope::Revision { revision },
            (4, ..) => Scope::Person { person: name(EVERYBODYS) },
            _ => Scope::Agent { agent },
        };
        self.frozen.push(what.clone());
        what
    }

    /// Freezes something while a commit is on its way.
    pub(super) async fn freeze_meanwhile(&mut self, world: &World, node: &Node) -> String {
        let written = self.write(world, node).await;
        let held = world.store.hold.next().await;
        format!("{written}; a commit is on its way: {held}; {}", self.freeze(world, node).await)
    }

    /// The same on another node: the one that works learns of it with the answer to its commit.
    pub(super) async fn freeze_elsewhere(&mut self, world: &World, node: &Node) -> String {
        let written = self.write(world, node).await;
        let held = world.store.hold.next().await;
        let what = self.scope(node);
        let frozen = match elsewhere(world).await {
            Ok((log, gate)) => {
                let frozen = people::freeze(&gate, &Caller::Admin, &what, "stop").await;
                if frozen.is_ok() {
                    world.watch.froze(what.clone(), false);
                }
                log.stop().await;
                frozen
            }
            Err(error) => Err(error),
        };
        format!("{written}; a commit is on its way: {held}; elsewhere {what:?}: {}", outcome(&frozen))
    }

    /// Lets everything go on that somebody froze, or tried to.
    pub(crate) async fn thaw(&mut self, world: &World, node: &Node) -> String {
        let mut told = Vec::new();
        // The node may die at any of them: what was not let go on is still to be.
        for what in self.frozen.clone() {
            world.watch.thaws(&what);
            let thawed = people::unfreeze(&node.gate, &Caller::Admin, &what).await;
            told.push(format!("{what:?}: {}", outcome(&thawed)));
            if thawed.is_ok() {
                self.frozen.retain(|frozen| *frozen != what);
            }
        }
        told.join(", ")
    }

    /// The same agent with other instructions: another revision, which makes void what people consented to.
    pub(super) async fn apply(&mut self, node: &Node) -> String {
        let agent = name(self.chance.weighed(&SCRIPTS).0);
        let text = format!("You are the {}th.", self.mails.len());
        let descriptors = with_instructions(&agent, &text);
        let applied = apply::apply(&node.gate, &Caller::Admin, descriptors, false).await;
        format!("{agent}: {}", outcome(&applied))
    }

    /// The wall clock jumps, both ways.
    pub(super) fn set_clock(&mut self, world: &World) -> String {
        let most = self.chance.weighed(&[(2, 2_000), (1, 7_200_000)]);
        let by = Duration::from_millis(self.chance.below(most) as u64);
        if self.chance.per_mille(500) {
            world.clock.skip(by);
            world.watch.fault("the clock is set forward");
            return format!("ahead by {by:?}");
        }
        let by = by.min(FURTHEST_BACK);
        world.clock.set_back(by);
        world.watch.fault("the clock is set back");
        format!("back by {by:?}")
    }

    pub(super) fn outage(&mut self, world: &World) -> String {
        self.down = !self.down;
        world.model.goes_down(self.down);
        format!("down: {}", self.down)
    }

    pub(super) fn unplug(&mut self, world: &World) -> String {
        self.unplugged = !self.unplugged;
        world.upstream.unreachable(self.unplugged.then_some("it is unplugged"));
        format!("unplugged: {}", self.unplugged)
    }

    /// Somebody lets an agent pay without asking each time, or ends that.
    pub(super) async fn grant(&mut self, node: &Node) -> String {
        if let Some(granted) = self.granted.take() {
            let ended = grants::revoke(&node.gate, &person("ben"), &granted, "enough").await;
            return format!("{granted} is over: {}", outcome(&ended));
        }
        let agent = name(self.chance.weighed(&[(3, "payer"), (2, "careful"), (1, "guest")]));
        let now = node.log.clock().now();
        let grant = StandingGrant {
            agent,
            revision: Digest::of(b"the one in force"),
            capability: "mcp://gateway/pay".parse().expect("it is a capability's address"),
            when: None,
            each_usd_micros: Some(1_800_000_000),
            usd_micros: Some(4_000_000_000),
            times: Some(3),
            until: now.plus_ms(3_600_000),
            reason: "it is the end of the month".to_owned(),
        };
        let wish = grants::Wish { grant, name: None };
        let given = grants::give(&node.gate, &person("ana"), &wish).await;
        let said = format!("{}: {}", wish.grant.agent, outcome(&given));
        self.granted = given.ok();
        said
    }
}
