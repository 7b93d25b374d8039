//! Changes of authority: those that wait for a second person, what people say to them, the revisions that an agent had,
//! and the way back to one of them.

mod rehearsal;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use control::apply::{self, Came, Wish};
use control::authority;
use control::change::{self, Answer, Needs, Proposed, Revision, Said, Vote};
use control::error::ControlError;
use control::policy::check::Wrong;
use control::registry::Registry;
use domain::change::{Change, Rehearsal, Target};
use domain::clock::Timestamp;
use domain::descriptor::Descriptor;
use domain::id::{Digest, Name};
use domain::principal::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Body, Id, Segments};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// A change, as people read it.
#[derive(Serialize)]
pub(crate) struct Shown {
    pub id: Name,
    /// Always `change`.
    pub item: &'static str,
    /// Who proposed it.
    pub by: String,
    /// Why.
    pub reason: String,
    pub since: Timestamp,
    pub expires: Timestamp,
    /// What it changes of whose authority.
    pub changes: Vec<Change>,
    /// Whose yes it takes.
    pub needs: Vec<Needs>,
    /// Who said yes so far.
    pub yes: Vec<Vote>,
    /// What would have been decided otherwise lately.
    pub rehearsal: Option<Rehearsal>,
    /// How it ended, where it did.
    pub over: Option<String>,
    pub next: String,
}

impl Shown {
    fn of(registry: &Registry, (name, proposed): (&Name, &Proposed), now: Timestamp) -> Self {
        let proposal = &proposed.proposal;
        let over = proposed.over_by(now);
        let next = match over {
            None => format!("ostler approve {name} --as PERSON, or ostler deny {name} --as PERSON --reason WHY"),
            Some(_) => String::new(),
        };
        Shown {
            id: name.clone(),
            item: "change",
            by: proposal.by.clone(),
            reason: proposal.reason.clone(),
            since: proposed.at,
            expires: proposal.expires_at,
            changes: proposal.changes.clone(),
            needs: if over.is_some() { Vec::new() } else { change::needs(registry, proposal) },
            yes: proposed.yes.clone(),
            rehearsal: proposal.rehearsal.clone(),
            over,
            next,
        }
    }

    /// Whether somebody may decide it now.
    pub(crate) fn is_for(&self, who: &Who) -> bool {
        let is_author = who.person().is_some_and(|person| self.by == format!("person/{person}"));
        let said = self.yes.iter().any(|vote| who.person() == Some(&vote.person));
        !is_author && !said && self.needs.iter().any(|need| who.is_of(&need.group))
    }

    /// Whose yes it takes, in words.
    pub(crate) fn decided_by(&self) -> String {
        let each = self.needs.iter().map(|need| match need.quorum {
            1 => format!("a person of {}", need.group),
            more => format!("{more} people of {}", need.group),
        });
        each.collect::<Vec<_>>().join(" and ")
    }
}

/// Those that wait, the oldest first.
pub(crate) fn waiting(app: &App) -> Vec<Shown> {
    let (registry, now) = (app.gate.registry(), app.clock.now());
    let mut all: Vec<Shown> = registry.changes().waiting(now).map(|one| Shown::of(&registry, one, now)).collect();
    all.sort_by_key(|shown| shown.since);
    all
}

/// All of them, the latest first.
pub(crate) async fn list(State(app): State<App>, _: Who) -> Json<Vec<Shown>> {
    let (registry, now) = (app.gate.registry(), app.clock.now());
    let mut all: Vec<Shown> = registry.changes().all().map(|one| Shown::of(&registry, one, now)).collect();
    all.sort_by_key(|shown| std::cmp::Reverse(shown.since));
    Json(all)
}

/// What a person says to a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    #[serde(default)]
    reason: String,
}

/// Yes.
pub(crate) async fn approve(
    State(app): State<App>,
    who: Who,
    Id(name): Id<Name>,
    Body(why): Body<Why>,
) -> ApiResult<Json<Value>> {
    told(&app, &who, &name, Answer { approved: true, reason: why.reason }).await
}

/// No.
pub(crate) async fn deny(
    State(app): State<App>,
    who: Who,
    Id(name): Id<Name>,
    Body(why): Body<Why>,
) -> ApiResult<Json<Value>> {
    told(&app, &who, &name, Answer { approved: false, reason: why.reason }).await
}

async fn told(app: &App, who: &Who, name: &Name, answer: Answer) -> ApiResult<Json<Value>> {
    let (came, more) = match decide(app, who, name, answer).await? {
        Said::InForce => ("in_force", 0),
        Said::More { people } => ("waits", people),
        Said::Rejected => ("rejected", 0),
    };
    Ok(Json(json!({ "change": name, "came": came, "more": more })))
}

/// Says yes or no.
pub(crate) async fn decide(app: &App, who: &Who, name: &Name, answer: Answer) -> ApiResult<Said> {
    Ok(change::answer(&app.gate, &who.0, name, answer).await?)
}

/// Takes it back.
pub(crate) async fn withdraw(
    State(app): State<App>,
    who: Who,
    Id(name): Id<Name>,
    Body(why): Body<Why>,
) -> ApiResult<Json<Value>> {
    change::withdraw(&app.gate, &who.0, &name, &why.reason).await?;
    Ok(Json(json!({ "withdrawn": name })))
}

