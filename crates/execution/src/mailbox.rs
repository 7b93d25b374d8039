//! The way in: mail is accepted, bounded, and posted; the scheduler finds it. It must not know what mail means.

use std::sync::Arc;
use std::time::Duration;

use data::commit::Log;
use data::error::DataError;
use domain::id::SessionId;
use domain::mail::Mail;
use tokio::sync::broadcast;

use crate::attach::{AttachError, Guests, Request, Starts};
use crate::backlog::Gauge;
use crate::desk::Desk;
use crate::progress::{Announcer, Progress};
use crate::scheduler::{self, Options, Parts, Scheduler};
use crate::trigger::Triggers;

/// A bound that is full: nothing was accepted; try again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bound} is full; try again in {retry_after_ms} ms")]
pub struct Full {
    /// The bound's name.
    pub bound: &'static str,
    /// When to come back, in milliseconds.
    pub retry_after_ms: i64,
}

/// Why mail was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// A bound is full.
    #[error(transparent)]
    Full(#[from] Full),
    /// The log did not take it.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The execution plane of one node.
#[derive(Clone)]
pub struct Runtime {
    log: Log,
    announcer: Announcer,
    triggers: Triggers,
    starts: Starts,
    gateway: gateway::Door,
    scheduler: Arc<Scheduler>,
}

impl Runtime {
    /// Starts the scheduler: it recovers what a crash left, then wakes what has mail.
    pub fn start(log: Log, models: models::Door, gateway: gateway::Door, options: Options) -> Runtime {
        let announcer = Announcer::new();
        let desk = Arc::new(Desk::new(log.clone(), models.clone(), options.bounds()));
        let (kept, starts, door) = (options.triggers.clone(), options.starts.clone(), gateway.clone());
        let (heard, triggers, offered) = (announcer.clone(), kept.clone(), Arc::default());
        let parts = Parts { log: log.clone(), models, gateway, announcer: heard, desk, triggers, offered };
        let scheduler = Arc::new(scheduler::start(parts, options));
        Runtime { log, announcer, triggers: kept, starts, gateway: door, scheduler }
    }

    /// Accepts mail: durable when this returns. Posting the same id twice delivers once. Messages that are due count
    /// against the bounds, and are refused at once where one is full.
    pub async fn accept(&self, mail: Mail) -> Result<(), AcceptError> {
        let _place = self.scheduler.room(&mail)?;
        self.log.post(vec![mail]).await?;
        Ok(())
    }

    /// Takes what a client asks of a session, if there is room.
    pub(crate) fn ask(&self, session: SessionId, request: Request) -> Result<(), AttachError> {
        self.scheduler.ask(session, request)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn gateway(&self) -> &gateway::Door {
        &self.gateway
    }

    pub(crate) fn starts(&self) -> &Starts {
        &self.starts
    }

    pub(crate) fn guests(&self) -> &Guests {
        self.scheduler.desk().guests()
    }

    /// How many messages wait for the agent of a session that has some to take; `None`: it has none.
    pub fn queued(&self, session: SessionId) -> Option<u64> {
        self.scheduler.queued(session)
    }

    /// The bounds, each with its name, and how much of each is in use.
    pub fn gauges(&self) -> Vec<Gauge> {
        self.scheduler.gauges()
    }

    /// What happens in all sessions from now on.
    pub fn watch(&self) -> broadcast::Receiver<(SessionId, Progress)> {
        self.announcer.watch()
    }

    /// What became of schedules that fell due.
    pub fn triggers(&self) -> &Triggers {
        &self.triggers
    }

    /// The sessions in memory.
    pub fn awake(&self) -> Vec<SessionId> {
        self.scheduler.awake()
    }

    /// Stops: takes no more mail to sessions, lets calls in flight end for at most `drain`, then drops them
    /// (they are in doubt, and recovered at the next start).
    pub async fn stop(&self, drain: Duration) {
        self.scheduler.stop(drain).await;
    }
}
