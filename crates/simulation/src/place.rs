//! Where the store below is: in this world, or on a server outside, whose answers take time of their own. While one of
//! those is waited for nothing else happens and no simulated time passes, so that what is told stays the same.

use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::Handle;

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In memory: it answers at once.
    Here,
    /// On a server, with a runtime of its own for the connections to it.
    Outside(Handle),
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

impl Place {
    /// Has the store do something.
    pub(crate) async fn at<T>(&self, verb: impl Future<Output = T>) -> T {
        match self {
            Place::Here => verb.await,
            Place::Outside(runtime) => outside(runtime, verb),
        }
    }
}

/// Does it on this thread, which stands still meanwhile, with the timers and lines of another runtime.
fn outside<T>(runtime: &Handle, verb: impl Future<Output = T>) -> T {
    let _entered = runtime.enter();
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    // Whoever calls has a share of time to keep; this one keeps nobody waiting who could do anything.
    let mut verb = pin!(tokio::task::unconstrained(verb));
    loop {
        match verb.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}
