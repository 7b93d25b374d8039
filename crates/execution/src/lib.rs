//! Execution plane: the life of a session. It never knows policy, budgets, approvals or SQL.

mod attach;
mod backlog;
mod call;
mod desk;
mod hearing;
pub mod local;
mod looks;
pub mod machine;
pub mod mailbox;
mod offered;
mod poke;
mod progress;
mod rehydrate;
mod relive;
mod scheduler;
mod trigger;
mod turn;

pub use attach::{AttachError, CallReply, ModelReply, NotAttached, Say, StartOf, Starts, Use, Whose};
pub use backlog::Gauge;
pub use mailbox::{AcceptError, Full, Runtime};
pub use progress::Progress;
pub use rehydrate::{FOLD, fold};
pub use relive::{Before, relive};
pub use scheduler::Options;
pub use trigger::{Ask, Triggers};
pub use turn::head;
