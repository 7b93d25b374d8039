//! The machine of a session: a pure function from (state, input) to events, and from state to what is wanted next.
//! No async, no clock, no I/O; nowhere else does a phase change. It must not know budgets, policy or approvals:
//! it asks, and folds what it is told.
//!
//! ```text
//!   mail ──▶ step ──▶ events ──▶ fold ──▶ wanted ──▶ doors ──▶ commit ──▶ perform ─┐
//!              ▲                                                                  │
//!              └───────────────────────── outcome ◀───────────────────────────────┘
//! ```

mod conversation;
mod retry;

use data::rows::frozen_words;
use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement, Stop};
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::id::{CallId, SessionId};
use domain::mail::{Mail, MailBody, Returned};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::session::{CallKind, CallState, OpenCall, Phase, Session};

pub use conversation::{Told, told};
pub use retry::PATIENCE_MS;

/// How many uses in a row may carry unfit arguments before the session fails.
pub const UNFIT_IN_A_ROW: u32 = 4;

/// How often a model is asked for one answer whose outcome is lost again and again: each time is possibly billed.
pub const LOST_ANSWERS: u16 = 3;

/// What is wanted next.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Ask the model.
    Model {
        /// As which call.
        call: CallId,
        /// As which attempt at it.
        attempt: u16,
    },
    /// Use a capability.
    Capability {
        /// The open call, with what the session knows of it.
        call: Box<OpenCall>,
        /// As which attempt at it.
        attempt: u16,
    },
}

impl Wanted {
    /// The call.
    pub fn call(&self) -> CallId {
        match self {
            Wanted::Model { call, .. } => *call,
            Wanted::Capability { call, .. } => call.id,
        }
    }
}

/// How a session that wants nothing and has nothing in flight comes to rest.
#[derive(Debug, Clone, PartialEq)]
pub enum Rest {
    /// It sleeps until mail, at the latest until the instant given.
    Suspended(Vec<Wait>, Option<Timestamp>),
    /// It answered.
    Finished,
    /// It cannot go on.
    Failed(String),
    /// It has never been told anything, is over, or had ended when it was suspended: there is nothing to say.
    Nothing,
}

/// What one piece of mail makes happen; nothing, if it was consumed before or is about nothing open any more.
pub fn receive(session: &Session, mail: &Mail) -> Vec<Event> {
    if session.consumed.contains(&mail.id) || session.phase == Phase::Killed {
        return Vec::new();
    }
    match &mail.body {
        MailBody::Message { from, message, .. } => {
            vec![Event::MessageReceived { mail: mail.id.clone(), from: from.clone(), message: message.clone() }]
        }
        MailBody::Verdict { verdict } => {
            let waits = session.open.get(&verdict.approval.call.ordinal).is_some_and(|open| {
                let asked = open.approval.as_ref().is_some_and(|request| request.approval == verdict.approval);
                let waits = matches!(open.state, CallState::Waiting { .. });
                asked && open.verdict.is_none() && !open.withdrawn && waits && !open.heard(verdict)
            });
            waits.then(|| Event::ApprovalDecided { verdict: verdict.clone() }).into_iter().collect()
        }
        MailBody::Resolved { call, attempt, person, resolution } => {
            let doubted = session
                .open
                .get(&call.ordinal)
                .is_some_and(|open| open.attempt == *attempt && matches!(open.state, CallState::InDoubt { .. }));
            let (person, resolution) = (person.clone(), resolution.clone());
            let resolved = Event::CallResolved { call: *call, person, resolution, settlement: None };
            doubted.then_some(resolved).into_iter().collect()
        }
        MailBody::Wake | MailBody::Tick { .. } => Vec::new(),
        MailBody::Returned { call, from, end, spent, labels } => {
            returned(session, (*call, *from), end, (*spent, labels)).into_iter().collect()
        }
        MailBody::Kill { by, reason } => end(session, by, reason),
        MailBody::Suspend { by, reason } => {
            let paused = Event::Paused { by: by.clone(), reason: reason.clone() };
            session.paused.is_none().then_some(paused).into_iter().collect()
        }
        MailBody::Resume { by } => {
            let resumed = Event::Resumed { by: by.clone() };
            session.paused.is_some().then_some(resumed).into_iter().collect()
        }
    }
}

