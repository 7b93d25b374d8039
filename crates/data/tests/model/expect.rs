//! The model: what a store holds as far as its answers depend on it, and which steps may come next.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::id::{Pos, Shard};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::BoxedStrategy;
use proptest_state_machine::ReferenceStateMachine;

use crate::SHARDS;
use crate::books::{Books, Came, Drawing, Held};
use crate::reads::Read;
use crate::rows::shard_of;

/// How many sessions there may be.
pub(crate) const SESSIONS: u8 = 6;

/// How many ids of mail.
pub(crate) const MAIL: u8 = 3;

const NODES: usize = 2;

/// The phase of those that wait for a freeze to end.
pub(crate) const SUSPENDED: u8 = 1;

/// What a node believes of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Believed {
    pub(crate) epoch: u64,
    pub(crate) pos: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct ShardRow {
    epoch: u64,
    pos: u64,
    owner: Option<usize>,
    over: bool,
}

/// What a session is at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    pub(crate) seq: u64,
    pub(crate) pos: u64,
    pub(crate) phase: u8,
    pub(crate) erased: bool,
}

/// What one session does in a commit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    pub(crate) session: u8,
    pub(crate) phase: u8,
    /// Mail that it posts: to whom, under which id.
    pub(crate) posts: Option<(u8, u8)>,
    /// Mail of its own that it consumes.
    pub(crate) consumes: Option<u8>,
    pub(crate) reserves: i64,
    /// Whether it opens or closes an inbox item, remembers or forgets, and keeps a snapshot.
    pub(crate) rare: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// It lands, and nobody learns of it.
    Landed,
    /// It never gets there, and nobody learns of that either.
    Lost,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Expire,
    Claim {
        node: usize,
        shards: Vec<u16>,
    },
    Renew {
        node: usize,
    },
    Commit {
        node: usize,
        works: Vec<Work>,
        fate: Fate,
    },
    Post {
        session: u8,
        id: u8,
    },
    Discard {
        session: u8,
        id: u8,
    },
    Erase {
        session: u8,
    },
    Draw(Drawing),
    /// A node looks at what the shards that it believes to own hold, as it does after it claimed them.
    Take {
        node: usize,
    },
    Control {
        late: bool,
    },
    Follow {
        shard: u16,
        late: bool,
    },
    /// A follower from outside was told up to there, or no more than there.
    Told {
        shard: u16,
        to: u64,
    },
    /// It is gone.
    Gone,
}

/// What a store must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    Nothing,
    Number(i64),
    Moved(u64),
    Shards(Vec<u16>),
    Drawn(Came),
    Taken(Vec<(u16, Held)>),
    /// Shard, epoch and position of each, and the control shard's position.
    Leases(Vec<(u16, u64, u64)>, u64),
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    shards: [ShardRow; SHARDS as usize],
    /// What each node believes that it owns.
    pub(crate) nodes: [BTreeMap<u16, Believed>; NODES],
    pub(crate) sessions: BTreeMap<u8, Known>,
    mail: BTreeSet<(u8, u8)>,
    pub(crate) control: u64,
    pub(crate) followed: [u64; SHARDS as usize],
    told: BTreeMap<u16, u64>,
    books: Books,
    pub(crate) answered: Answered,
}

impl Model {
    fn claim(&mut self, node: usize, wanted: &[u16]) -> Answered {
        let mut leases = Vec::new();
        let wanted: BTreeSet<u16> = wanted.iter().copied().collect();
        for shard in wanted {
            let row = &mut self.shards[usize::from(shard)];
            if row.owner.is_some_and(|owner| owner != node) && !row.over {
                continue;
            }
            *row = ShardRow { epoch: row.epoch + 1, owner: Some(node), over: false, ..*row };
            self.nodes[node].insert(shard, Believed { epoch: row.epoch, pos: row.pos });
            leases.push((shard, row.epoch, row.pos));
        }
        Answered::Leases(leases, self.control)
    }

    fn renew(&mut self, node: usize) -> Answered {
        let mut lost = Vec::new();
        for (shard, believed) in &self.nodes[node] {
            let row = &mut self.shards[usize::from(*shard)];
            if row.epoch == believed.epoch {
                row.over = false;
            } else {
                lost.push(*shard);
            }
        }
        Answered::Shards(lost)
    }

