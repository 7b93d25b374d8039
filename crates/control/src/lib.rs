//! Control plane: who may do what, at what cost, with whose consent. It never knows how an agent runs.
//!
//! ```text
//! domain::control records ─▶ registry ─┐
//! doors ask ─▶ gate ─▶ decide: identity ▸ policy ▸ budget ▸ consent ─▶ Allow | Record | Wait | Deny, with rows
//! people ─▶ apply, people, approval, autonomy ─▶ control records, or mail to the session that waits
//! ```

pub mod apply;
pub mod approval;
pub mod authority;
pub mod autonomy;
pub mod budget;
pub mod change;
pub mod channels;
pub mod compare;
pub mod consent;
pub mod decide;
pub mod delegate;
pub mod dispatch;
pub mod error;
pub mod gate;
pub mod grants;
pub mod identity;
pub mod link;
pub mod people;
pub mod places;
pub mod policy;
pub mod provenance;
pub mod readiness;
pub mod registry;
pub mod replay;
pub mod schedules;
pub mod start;
pub mod thaw;
pub mod undo;
pub mod webhooks;

pub use decide::{Overtaken, Query, Verdict, Want};
pub use dispatch::{Cut, Dispatch};
pub use error::ControlError;
pub use gate::Gate;
pub use readiness::{Checks, Condition};
pub use registry::Registry;
