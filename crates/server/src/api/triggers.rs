//! What starts an agent by itself, as people look at it: when next, and what came of it last.

use data::store::HeadFilter;
use domain::clock::Timestamp;
use domain::descriptor::{On, Trigger};
use domain::id::{Name, SessionId};
use domain::session::Phase;
use serde::Serialize;

use crate::app::App;
use crate::error::ApiResult;

/// How many instants ahead are shown.
const AHEAD: usize = 3;
/// How many of an agent's latest sessions are looked through for what its triggers started.
const LOOKED_THROUGH: usize = 200;

/// A trigger, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shown {
    pub name: Name,
    /// The schedule in words, or the path that takes requests.
    pub on: String,
    /// When it falls due next; empty for a webhook.
    pub next: Vec<String>,
    /// The session that it started last, where that is one of the agent's latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
}

/// A session that a trigger started.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Last {
    pub session: SessionId,
    pub phase: Phase,
    pub since: String,
}

/// An agent's triggers, and when each is due next.
pub(crate) fn shown(agent: &Name, triggers: &[Trigger], now: Timestamp) -> Vec<Shown> {
    let show = |trigger: &Trigger| {
        let (on, next) = match &trigger.on {
            On::Cron { schedule, .. } => (schedule.to_string(), schedule.next(now, AHEAD)),
            On::Webhook { .. } => (format!("POST /hooks/{agent}/{}", trigger.name), Vec::new()),
        };
        Shown { name: trigger.name.clone(), on, next: next.iter().map(ToString::to_string).collect(), last: None }
    };
    triggers.iter().map(show).collect()
}

/// Says of each what it started last.
pub(crate) async fn with_last(app: &App, agent: &Name, shown: &mut [Shown]) -> ApiResult<()> {
    if shown.is_empty() {
        return Ok(());
    }
    let filter = HeadFilter { agent: Some(agent.clone()), limit: Some(LOOKED_THROUGH), ..HeadFilter::default() };
    let heads = app.log.heads(filter).await?;
    for one in shown {
        let keys = [format!("cron/{}/", one.name), format!("hook/{}/", one.name)];
        let started = heads.iter().find(|(_, head, _)| keys.iter().any(|key| head.key.starts_with(key)));
        one.last = started.map(|(session, head, _)| Last {
            session: *session,
            phase: head.phase,
            since: head.since.to_string(),
        });
    }
    Ok(())
}
