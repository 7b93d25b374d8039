//! Execution plane: the life of a session. It never knows policy, budgets, approvals or SQL.

mod call;
pub mod local;
pub mod machine;
pub mod mailbox;
mod progress;
mod rehydrate;
mod scheduler;
mod trigger;
mod turn;

pub use mailbox::{AcceptError, Full, Runtime};
pub use progress::Progress;
pub use rehydrate::{FOLD, fold};
pub use scheduler::Options;
pub use trigger::{Ask, Triggers};
pub use turn::head;
