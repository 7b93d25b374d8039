//! A session's work for the client that keeps its loop: what the client asks becomes events and calls like any other,
//! and it is told how they ended once that is durable. It must not know how a client speaks, or what a door does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::call::{Ask, CallOutcome, Facts};
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::id::{CallId, Digest};
use domain::message::Content;
use domain::session::{CallKind, CallState, Called, Phase};
use models::door::ClientAct;
use models::provider::ProviderError;
use models::{Came, Prepared};
use tokio::sync::oneshot;

use super::Turn;
use crate::attach::{
    AttachError, CallReply, Lingering, Listener, ModelReply, ModelRequest, NotAttached, Request, Taken, Use, What,
};
use crate::call::Ready;
use crate::machine::{self, Told};
use crate::mailbox::Full;

/// How many calls of one session may be open at once.
const OPEN_CALLS: usize = 256;

/// How often it is looked whether a client that waits is still there.
const LOOK: Duration = Duration::from_millis(250);

/// When to come back to a session with too many open calls, in milliseconds.
const SOON_MS: i64 = 1_000;

/// The clients of one session.
#[derive(Default)]
pub(super) struct Clients {
    asked: Vec<Request>,
    fresh: Vec<ModelRequest>,
    /// Who waits for which model call: it is in flight, or the gate said not yet.
    models: BTreeMap<u32, ModelRequest>,
    /// What is said once all that was gathered is durable.
    tells: Vec<Tell>,
}

enum Tell {
    Model(oneshot::Sender<Result<ModelReply, AttachError>>, Result<ModelReply, AttachError>),
    Call(Vec<Listener>, Result<CallReply, AttachError>),
    Stands(CallId, CallReply),
    Withdrawn(oneshot::Sender<Result<bool, AttachError>>, bool),
}

impl Clients {
    pub(super) fn of(asked: Vec<Request>) -> Self {
        Clients { asked, ..Clients::default() }
    }

    /// Whether a client waits for something that has not ended.
    pub(super) fn wait(&self) -> bool {
        !self.models.is_empty()
    }

    /// What was to be said is not said: nobody knows.
    pub(super) fn forget(&mut self) {
        self.tells.clear();
    }
}

impl Turn {
    /// Says what is durable now.
    pub(super) fn tell(&mut self) {
        for tell in std::mem::take(&mut self.clients.tells) {
            // A client that went away hears nothing.
            match tell {
                Tell::Model(reply, said) => drop(reply.send(said)),
                Tell::Call(listeners, said) => listeners.into_iter().for_each(|one| drop(one.send(said.clone()))),
                Tell::Withdrawn(reply, taken) => drop(reply.send(Ok(taken))),
                Tell::Stands(call, reply) => self.parts.desk.guests().say(call, &Ok(reply)),
            }
        }
    }

    /// Takes what clients ask.
    pub(super) fn serve(&mut self, stopping: bool) {
        let mut asked = std::mem::take(&mut self.clients.asked);
        if self.inbox.has_asks() {
            self.inbox.looks();
            asked.extend(self.parts.desk.requests(self.awake.session.id));
        }
        let over = self.is_stopped();
        if over.is_some() || stopping {
            self.give_up_waiting(over.as_deref().unwrap_or("The server is stopping."));
        }
        for request in asked {
            if let Some(why) = &over {
                request.fail(AttachError::Stopped(why.clone()));
            } else if stopping {
                request.fail(AttachError::Lost("The server is stopping.".to_owned()));
            } else if self.awake.session.attached.is_none() || self.awake.session.principal.link.agent != request.agent
            {
                let id = self.awake.session.id;
                let reason = format!("Session {id} is not one that a client of {} keeps the loop of.", request.agent);
                let next = "Use another name for the session (`Ostler-Session`).".to_owned();
                request.fail(AttachError::NotAttached(NotAttached { reason, next }));
            } else if self.awake.session.open.len() + self.clients.fresh.len() >= OPEN_CALLS && request.begins() {
                request.fail(AttachError::Full(Full { bound: "the session's open calls", retry_after_ms: SOON_MS }));
            } else {
                self.take_request(request);
            }
        }
    }

