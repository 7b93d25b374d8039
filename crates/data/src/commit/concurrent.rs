//! What the log's tasks share and run on: locks of std and tasks of tokio. With the feature `shuttle`, which tests/lanes
//! alone turns on, a scheduler that searches interleavings takes their place: every lock and every wait is then a point
//! at which any other task may go on. Channels are tokio's either way. Nothing here knows what a lane does.

#[cfg(not(feature = "shuttle"))]
pub(super) use {
    std::sync::{Mutex, MutexGuard},
    tokio::{spawn, task::JoinHandle, time::sleep},
};

#[cfg(feature = "shuttle")]
pub(super) use {
    shuttle::future::{JoinHandle, spawn},
    shuttle::sync::{Mutex, MutexGuard},
};

/// There is no time where interleavings are searched: others go first.
#[cfg(feature = "shuttle")]
pub(super) async fn sleep(_: std::time::Duration) {
    shuttle::future::yield_now().await;
}
