//! What waits for people, with what they need to decide, and what they say.

pub(crate) mod batch;
pub(crate) mod past;
mod progress;
pub(crate) mod stats;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use control::approval::{self, Answer};
use data::rows::{InboxItem, InboxKey};
use data::trace::{CapabilityCall, Consent, Trace, What};
use domain::call::ApprovalVerdict;
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::event::Resolution;
use domain::id::{ApprovalId, CallId, Digest, Name, SessionId};
use domain::message::Role;
use domain::principal::Mode;
use domain::provenance::Provenance;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::past::Decided;
use self::progress::Progress;
use super::changes::{self, Shown};
use super::{Body, Id};
use crate::app::{App, commits};
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How long a session is given to take an answer before whoever gave it is told.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// Something that waits for a person, with what they need to decide.
#[derive(Serialize)]
pub(crate) struct Waiting {
    pub id: String,
    /// `approval` or `in_doubt`.
    pub item: &'static str,
    pub session: SessionId,
    /// The caller's own name for the session.
    pub key: String,
    pub agent: Name,
    /// The session that it is filed under: the one at the root of its delegation.
    pub root: SessionId,
    /// Who delegated, root first, down to the agent that waits.
    pub chain: Vec<Name>,
    /// Who was asked.
    pub group: Name,
    /// Who may answer now.
    pub groups: Vec<Name>,
    /// How far it is, where it asks for consent.
    pub progress: Option<Progress>,
    pub since: Timestamp,
    pub expires: Option<Timestamp>,
    /// The call that waits.
    pub call: CallId,
    /// The capability.
    pub what: String,
    /// What the call may change, where that is known.
    pub effect: Option<Effect>,
    /// The tool that would be called, and its server, where that is known.
    pub tool: Option<String>,
    pub server: Option<Name>,
    /// Why a person is asked: the rule.
    pub reason: String,
    /// Why the agent wants it: its reasoning directly above the call.
    pub reasoning: Vec<String>,
    /// What it was asked to do, and by whom.
    pub task: Option<Task>,
    pub value_usd_micros: Option<i64>,
    pub arguments: Value,
    /// Where they came from, as the gate saw it when it asked.
    pub provenance: Option<Provenance>,
    pub scripted: bool,
    pub mode: Mode,
    /// What requests of its shape share: those may be answered together.
    pub batch: String,
    /// What people said to the like of it before, the latest first.
    pub similar: Vec<Decided>,
    /// Whether it can be undone, in words.
    pub undone: String,
    pub next: String,
}

/// What an agent was asked to do.
#[derive(Clone, Serialize)]
pub(crate) struct Task {
    /// The person; `None`: a trigger or an administrator.
    pub from: Option<Name>,
    pub text: String,
}

/// One thing that waits for people.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Item {
    /// A call.
    Call(Box<Waiting>),
    /// A change of authority.
    Change(Box<Shown>),
}

/// Everything that waits: calls, what is worth most first, then changes of authority.
pub(crate) async fn list(State(app): State<App>, _: Who) -> ApiResult<Json<Vec<Item>>> {
    let calls = waiting(&app).await?.into_iter().map(|waiting| Item::Call(Box::new(waiting)));
    let changes = changes::waiting(&app).into_iter().map(|shown| Item::Change(Box::new(shown)));
    Ok(Json(calls.chain(changes).collect()))
}

/// Every call that waits, what is worth most first. A session that cannot be read does not hide the others.
pub(crate) async fn waiting(app: &App) -> ApiResult<Vec<Waiting>> {
    detailed(app, app.log.inbox().await?).await
}

/// One request for consent that waits.
pub(crate) async fn one(app: &App, approval: ApprovalId) -> ApiResult<Waiting> {
    let mut items = app.log.inbox().await?;
    items.retain(|item| item.key == InboxKey::Approval { approval });
    let gone = || ApiError::gone(format!("{approval} waits for nobody any more"), "Nothing is left to do.");
    detailed(app, items).await?.pop().ok_or_else(gone)
}

async fn detailed(app: &App, items: Vec<InboxItem>) -> ApiResult<Vec<Waiting>> {
    let sessions: BTreeSet<SessionId> = items.iter().map(|item| item.session).collect();
    let mut traces = BTreeMap::new();
    for session in sessions {
        traces.insert(session, trace(app, session).await);
    }
    let mut all: Vec<Waiting> = items.iter().map(|item| with_details(app, item, traces.get(&item.session))).collect();
    let past = if all.is_empty() { Vec::new() } else { past::of(app, None).await? };
    for waiting in &mut all {
        waiting.similar = similar(waiting, &past);
        waiting.batch = batch::shape(waiting);
        waiting.undone = undone(app, waiting);
    }
    all.sort_by_key(|waiting| (Reverse(waiting.weight()), waiting.since, waiting.call));
    Ok(all)
}

