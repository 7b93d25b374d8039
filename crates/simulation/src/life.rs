//! One life of a node, and how it ends: at a boundary that was planned, or by chance. Dying is instant: from then on
//! the store answers nothing and nothing is sent, as if the process had been killed between two instructions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::chance::Chance;

/// Where a node can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// A commit of sessions.
    Commit,
    /// A request to the model.
    Model,
    /// A use of an upstream's tool.
    Tool,
    /// Mail that is posted, or thrown away.
    Mail,
}

/// On which side of a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// It does not happen.
    Before,
    /// It happens, and the node never learns of it.
    After,
}

/// A point at which the node is killed: the how-many-eth boundary of a kind, the first is 1, and on which side.
pub type Point = (Boundary, u64, Side);

/// The node's life.
#[derive(Debug)]
pub struct Life {
    dead: AtomicBool,
    died: Notify,
    planned: Mutex<Option<Point>>,
    passed: Mutex<BTreeMap<Boundary, u64>>,
    per_mille: AtomicU32,
    chance: Chance,
}

impl Life {
    /// A life that no chance ends, until told otherwise.
    pub fn new(seed: u64) -> Self {
        Life {
            dead: AtomicBool::new(false),
            died: Notify::new(),
            planned: Mutex::default(),
            passed: Mutex::default(),
            per_mille: AtomicU32::new(0),
            chance: Chance::new(seed, "life"),
        }
    }

    /// It ends at this point.
    pub fn plan(&self, point: Point) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
    }

    /// It ends at so many of a thousand boundaries.
    pub fn endanger(&self, per_mille: u32) {
        self.per_mille.store(per_mille, Ordering::SeqCst);
    }

    /// How many boundaries of a kind were reached in all lives.
    pub fn passed(&self, boundary: Boundary) -> u64 {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).get(&boundary).copied().unwrap_or(0)
    }

    /// Reaches a boundary: on which side of it the node is to die, if it is.
    pub(crate) fn reach(&self, boundary: Boundary) -> Option<Side> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = passed.entry(boundary).or_default();
        *count += 1;
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, side)) = planned.take_if(|(at, number, _)| (*at, *number) == (boundary, *count)) {
            return Some(side);
        }
        let by_chance = self.chance.per_mille(self.per_mille.load(Ordering::SeqCst));
        by_chance.then(|| *self.chance.pick(&[Side::Before, Side::After]))
    }

    /// Ends it.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// The next one begins.
    pub(crate) fn begin(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Waits for its end.
    pub(crate) async fn over(&self) {
        while !self.is_over() {
            self.died.notified().await;
        }
    }

    /// Goes on if it lives, and never otherwise.
    pub(crate) async fn goes_on(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}