    fn commit(&mut self, node: usize, all: &[Work], fate: Fate) -> Answered {
        let mut by_shard: BTreeMap<u16, Vec<&Work>> = BTreeMap::new();
        for work in all.iter().filter(|work| self.may_work(node, work)) {
            by_shard.entry(shard_of(work.session)).or_default().push(work);
        }
        if by_shard.is_empty() || fate == Fate::Lost {
            return Answered::Nothing;
        }
        let mut fenced = Vec::new();
        for (shard, works) in by_shard {
            let believed = self.nodes[node][&shard];
            let row = &mut self.shards[usize::from(shard)];
            if (row.epoch, row.pos) != (believed.epoch, believed.pos) {
                fenced.push(shard);
                continue;
            }
            row.pos += works.len() as u64;
            self.books.committed(shard, works.iter().map(|work| work.reserves).sum());
            row.over = false;
            if fate == Fate::Answered {
                self.nodes[node].insert(shard, Believed { pos: row.pos, ..believed });
            }
            // First what goes, all of the batch's; then what comes.
            for (n, work) in (1..).zip(&works) {
                let known = self.sessions.entry(work.session).or_default();
                (known.seq, known.pos, known.phase) = (known.seq + 1, believed.pos + n, work.phase);
            }
            for work in &works {
                self.mail.retain(|mail| work.consumes.is_none_or(|id| *mail != (work.session, id)));
            }
            self.mail.extend(works.iter().filter_map(|work| posted(all, work)));
        }
        Answered::Shards(fenced)
    }

    /// Whether it goes into the batch: the node thinks that it owns the shard, and the session can go on.
    pub(crate) fn may_work(&self, node: usize, work: &Work) -> bool {
        let erased = self.sessions.get(&work.session).is_some_and(|known| known.erased);
        !erased && self.nodes[node].contains_key(&shard_of(work.session))
    }

    /// The shards that a node is right to believe that it owns.
    fn owned(&self, node: usize) -> Vec<u16> {
        let believed = self.nodes[node].iter();
        let right = believed.filter(|(shard, believed)| self.shards[usize::from(**shard)].epoch == believed.epoch);
        right.map(|(shard, _)| *shard).collect()
    }

