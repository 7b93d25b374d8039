//! The words of the house: ids, descriptors, events, messages, capabilities, decisions, principals, money and the
//! clock. Plain serde types. What must never be known here: I/O, async, SQL, HTTP.

pub mod approval;
pub mod budget;
pub mod call;
pub mod canonical;
pub mod capability;
pub mod change;
pub mod clock;
pub mod control;
pub mod decision;
pub mod depth;
pub mod descriptor;
pub mod event;
pub mod expression;
pub mod heard;
pub mod id;
pub mod mail;
pub mod message;
pub mod money;
pub mod obligation;
pub mod principal;
pub mod provenance;
pub mod schedule;
pub mod session;
mod tagged;
