//! What every handler works with: handles to the planes, wired once in `boot`.

use std::sync::Arc;
use std::time::Duration;

use control::gate::Gate;
use data::commit::Log;
use data::record::Record;
use domain::clock::Clock;
use domain::id::SessionId;
use domain::session::Session;
use execution::{Progress, Runtime};
use tokio::sync::{broadcast, watch};

use crate::config::Secrets;
use crate::console::session::Logins;
use crate::error::{ApiError, ApiResult};

/// How long a read waits for the views to hold everything that was committed before it.
pub(crate) const VIEWS_WITHIN: Duration = Duration::from_secs(5);

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// It takes work.
    Open,
    /// It takes no more work; calls in flight end.
    Draining,
    /// Whatever still hangs is let go.
    Closed,
}

/// Handles to the planes.
#[derive(Clone)]
pub(crate) struct App {
    pub log: Log,
    pub gate: Arc<Gate>,
    pub runtime: Runtime,
    pub models: models::Door,
    pub gateway: gateway::Door,
    pub clock: Arc<dyn Clock>,
    pub logins: Arc<Logins>,
    pub views: data::tail::Views,
    /// Places for those who follow the feed.
    pub followers: Arc<tokio::sync::Semaphore>,
    /// What `top` remembers between two looks.
    pub looks: Arc<crate::api::top::Looks>,
    /// What people answered before.
    pub past: Arc<crate::api::inbox::past::Known>,
    /// Where everything is kept.
    pub data: Arc<std::path::Path>,
    /// The place of whoever makes a backup.
    pub backing_up: Arc<tokio::sync::Semaphore>,
    /// The place of whoever undoes something: one at a time, so that no effect is undone twice.
    pub undoing: Arc<tokio::sync::Mutex<()>>,
    /// What `/mcp` remembers between requests.
    pub mcp: Arc<crate::mcp::Mcp>,
    /// Webhooks out, and how it goes with them.
    pub webhooks: crate::webhooks::Parts,
    pub serving: watch::Receiver<Serving>,
    /// Secrets by name: those that webhooks are signed with.
    pub secrets: Arc<Secrets>,
    /// Where this server is found, as clients and people are told.
    pub url: String,
    /// Where it listens.
    pub listens: String,
}

impl App {
    /// A session's records, oldest first, or "there is none".
    pub(crate) async fn records(&self, id: SessionId) -> ApiResult<Vec<Record>> {
        let past = self.log.past(id).await?;
        past.map(|past| past.records).ok_or_else(|| ApiError::not_found(format!("session {id}")))
    }

    /// A session's state, folded, or "there is none".
    pub(crate) async fn session(&self, id: SessionId) -> ApiResult<Session> {
        self.folded(id, self.records(id).await?)
    }

    /// The state that a session's records fold into.
    pub(crate) fn folded(&self, id: SessionId, records: Vec<Record>) -> ApiResult<Session> {
        execution::fold(id, records).ok_or_else(|| ApiError::erased(id))
    }

    /// Ends once this server is about to let go of whatever still hangs.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as the server does; without it there is nothing left to wait for either.
        let _ = self.serving.clone().wait_for(|serving| *serving == Serving::Closed).await;
    }
}

/// Waits until a session commits, cannot commit, or until time is up. A watcher that fell behind has to look for itself.
pub(crate) async fn commits(
    progress: &mut broadcast::Receiver<(SessionId, Progress)>,
    session: SessionId,
    within: Duration,
) {
    let look = async {
        loop {
            match progress.recv().await {
                Ok((other, Progress::Committed(_) | Progress::Waits)) if other == session => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(within, look).await;
}
