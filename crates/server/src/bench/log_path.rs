//! The log path: sessions whose calls are intended, made durable, answered by a scripted provider, and made durable
//! again together with the next intent. The real log, sealing and machine; the gate alone says yes to everything.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use data::commit::Log;
use domain::clock::Stopwatch;
use domain::id::{Digest, Name, SessionId};
use domain::principal::{Autonomy, Link, Principal};
use models::provider::{Options, Provider, Request};
use models::scripted::{Reply, Scripted};
use tokio::task::JoinSet;

use super::figures::{Samples, rate};
use super::text::Words;
use super::walk::{SAID, Sent, Terms, Walk, result};

/// How often to look how far a round is.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What one round came to.
pub(super) struct Round {
    /// Durable calls per second: intent and outcome, both durable.
    pub(super) per_second: f64,
    /// From wanting a call until its outcome is durable.
    pub(super) took: Samples,
}

/// How far a round is: calls that ended so far, whether they count yet, whether it is over.
#[derive(Default)]
struct Progress {
    ended: AtomicUsize,
    counts: AtomicBool,
    over: AtomicBool,
}

impl Progress {
    async fn until(&self, ended: usize) {
        while self.ended.load(Ordering::Relaxed) < ended {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// So many sessions at once, each with one call at a time. It counts once each of them has made a call, and goes on until
/// each could have made another, however short the span is.
pub(super) async fn run(log: &Log, words: &Words, sessions: usize, span: Duration) -> anyhow::Result<Round> {
    let progress = Arc::new(Progress::default());
    let mut tasks = JoinSet::new();
    for _ in 0..sessions {
        let seed = log.clock().random_u128();
        let words = words.chosen_by(seed as u64);
        tasks.spawn(one(log.clone(), SessionId::from_u128(seed), words, progress.clone()));
    }
    let counted = async {
        progress.until(sessions).await;
        progress.counts.store(true, Ordering::Relaxed);
        let (watch, before) = (Stopwatch::start(), progress.ended.load(Ordering::Relaxed));
        tokio::time::sleep(span).await;
        progress.until(before + sessions).await;
        progress.over.store(true, Ordering::Relaxed);
        rate(progress.ended.load(Ordering::Relaxed) - before, watch.elapsed())
    };
    let mut samples = Samples::default();
    let per_second = tokio::select! {
        per_second = counted => per_second,
        // Nobody ends before it is over, unless something went wrong.
        Some(ended) = tasks.join_next() => {
            ended??;
            anyhow::bail!("a session ended too soon");
        }
    };
    while let Some(ended) = tasks.join_next().await {
        samples.extend(ended??);
    }
    Ok(Round { per_second, took: samples })
}

/// One session, until it is over: how long each call took.
async fn one(log: Log, id: SessionId, mut words: Words, progress: Arc<Progress>) -> anyhow::Result<Samples> {
    let script = Mutex::new(words.clone());
    let provider = Scripted::deciding(move |_: &Request| {
        Reply::text(script.lock().unwrap_or_else(PoisonError::into_inner).text(SAID))
    });
    let request = request();
    let terms = Arc::new(Terms { provider: name("bench"), uses: 1 });
    let opening = words.text(SAID).to_owned();
    let mut walk = Walk::begin(principal(id), id.to_string(), terms, &opening, log.clock().now());
    let mut writer = log.begin(id);
    let mut samples = Samples::default();
    let mut intended: Option<Stopwatch> = None;
    while !progress.over.load(Ordering::Relaxed) {
        let (stamp, head, rows) = walk.take();
        let began = Stopwatch::start();
        let receipt = log.commit(&mut writer, stamp, head, rows).await?;
        if let Some(intended) = intended.replace(began) {
            progress.ended.fetch_add(1, Ordering::Relaxed);
            if progress.counts.load(Ordering::Relaxed) {
                samples.push(intended.elapsed());
            }
        }
        let sent = walk.sent.pop_front().ok_or_else(|| anyhow::anyhow!("the machine wants nothing more"))?;
        anyhow::ensure!(receipt.holds(sent.call(), 1), "the record does not hold the intent of {}", sent.call());
        let answer = provider.send(&request, Bytes::new(), &|_| {}).await?;
        let message = match &sent {
            Sent::Model(_) => walk.model_says(&mut words, false),
            Sent::Capability(_, use_id) => result(use_id.clone(), answer.message.words()),
        };
        walk.land(sent, message, log.clock().now());
    }
    Ok(samples)
}

fn request() -> Request {
    Request {
        agent: name("bench"),
        model: "small".to_owned(),
        instructions: "".into(),
        messages: Vec::new(),
        tools: Vec::new().into(),
        max_output_tokens: 1024,
        options: Options::default(),
        verbatim: None,
    }
}

fn principal(session: SessionId) -> Principal {
    Principal {
        link: Link { agent: name("bench"), revision: Digest::of(b"bench"), session, call: None },
        owner: name("bench"),
        on_behalf_of: None,
        parents: Vec::new(),
        autonomy: Autonomy::Autonomous,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name of the benchmark is one")
}