    /// What a read must say, where the model knows.
    pub(crate) fn check(&self, read: &Read) {
        match read.name.as_str() {
            "mail" => assert_eq!(read.rows.len(), self.mail.len(), "{read:?} {:?}", self.mail),
            "tail" => {
                let records: u64 = self.shards.iter().map(|row| row.pos).sum();
                assert_eq!(read.rows.len() as u64, records + self.control);
            }
            "standing" => {
                let [cap, drawn, reserved, spent] = self.books.standing();
                let said = format!("Standing {{ cap: {cap}, drawn: {drawn}, reserved: {reserved}, spent: {spent} }}");
                assert_eq!(read.rows, [said]);
            }
            "frozen" => {
                let frozen = self.sessions.values().filter(|known| known.phase == SUSPENDED && !known.erased);
                assert_eq!(read.rows.len(), frozen.count(), "{read:?}");
            }
            "followed" => {
                let told = self.told.iter().map(|(shard, to)| format!("{:?}", (Shard(*shard), Pos(*to))));
                assert_eq!(read.rows, told.collect::<Vec<_>>());
            }
            "heads" => assert_eq!(read.rows.len(), self.sessions.len()),
            _ => {}
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        let model = Model {
            shards: Default::default(),
            nodes: Default::default(),
            sessions: BTreeMap::new(),
            mail: BTreeSet::new(),
            control: 0,
            followed: Default::default(),
            told: BTreeMap::new(),
            books: Books::default(),
            answered: Answered::Nothing,
        };
        Just(model).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        let (node, session, shard, id) = (0..NODES, 0..SESSIONS, 0..SHARDS, 0..MAIL);
        let fate = prop_oneof![8 => Just(Fate::Answered), 1 => Just(Fate::Landed), 1 => Just(Fate::Lost)];
        let works = proptest::collection::btree_map(session.clone(), work(), 1..5).prop_map(|works| {
            let named = works.into_iter().map(|(session, work)| Work { session, ..work });
            named.collect::<Vec<_>>()
        });
        let claimed =
            proptest::collection::btree_set(shard.clone(), 1..4).prop_map(|shards| shards.into_iter().collect());
        prop_oneof![
            16 => (node.clone(), works, fate).prop_map(|(node, works, fate)| Step::Commit { node, works, fate }),
            6 => (node.clone(), claimed).prop_map(|(node, shards)| Step::Claim { node, shards }),
            4 => Just(Step::Expire),
            1 => node.prop_map(|node| Step::Renew { node }),
            2 => (session.clone(), id.clone()).prop_map(|(session, id)| Step::Post { session, id }),
            1 => (session.clone(), id).prop_map(|(session, id)| Step::Discard { session, id }),
            1 => session.prop_map(|session| Step::Erase { session }),
            4 => drawing(0..NODES, shard.clone()).prop_map(Step::Draw),
            1 => (0..NODES).prop_map(|node| Step::Take { node }),
            1 => any::<bool>().prop_map(|late| Step::Control { late }),
            2 => (shard.clone(), 0..9_u64).prop_map(|(shard, to)| Step::Told { shard, to }),
            1 => Just(Step::Gone),
            1 => (shard, any::<bool>()).prop_map(|(shard, late)| Step::Follow { shard, late }),
        ]
        .boxed()
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        model.answered = match step {
            Step::Expire => {
                model.shards.iter_mut().for_each(|row| row.over = true);
                Answered::Nothing
            }
            Step::Claim { node, shards } => model.claim(*node, shards),
            Step::Renew { node } => model.renew(*node),
            Step::Commit { node, works, fate } => model.commit(*node, works, *fate),
            Step::Post { session, id } => {
                model.mail.insert((*session, *id));
                Answered::Nothing
            }
            Step::Discard { session, id } => Answered::Number(model.mail.remove(&(*session, *id)).into()),
            Step::Erase { session } => {
                model.mail.retain(|(of, _)| of != session);
                if let Some(known) = model.sessions.get_mut(session) {
                    known.erased = true;
                }
                Answered::Nothing
            }
            Step::Draw(drawing) => {
                let owned = model.owned(drawing.node);
                Answered::Drawn(model.books.draw(drawing, |shard| owned.contains(&shard)))
            }
            Step::Take { node } => {
                let owned = model.owned(*node);
                Answered::Taken(model.books.take(&owned))
            }
            Step::Control { late } if *late && model.control > 0 => Answered::Moved(model.control),
            Step::Control { .. } => {
                model.control += 1;
                Answered::Number(model.control.cast_signed())
            }
            Step::Told { shard, to } => {
                let at = model.told.entry(*shard).or_default();
                *at = (*at).max(*to);
                Answered::Nothing
            }
            Step::Gone => {
                model.told.clear();
                Answered::Nothing
            }
            Step::Follow { shard, late } => {
                let at = &mut model.followed[usize::from(*shard)];
                let late = *late && *at > 0;
                *at += u64::from(!late);
                Answered::Number(i64::from(!late))
            }
        };
        model
    }
}

/// What a work posts. What another shard's part of the batch consumes is left out: which of the two is first is up to
/// the store, and the session knows what it has seen.
pub(crate) fn posted(all: &[Work], work: &Work) -> Option<(u8, u8)> {
    let apart = |other: &Work| shard_of(other.session) != shard_of(work.session);
    let gone = |(to, id)| all.iter().any(|other| apart(other) && other.session == to && other.consumes == Some(id));
    work.posts.filter(|mail| !gone(*mail))
}

fn drawing(node: Range<usize>, shard: Range<u16>) -> impl Strategy<Value = Drawing> {
    let back = proptest::collection::btree_map(shard.clone(), 0..40_i64, 0..3);
    let amounts = (50..200_i64, 0..30_i64, 0..40_i64, 1..4_i64);
    (node, shard, amounts, back).prop_map(|(node, shard, (cap, need, ahead, share), back)| {
        let back = back.into_iter().filter(|(from, _)| *from != shard).collect();
        Drawing { node, shard, cap, need, ahead, share, back }
    })
}

fn work() -> impl Strategy<Value = Work> {
    let posts = proptest::option::of((0..SESSIONS, 0..MAIL));
    let consumes = proptest::option::of(0..MAIL);
    let rare = proptest::option::weighted(0.3, any::<bool>());
    (0..3_u8, posts, consumes, -5..20_i64, rare).prop_map(|(phase, posts, consumes, reserves, rare)| Work {
        session: 0,
        phase,
        posts,
        consumes,
        reserves,
        rare,
    })
}