/// How many earlier decisions are shown.
const SIMILAR: usize = 5;

/// What people said to this agent's use of this capability before.
fn similar(waiting: &Waiting, past: &[Decided]) -> Vec<Decided> {
    let is_like = |one: &&Decided| {
        let over = !matches!(one.outcome, past::Outcome::Waits | past::Outcome::Lapsed);
        over && one.agent == waiting.agent && one.capability.name().as_str() == waiting.what
    };
    past.iter().filter(is_like).take(SIMILAR).cloned().collect()
}

/// Whether it can be undone, told before it is done.
fn undone(app: &App, waiting: &Waiting) -> String {
    match waiting.what.parse::<Name>() {
        Ok(capability) => super::undo::foretold(app, &waiting.agent, &capability, waiting.effect),
        Err(_) => "Nobody knows whether it can be undone.".to_owned(),
    }
}

async fn trace(app: &App, session: SessionId) -> Result<Trace, String> {
    let records = app.records(session).await.map_err(|error| error.reason().to_owned())?;
    Trace::of(&records).ok_or_else(|| "what the session said was erased".to_owned())
}

fn with_details(app: &App, item: &InboxItem, trace: Option<&Result<Trace, String>>) -> Waiting {
    let call = match item.key {
        InboxKey::Approval { approval } => approval.call,
        InboxKey::InDoubt { call } => call,
    };
    let mut waiting = bare(item, call);
    match trace {
        Some(Ok(trace)) => tell(&mut waiting, app, trace, item.key),
        Some(Err(reason)) => waiting.reason.clone_from(reason),
        None => {}
    }
    waiting
}

fn bare(item: &InboxItem, call: CallId) -> Waiting {
    let (kind, next) = match item.key {
        InboxKey::Approval { approval } => (
            "approval",
            format!("ostler approve {approval} --as PERSON, or ostler deny {approval} --as PERSON --reason WHY"),
        ),
        InboxKey::InDoubt { call } => {
            ("in_doubt", format!("ostler resolve {call} happened|did-not|abandon --as PERSON"))
        }
    };
    Waiting {
        id: item.key.to_string(),
        item: kind,
        session: item.session,
        key: String::new(),
        agent: item.agent.clone(),
        root: item.session,
        chain: vec![item.agent.clone()],
        group: item.group.clone(),
        groups: vec![item.group.clone()],
        progress: None,
        since: item.since,
        expires: item.expires,
        call,
        what: String::new(),
        effect: None,
        tool: None,
        server: None,
        reason: String::new(),
        reasoning: Vec::new(),
        task: None,
        value_usd_micros: None,
        arguments: Value::Null,
        provenance: None,
        scripted: false,
        mode: Mode::Live,
        batch: String::new(),
        similar: Vec::new(),
        undone: String::new(),
        next,
    }
}

/// What the session's own record says of it.
fn tell(waiting: &mut Waiting, app: &App, trace: &Trace, key: InboxKey) {
    waiting.key.clone_from(&trace.key);
    waiting.scripted = trace.scripted;
    waiting.mode = trace.mode;
    waiting.root = trace.parents.first().map_or(trace.session, |link| link.session);
    waiting.chain = trace.parents.iter().map(|link| &link.agent).chain([&trace.agent]).cloned().collect();
    let Some(at) = trace.steps.iter().position(|step| is(&step.what, waiting.call)) else { return };
    let What::Capability(wanted) = &trace.steps[at].what else { return };
    waiting.task = trace.steps[..at].iter().rev().find_map(|step| match &step.what {
        What::Message { from, text, .. } => Some(Task { from: from.clone(), text: text.clone() }),
        What::Client(told) => {
            let asked = told.said.iter().rev().find(|message| message.role == Role::Person)?;
            Some(Task { from: None, text: asked.text.clone() })
        }
        _ => None,
    });
    waiting.what.clone_from(&wanted.name);
    waiting.reasoning.clone_from(&wanted.reasoning);
    waiting.value_usd_micros = wanted.value_usd_micros;
    waiting.arguments = wanted.arguments.as_ref().unwrap_or(&wanted.wanted).clone();
    waiting.effect = wanted.effect;
    describe(waiting, app, wanted);
    waiting.reason = match key {
        InboxKey::Approval { approval } => {
            let asked = wanted.consents.iter().rev().find(|consent| consent.request.approval == approval);
            waiting.provenance = asked.and_then(|consent| consent.request.provenance.as_deref().cloned());
            asked.map(|consent| waiting.asks(consent, app.clock.now())).unwrap_or_default()
        }
        InboxKey::InDoubt { .. } => {
            "it was sent, and nobody knows what came of it: look where it went, then say".to_owned()
        }
    };
}

