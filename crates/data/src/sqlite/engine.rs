//! Where jobs run: on the writer's thread, on readers' blocking threads, or, in memory, right here.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::hold::{Held, of_io};
use crate::sqlite::backup;
use crate::sqlite::fault::Fault;
use crate::sqlite::open::{Opened, connect_reader};
use crate::store::StoreError;

/// How many jobs wait for the writer before the next caller waits to queue.
const WRITER_QUEUE: usize = 1024;

/// How many readers there are.
const READERS: usize = 4;

/// How many pages the WAL grows by before the next checkpoint. A page that changes often is copied once per pass, and
/// each pass flushes the file beside the writer's own flushes: few and long ones cost less.
const CHECKPOINT_PAGES: i64 = 4096;

/// The bound on the WAL, in pages: above 64 MiB the writer is held for a last pass, after which it starts anew.
const WAL_PAGES: i64 = 16_384;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Where jobs run.
pub(super) enum Engine {
    Inline(Mutex<Connection>),
    Threads(Threads),
}

/// The writer, the readers and the checkpointer of a file.
pub(super) struct Threads {
    path: PathBuf,
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    readers: Arc<Readers>,
    /// Held until everything above is gone.
    _lock: Option<Held>,
}

struct Readers {
    path: PathBuf,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Engine {
    pub(super) fn inline(connection: Connection) -> Self {
        Engine::Inline(Mutex::new(connection))
    }

    pub(super) fn threads(opened: Opened) -> Result<Self, StoreError> {
        let Opened { path, mut writer, checkpointer, lock } = opened;
        let (ping, pings) = sync_channel(1);
        let hooked = watch_wal(&mut writer, ping);
        hooked.map_err(|error| Fault::from(error).at(&path))?;
        let (jobs, waiting) = mpsc::channel(WRITER_QUEUE);
        let weak = jobs.downgrade();
        let threads = vec![
            spawn("store-writer", &path, move || write_on(writer, waiting))?,
            spawn("store-checkpointer", &path, move || checkpoint_on(&checkpointer, &pings, &weak))?,
        ];
        let places = Semaphore::new(READERS);
        let readers = Arc::new(Readers { path: path.clone(), places, idle: Mutex::default() });
        Ok(Engine::Threads(Threads { path, jobs: Some(jobs), threads, readers, _lock: lock }))
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Engine::Inline(connection) => inline(connection, job),
            Engine::Threads(threads) => threads.write(job).await,
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Engine::Inline(connection) => inline(connection, job),
            Engine::Threads(threads) => threads.read(job).await,
        }
    }
}

impl Engine {
    /// A copy of the whole store, on a connection of its own.
    pub(super) async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        let to = to.to_owned();
        match self {
            Engine::Inline(connection) => backup::copy(&mut lock(connection), &to),
            Engine::Threads(threads) => {
                let path = threads.path.clone();
                let copy = move || {
                    let mut reader = connect_reader(&path).map_err(|fault| fault.at(&path))?;
                    backup::copy(&mut reader, &to)
                };
                let done = tokio::task::spawn_blocking(copy).await;
                done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a backup ended: {error}"))))
            }
        }
    }
}

fn inline<T>(
    connection: &Mutex<Connection>,
    job: impl FnOnce(&mut Connection) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    job(&mut lock(connection)).map_err(|fault| fault.at(Path::new("memory")))
}

impl Threads {
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the store is closing".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        let (reply, answer) = oneshot::channel();
        // Who no longer waits for the answer has dropped its end.
        let job: Job = Box::new(move |connection| drop(reply.send(job(connection))));
        jobs.send(job).await.map_err(|_| gone())?;
        let lost = |_| StoreError::Unknown("the store's writer ended while it wrote".to_owned());
        answer.await.map_err(lost)?.map_err(|fault| fault.at(&self.path))
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        let place = self.readers.places.acquire().await.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(move || readers.run(job)).await;
        drop(place);
        done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a reader of the store ended: {error}"))))
    }
}

impl Readers {
    fn run<T>(&self, job: impl FnOnce(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let idle = lock(&self.idle).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect_reader(&self.path).map_err(|fault| fault.at(&self.path))?,
        };
        let done = job(&mut connection).map_err(|fault| fault.at(&self.path));
        lock(&self.idle).push(connection);
        done
    }
}

impl Drop for Threads {
    /// Closes the readers, lets the writer finish what is queued, and waits for both threads, so that the directory
    /// is free when this returns.
    fn drop(&mut self) {
        lock(&self.readers.idle).clear();
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store did not end well");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, path: &Path, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| of_io(&error, path))
}

fn write_on(mut connection: Connection, mut waiting: mpsc::Receiver<Job>) {
    while let Some(job) = waiting.blocking_recv() {
        job(&mut connection);
    }
}

/// Tells the checkpointer how long the WAL is, once it is long enough to be worth a pass.
fn watch_wal(writer: &mut Connection, ping: SyncSender<i64>) -> rusqlite::Result<()> {
    writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
        if i64::from(pages) >= CHECKPOINT_PAGES {
            // One ping that waits is as good as two.
            ping.try_send(i64::from(pages)).ok();
        }
        Ok(())
    }))
}

fn checkpoint_on(connection: &Connection, pings: &Receiver<i64>, jobs: &mpsc::WeakSender<Job>) {
    let mut passed = 0;
    while let Ok(pages) = pings.recv() {
        let restarted = pages < passed;
        if !restarted && pages < passed + CHECKPOINT_PAGES {
            continue;
        }
        passed = match checkpoint(connection) {
            Ok(pages) => pages,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint failed; the next one will do more");
                pages
            }
        };
        if passed > WAL_PAGES
            && let Some(jobs) = jobs.upgrade()
        {
            let last_pass: Job = Box::new(|writer| {
                if let Err(error) = checkpoint(writer) {
                    tracing::warn!(%error, "the last pass of a checkpoint failed; the next one will do more");
                }
            });
            // The writer may be closing: then closing is the last pass.
            jobs.blocking_send(last_pass).ok();
        }
    }
}

/// Copies what it can from the WAL into the file without waiting for anybody; answers how many pages the WAL has.
fn checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}
