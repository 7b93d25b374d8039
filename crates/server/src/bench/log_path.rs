//! The log path: sessions whose calls are intended, made durable, answered by a scripted provider, and made durable
//! again together with the next intent. The real log, sealing and machine; the gate alone says yes to everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use data::commit::Log;
use domain::clock::Stopwatch;
use domain::id::{Digest, Name, SessionId};
use domain::principal::{Autonomy, Link, Principal};
use models::provider::{Provider, Request};
use models::scripted::{Reply, Scripted};
use tokio::task::JoinSet;

use super::figures::{Samples, rate};
use super::text::Words;
use super::walk::{SAID, Sent, Terms, Walk, result};

/// What one round came to.
pub(super) struct Round {
    /// Durable calls per second: intent and outcome, both durable.
    pub(super) per_second: f64,
    /// From wanting a call until its outcome is durable.
    pub(super) took: Samples,
}

/// So many sessions at once, each with one call at a time.
pub(super) async fn run(log: &Log, words: &Words, sessions: usize, span: Duration) -> anyhow::Result<Round> {
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..sessions {
        let seed = log.clock().random_u128();
        let words = words.chosen_by(seed as u64);
        tasks.spawn(one(log.clone(), SessionId::from_u128(seed), words, over.clone()));
    }
    let watch = Stopwatch::start();
    tokio::time::sleep(span).await;
    over.store(true, Ordering::Relaxed);
    let took = watch.elapsed();
    let mut samples = Samples::default();
    while let Some(ended) = tasks.join_next().await {
        samples.extend(ended??);
    }
    Ok(Round { per_second: rate(samples.len(), took), took: samples })
}

/// One session, until it is over: how long each call took whose outcome became durable in time.
async fn one(log: Log, id: SessionId, mut words: Words, over: Arc<AtomicBool>) -> anyhow::Result<Samples> {
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
    loop {
        let (stamp, head, rows) = walk.take();
        let began = Stopwatch::start();
        let receipt = log.commit(&mut writer, stamp, head, rows).await?;
        if over.load(Ordering::Relaxed) {
            return Ok(samples);
        }
        if let Some(intended) = intended.replace(began) {
            samples.push(intended.elapsed());
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
}

fn request() -> Request {
    Request {
        agent: name("bench"),
        model: "small".to_owned(),
        instructions: "".into(),
        messages: Vec::new(),
        offers: Vec::new().into(),
        max_output_tokens: 1024,
    }
}

fn principal(session: SessionId) -> Principal {
    Principal {
        link: Link { agent: name("bench"), revision: Digest::of(b"bench"), session },
        owner: name("bench"),
        on_behalf_of: None,
        parents: Vec::new(),
        autonomy: Autonomy::Autonomous,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name of the benchmark is one")
}
