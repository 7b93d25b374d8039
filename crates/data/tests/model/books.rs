//! The model's account of one budget, and what each shard holds of it.

use crate::SHARDS;

/// What a shard holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) drawn: i64,
    pub(crate) reserved: i64,
    pub(crate) spent: i64,
}

/// A draw: for which shard, after what others give back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawing {
    pub(crate) node: usize,
    pub(crate) shard: u16,
    pub(crate) cap: i64,
    pub(crate) need: i64,
    pub(crate) ahead: i64,
    pub(crate) share: i64,
    pub(crate) back: Vec<(u16, i64)>,
}

/// What a draw must come to: granted, what is held then, who gave, and whether the shard is another node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) granted: i64,
    pub(crate) held: Held,
    pub(crate) gave: Vec<u16>,
    pub(crate) fenced: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    pub(crate) cap: i64,
    pub(crate) drawn: i64,
    pub(crate) held: [Option<Held>; SHARDS as usize],
}

impl Books {
    pub(crate) fn committed(&mut self, shard: u16, reserves: i64) {
        let held = self.held[usize::from(shard)].get_or_insert_default();
        held.reserved += reserves;
        held.spent += 1;
    }

    /// `owned`: whether the node's belief of a shard is the shard's epoch.
    pub(crate) fn draw(&mut self, drawing: &Drawing, owned: impl Fn(u16) -> bool) -> Came {
        let Drawing { shard, cap, need, ahead, share, back, .. } = drawing;
        self.cap = *cap;
        let mut gave = Vec::new();
        for (from, amount) in back {
            let Some(held) = self.held[usize::from(*from)].as_mut().filter(|_| owned(*from)) else { continue };
            if held.drawn - held.reserved - held.spent >= *amount {
                held.drawn -= amount;
                self.drawn -= amount;
                gave.push(*from);
            }
        }
        gave.sort_unstable();
        if !owned(*shard) {
            return Came { granted: 0, held: Held::default(), gave, fenced: true };
        }
        let left = (cap - self.drawn).max(0);
        let now = (*need).min(left);
        let granted = now + (*ahead).min((left - now) / share);
        self.drawn += granted;
        let held = self.held[usize::from(*shard)].get_or_insert_default();
        held.drawn += granted;
        Came { granted, held: *held, gave, fenced: false }
    }

    /// What the shards of a new owner hold: no more than is held and spent.
    pub(crate) fn take(&mut self, shards: &[u16]) -> Vec<(u16, Held)> {
        let mut taken = Vec::new();
        for shard in shards {
            let Some(held) = &mut self.held[usize::from(*shard)] else { continue };
            let kept = held.reserved + held.spent;
            self.drawn += kept - held.drawn;
            held.drawn = kept;
            taken.push((*shard, *held));
        }
        taken
    }

    /// Cap, drawn, reserved and spent, over all shards.
    pub(crate) fn standing(&self) -> [i64; 4] {
        let held = self.held.iter().flatten();
        let (reserved, spent) = held.fold((0, 0), |(r, s), held| (r + held.reserved, s + held.spent));
        [self.cap, self.drawn, reserved, spent]
    }
}
