//! Data plane: the log and its views, sealing. The only crate that knows SQL; it never knows who may do what.

pub mod audit;
pub mod commit;
pub mod error;
pub mod explain;
pub mod feed;
pub mod hold;
pub mod postgres;
pub mod record;
pub mod results;
pub mod rows;
pub mod seal;
pub mod spend;
pub mod sqlite;
pub mod store;
pub mod tail;
pub mod trace;

mod codec;
mod column;
mod retention;
mod transfer;
