//! Whether a call goes under a standing grant instead of asking people: only where each rule that asks is the
//! descriptor's own. What must never be known here: how much of a grant is left to others.

use domain::decision::DecidedAt;

use super::{Query, Scene};
use crate::consent::Need;
use crate::grants::{self, Covers, covering};

/// The rules whose asking a standing grant answers.
const ANSWERED: [&str; 3] = ["value-above-threshold", "supervised-asks-before-writes", "effect-asks"];

/// The standing grant that a call goes under: one that holds and has room. What people were asked and have answered is
/// theirs to say.
pub(super) fn granted<'a>(
    scene: &Scene<'a>,
    query: &Query<'a>,
    need: Option<&Need<'_>>,
    decided: &DecidedAt,
) -> Option<Covers<'a>> {
    need.filter(|_| query.facts.said().next().is_none())?;
    let registry = scene.registry;
    // Every rule that asks is one of these: a grant answers none that an administrator wrote.
    let rules = &decided.policy_ids;
    let by_rule = !rules.is_empty() && rules.iter().all(|rule| ANSWERED.contains(&rule.as_str()));
    let used = query.want.used().filter(|_| by_rule)?;
    covering(registry, query.principal, used, scene.now)
        .find(|covers| scene.holdings.check(scene.shard, &covers.limits, &covers.amounts).is_ok())
}

/// Whether a call was let go under a standing grant that still holds.
pub(super) fn under_grant(scene: &Scene<'_>, query: &Query<'_>, again: &DecidedAt, decided: &DecidedAt) -> bool {
    let Some((grant, rules)) = decided.policy_ids.split_last() else { return false };
    let Some(used) = query.want.used().filter(|_| rules == again.policy_ids) else { return false };
    covering(scene.registry, query.principal, used, scene.now).any(|covers| grants::rule(covers.name) == *grant)
}