impl Waiting {
    /// What its request says; why people are asked comes back.
    fn asks(&mut self, consent: &Consent, now: Timestamp) -> String {
        let (progress, edited) = progress::of(consent, now);
        self.groups = consent.request.groups_at(now).cloned().collect();
        self.arguments = edited.unwrap_or_else(|| consent.request.arguments.clone());
        self.progress = Some(progress);
        consent.request.reason.clone()
    }

    /// What stands above what: a write in doubt, then what is worth most. What nobody can value counts as worth more.
    fn weight(&self) -> i64 {
        if self.item == "in_doubt" { i64::MAX } else { self.value_usd_micros.unwrap_or(i64::MAX - 1) }
    }

    /// Whether somebody may answer it now.
    pub(crate) fn is_for(&self, who: &Who) -> bool {
        let excluded =
            self.progress.as_ref().is_some_and(|progress| progress.not.iter().any(|not| who.person() == Some(not)));
        !excluded && self.groups.iter().any(|group| who.is_of(group))
    }
}

fn is(what: &What, call: CallId) -> bool {
    matches!(what, What::Capability(wanted) if wanted.call == call)
}

/// Which tool of which server it is, as the catalog has it now.
fn describe(waiting: &mut Waiting, app: &App, wanted: &CapabilityCall) {
    let Some(CapabilityRef::External(name)) = &wanted.capability else { return };
    if let Some(entry) = app.gate.registry().capability(name) {
        let spec = &entry.descriptor.spec;
        waiting.effect = waiting.effect.or(Some(spec.effect));
        (waiting.tool, waiting.server) = (Some(spec.tool.clone()), Some(spec.server.clone()));
    }
}

/// What a person says to a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    edited: Option<Value>,
    /// The hash of the arguments that were seen: a yes is to nothing else.
    #[serde(default)]
    seen: Option<Digest>,
    /// When it was shown, where that is known.
    #[serde(default)]
    shown_at: Option<Timestamp>,
}

/// Yes.
pub(crate) async fn approve(
    State(app): State<App>,
    who: Who,
    Id(id): Id<ApprovalId>,
    Body(said): Body<Said>,
) -> ApiResult<Json<Value>> {
    told(
        &app,
        &who,
        id,
        Answer {
            approved: true,
            reason: said.reason,
            edited: said.edited,
            seen: said.seen,
            shown_at: said.shown_at,
            by_link: None,
        },
    )
    .await
}

/// No.
pub(crate) async fn deny(
    State(app): State<App>,
    who: Who,
    Id(id): Id<ApprovalId>,
    Body(said): Body<Said>,
) -> ApiResult<Json<Value>> {
    told(
        &app,
        &who,
        id,
        Answer {
            approved: false,
            reason: said.reason,
            edited: said.edited,
            seen: None,
            shown_at: said.shown_at,
            by_link: None,
        },
    )
    .await
}

async fn told(app: &App, who: &Who, id: ApprovalId, said: Answer) -> ApiResult<Json<Value>> {
    let verdict = answer(app, who, id, said).await?;
    Ok(Json(json!({ "approval": id, "session": id.call.session, "verdict": verdict })))
}

/// Signs what a person says and posts it to the session that waits. Answers once the session has taken it, or after a
/// moment: it is durable either way.
pub(crate) async fn answer(app: &App, who: &Who, id: ApprovalId, said: Answer) -> ApiResult<ApprovalVerdict> {
    let mut progress = app.runtime.watch();
    let verdict = approval::answer(&app.gate, &who.0, id, said).await?;
    commits(&mut progress, id.call.session, TAKEN_WITHIN).await;
    Ok(verdict)
}

/// Tells a session what came of a write in doubt. Answers once the session has taken it, or after a moment.
pub(crate) async fn resolve(app: &App, who: &Who, call: CallId, resolution: Resolution) -> ApiResult<()> {
    let mut progress = app.runtime.watch();
    approval::resolve(&app.gate, &who.0, call, resolution).await?;
    commits(&mut progress, call.session, TAKEN_WITHIN).await;
    Ok(())
}
