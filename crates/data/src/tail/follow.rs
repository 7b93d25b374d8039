//! Following itself: a page of one shard at a time, into every view that has not seen it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use domain::id::{Digest, Name, Pos, Shard};
use domain::principal::Principal;

use crate::audit::Auditor;
use crate::audit::tree::Range;
use crate::commit::{Log, Tailed};
use crate::error::DataError;
use crate::record::Envelope;
use crate::spend::{Named, named_by, unnamed};
use crate::store::{HistoryFrom, LeafRow, View, ViewBatch};

/// How many records are read, and written to each view, at once.
const PAGE: usize = 512;

/// How many leaves are read at once when a tree is taken up again.
const LEAVES: usize = 8192;

/// How many calls' names are kept before they are looked up again.
const REMEMBERED: usize = 65_536;

/// The same of principals' names: each session has its own, and is heard of again soon or much later.
const PRINCIPALS: usize = 4_096;

/// The views, as the one who writes them sees them. There is one per store.
pub struct Follower {
    log: Log,
    auditor: Option<Arc<Auditor>>,
    /// Shards to look at; those of which nothing new was heard are left alone.
    look: BTreeSet<Shard>,
    cursors: BTreeMap<(View, Shard), Pos>,
    trees: BTreeMap<Shard, Tree>,
    agents: HashMap<Digest, Name>,
    named: Named,
}

#[derive(Default)]
struct Tree {
    range: Range,
    /// The size at which it is not the tree that was signed: it is not signed any more.
    forked: Option<u64>,
}

impl Follower {
    /// A follower that looks everywhere first.
    pub fn new(log: Log, auditor: Option<Arc<Auditor>>) -> Self {
        let mut follower = Follower {
            log,
            auditor,
            look: BTreeSet::new(),
            cursors: BTreeMap::new(),
            trees: BTreeMap::new(),
            agents: HashMap::new(),
            named: Named::new(),
        };
        follower.look_everywhere();
        follower
    }

    /// To look at a shard next time.
    pub fn look_at(&mut self, shard: Shard) {
        self.look.insert(shard);
    }

    /// To look at every shard next time.
    pub fn look_everywhere(&mut self) {
        self.look.extend((0..self.log.shards()).map(Shard));
        self.look.insert(Shard::CONTROL);
    }

    /// How far all views of each shard are.
    pub fn reached(&self) -> BTreeMap<Shard, Pos> {
        let mut reached: BTreeMap<Shard, Pos> = BTreeMap::new();
        for ((_, shard), pos) in &self.cursors {
            let least = reached.entry(*shard).or_insert(*pos);
            *least = (*least).min(*pos);
        }
        reached
    }

    /// Follows every shard that is to be looked at, to its end.
    pub async fn catch_up(&mut self) -> Result<(), DataError> {
        while let Some(shard) = self.look.first().copied() {
            self.follow(shard).await?;
            self.look.remove(&shard);
        }
        Ok(())
    }

    /// Empties a view and follows the log from its start again.
    pub async fn rebuild(&mut self, view: View) -> Result<(), DataError> {
        self.log.store().reset_view(view).await?;
        self.cursors.retain(|(of, _), _| *of != view);
        if view == View::Audit {
            self.trees.clear();
        }
        self.look_everywhere();
        self.catch_up().await
    }

    /// Signs every tree that grew since it was signed last.
    pub fn sign_all(&self) {
        self.trees.keys().for_each(|shard| self.sign(*shard));
    }

