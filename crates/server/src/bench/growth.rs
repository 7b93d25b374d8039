//! How much a long session takes on the disk, beside what was said in it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;

use super::script::Script;
use super::stage::Stage;
use super::text::{LONGEST, Words};

/// How long the store's threads may take to let go of its files.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One session of so many calls: bytes that its store grew by, bytes that were said.
pub(super) async fn run(place: &Path, words: &Words, calls: usize) -> anyhow::Result<(u64, u64)> {
    let empty = {
        let (script, _) = Script::of(words.clone());
        size(&Stage::open(place, script).await?.stop().await).await?
    };
    let (script, mut last_answers) = Script::of(words.clone());
    script.marathon.store(calls / 2, Ordering::Relaxed);
    let stage = Stage::open(place, script.clone()).await?;
    let mut words = words.clone();
    stage.write_to("marathon", "one", words.text(LONGEST)).await?;
    last_answers.recv().await.context("it answers in the end")?;
    stage.rests().await;
    stage.caught_up().await;
    let grown = size(&stage.stop().await).await?.saturating_sub(empty);
    Ok((grown, script.said.load(Ordering::Relaxed) + LONGEST as u64))
}

/// The store's size, once nobody has it open.
async fn size(dir: &Path) -> anyhow::Result<u64> {
    let (store, ahead) = (dir.join("ostler.db"), dir.join("ostler.db-wal"));
    let closed = async {
        while ahead.exists() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // What is left there then is counted as well.
    let _ = tokio::time::timeout(CLOSED_WITHIN, closed).await;
    let left = std::fs::metadata(&ahead).map_or(0, |left| left.len());
    Ok(std::fs::metadata(&store)?.len() + left)
}
