//! How often things go wrong, per thousand. A seed's weather is drawn once; the end of every simulation is calm.

use std::sync::{Mutex, PoisonError};

use crate::chance::Chance;

/// How often each kind of thing goes wrong, per thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// A commit, a change of authority, mail on its way in, or a draw meets a fate.
    pub writes: u32,
    /// A read of the store fails.
    pub reads: u32,
    /// The store takes its time.
    pub slow: u32,
    /// A model's answer goes wrong.
    pub models: u32,
    /// A tool's answer goes wrong.
    pub tools: u32,
    /// The node dies at a boundary.
    pub deaths: u32,
}

impl Weather {
    /// The weather of a seed: each kind of trouble is there or not, so that every pair of them meets in some seed.
    pub fn of(chance: &Chance) -> Self {
        let drawn = |most: usize| match chance.per_mille(500) {
            true => u32::try_from(1 + chance.below(most)).expect("it is a part of a thousand"),
            false => 0,
        };
        Weather {
            writes: drawn(80),
            reads: drawn(30),
            slow: drawn(1000),
            models: drawn(200),
            tools: drawn(600),
            deaths: drawn(40),
        }
    }
}

/// The weather as it is now.
#[derive(Debug, Default)]
pub struct Sky(Mutex<Weather>);

impl Sky {
    /// From now on.
    pub fn turn(&self, weather: Weather) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Now.
    pub fn now(&self) -> Weather {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
