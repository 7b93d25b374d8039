//! What the disk itself can do: the same bytes at the same concurrency, grouped and made durable by one writer and
//! nothing else. It writes over zeros that are there already, so that no file has to grow: no log is faster here.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domain::clock::Stopwatch;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::figures::{Samples, rate};

/// How much is written before it begins at the front again.
const FILE_BYTES: usize = 64 << 20;

/// A file to write to.
pub(super) struct Disk(Arc<File>);

/// What it can do.
pub(super) struct Flushed {
    /// Durable records per second.
    pub(super) per_second: f64,
    /// How long each waited.
    pub(super) waited: Samples,
}

impl Disk {
    /// Makes the file, full of zeros.
    pub(super) fn open(place: &Path) -> anyhow::Result<Disk> {
        let path = place.join("raw");
        let made = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
            let zeros = vec![0; 1 << 20];
            for _ in 0..FILE_BYTES / zeros.len() {
                file.write_all(&zeros)?;
            }
            file.sync_all()?;
            Ok(file)
        };
        Ok(Disk(Arc::new(made().with_context(|| format!("{} could not be written", path.display()))?)))
    }

    /// So many writers, each with one record of `bytes` at a time; whatever waits is written and flushed at once.
    pub(super) async fn flush(&self, writers: usize, bytes: usize, span: Duration) -> anyhow::Result<Flushed> {
        let (queue, waiting) = mpsc::channel(writers);
        let file = Arc::clone(&self.0);
        let writer = std::thread::spawn(move || group(&file, waiting, bytes));
        let watch = Stopwatch::start();
        let mut tasks = JoinSet::new();
        for _ in 0..writers {
            tasks.spawn(one(queue.clone(), watch, span));
        }
        drop(queue);
        let mut waited = Samples::default();
        while let Some(samples) = tasks.join_next().await {
            waited.extend(samples?);
        }
        let took = watch.elapsed();
        let ended = tokio::task::spawn_blocking(move || writer.join()).await?;
        ended.map_err(|_| anyhow::anyhow!("the disk's writer ended badly"))?.context("the disk refused a write")?;
        Ok(Flushed { per_second: rate(waited.len(), took), waited })
    }
}

async fn one(queue: mpsc::Sender<oneshot::Sender<()>>, watch: Stopwatch, span: Duration) -> Samples {
    let mut samples = Samples::default();
    while watch.elapsed() < span {
        let began = Stopwatch::start();
        let (done, durable) = oneshot::channel();
        if queue.send(done).await.is_err() || durable.await.is_err() {
            break;
        }
        samples.push(began.elapsed());
    }
    samples
}

fn group(file: &File, mut waiting: mpsc::Receiver<oneshot::Sender<()>>, bytes: usize) -> std::io::Result<()> {
    let (mut at, mut buffer) = (0_usize, Vec::new());
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while let Ok(more) = waiting.try_recv() {
            group.push(more);
        }
        buffer.resize(group.len() * bytes, 7);
        if at + buffer.len() > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&buffer, at as u64)?;
        file.sync_data()?;
        at += buffer.len();
        for durable in group {
            durable.send(()).ok();
        }
    }
    Ok(())
}
