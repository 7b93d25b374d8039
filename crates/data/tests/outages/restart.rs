//! The server is stopped as in a crash and started again while sessions commit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data::commit::{Log, SessionWriter};
use data::error::{CommitError, Refused};
use domain::id::SessionId;

use crate::postgres::{Cluster, PASSWORD, PASSWORD_IN_URL};
use crate::said::{Acknowledged, check, say};
use crate::{SESSIONS, log, session};

/// What sessions met meanwhile.
#[derive(Default)]
struct Met {
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// Commits whose fate was not known when they failed.
    unknown: AtomicUsize,
    /// Commits that surely did not happen.
    refused: AtomicUsize,
    /// What was said about them.
    said: Mutex<Vec<String>>,
    enough: AtomicBool,
}

impl Met {
    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn failed(&self) -> usize {
        self.unknown.load(Ordering::SeqCst) + self.refused.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_of_the_server_under_load_loses_nothing_and_everything_goes_on() {
    let Some(cluster) = Cluster::own() else { return };
    let cluster = Arc::new(cluster);
    let log = log(&cluster.database(), 5_000, "node-a").await;
    let met = Arc::new(Met::default());
    let tasks: Vec<_> = (0..SESSIONS).map(|n| tokio::spawn(go_on(log.clone(), session(n), met.clone()))).collect();
    for _ in 0..2 {
        let before = met.count();
        until(|| met.count() > before + 200).await;
        let (cluster, seen) = (cluster.clone(), met.clone());
        let failed = seen.failed();
        let restarted = tokio::task::spawn_blocking(move || {
            cluster.restart(|| {
                // Down until somebody noticed.
                for _ in 0..1_000 {
                    if seen.failed() > failed {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                panic!("nobody noticed that the server is gone");
            });
        });
        restarted.await.unwrap();
    }
    let before = met.count();
    until(|| met.count() > before + 200).await;
    met.enough.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
    let acknowledged = met.acknowledged.lock().unwrap().clone();
    check(&log, &sessions, &acknowledged).await;
    let (unknown, refused) = (met.unknown.load(Ordering::SeqCst), met.refused.load(Ordering::SeqCst));
    println!("{} acknowledged, {unknown} unknown, {refused} refused", acknowledged.len());
    for said in met.said.lock().unwrap().iter() {
        assert!(!said.contains(PASSWORD) && !said.contains(PASSWORD_IN_URL), "{said}");
    }
    log.stop().await;
}

/// Commits until it is enough: what fails is tried again, from what the store has.
async fn go_on(log: Log, id: SessionId, met: Arc<Met>) {
    let mut writer: Option<SessionWriter> = None;
    while !met.enough.load(Ordering::SeqCst) {
        let mut now = match writer.take() {
            Some(writer) => writer,
            None => match log.load(id).await {
                Ok(loaded) => loaded.map_or_else(|| log.begin(id), |loaded| loaded.writer),
                Err(error) => {
                    met.said.lock().unwrap().push(error.to_string());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        match say(&log, &mut now, "again").await {
            Ok(receipt) => {
                met.acknowledged.lock().unwrap().push((id, receipt.seq(), receipt.pos()));
                writer = Some(now);
            }
            Err(error) => {
                met.said.lock().unwrap().push(error.to_string());
                let counted = match &error {
                    CommitError::Refused(Refused::Unavailable(_)) => &met.refused,
                    CommitError::Unknown | CommitError::Fenced => &met.unknown,
                    CommitError::Poisoned | CommitError::Refused(_) => panic!("{error}"),
                };
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn until(mut there: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if there() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to this");
}
