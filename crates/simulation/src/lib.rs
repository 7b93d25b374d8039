//! Test-only: the whole system from one seed. A world outlives its node: time, the store, the model, the upstream and
//! the people stay, while the node is killed, stopped and started again. Who watches from outside notes at once what
//! must never happen; what must hold whenever the node has come to rest is read from the log.
//!
//! ```text
//! seed ─▶ weather, people's deeds ─▶ node (log, gate, doors, runtime, wired as the server does) ─▶ faulty store
//!                                      │ dies, stops, starts        └──▶ wayward model, upstream ──▶ watch
//!                                      └─▶ at rest: invariants
//! ```

pub mod books;
pub mod chance;
pub mod chronicle;
pub mod clock;
pub mod invariant;
pub mod life;
pub mod node;
pub mod people;
mod place;
pub mod provider;
pub mod script;
pub mod store;
pub mod story;
pub mod upstream;
pub mod watch;
pub mod weather;
pub mod world;

pub use story::{Told, tell};
pub use world::World;
