//! Test-only: the house rules as one test. It reads the tree and `cargo metadata`, and knows nothing of what the
//! crates do.
//!
//! ```text
//! tree ─▶ scan ─▶ arrows, sizes, names, words, rooms, weight ─▶ rules (less exceptions) ─▶ tests/house.rs
//!   └───────────▶ report ────────────────────────────────────────────────────────────────▶ cargo run -p tidy
//! ```

pub mod arrows;
pub mod exceptions;
pub mod finding;
pub mod function;
pub mod names;
pub mod report;
pub mod rooms;
pub mod rules;
pub mod scan;
pub mod sizes;
pub mod tree;
pub mod weight;
pub mod words;

pub use finding::{Finding, TidyError};
pub use report::report;
pub use rules::findings;
pub use tree::{File, Tree};
