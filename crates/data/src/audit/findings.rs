//! What a verification found so far, and what is checked across shards.

use std::collections::BTreeMap;

use domain::id::{Pos, Seq, SessionId, Shard};

use super::{Checkpoint, Problem, ShardAudit, Verifier};
use crate::commit::Log;
use crate::error::DataError;
use crate::store::HeadFilter;

/// How many problems are listed; the others are counted.
const LISTED: usize = 1000;

#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) more: u64,
    /// Records whose content was erased.
    pub(super) erased: u64,
    /// Consents whose edits were erased.
    pub(super) unread: u64,
    /// Where each session's chain ends.
    pub(super) ends: BTreeMap<SessionId, (Shard, Pos, Seq)>,
}

impl Findings {
    pub(super) fn add(&mut self, shard: Shard, pos: Pos, session: Option<SessionId>, what: impl Into<String>) {
        if self.problems.len() < LISTED {
            self.problems.push(Problem { shard, pos, session, what: what.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Those whose signature is good; the others are reported.
pub(super) fn good_checkpoints(
    all: &mut Findings,
    checkpoints: Vec<Checkpoint>,
    verifier: &Verifier,
) -> Vec<Checkpoint> {
    let mut good: Vec<Checkpoint> = Vec::new();
    for checkpoint in checkpoints {
        let (shard, size) = (checkpoint.shard, checkpoint.size);
        if verifier.verifies(&checkpoint) {
            good.push(checkpoint);
        } else {
            all.add(shard, Pos(size), None, format!("the checkpoint of {size} records carries no good signature"));
        }
    }
    good.sort_by_key(|checkpoint| checkpoint.size);
    good
}

/// Where each session's head says that its chain ends.
pub(super) type Heads = BTreeMap<SessionId, (Shard, Pos, Seq)>;

pub(super) async fn heads(log: &Log) -> Result<Heads, DataError> {
    let rows = log.store().heads(&HeadFilter::default()).await?;
    Ok(rows.into_iter().map(|row| (row.session, (row.shard, row.pos, row.seq))).collect())
}

/// A chain ends where its session's head says. The log may go on while it is verified: the end that was read lies
/// between the heads `before` and `after`, and is one of them where they are the same.
pub(super) fn compare_heads(all: &mut Findings, before: &Heads, after: &Heads) {
    let ends = std::mem::take(&mut all.ends);
    for (session, (shard, pos, seq)) in before {
        if !ends.contains_key(session) {
            all.add(*shard, *pos, Some(*session), format!("it has a head at number {} and no records", seq.0));
        }
    }
    for (session, (shard, pos, seq)) in ends.into_iter().filter(|(session, _)| *session != SessionId::CONTROL) {
        let Some((_, last_pos, last)) = after.get(&session).copied() else {
            all.add(shard, pos, Some(session), "it has records and no head");
            continue;
        };
        let (first_pos, first) = before.get(&session).map_or((Pos(0), Seq(0)), |(_, pos, seq)| (*pos, *seq));
        if !((first_pos, first) <= (pos, seq) && first <= seq && pos <= last_pos && seq <= last) {
            let what = format!("its chain ends at number {} and its head says {}", seq.0, last.0);
            all.add(shard, pos, Some(session), what);
        }
    }
}

pub(super) fn not_checked(all: &Findings, audits: &[ShardAudit]) -> Vec<String> {
    let mut lines = Vec::new();
    let unsigned: u64 = audits.iter().map(|audit| audit.records.saturating_sub(audit.signed_to.0)).sum();
    if unsigned > 0 {
        lines.push(format!(
            "{unsigned} records are newer than the last signed checkpoint of their shard: that none was added or cut off since is not proven"
        ));
    }
    if all.erased > 0 {
        lines.push(format!("{} records were erased: their envelopes were checked, their content is gone", all.erased));
    }
    if all.unread > 0 {
        lines.push(format!("{} consents may have been edited by the person; what they wrote was erased", all.unread));
    }
    lines.push(
        "whoever can change the store and also has audit.key can rewrite both: compare with a copy of \
         audit.checkpoints kept on another machine"
            .to_owned(),
    );
    lines
}
