//! Connections that are kept: one for each commit lane, and a few for everything else. One that died is replaced.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::postgres::StoreUrl;
use crate::postgres::fault::Fault;
use crate::postgres::line::{Line, Purpose};
use crate::store::StoreError;

/// How many connections there are beside those of the lanes, at most.
const CONNECTIONS: usize = 8;

/// How often a transaction that was rolled back because two were in each other's way is tried again.
const COLLISIONS: usize = 3;

/// The connections.
pub(super) struct Pool {
    url: StoreUrl,
    place: String,
    places: Semaphore,
    idle: Mutex<Vec<Arc<Line>>>,
    lanes: Vec<tokio::sync::Mutex<Option<Arc<Line>>>>,
}

impl Pool {
    pub(super) fn new(url: StoreUrl, lanes: usize) -> Self {
        let lanes = (0..lanes).map(|_| tokio::sync::Mutex::default()).collect();
        let (place, places) = (url.to_string(), Semaphore::new(CONNECTIONS));
        Pool { url, place, places, idle: Mutex::default(), lanes }
    }

    /// Where they lead.
    pub(super) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// Reads. A connection that died while nobody looked is noticed when it is used: then another is tried, once.
    pub(super) async fn read<T, F>(&self, job: impl Fn(Arc<Line>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut done = self.run(&job).await;
        if done.as_ref().is_err_and(Fault::lost) {
            self.lock().clear();
            done = self.run(&job).await;
        }
        done.map_err(|fault| fault.reading(&self.place))
    }

    /// Writes. What was rolled back because two were in each other's way is done again; what was lost is not.
    pub(super) async fn write<T, F>(&self, job: impl Fn(Arc<Line>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut done = self.run(&job).await;
        for _ in 0..COLLISIONS {
            if !done.as_ref().is_err_and(Fault::collided) {
                break;
            }
            done = self.run(&job).await;
        }
        done.map_err(|fault| fault.writing(&self.place))
    }

    /// The same on a lane's own connection, one at a time.
    pub(super) async fn commit<T, F>(&self, lane: usize, job: impl Fn(Arc<Line>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut kept = self.lanes[lane % self.lanes.len()].lock().await;
        let mut done = self.run_on(&mut kept, &job).await;
        for _ in 0..COLLISIONS {
            if !done.as_ref().is_err_and(Fault::collided) {
                break;
            }
            done = self.run_on(&mut kept, &job).await;
        }
        done.map_err(|fault| fault.writing(&self.place))
    }

    async fn run<T, F>(&self, job: &impl Fn(Arc<Line>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        let idle = self.take_idle();
        let line = match idle {
            Some(line) => line,
            None => Arc::new(Line::connect(&self.url, Purpose::Anything).await?),
        };
        let done = answered(Purpose::Anything, job(line.clone())).await;
        // One that is in doubt, or whose caller went away, is not used again.
        if !done.as_ref().is_err_and(Fault::lost) && !line.is_closed() {
            self.lock().push(line);
        }
        done
    }

    async fn run_on<T, F>(&self, kept: &mut Option<Arc<Line>>, job: &impl Fn(Arc<Line>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        // Taken out, so that it is gone if this future is.
        let line = match kept.take().filter(|line| !line.is_closed()) {
            Some(line) => line,
            None => Arc::new(Line::connect(&self.url, Purpose::Commits).await?),
        };
        let done = answered(Purpose::Commits, job(line.clone())).await;
        if !done.as_ref().is_err_and(Fault::lost) {
            *kept = Some(line);
        }
        done
    }

    fn take_idle(&self) -> Option<Arc<Line>> {
        let mut idle = self.lock();
        idle.retain(|line| !line.is_closed());
        idle.pop()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Line>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answered<T>(purpose: Purpose, job: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(purpose.patience(), job).await.unwrap_or(Err(Fault::Silent))
}
