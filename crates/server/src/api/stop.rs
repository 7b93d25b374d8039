//! Holding one session, letting it go on, and ending it: mail that goes before everything else, and an answer once what
//! it says is in the session's record.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::id::SessionId;
use domain::mail::{Mail, MailBody};
use domain::session::{Phase, Session};
use serde::{Deserialize, Serialize};

use super::{Body, Id};
use crate::app::{App, commits};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How long the record is waited for before whoever asked is told that it is not there yet.
const RECORDED_WITHIN: Duration = Duration::from_secs(2);

/// Why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    #[serde(default)]
    reason: String,
}

/// Nothing more to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What is to become of a session.
pub(crate) enum Wish {
    Suspend { reason: String },
    Resume,
    Kill { reason: String },
}

/// What became of it.
#[derive(Serialize)]
pub(crate) struct Came {
    session: SessionId,
    phase: Phase,
    /// Whether it is in the session's record; what is not is accepted and follows.
    recorded: bool,
    /// In one sentence.
    said: String,
}

/// Holds a session where it is.
pub(crate) async fn suspend(
    State(app): State<App>,
    who: Who,
    Id(id): Id<SessionId>,
    Body(why): Body<Why>,
) -> ApiResult<Json<Came>> {
    Ok(Json(ask(&app, &who, id, Wish::Suspend { reason: why.reason }).await?))
}

/// Lets a session go on that was suspended.
pub(crate) async fn resume(
    State(app): State<App>,
    who: Who,
    Id(id): Id<SessionId>,
    Body(Nothing {}): Body<Nothing>,
) -> ApiResult<Json<Came>> {
    Ok(Json(ask(&app, &who, id, Wish::Resume).await?))
}

/// Ends a session for good.
pub(crate) async fn kill(
    State(app): State<App>,
    who: Who,
    Id(id): Id<SessionId>,
    Body(why): Body<Why>,
) -> ApiResult<Json<Came>> {
    Ok(Json(ask(&app, &who, id, Wish::Kill { reason: why.reason }).await?))
}

/// Asks for it, and waits a while for the record of it.
pub(crate) async fn ask(app: &App, who: &Who, id: SessionId, wish: Wish) -> ApiResult<Came> {
    let session = app.session(id).await?;
    who.admin_or_of(&session.principal.owner)?;
    if let Some(said) = wish.is_so_already(&session)? {
        return Ok(Came { session: id, phase: session.phase, recorded: true, said });
    }
    let (body, kind, due) = (wish.body(who.name()), wish.word(), app.clock.now());
    // Each time it is asked for is one of its own: a session may be suspended again. It is killed once.
    let mail = match &wish {
        Wish::Kill { .. } => format!("kill:{id}"),
        Wish::Suspend { .. } | Wish::Resume => format!("{kind}:{:032x}", app.clock.random_u128()),
    };
    let mail = mail.parse().map_err(|_| ApiError::unavailable("a mail id could not be made"))?;
    let mut progress = app.runtime.watch();
    app.runtime.accept(Mail { id: mail, session: id, due, body }).await?;
    let mut stands = app.session(id).await?;
    let waits = tokio::time::timeout(RECORDED_WITHIN, async {
        while !wish.is_so(&stands) {
            commits(&mut progress, id, RECORDED_WITHIN).await;
            stands = app.session(id).await?;
        }
        ApiResult::Ok(())
    });
    let recorded = match waits.await {
        Ok(looked) => looked.map(|()| true)?,
        Err(_) => false,
    };
    let said = if recorded {
        format!("{id} is {}", wish.participle())
    } else {
        format!("accepted; {id} is not {} yet: it is as soon as it has recorded what it is at", wish.participle())
    };
    Ok(Came { session: id, phase: stands.phase, recorded, said })
}

impl Wish {
    fn word(&self) -> &'static str {
        match self {
            Wish::Suspend { .. } => "suspend",
            Wish::Resume => "resume",
            Wish::Kill { .. } => "kill",
        }
    }

    fn participle(&self) -> &'static str {
        match self {
            Wish::Suspend { .. } => "suspended",
            Wish::Resume => "resumed",
            Wish::Kill { .. } => "killed",
        }
    }

    fn body(&self, by: String) -> MailBody {
        match self {
            Wish::Suspend { reason } => MailBody::Suspend { by, reason: reason.clone() },
            Wish::Resume => MailBody::Resume { by },
            Wish::Kill { reason } => MailBody::Kill { by, reason: reason.clone() },
        }
    }

    fn is_so(&self, session: &Session) -> bool {
        let killed = session.phase == Phase::Killed;
        match self {
            Wish::Suspend { .. } => killed || session.paused.is_some(),
            Wish::Resume => killed || session.paused.is_none(),
            Wish::Kill { .. } => killed,
        }
    }

    /// What to say where there is nothing to do.
    fn is_so_already(&self, session: &Session) -> ApiResult<Option<String>> {
        let id = session.id;
        if session.phase == Phase::Killed && !matches!(self, Wish::Kill { .. }) {
            let next = format!("it is over for good; see how it went with `ostler trace {id}`");
            return Err(ApiError::conflict(format!("session {id} was killed"), next));
        }
        if !self.is_so(session) {
            return Ok(None);
        }
        Ok(Some(match (self, &session.paused) {
            (Wish::Kill { .. }, _) => format!("{id} was killed before"),
            (Wish::Suspend { .. }, Some(pause)) => format!("{id} was suspended before, by {}", pause.by),
            (Wish::Suspend { .. } | Wish::Resume, _) => match execution::machine::frozen(session) {
                Some(scope) => format!("{id} is not suspended: it waits because {scope} is frozen"),
                None => format!("{id} is not suspended: it is {}", session.phase),
            },
        }))
    }
}
