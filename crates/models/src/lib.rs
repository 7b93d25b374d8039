//! Door to language models. It never knows the reasoning loop.

pub mod cache;
pub mod constrained;
pub mod door;
pub mod http;
pub mod ingress;
pub mod pin;
pub mod price;
pub mod provider;
pub mod request;
pub mod scripted;
pub mod sse;
pub mod usage;
pub mod wire;

pub use door::{Came, Door, Parts, Performed, Prepared, Secrets, Ticket};
pub use pin::{pin, pin_check};
pub use price::price_check;
pub use provider::{Delta, Provider, Sink};