    fn take_request(&mut self, request: Request) {
        match request.what {
            What::Model(model) => self.clients.fresh.push(model),
            What::Call { wanted, listener } => self.use_for_client(wanted, listener),
            What::Look { call, listener } => {
                let attached = self.awake.session.attached.as_ref();
                if attached.is_some_and(|attached| attached.calls.contains_key(&call.ordinal)) {
                    self.listen(call, listener);
                } else {
                    let reason = format!("There is no open call {call}, and no result that nobody was told.");
                    let next = "Make the call.".to_owned();
                    // Whoever asked may be gone.
                    drop(listener.send(Err(AttachError::NotAttached(NotAttached { reason, next }))));
                }
            }
            What::Withdraw { which, reply } => {
                let taken = self.withdraw(which);
                self.clients.tells.push(Tell::Withdrawn(reply, taken));
            }
        }
    }

    /// A client takes a call back: nobody is asked about it any more, and it is not made. One that was sent goes on.
    fn withdraw(&mut self, which: Taken) -> bool {
        let session = &self.awake.session;
        let same = |wanted: &Use| {
            let attached = session.attached.as_ref()?;
            attached.same(&wanted.name, Digest::of_json(&wanted.arguments))
        };
        let ordinal = match &which {
            Taken::Call(call) => Some(call.ordinal),
            Taken::Same(wanted) => same(wanted),
        };
        let open = ordinal.and_then(|ordinal| session.open.get(&ordinal));
        let waits = |state: &CallState| matches!(state, CallState::Wanted | CallState::Waiting { .. });
        // What another agent works on is made: it goes on, and what comes of it is kept.
        let mine = |open: &&domain::session::OpenCall| open.kind != CallKind::Model && open.delegated_to().is_none();
        let Some(open) = open.filter(|open| waits(&open.state) && mine(open)) else { return false };
        let call = open.id;
        if matches!(which, Taken::Same(_)) && self.parts.desk.guests().listens(call) {
            return false;
        }
        let why = "Its client took it back before it was made.".to_owned();
        let reason = "its client took it back".to_owned();
        let asked = open.approval.as_ref().filter(|_| open.verdict.is_none() && !open.withdrawn);
        if let Some(approval) = asked.map(|request| request.approval) {
            let mut event = Event::ApprovalWithdrawn { approval, reason };
            self.settle_ended(&mut event);
            self.happen(event);
        }
        self.happen(Event::ClientTold { call, instead: Some(why.clone()) });
        let listeners = self.parts.desk.guests().take(call);
        self.clients.tells.push(Tell::Call(listeners, Err(AttachError::Stopped(why))));
        true
    }

    /// Why nothing of it goes on, if nothing does.
    fn is_stopped(&self) -> Option<String> {
        let session = &self.awake.session;
        if session.phase == Phase::Killed {
            return Some(format!("Session {} was killed: nothing more is done in it.", session.id));
        }
        let pause = session.paused.as_ref()?;
        Some(format!("{} suspended session {}: {}. Ask again once it is resumed.", pause.by, session.id, pause.reason))
    }

    /// Nobody waits any longer: those whose calls are not in flight are told why, and so are all, of a session that was
    /// killed.
    fn give_up_waiting(&mut self, why: &str) {
        let session = &self.awake.session;
        let killed = session.phase == Phase::Killed;
        let in_flight = |ordinal: &u32| {
            let state = session.open.get(ordinal).map(|open| &open.state);
            matches!(state, Some(CallState::InFlight { .. }))
        };
        let gone: Vec<u32> =
            self.clients.models.keys().copied().filter(|ordinal| killed || !in_flight(ordinal)).collect();
        for ordinal in gone {
            self.give_up(ordinal, why.to_owned(), AttachError::Stopped(why.to_owned()));
        }
        for request in std::mem::take(&mut self.clients.fresh) {
            self.clients.tells.push(Tell::Model(request.reply, Err(AttachError::Stopped(why.to_owned()))));
        }
        if killed {
            let listeners = self.parts.desk.guests().take_all(self.awake.session.id);
            self.clients.tells.push(Tell::Call(listeners, Err(AttachError::Stopped(why.to_owned()))));
        }
    }