/// What a call that was delegated came to, if it still waits for that. Whoever wrote it may have read anything.
fn returned(
    session: &Session,
    (call, from): (CallId, SessionId),
    end: &Returned,
    (spent, labels): (Amounts, &[String]),
) -> Option<Event> {
    let open = session.open.get(&call.ordinal).filter(|open| open.id == call)?;
    let CallState::Waiting { wait: Wait { why: WaitFor::Delegated { agent, session: to }, .. } } = &open.state else {
        return None;
    };
    let CallKind::Capability { use_id, .. } = &open.kind else { return None };
    if *to != from {
        return None;
    }
    let (text, error) = end.clone().told(agent);
    let content = Content::Result { use_id: use_id.clone(), text, structured: None, error, vouches: None };
    let part = Part { content, origin: Origin::Agent, labels: labels.to_vec(), trust: Trust::Untrusted };
    let message = Message { role: Role::Capability, parts: vec![part] };
    let settlement = Settlement { delegated: Some(spent), ..Settlement::default() };
    let outcome = CallOutcome::Answered { message, stop: None };
    Some(Event::CallAnswered { call, attempt: open.attempt, outcome, settlement })
}

/// The last events of a session that is killed: what was in flight is in doubt for good, what was asked is withdrawn.
fn end(session: &Session, by: &str, reason: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for open in session.open.values() {
        if let CallState::InFlight { .. } | CallState::InDoubt { .. } = open.state {
            events.push(Event::CallInDoubt { call: open.id, attempt: open.attempt, settlement: None });
        }
        if let (Some(request), None, false) = (&open.approval, &open.verdict, open.withdrawn) {
            let reason = "the session was killed".to_owned();
            events.push(Event::ApprovalWithdrawn { approval: request.approval, reason });
        }
    }
    events.push(Event::Killed { by: by.to_owned(), reason: reason.to_owned() });
    events
}

/// What is known at the moment that a session is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When.
    pub now: Timestamp,
    /// The most model calls that one message may cause.
    pub turns: u32,
    /// Whether what calls were frozen by is let go on: they ask again.
    pub thawed: bool,
}

/// What the session wants of the doors now.
pub fn wanted(session: &Session, look: Look) -> Vec<Wanted> {
    // One that failed tries again when it is told something, and not because a timer that was set before falls due.
    if matches!(session.phase, Phase::Killed | Phase::Failed) || session.paused.is_some() {
        return Vec::new();
    }
    let due: Vec<_> = session.open.values().filter(|open| wants_asking(open, look)).map(want).collect();
    let may_ask = session.wants_model() && retry::is_due(session, look.now);
    if due.is_empty() && may_ask && gives_up(session, look.turns).is_none() {
        let call = CallId { session: session.id, ordinal: session.next_ordinal };
        return vec![Wanted::Model { call, attempt: 1 }];
    }
    due
}

fn wants_asking(open: &OpenCall, look: Look) -> bool {
    match &open.state {
        CallState::Wanted => !is_lost_for_good(open),
        CallState::InFlight { .. } => false,
        CallState::Waiting { wait: Wait { why: WaitFor::Frozen { .. }, .. } } => look.thawed,
        CallState::Waiting { wait } => wait.until.is_some_and(|until| until <= look.now),
        // Only a person knows: what may be repeated was settled and is wanted again.
        CallState::InDoubt { .. } => false,
    }
}

fn is_lost_for_good(open: &OpenCall) -> bool {
    open.kind == CallKind::Model
        && open.state == CallState::Wanted
        && open.attempt.saturating_sub(open.stopped) >= LOST_ANSWERS
}

fn want(open: &OpenCall) -> Wanted {
    let attempt = open.attempt.saturating_add(1);
    match open.kind {
        CallKind::Model => Wanted::Model { call: open.id, attempt },
        CallKind::Capability { .. } => Wanted::Capability { call: Box::new(open.clone()), attempt },
    }
}

/// Why the session cannot go on, if it cannot.
fn gives_up(session: &Session, turns: u32) -> Option<String> {
    if let Some(failure) = &session.model_failure {
        return Some(failure.clone());
    }
    if let Some(reason) = retry::gives_up(session) {
        return Some(reason);
    }
    if session.open.values().any(is_lost_for_good) {
        return Some(format!(
            "the model's answer was lost {LOST_ANSWERS} times in a row, and each is possibly billed; the provider is slow or \
             breaks off"
        ));
    }
    if session.attached.is_none() && session.unfit_in_a_row >= UNFIT_IN_A_ROW {
        return Some(format!(
            "the model used capabilities with unfit arguments {UNFIT_IN_A_ROW} times in a row; the last error is in the trace"
        ));
    }
    // How often a client asks its model for one message is its own business, and its budget's.
    (session.turns >= turns && session.wants_model())
        .then(|| format!("the model was asked {turns} times for one message (limits.turns) and is not done"))
}

