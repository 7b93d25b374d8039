//! The door over a scripted provider, the real gate and a store in memory.

mod bounds;
mod client;
mod constrained;
mod failures;
mod fallbacks;
mod refusals;
mod settles;
mod world;
