//! Chance from a seed: the same seed and purpose give the same draws, always. Nothing else in the simulation is random.

use std::sync::{Mutex, PoisonError};

use domain::id::Digest;

/// One stream of draws (splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
#[derive(Debug)]
pub struct Chance(Mutex<u64>);

impl Chance {
    /// The stream of a seed for one purpose; streams of different purposes have nothing to do with each other.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let digest = Digest::of(format!("{seed}/{purpose}").as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        Chance(Mutex::new(u64::from_be_bytes(first)))
    }

    /// 64 bits.
    pub fn bits(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&self, end: usize) -> usize {
        usize::try_from(self.bits() % (end.max(1) as u64)).expect("it is below a usize")
    }

    /// True so many times in a thousand.
    pub fn per_mille(&self, times: u32) -> bool {
        self.bits() % 1000 < u64::from(times)
    }

    /// One of these.
    pub fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// One of these, as often as its weight says.
    pub fn weighed<T: Copy>(&self, all: &[(u32, T)]) -> T {
        let sum: u32 = all.iter().map(|(weight, _)| weight).sum();
        let mut drawn = u32::try_from(self.bits() % u64::from(sum.max(1))).expect("it is below a u32");
        for (weight, what) in all {
            match drawn.checked_sub(*weight) {
                Some(left) => drawn = left,
                None => return *what,
            }
        }
        all[0].1
    }
}