    async fn follow(&mut self, shard: Shard) -> Result<(), DataError> {
        loop {
            let mut from = Pos(u64::MAX);
            for view in views_of(shard) {
                from = from.min(self.cursor(*view, shard).await?);
            }
            let page = self.log.tail(shard, from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            let (to, mut is_end) = (last.envelope.pos, page.len() < PAGE);
            for view in views_of(shard) {
                is_end &= self.apply(*view, shard, to, &page).await?;
            }
            // What was committed meanwhile is gathered for the next time: who runs after each record writes each alone.
            if is_end {
                return Ok(());
            }
        }
    }

    async fn cursor(&mut self, view: View, shard: Shard) -> Result<Pos, DataError> {
        if let Some(known) = self.cursors.get(&(view, shard)) {
            return Ok(*known);
        }
        let cursor = self.log.store().cursor(view, shard).await?;
        if view == View::Audit {
            self.take_up(shard, cursor).await?;
        }
        self.cursors.insert((view, shard), cursor);
        Ok(cursor)
    }

    /// `false`: somebody else followed meanwhile, and nothing was written.
    async fn apply(&mut self, view: View, shard: Shard, to: Pos, page: &[Tailed]) -> Result<bool, DataError> {
        let from = self.cursor(view, shard).await?;
        if from >= to {
            return Ok(true);
        }
        let mut batch = ViewBatch { view, shard, from, to, spend: Vec::new(), results: Vec::new(), leaves: Vec::new() };
        for Tailed { envelope, leaf, .. } in page.iter().filter(|record| record.envelope.pos > from) {
            match view {
                View::Spend => {
                    let agent = self.agent(envelope).await?;
                    self.name_calls(envelope).await?;
                    batch.spend.extend(crate::spend::rows_of(envelope, &agent, &mut self.named));
                }
                View::Results => {
                    let agent = self.agent(envelope).await?;
                    batch.results.extend(crate::results::rows_of(envelope, &agent));
                }
                View::Audit => {
                    batch.leaves.push(LeafRow { shard, pos: envelope.pos, hash: *leaf });
                }
            }
        }
        let leaves = batch.leaves.clone();
        if !self.log.store().apply_view(batch).await? {
            // Somebody else followed: take up from where they are.
            self.cursors.remove(&(view, shard));
            return Ok(false);
        }
        self.cursors.insert((view, shard), to);
        if view == View::Audit {
            self.grow(shard, &leaves);
            let size = self.trees.get(&shard).map_or(0, |tree| tree.range.size());
            if self.auditor.as_ref().is_some_and(|auditor| auditor.is_due(shard, size)) {
                self.sign(shard);
            }
        }
        Ok(true)
    }

    /// The tree of the leaves that are there already.
    async fn take_up(&mut self, shard: Shard, cursor: Pos) -> Result<(), DataError> {
        self.trees.insert(shard, Tree::default());
        let mut after = Pos(0);
        while after < cursor {
            let page = self.log.store().leaves(shard, after, LEAVES).await?;
            let Some(last) = page.last() else { break };
            after = last.pos;
            let known = page.partition_point(|leaf| leaf.pos <= cursor);
            self.grow(shard, &page[..known]);
        }
        Ok(())
    }

    fn grow(&mut self, shard: Shard, leaves: &[LeafRow]) {
        let tree = self.trees.entry(shard).or_default();
        let signed = self.auditor.as_ref().and_then(|auditor| auditor.kept().last(shard));
        for leaf in leaves {
            tree.range.push(leaf.hash);
            let Some(last) = signed.as_ref().filter(|last| last.size == tree.range.size()) else { continue };
            if last.root != tree.range.root() {
                tree.forked = Some(last.size);
                tracing::error!(
                    shard = shard.0,
                    size = last.size,
                    "the log is not the one that was signed: nothing of this shard is signed; run ostler audit verify"
                );
            }
        }
    }

    fn sign(&self, shard: Shard) {
        let (Some(auditor), Some(tree)) = (&self.auditor, self.trees.get(&shard)) else { return };
        if tree.forked.is_some() {
            return;
        }
        if let Err(error) = auditor.sign(shard, &tree.range, self.log.clock().now()) {
            tracing::error!(%error, shard = shard.0, "a checkpoint could not be signed");
        }
    }

    async fn agent(&mut self, envelope: &Envelope) -> Result<Name, DataError> {
        if let Some(known) = self.agents.get(&envelope.principal) {
            return Ok(known.clone());
        }
        let text = self.log.text(envelope.principal).await?;
        let principal: Option<Principal> = text.and_then(|text| serde_json::from_str(&text).ok());
        let agent = match principal {
            Some(principal) => principal.link.agent,
            // One lost text must not stop every view; the audit says what is wrong.
            None => "unknown".parse().expect("a DNS label"),
        };
        if self.agents.len() >= PRINCIPALS {
            self.agents.clear();
        }
        self.agents.insert(envelope.principal, agent.clone());
        Ok(agent)
    }

    /// Looks up what calls are of whose intent this follower has not seen.
    async fn name_calls(&mut self, envelope: &Envelope) -> Result<(), DataError> {
        if self.named.len() >= REMEMBERED {
            self.named.clear();
        }
        let missing = unnamed(envelope, &self.named);
        if missing.is_empty() {
            return Ok(());
        }
        let Some(history) = self.log.store().history(envelope.session, envelope.shard, HistoryFrom::Start).await?
        else {
            return Ok(());
        };
        for record in history.records.into_iter().filter(|record| record.envelope.pos < envelope.pos) {
            for header in &record.envelope.read()?.headers {
                let call = header.call.map(|ordinal| domain::id::CallId { session: envelope.session, ordinal });
                if let (Some(call), Some(on)) = (call.filter(|call| missing.contains(call)), named_by(header)) {
                    self.named.insert(call, on);
                }
            }
        }
        Ok(())
    }
}

/// The control shard spends nothing and answers nothing.
fn views_of(shard: Shard) -> &'static [View] {
    if shard == Shard::CONTROL { &[View::Audit] } else { &[View::Spend, View::Results, View::Audit] }
}
