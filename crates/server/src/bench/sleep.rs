//! Sessions that sleep: how they are put to sleep as real turns would have left them, brought back into memory, and
//! woken by a message until they have answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use data::commit::{Committed, Log};
use domain::clock::Stopwatch;
use domain::event::Event;
use domain::id::SessionId;
use domain::principal::Principal;
use tokio::sync::broadcast;

use super::figures::Samples;
use super::stage::Stage;
use super::text::{LONGEST, Words};
use super::walk::{SAID, Sent, Terms, Walk, result};

/// How many times a session of 50 records thinks and acts.
const ROUNDS_OF_50: usize = 16;

/// How many records a turn of two calls at once leaves: what it thinks, and each outcome.
const RECORDS_PER_ROUND: usize = 3;

/// A session that thought and acted so many times, two calls at once, has answered and sleeps: a record more than
/// three for each time, and the answer's. Returns how many bytes were said in it.
pub(crate) async fn put_to_sleep(
    log: &Log,
    principal: Principal,
    key: &str,
    words: &mut Words,
    rounds: usize,
) -> anyhow::Result<u64> {
    let terms = Arc::new(Terms { provider: "bench".parse()?, uses: 2 });
    let mut writer = log.begin(principal.link.session);
    let opening = words.text(SAID).to_owned();
    let mut walk = Walk::begin(principal, key.to_owned(), terms, &opening, log.clock().now());
    let mut answers = 0;
    loop {
        let (stamp, head, rows) = walk.take();
        log.commit(&mut writer, stamp, head, rows).await?;
        if walk.rests() {
            return Ok(walk.said);
        }
        let sent = walk.sent.pop_front().context("the machine wants nothing more")?;
        let message = match &sent {
            Sent::Model(_) => {
                answers += 1;
                walk.model_says(words, answers > rounds)
            }
            Sent::Capability(_, use_id) => result(use_id.clone(), words.text(SAID).to_owned()),
        };
        walk.land(sent, message, log.clock().now());
    }
}

/// Sleepers of 50 records each, and beside each of them a plain file of the same events.
pub(super) struct Sleepers {
    keys: Vec<String>,
    sessions: Vec<SessionId>,
    files: PathBuf,
}

impl Sleepers {
    /// So many of them.
    pub(super) async fn prepare(stage: &Stage, words: &mut Words, place: &Path, count: usize) -> anyhow::Result<Self> {
        let files = place.join("plain");
        std::fs::create_dir_all(&files)?;
        let mut sleepers = Sleepers { keys: Vec::new(), sessions: Vec::new(), files };
        for _ in 0..count {
            let key = format!("{:032x}", stage.log.clock().random_u128());
            let session = SessionId::for_key(&"sleeper".parse()?, &key);
            let principal = stage.principal("sleeper", session)?;
            put_to_sleep(&stage.log, principal, &key, words, ROUNDS_OF_50).await?;
            let past = stage.log.past(session).await?.context("it was just written")?;
            anyhow::ensure!(past.records.len() == 2 + ROUNDS_OF_50 * RECORDS_PER_ROUND, "it has 50 records");
            let events: Vec<Vec<Event>> = past.records.into_iter().filter_map(|record| record.events).collect();
            std::fs::write(sleepers.file(session), serde_json::to_vec(&events)?)?;
            sleepers.keys.push(key);
            sleepers.sessions.push(session);
        }
        Ok(sleepers)
    }

    fn file(&self, session: SessionId) -> PathBuf {
        self.files.join(session.to_string())
    }

    /// Brings so many back into memory, one after the other: through the log, and from the plain file.
    pub(super) async fn rehydrate(
        &self,
        log: &Log,
        words: &mut Words,
        times: usize,
    ) -> anyhow::Result<(Samples, Samples)> {
        let (mut ours, mut plain) = (Samples::default(), Samples::default());
        for _ in 0..times {
            let session = self.sessions[words.below(self.sessions.len())];
            let began = Stopwatch::start();
            let loaded = log.load(session).await?.context("it sleeps here")?;
            execution::fold(session, loaded.records).context("it began")?;
            ours.push(began.elapsed());
            let began = Stopwatch::start();
            let text = std::fs::read(self.file(session))?;
            let _: Vec<Vec<Event>> = serde_json::from_slice(&text)?;
            plain.push(began.elapsed());
        }
        Ok((ours, plain))
    }

    /// Writes to so many, one after the other, and waits until each has answered durably.
    pub(super) async fn wake(&self, stage: &Stage, words: &mut Words, times: usize) -> anyhow::Result<Samples> {
        let mut commits = stage.log.committed();
        let mut samples = Samples::default();
        for _ in 0..times {
            let at = words.below(self.keys.len());
            let began = Stopwatch::start();
            stage.write_to("sleeper", &self.keys[at], words.text(LONGEST)).await?;
            // The intent with what was said, and the answer.
            for _ in 0..2 {
                committed(&mut commits, self.sessions[at]).await?;
            }
            samples.push(began.elapsed());
            stage.rests().await;
        }
        Ok(samples)
    }
}

async fn committed(commits: &mut broadcast::Receiver<Committed>, session: SessionId) -> anyhow::Result<()> {
    while commits.recv().await?.session != session {}
    Ok(())
}
