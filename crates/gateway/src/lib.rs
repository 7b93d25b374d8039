//! Door to external capabilities over MCP. It never knows the reasoning loop.
//!
//! ```text
//! prepare: catalog (what is it?) ─▶ schema (do the arguments fit?) ─▶ gate (may it?) ─▶ Prepared
//! perform: receipt ─▶ supervise (a live connection) ─▶ upstream (stdio | HTTP | scripted) ─▶ answer
//! ```
//!
//! The other way round, `wire` is the protocol as a server: what agents that keep their own loop speak to us.

mod agent;
mod answer;
pub mod bundled;
mod catalog;
pub mod door;
mod internal;
pub mod mail;
pub mod schema;
pub mod scripted_upstream;
pub mod secret;
pub mod supervise;
pub mod upstream;
pub mod webhook;
pub mod wire;

pub use door::{Door, LocalCall, Prepared, Ticket};
pub use scripted_upstream::{Reply, ScriptedUpstream};
pub use secret::Secrets;
pub use supervise::Upstreams;
pub use upstream::Host;
