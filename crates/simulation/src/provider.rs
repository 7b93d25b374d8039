//! The simulated model API: it answers what the script says, when it answers. It may be busy, refuse, break off in the
//! middle, talk rubbish, keep silent, or answer when nobody is there any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use models::provider::{Answer, Delta, Provider, ProviderError, Request, Sink};
use models::scripted::Scripted;

use crate::chance::Chance;
use crate::life::{Boundary, Life, Side};
use crate::script;
use crate::watch::Watch;
use crate::weather::Sky;

/// The longest that the model thinks, in milliseconds.
const LONGEST_THOUGHT_MS: usize = 4_000;

/// The simulated model API.
pub struct Wayward {
    scripted: Scripted,
    pub(crate) life: Arc<Life>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) sky: Arc<Sky>,
    chance: Chance,
    down: AtomicBool,
    silent: AtomicBool,
}

/// What goes wrong.
#[derive(Clone, Copy)]
enum Fate {
    NotSent,
    Busy,
    Refused,
    BrokeOff,
    Rubbish,
    Silent,
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Fate::NotSent => "the model is not reached",
            Fate::Busy => "the model is busy",
            Fate::Refused => "the model refuses",
            Fate::BrokeOff => "the model breaks off",
            Fate::Rubbish => "the model talks rubbish",
            Fate::Silent => "the model is silent",
        }
    }
}

impl Wayward {
    /// Of a seed.
    pub fn new(seed: u64, (life, watch, sky): (Arc<Life>, Arc<Watch>, Arc<Sky>)) -> Self {
        let scripted = Scripted::deciding(script::reply);
        Wayward {
            scripted,
            life,
            watch,
            sky,
            chance: Chance::new(seed, "model"),
            down: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        }
    }

    /// It takes requests and answers none, until that is over.
    pub fn falls_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    /// It goes down, and takes no request until it is up again.
    pub fn goes_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn fate(&self) -> Option<Fate> {
        let fates = [
            (4, Fate::NotSent),
            (4, Fate::Busy),
            (1, Fate::Refused),
            (6, Fate::BrokeOff),
            (1, Fate::Rubbish),
            (2, Fate::Silent),
        ];
        let fate = self.chance.per_mille(self.sky.now().models).then(|| self.chance.weighed(&fates));
        if let Some(fate) = fate {
            self.watch.fault(fate.words());
        }
        fate
    }

    async fn goes_wrong(&self, fate: Fate, sink: Sink<'_>) -> ProviderError {
        match fate {
            Fate::NotSent => ProviderError::NotSent { reason: "the line is dead".to_owned(), retryable: true },
            Fate::Busy => ProviderError::Rejected {
                status: 529,
                reason: "overloaded".to_owned(),
                retryable: true,
                retry_after_ms: self.chance.per_mille(500).then_some(1_500),
            },
            Fate::Refused => ProviderError::Rejected {
                status: 400,
                reason: "not like this".to_owned(),
                retryable: false,
                retry_after_ms: None,
            },
            Fate::BrokeOff => {
                sink(Delta::Text("half a".to_owned()));
                ProviderError::Unknown { reason: "the line went dead in the middle".to_owned() }
            }
            Fate::Rubbish => ProviderError::Rubbish { protocol: "a script", reason: "it is noise".to_owned() },
            Fate::Silent => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Provider for Wayward {
    fn body(&self, request: &Request) -> Bytes {
        self.scripted.body(request)
    }

    async fn send(&self, request: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        self.life.goes_on().await;
        if let Some(side) = self.life.reach(Boundary::Model) {
            if side == Side::After {
                self.watch.asked(&request.agent, &body);
            }
            self.life.die();
            return std::future::pending().await;
        }
        if self.down.load(Ordering::SeqCst) {
            self.watch.fault("the model's provider is down");
            return Err(ProviderError::NotSent { reason: "no connection".to_owned(), retryable: true });
        }
        while self.silent.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let fate = self.fate();
        if let Some(fate @ (Fate::NotSent | Fate::Busy | Fate::Refused)) = fate {
            return Err(self.goes_wrong(fate, sink).await);
        }
        self.watch.asked(&request.agent, &body);
        tokio::time::sleep(Duration::from_millis(self.chance.below(LONGEST_THOUGHT_MS) as u64)).await;
        match fate {
            Some(fate) => Err(self.goes_wrong(fate, sink).await),
            None => self.scripted.send(request, body, sink).await,
        }
    }

    fn is_scripted(&self) -> bool {
        true
    }
}