/// Makes a change: at once, or once a second person said yes; it carries what it would have made of what happened
/// lately.
pub(crate) async fn make(app: &App, who: &Who, mut wish: Wish) -> Result<Came, Unmade> {
    if matches!(who.0, Caller::Agent { .. }) {
        who.admin()?;
    }
    let registry = app.gate.registry();
    let next = apply::previewed(&registry, &wish.applies, &wish.deletes).map_err(ApiError::from)?;
    if wish.applies.iter().any(|descriptor| matches!(descriptor, Descriptor::Policy(_))) {
        app.gate.defined(app.gateway.definitions(&next).await);
    }
    let agents: Vec<Name> = authority::widened(&registry, &authority::compare(&registry, &next))
        .into_iter()
        .map(|(n, _)| n.clone())
        .collect();
    if !agents.is_empty() {
        wish.rehearsal = Some(rehearsal::rehearsed(app, (&registry, &next), &agents).await?);
    }
    apply::change(&app.gate, &who.0, wish).await.map_err(|error| match error {
        ControlError::Policies(wrong) => Unmade::Policies(wrong),
        other => Unmade::Refused(other.into()),
    })
}

/// Why a change was not made.
pub(crate) enum Unmade {
    /// Policies in it do not fit.
    Policies(Vec<Wrong>),
    /// Anything else.
    Refused(ApiError),
}

impl From<ApiError> for Unmade {
    fn from(error: ApiError) -> Self {
        Unmade::Refused(error)
    }
}

impl From<Unmade> for ApiError {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Policies(wrong) => ControlError::Policies(wrong).into(),
            Unmade::Refused(error) => error,
        }
    }
}

/// Deletes a descriptor: nothing to say, or where it waits.
pub(crate) async fn delete(app: &App, who: &Who, target: Target) -> ApiResult<Response> {
    let came = make(app, who, Wish { deletes: vec![target], ..Wish::default() }).await?;
    Ok(match came.waits {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(_) => (StatusCode::ACCEPTED, Json(came)).into_response(),
    })
}

/// The revisions that an agent had.
#[derive(Serialize)]
pub(crate) struct Revisions {
    agent: Name,
    /// The one in force.
    current: Option<Digest>,
    /// The first first.
    revisions: Vec<Revision>,
}

/// The revisions that an agent had.
pub(crate) async fn revisions(
    State(app): State<App>,
    _: Who,
    Segments(agent): Segments<Name>,
) -> ApiResult<Json<Revisions>> {
    let registry = app.gate.registry();
    let revisions = registry.changes().history(&agent).to_vec();
    if revisions.is_empty() {
        return Err(ApiError::not_found(format!("agent {agent}")));
    }
    Ok(Json(Revisions { current: registry.agent(&agent).map(|entry| entry.revision), agent, revisions }))
}

/// The way back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Back {
    /// The beginning of a revision; absent: the one before.
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// Goes back to a revision that an agent had: a change like any other.
pub(crate) async fn rollback(
    State(app): State<App>,
    who: Who,
    Segments(agent): Segments<Name>,
    Body(back): Body<Back>,
) -> ApiResult<Json<Came>> {
    let registry = app.gate.registry();
    let revision = revision_of(&registry, &agent, back.to.as_deref())?;
    let entry =
        registry.revision(&agent, revision).ok_or_else(|| ApiError::not_found(format!("revision {revision}")))?;
    let reason = match back.reason.as_str() {
        "" => format!("back to {}", revision.short()),
        reason => reason.to_owned(),
    };
    let applies = vec![Descriptor::Agent(Box::new((*entry.descriptor).clone()))];
    let wish = Wish { applies, reason, dry_run: back.dry_run, ..Wish::default() };
    Ok(Json(make(&app, &who, wish).await?))
}

/// The revision that is meant: the one before the current one, or one by its beginning.
fn revision_of(registry: &Registry, agent: &Name, to: Option<&str>) -> ApiResult<Digest> {
    let history = registry.changes().history(agent);
    let current = registry.agent(agent).map(|entry| entry.revision);
    let see = format!("see them with `ostler revisions {agent}`");
    if history.is_empty() {
        return Err(ApiError::not_found(format!("agent {agent}")));
    }
    let mut others = history.iter().rev().map(|one| one.revision).filter(|revision| Some(*revision) != current);
    let Some(to) = to else {
        return others.next().ok_or_else(|| ApiError::conflict(format!("{agent} has had one revision only"), see));
    };
    let meant = |revision: &Digest| to.len() >= 4 && revision.to_string().starts_with(to);
    let found: std::collections::BTreeSet<Digest> = others.filter(meant).collect();
    match (found.len(), found.first()) {
        (1, Some(revision)) => Ok(*revision),
        (0, _) if current.is_some_and(|current| meant(&current)) => {
            Err(ApiError::conflict(format!("{agent} is at {to} already"), see))
        }
        (0, _) => {
            Err(ApiError::not_found(format!("earlier revision of {agent} that begins with {to} (4 letters at least)")))
        }
        (many, _) => Err(ApiError::bad(format!("{many} revisions of {agent} begin with {to}"), "give more of it")),
    }
}