/// How a session that wants nothing and has nothing in flight comes to rest.
pub fn rest(session: &Session, turns: u32) -> Rest {
    // One that had ended has nothing to do: it stays ended while it is held, and is in nobody's way.
    let had_ended = session.paused.as_ref().is_some_and(|pause| pause.rested.is_some());
    if session.phase == Phase::Killed || had_ended {
        return Rest::Nothing;
    }
    let waits = waits(session);
    if !waits.is_empty() {
        // Whatever falls due while it is held is looked at once it is resumed.
        let until = waits.iter().filter_map(|wait| wait.until).min().filter(|_| session.paused.is_none());
        return Rest::Suspended(waits, until);
    }
    if let Some(reason) = gives_up(session, turns) {
        return Rest::Failed(reason);
    }
    match (session.messages.last().map(|last| last.role), session.last_stop) {
        // What comes next is its client's business.
        _ if session.attached.is_some() => Rest::Finished,
        (None, _) => Rest::Nothing,
        (Some(Role::Agent), Some(Stop::Length)) => {
            Rest::Failed("the model ran into its output limit (model.max_output_tokens) before it was done".to_owned())
        }
        (Some(Role::Agent | Role::Person | Role::Capability), _) => Rest::Finished,
    }
}

/// What a session that is not over waits for.
pub fn waits(session: &Session) -> Vec<Wait> {
    let paused = session.paused.iter().map(|pause| Wait { why: WaitFor::Paused { by: pause.by.clone() }, until: None });
    paused.chain(session.open.values().filter_map(waits_for)).chain(retry::waits(session)).collect()
}

/// What froze it, while calls of it wait for that.
pub fn frozen(session: &Session) -> Option<&Scope> {
    session.open.values().find_map(|open| match &open.state {
        CallState::Waiting { wait: Wait { why: WaitFor::Frozen { scope }, .. } } => Some(scope),
        CallState::Waiting { .. } | CallState::Wanted | CallState::InFlight { .. } | CallState::InDoubt { .. } => None,
    })
}

fn waits_for(open: &OpenCall) -> Option<Wait> {
    match &open.state {
        CallState::Waiting { wait } => Some(wait.clone()),
        CallState::InDoubt { .. } => Some(Wait { why: WaitFor::InDoubt { call: open.id }, until: None }),
        CallState::Wanted | CallState::InFlight { .. } => None,
    }
}

/// What a crash left in doubt: one event for every intent without an outcome.
pub fn recover(session: &Session) -> Vec<Event> {
    let lost = session.open.values().filter(|open| matches!(open.state, CallState::InFlight { .. }));
    lost.map(|open| Event::CallInDoubt { call: open.id, attempt: open.attempt, settlement: None }).collect()
}

/// What the session waits for, in words for `ps`.
pub fn waits_on(session: &Session) -> String {
    if let (Some(scope), None) = (frozen(session), &session.paused) {
        // Whatever else it waits for: nothing of it goes on before that.
        return frozen_words(scope);
    }
    let mut words: Vec<_> = waits(session).into_iter().map(|wait| wait_words(wait.why)).collect();
    words.dedup();
    if words.is_empty() && session.attached.is_some() && session.phase != Phase::Killed {
        return "its client".to_owned();
    }
    words.join(", ")
}

/// What something waits for, in words.
pub fn wait_words(why: WaitFor) -> String {
    match why {
        WaitFor::Approval { approval } => format!("approval {approval}"),
        WaitFor::TiedUp { budget } => format!("budget {budget}"),
        WaitFor::Exhausted { budget } => format!("budget {budget}, which is used up"),
        WaitFor::InDoubt { call } => format!("resolve {call}"),
        WaitFor::Frozen { scope } => frozen_words(&scope),
        WaitFor::Paused { by } => format!("suspended by {by}"),
        WaitFor::Timer => "timer".to_owned(),
        WaitFor::Model { failed: 1 } => "its model, which failed once".to_owned(),
        WaitFor::Model { failed } => format!("its model, which failed {failed} times"),
        WaitFor::Delegated { agent, session } => format!("{agent} in {session}"),
    }
}

/// The id of the mail that wakes a session at `until`: the same instant is posted once.
pub fn wake_id(session: SessionId, until: Timestamp) -> String {
    format!("wake:{session}:{}", until.0)
}