    /// A model call that waits is not made.
    fn give_up(&mut self, ordinal: u32, why: String, error: AttachError) {
        let Some(request) = self.clients.models.remove(&ordinal) else { return };
        if self.awake.session.open.contains_key(&ordinal) {
            let call = CallId { session: self.awake.session.id, ordinal };
            self.happen(Event::ClientTold { call, instead: Some(why) });
        }
        self.clients.tells.push(Tell::Model(request.reply, Err(error)));
    }

    /// Until it is to be looked again whether clients wait for what can be asked again, or are gone.
    pub(super) async fn look_again(&self) {
        let in_flight = |open: &domain::session::OpenCall| matches!(open.state, CallState::InFlight { .. });
        let waits = self
            .clients
            .models
            .keys()
            .any(|ordinal| self.awake.session.open.get(ordinal).is_some_and(|open| !in_flight(open)));
        if waits {
            tokio::time::sleep(LOOK).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Asks the door for what clients want of models now.
    pub(super) async fn ask_for_clients(&mut self) -> Vec<Ready> {
        self.leave_impatient();
        let mut ready = Vec::new();
        for request in std::mem::take(&mut self.clients.fresh) {
            self.said(&request);
            let session = &self.awake.session;
            let call = CallId { session: session.id, ordinal: session.next_ordinal };
            ready.extend(self.prepare_for(call, 1, request).await);
        }
        ready
    }

    /// The same for a model call that waited.
    pub(super) async fn ask_again(&mut self, call: CallId, attempt: u16) -> Option<Ready> {
        match self.clients.models.remove(&call.ordinal) {
            Some(request) => self.prepare_for(call, attempt, request).await,
            None => {
                self.happen(Event::ClientTold { call, instead: Some("Its client does not wait any more.".to_owned()) });
                None
            }
        }
    }

    /// Those who waited long enough for a call that the gate said not yet to, or are gone.
    fn leave_impatient(&mut self) {
        let now_ms = self.monotonic_ms();
        let waits: Vec<(u32, Wait)> = self.awake.session.open.values().filter_map(waits).collect();
        for (ordinal, wait) in waits {
            let Some(request) = self.clients.models.get(&ordinal) else { continue };
            if request.reply.is_closed() {
                let why = "Its client went away while it waited.".to_owned();
                self.give_up(ordinal, why.clone(), AttachError::Lost(why));
            } else if now_ms >= request.patience_ms {
                self.give_up_on(ordinal, wait);
            }
        }
    }

    fn give_up_on(&mut self, ordinal: u32, wait: Wait) {
        let words = format!("The model call waits for {} and is not made now.", machine::wait_words(wait.why.clone()));
        let error = match &wait.why {
            WaitFor::Frozen { .. } | WaitFor::Paused { .. } => AttachError::Stopped(format!(
                "Nothing is sent: {}. Ask again once it is let go on.",
                machine::wait_words(wait.why)
            )),
            _ => AttachError::Waits { why: wait.why, until: wait.until, words: words.clone() },
        };
        self.give_up(ordinal, words, error);
    }

    /// Records what a client's conversation adds to the session.
    fn said(&mut self, request: &ModelRequest) {
        let (session, incoming) = (&self.awake.session, &request.incoming);
        let Some(attached) = &session.attached else { return };
        let Told { new, conversation } = machine::told(session, &incoming.messages);
        let instructions = Some(incoming.instructions.clone())
            .filter(|said| attached.instructions.is_some() || !said.is_empty())
            .filter(|said| attached.instructions != Some(Digest::of(said.as_bytes())));
        let told = attached.tools.is_some() || !incoming.tools.is_empty();
        let tools = (told && attached.tools != Some(incoming.tools_hash())).then(|| incoming.tools_said());
        let nothing = new.is_empty() && instructions.is_none() && tools.is_none();
        if nothing && conversation == attached.conversation {
            return;
        }
        let (agent, id) = (session.principal.link.agent.clone(), session.id);
        self.parts.desk.guests().went_on(&agent, id);
        self.happen(Event::ClientSaid { messages: new, conversation, instructions, tools });
    }

    async fn prepare_for(&mut self, call: CallId, attempt: u16, request: ModelRequest) -> Option<Ready> {
        let session = &self.awake.session;
        let waiting_since = session.open.get(&call.ordinal).and_then(|open| open.waiting_since);
        let facts = Facts { waiting_since, ..Facts::default() };
        let act = ClientAct { incoming: Arc::clone(&request.incoming) };
        let ask = Ask { call, attempt, principal: session.principal.clone(), act, facts };
        match self.parts.models.prepare_client(&ask).await {
            Prepared::Go(rows, ticket) => {
                self.take(rows);
                let say = request.say.clone();
                self.clients.models.insert(call.ordinal, request);
                Some(Ready::Client(ticket, say))
            }
            Prepared::Refuse(rows, refusal) => {
                self.take(rows);
                self.clients.tells.push(Tell::Model(request.reply, Err(AttachError::Refused(refusal))));
                None
            }
            Prepared::Wait(rows, wait) => {
                self.take(rows);
                let may_change = wait
                    .until
                    .is_some_and(|until| self.monotonic_ms() + until.since_ms(self.now()) < request.patience_ms);
                self.clients.models.insert(call.ordinal, request);
                if !may_change {
                    self.give_up_on(call.ordinal, wait);
                }
                None
            }
        }
    }

    /// What came of a call, for the client that waits for it.
    pub(super) fn land_for_client(&mut self, event: &Event, came: Option<Came>) {
        let (session, agent) = (self.awake.session.id, self.awake.session.principal.link.agent.clone());
        match event {
            Event::ModelAnswered { call, .. } => {
                let Some(request) = self.clients.models.remove(&call.ordinal) else { return };
                let said = match came {
                    Some(Came::Answer(answer)) => {
                        self.parts.desk.guests().wants(&agent, session, &answer.message);
                        Ok(ModelReply { call: *call, answer })
                    }
                    Some(Came::Failed(error)) => Err(AttachError::Upstream(error)),
                    Some(Came::CutOff(why)) => Err(AttachError::Stopped(why)),
                    None => Err(AttachError::Upstream(ProviderError::Unknown { reason: "it was lost".to_owned() })),
                };
                self.clients.tells.push(Tell::Model(request.reply, said));
            }
            // What was cut off and needed no consent is dropped: whoever waits asks again.
            Event::CallAnswered { call, outcome: CallOutcome::Stopped { why }, .. } => {
                let consented = self.awake.session.open.get(&call.ordinal).is_some_and(|open| open.verdict.is_some());
                if self.awake.session.attached.is_some() && !consented {
                    let listeners = self.parts.desk.guests().take(*call);
                    self.clients.tells.push(Tell::Call(listeners, Err(AttachError::Stopped(why.clone()))));
                }
            }
            _ => {}
        }
    }

    /// A client uses a capability: the same as one that is open, or ended without anybody being told, or a new call.
    fn use_for_client(&mut self, wanted: Use, listener: Listener) {
        let session = &self.awake.session;
        let Some(attached) = &session.attached else { return };
        let arguments = Digest::of_json(&wanted.arguments);
        if let Some(ordinal) = attached.same(&wanted.name, arguments) {
            return self.listen(CallId { session: session.id, ordinal }, listener);
        }
        let call = CallId { session: session.id, ordinal: session.next_ordinal };
        let agent = &session.principal.link.agent;
        let asked = self.parts.desk.guests().use_of(agent, session.id, (&wanted.name, arguments));
        let use_id = asked.unwrap_or_else(|| format!("ostler_{}", call.ordinal));
        self.parts.desk.guests().listen(call, listener);
        let Use { name: capability, arguments } = wanted;
        self.happen(Event::ClientCalled { call, use_id, capability, arguments });
    }

    /// Somebody listens for the end of a call that there is, and is told how it stands.
    fn listen(&mut self, call: CallId, listener: Listener) {
        let waits = self.awake.session.open.get(&call.ordinal).and_then(|open| stands(call, &open.state));
        if let Some(waits) = waits {
            // Whoever asked may be gone.
            drop(listener.send(Ok(waits)));
        }
        self.parts.desk.guests().listen(call, listener);
    }

    /// A call that the gate said not yet to: whoever listens is told what for. What is frozen is not made later: it is
    /// asked for again.
    pub(super) fn tell_waiting(&mut self, call: CallId) {
        let session = &self.awake.session;
        let (Some(open), true) = (session.open.get(&call.ordinal), session.attached.is_some()) else { return };
        let Some(reply) = stands(call, &open.state) else { return };
        let CallReply::Waits { why: why @ WaitFor::Frozen { .. }, .. } = &reply else {
            return self.clients.tells.push(Tell::Stands(call, reply));
        };
        if open.verdict.is_some() {
            return self.clients.tells.push(Tell::Stands(call, reply));
        }
        let words = format!("Nothing is sent: {}. Ask again once it is let go on.", machine::wait_words(why.clone()));
        let listeners = self.parts.desk.guests().take(call);
        self.clients.tells.push(Tell::Call(listeners, Err(AttachError::Stopped(words.clone()))));
        self.happen(Event::ClientTold { call, instead: Some(words) });
    }

    /// Calls that ended, and somebody listens: they are told, and it is recorded that they were.
    pub(super) fn tell_ended(&mut self) {
        let Some(attached) = &self.awake.session.attached else { return };
        let session = self.awake.session.id;
        let ended = attached.calls.iter().filter_map(|(ordinal, called)| {
            let call = CallId { session, ordinal: *ordinal };
            let reply = ended(call, called)?;
            let listeners = self.parts.desk.guests().take(call);
            (!listeners.is_empty()).then_some((call, reply, listeners))
        });
        for (call, reply, listeners) in ended.collect::<Vec<_>>() {
            self.happen(Event::ClientTold { call, instead: None });
            self.clients.tells.push(Tell::Call(listeners, Ok(reply)));
        }
    }

    /// One that a client will come back to stays in memory for a while.
    pub(super) fn linger(self) {
        let session = &self.awake.session;
        if session.attached.is_none() || session.phase == Phase::Killed || !self.rows.is_empty() {
            return;
        }
        let now_ms = self.monotonic_ms();
        let bytes = self.awake.session.messages.iter().map(|message| weight(message)).sum();
        let (id, desk) = (session.id, self.parts.desk.clone());
        // No snapshot of it: what happened was folded when it did, and its records say when they were written.
        let Turn { awake, offers, hearing, .. } = self;
        desk.guests().linger(id, Lingering { awake, offers, hearing, bytes }, now_ms);
    }
}

/// Nobody serves these.
pub(super) fn turn_away(asked: Vec<Request>, why: &str) {
    for request in asked {
        let next = "Use another name for the session (`Ostler-Session`).".to_owned();
        request.fail(AttachError::NotAttached(NotAttached { reason: why.to_owned(), next }));
    }
}

fn waits(open: &domain::session::OpenCall) -> Option<(u32, Wait)> {
    match &open.state {
        CallState::Waiting { wait } => Some((open.id.ordinal, wait.clone())),
        CallState::Wanted | CallState::InFlight { .. } | CallState::InDoubt { .. } => None,
    }
}

/// How an open call stands, where that is to be told.
fn stands(call: CallId, state: &CallState) -> Option<CallReply> {
    match state {
        CallState::Waiting { wait } => Some(CallReply::Waits { call, why: wait.why.clone(), until: wait.until }),
        CallState::InDoubt { .. } => Some(CallReply::Waits { call, why: WaitFor::InDoubt { call }, until: None }),
        CallState::Wanted | CallState::InFlight { .. } => None,
    }
}

/// How a call ended, if it did.
fn ended(call: CallId, called: &Called) -> Option<CallReply> {
    let Content::Result { text, structured, error, .. } = &called.result.as_ref()?.content else { return None };
    let text = text.clone();
    if called.refused.is_some() {
        return Some(CallReply::Refused { call, by: called.refused, text });
    }
    Some(CallReply::Result { call, text, structured: structured.clone(), error: *error })
}

/// About how much memory a message takes, in bytes.
fn weight(message: &domain::message::Message) -> usize {
    let parts = message.parts.iter().map(|part| match &part.content {
        Content::Text { text } | Content::Result { text, .. } => text.len(),
        Content::Reasoning { text, .. } => 2 * text.len(),
        Content::Use { .. } | Content::Other { .. } => 1_024,
    });
    256 + parts.sum::<usize>()
}
