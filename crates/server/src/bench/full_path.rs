//! The full path: everything that `up` runs, at work. Sessions think and act in turn; whenever one has answered,
//! another is written to, so that the same number is always at work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::clock::Stopwatch;
use tokio::sync::mpsc;

use super::figures::rate;
use super::stage::Stage;
use super::text::{LONGEST, Words};

/// Of each span, the part that passes before anything is counted: one in so many.
const WARMING: u32 = 3;

/// Keeps so many sessions at work; durable calls per second, of models and capabilities.
pub(super) async fn run(
    stage: &Stage,
    last_answers: &mut mpsc::UnboundedReceiver<()>,
    words: &mut Words,
    (sessions, span): (usize, Duration),
) -> anyhow::Result<f64> {
    let watch = Stopwatch::start();
    let mut begun = 0;
    let (mut counted_from, mut calls_before) = (None, 0);
    let until = span + span / WARMING;
    while watch.elapsed() < until {
        if begun >= sessions {
            let left = until.saturating_sub(watch.elapsed());
            if tokio::time::timeout(left, last_answers.recv()).await.is_err() {
                break;
            }
        }
        let key = format!("{:032x}", stage.log.clock().random_u128());
        stage.write_to("worker", &key, words.text(LONGEST)).await?;
        begun += 1;
        if counted_from.is_none() && watch.elapsed() > span / WARMING {
            counted_from = Some(Stopwatch::start());
            calls_before = stage.script.calls.load(Ordering::Relaxed);
        }
    }
    let calls = stage.script.calls.load(Ordering::Relaxed) - calls_before;
    let took = counted_from.map_or(until, |from| from.elapsed());
    stage.rests().await;
    while last_answers.try_recv().is_ok() {}
    Ok(rate(usize::try_from(calls)?, took))
}
