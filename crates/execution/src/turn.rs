//! One session at work: machine ⇄ call ⇄ commit. Turns and commits are serial, calls in flight are not. When nothing
//! is wanted and nothing is in flight, the session comes to rest and leaves memory. It must not know what a door does.
//!
//! ```text
//!   mail, outcomes ─▶ machine ─▶ doors.prepare ─▶ commit ─▶ doors.perform ─▶ outcomes
//! ```

mod client;
mod commit;
mod inbox;
mod settle;

pub use commit::head;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use data::commit::Receipt;
use data::error::{CommitError, DataError, Refused};
use data::rows::Rows;
use domain::capability::Offer;
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Pos, SessionId};
use domain::mail::{Mail, MailBody, MailClass, Start};
use domain::session::{CallState, Phase};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::attach::{Lingering, Request};
use crate::backlog::{Go, Rested};
use crate::call::{self, Known, Landed, Ready};
use crate::hearing::Hearing;
use crate::local::delegate;
use crate::machine::{self, Look, Rest, Wanted};
use crate::rehydrate::{self, Awake};
use crate::scheduler::{self, Ended, Parts};
use crate::trigger;
use crate::turn::client::Clients;
use crate::turn::inbox::{Inbox, bytes_of};

/// How much mail one commit consumes, in bytes, before the rest waits for the next.
const MAIL_AT_ONCE: usize = 4 << 20;

/// Model calls per message where the descriptor is gone: the gate refuses them, this only bounds the asking.
const TURNS_UNBRIEFED: u32 = 60;

/// Calls under way.
type Flights = FuturesUnordered<BoxFuture<'static, Landed>>;

/// Does something while calls in flight go on: one that is cut off ends at once, whatever its session does meanwhile.
async fn beside<T>(work: impl Future<Output = T>, flights: &mut Flights) -> (T, Vec<Landed>) {
    let (mut work, mut landed) = (std::pin::pin!(work), Vec::new());
    loop {
        tokio::select! {
            biased;
            done = &mut work => return (done, landed),
            Some(one) = flights.next(), if !flights.is_empty() => landed.push(one),
        }
    }
}

/// A session in memory, at work.
struct Turn {
    parts: Parts,
    awake: Awake,
    offers: Option<Arc<[Offer]>>,
    hearing: Hearing,
    turns: u32,
    rows: Uncommitted,
    cause: String,
    inbox: Inbox,
    clients: Clients,
    /// How much mail the next commit consumes, in bytes.
    taken_bytes: usize,
    /// How many messages it consumes.
    taken_messages: u32,
    worked_since_ms: i64,
    waited_ms: i64,
}

/// What was gathered for the next commit.
struct Uncommitted {
    gateway: gateway::Door,
    rows: Rows,
}

impl Deref for Uncommitted {
    type Target = Rows;
    fn deref(&self) -> &Rows {
        &self.rows
    }
}

impl DerefMut for Uncommitted {
    fn deref_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// What was decided and never committed holds nothing: a task that ends, for whatever reason, gives it back.
impl Drop for Uncommitted {
    fn drop(&mut self) {
        self.gateway.undo(&self.rows);
    }
}

/// Why a session's task cannot go on.
enum Stop {
    Data(DataError),
    Commit(CommitError),
    /// It is told later what to do.
    NotNow,
}

/// A session's life from its first mail until it rests.
pub(crate) async fn live(parts: Parts, go: Go, stop: watch::Receiver<bool>) -> Ended {
    let id = go.session;
    match work(parts, go, stop).await {
        Ok(rested) => Ended::Rests(rested),
        Err(Stop::Data(error @ (DataError::UnknownEvent { .. } | DataError::Damaged { .. }))) => {
            tracing::error!(session = %id, %error, "the session's records cannot be read; it is left alone");
            Ended::Unreadable
        }
        Err(Stop::Data(error)) => {
            tracing::warn!(session = %id, %error, "the session could not be read; trying again");
            Ended::Again
        }
        Err(Stop::Commit(error @ CommitError::Refused(Refused::TooLarge { .. }))) => {
            tracing::error!(session = %id, %error, "the session wants to record too much at once; it is left alone");
            Ended::Unreadable
        }
        Err(Stop::NotNow) => Ended::Again,
        Err(Stop::Commit(error)) => {
            tracing::warn!(session = %id, %error, "a commit did not happen; the session is rehydrated");
            Ended::Again
        }
    }
}

async fn work(parts: Parts, go: Go, mut stop: watch::Receiver<bool>) -> Result<Rested, Stop> {
    let (mut turn, mail) = match Turn::wake(parts, go).await? {
        Ok(awake) => awake,
        Err(rested) => return Ok(rested),
    };
    let mut mail = Some(mail);
    let mut flights = Flights::new();
    loop {
        // Who stops takes no mail: a timer that nobody acted on would be consumed for nothing.
        let stopping = *stop.borrow();
        match mail.take() {
            Some(_) if stopping => {
                turn.serve(stopping);
                return Ok(turn.rested());
            }
            Some(mail) => turn.receive_all(mail).await,
            None if !stopping && turn.inbox.has_news() => {
                let mail = turn.inbox.read(&turn.parts.log, &turn.rows.consumed).await?;
                turn.receive_all(mail).await;
            }
            None => {}
        }
        turn.serve(stopping);
        if turn.awake.session.phase == Phase::Killed {
            flights.clear();
        }
        let in_flight = !flights.is_empty();
        let (stepped, landed) = beside(turn.step(in_flight, stopping), &mut flights).await;
        let (ready, receipt) = stepped?;
        let known = receipt.as_ref().map(|receipt| receipt.control_pos());
        if let Some(receipt) = receipt {
            flights.extend(ready.into_iter().map(|call| call::perform(&turn.parts, call, receipt.clone())));
        }
        if !landed.is_empty() {
            landed.into_iter().for_each(|one| turn.land(one));
            continue;
        }
        if flights.is_empty() && !turn.clients.wait() {
            if stopping || (!turn.has_work() && !turn.thaws(known).await) {
                return Ok(turn.rested());
            }
            continue;
        }
        if turn.has_work() && !stopping {
            continue;
        }
        let waits_from = turn.monotonic_ms();
        tokio::select! {
            biased;
            Some(landed) = flights.next(), if !flights.is_empty() => turn.land(landed),
            () = turn.inbox.news(), if !stopping => {}
            () = turn.look_again(), if turn.clients.wait() => {}
            () = scheduler::stop_changed(&mut stop) => {}
        }
        turn.waited_ms += turn.monotonic_ms() - waits_from;
    }
}

impl Turn {
    /// Rehydrates the session, or starts it if its mail, or a client, says how; with the mail to begin with. `Err`: there
    /// is nothing to do.
    async fn wake(parts: Parts, go: Go) -> Result<Result<(Turn, Vec<Mail>), Rested>, Stop> {
        let id = go.session;
        let mut inbox = Inbox::new(id, go.poke);
        inbox.looks();
        let asked = parts.desk.requests(id);
        if let Some(Lingering { awake, offers, hearing, .. }) = parts.desk.guests().come(id) {
            let mail = if go.mail { inbox.read(&parts.log, &[]).await? } else { Vec::new() };
            if !go.mail {
                inbox.has_none();
            }
            let mut turn = Turn::new(parts, awake, inbox, asked);
            (turn.offers, turn.hearing) = (offers, hearing);
            return Ok(Ok((turn, mail)));
        }
        let mut first = None;
        let right = parts.log.right(id);
        let (past, mail) = tokio::join!(rehydrate::rehydrate(&parts.log, id), inbox.read(&parts.log, &[]));
        let mut mail = mail?;
        let awake = match past {
            Ok(Some(awake)) => awake,
            Err(DataError::Erased { .. }) => {
                // What it said was erased: nothing can be added to it, and nobody is told anything by its mail.
                client::turn_away(asked, &format!("What session {id} said was erased: use another."));
                return throw_away(&parts, inbox, id, mail).await.map(Err);
            }
            Err(error) => return Err(error.into()),
            Ok(None) => {
                let Some(start) = start_of(id, &mut mail, &asked) else {
                    client::turn_away(asked, &format!("There is no session {id}."));
                    return throw_away(&parts, inbox, id, mail).await.map(Err);
                };
                let (event, session) = rehydrate::start(id, &start, parts.log.clock().now());
                first = Some(event);
                Awake { session, writer: parts.log.begin_under(right, id) }
            }
        };
        let mut turn = Turn::new(parts, awake, inbox, asked);
        turn.rows.events.extend(first);
        turn.recover();
        Ok(Ok((turn, mail)))
    }

    fn new(parts: Parts, awake: Awake, inbox: Inbox, asked: Vec<Request>) -> Turn {
        let turns = parts.models.brief(&awake.session.principal).map_or(TURNS_UNBRIEFED, |brief| brief.turns);
        let rows = Uncommitted { gateway: parts.gateway.clone(), rows: Rows::default() };
        let worked_since_ms = parts.log.clock().monotonic_ms();
        Turn {
            parts,
            awake,
            offers: None,
            hearing: Hearing::default(),
            turns,
            rows,
            cause: String::new(),
            inbox,
            clients: Clients::of(asked),
            taken_bytes: 0,
            taken_messages: 0,
            worked_since_ms,
            waited_ms: 0,
        }
    }

    /// Whether there is mail, or a client that asks.
    fn has_work(&self) -> bool {
        self.inbox.has_news() || self.inbox.has_asks()
    }

    /// How it is when it comes to rest. One that a client will come back to lingers.
    fn rested(self) -> Rested {
        let session = &self.awake.session;
        let unfinished = matches!(session.phase, Phase::Ready | Phase::Running | Phase::Suspended);
        let (seen, asked) = (self.inbox.seen(), self.inbox.asked());
        let rested = Rested { seen, asked, partition: session.partition_number(), unfinished };
        self.linger();
        rested
    }

    fn now(&self) -> Timestamp {
        self.parts.log.clock().now()
    }

    fn monotonic_ms(&self) -> i64 {
        self.parts.log.clock().monotonic_ms()
    }

    /// Folds an event into the state and keeps it for the next commit. Its end is told to whoever delegated to it.
    fn happen(&mut self, event: Event) {
        let at = self.now();
        self.awake.session.apply(&event, at);
        let (session, hearing) = (&self.awake.session, &mut self.hearing);
        self.rows.rows.mail.extend(delegate::returned(session, &event, || hearing.of(session), at));
        self.rows.events.push(event);
    }

    /// Folds the events of rows that a door made, and keeps all of them.
    fn take(&mut self, rows: Rows) {
        let at = self.now();
        for event in &rows.events {
            self.awake.session.apply(event, at);
        }
        self.rows.merge(rows);
    }

    /// Takes mail, as much as one commit may consume.
    async fn receive_all(&mut self, mail: Vec<Mail>) {
        for piece in mail {
            if self.taken_bytes >= MAIL_AT_ONCE {
                self.inbox.left_some();
                return;
            }
            self.receive(piece).await;
        }
    }

    /// Takes one piece of mail: what it causes is committed with its consumption.
    async fn receive(&mut self, mail: Mail) {
        let mut events = machine::receive(&self.awake.session, &mail);
        let is_message = u32::from(mail.body.class() == MailClass::Message);
        let wakes = matches!(mail.body, MailBody::Wake) && self.rows.consumed.is_empty();
        if events.is_empty() && !(wakes && self.is_due(mail.due)) {
            self.discard(&mail).await;
            self.parts.desk.taken(mail.session, is_message);
            return;
        }
        self.taken_messages += is_message;
        self.taken_bytes += bytes_of(&mail.body);
        events.iter_mut().for_each(|event| self.settle_ended(event));
        if !matches!(mail.body, MailBody::Message { .. }) {
            self.awake.session.remember(&mail.id);
        }
        let delegated: Vec<_> = self.awake.session.delegated().collect();
        let handed_down = delegate::handed_down(&mail, &delegated, self.now());
        self.rows.mail.extend(handed_down);
        for event in events {
            self.happen(event);
        }
        if let MailBody::Suspend { by, .. } = &mail.body {
            self.parts.gateway.cut_off(mail.session, by);
        }
        self.cause = mail.id.to_string();
        self.rows.consumed.push(mail.id);
    }

    /// Throws mail away that says nothing any more. Tried until it is gone, as a commit is: what stayed in the table would
    /// be due for ever, and nobody would look at it.
    async fn discard(&self, mail: &Mail) {
        while let Err(error) = self.parts.log.discard(mail.session, vec![mail.id.clone()]).await {
            tracing::warn!(session = %mail.session, %error, "mail that says nothing any more is thrown away again");
            tokio::time::sleep(commit::TRY_AGAIN).await;
        }
    }

    /// Whether the session wants anything, now or at the instant that it is woken for: a clock may step back.
    fn is_due(&self, woken_for: Timestamp) -> bool {
        !machine::wanted(&self.awake.session, Look { now: self.now().max(woken_for), ..self.look() }).is_empty()
    }

    fn look(&self) -> Look {
        let frozen = machine::frozen(&self.awake.session);
        let thawed = frozen.is_some_and(|scope| !self.parts.gateway.is_frozen(scope));
        Look { now: self.now(), turns: self.turns, thawed }
    }

    /// Whether calls that wait because of a freeze may ask again, by what is known once that is durable: whoever lets
    /// it go on meanwhile may not have found this session among those that wait.
    async fn thaws(&self, known: Option<Pos>) -> bool {
        if machine::frozen(&self.awake.session).is_some()
            && let Some(pos) = known
        {
            self.parts.gateway.catch_up(pos).await;
        }
        self.awake.session.paused.is_none() && self.look().thawed
    }

    /// Keeps what came of a call for the next commit.
    fn land(&mut self, landed: Landed) {
        if let Some(cause) = call::cause_of(&landed.event) {
            self.cause = cause;
        }
        let call = landed.event.call();
        self.land_for_client(&landed.event, landed.came);
        self.happen(landed.event);
        self.rows.merge(landed.rows);
        let doubted = call.filter(|call| {
            let open = self.awake.session.open.get(&call.ordinal);
            open.is_some_and(|open| matches!(open.state, CallState::InDoubt { .. }))
        });
        if let Some(call) = doubted {
            self.ask_what_happened(call);
        }
    }

    /// One turn: asks the doors for all that is wanted, then commits everything at once.
    async fn step(&mut self, in_flight: bool, stopping: bool) -> Result<(Vec<Ready>, Option<Arc<Receipt>>), Stop> {
        let ready = if stopping { Vec::new() } else { self.ask().await? };
        self.tell_ended();
        if ready.is_empty() && !in_flight && !stopping && !self.clients.wait() {
            self.come_to_rest();
        }
        let receipt = if self.rows.is_empty() { None } else { Some(Arc::new(self.commit().await?)) };
        self.tell();
        Ok((ready, receipt))
    }

    /// Asks the doors for all that is wanted, and for what is wanted because of their answers.
    async fn ask(&mut self) -> Result<Vec<Ready>, Stop> {
        let mut ready = self.ask_for_clients().await;
        loop {
            let wanted = machine::wanted(&self.awake.session, self.look());
            if wanted.is_empty() {
                return Ok(ready);
            }
            for want in wanted {
                if let (Wanted::Model { call, attempt }, true) = (&want, self.awake.session.attached.is_some()) {
                    ready.extend(self.ask_again(*call, *attempt).await);
                    continue;
                }
                let offers = self.offers().await?;
                let call = want.call();
                let session = &self.awake.session;
                let heard = match &want {
                    Wanted::Model { .. } => Arc::default(),
                    Wanted::Capability { .. } => self.hearing.of(session),
                };
                let prepared = call::prepare(&self.parts, &Known { session, offers: &offers, heard }, want).await;
                self.take(prepared.rows);
                ready.extend(prepared.ready);
                self.tell_waiting(call);
            }
        }
    }

    /// What the model is offered: asked of the gateway once per waking, recorded when it changed.
    async fn offers(&mut self) -> Result<Arc<[Offer]>, Stop> {
        if let Some(offers) = &self.offers {
            return Ok(offers.clone());
        }
        let principal = &self.awake.session.principal;
        let offers = self.parts.gateway.offers(principal).await;
        let listed = self.parts.offered.listed(principal.link.revision, offers);
        if self.awake.session.offers != Some(listed.hash) {
            self.rows.texts.push(listed.text.clone());
            self.happen(Event::CapabilitiesOffered { offers: listed.hash });
        }
        self.offers = Some(listed.offers.clone());
        Ok(listed.offers.clone())
    }

    fn come_to_rest(&mut self) {
        let was = self.awake.session.phase;
        let rest = machine::rest(&self.awake.session, self.turns);
        let at_rest = match was {
            Phase::Finished | Phase::Failed => true,
            Phase::Suspended => self.rows.is_empty(),
            Phase::Ready | Phase::Running | Phase::Killed => false,
        };
        if at_rest || rest == Rest::Nothing {
            return;
        }
        let compute_ms = (self.monotonic_ms() - self.worked_since_ms - self.waited_ms).max(0);
        self.worked_since_ms = self.monotonic_ms();
        self.waited_ms = 0;
        let (charged, cost) = self.parts.models.charge(&self.awake.session.principal, compute_ms);
        self.rows.merge(charged);
        if let Some(usd_micros) = cost {
            self.happen(Event::Charged { usd_micros });
        }
        match rest {
            Rest::Suspended(waits, until) => {
                if let Some(until) = until {
                    let session = self.awake.session.id;
                    let id = machine::wake_id(session, until).parse().expect("a wake id is printable and short");
                    self.rows.mail.push(Mail { id, session, due: until, body: MailBody::Wake });
                }
                self.happen(Event::Suspended { waits, compute_ms });
            }
            Rest::Finished => self.happen(Event::Finished { compute_ms }),
            Rest::Failed(reason) => self.happen(Event::Failed { reason, refusal: None, compute_ms }),
            Rest::Nothing => {}
        }
    }
}

/// How a session that there is not starts, by the first message in its mail or by a client. The message stands first
/// then.
fn start_of(id: SessionId, mail: &mut [Mail], asked: &[Request]) -> Option<Start> {
    let first = mail.iter().position(|piece| matches!(piece.body, MailBody::Message { .. }));
    if let Some(at) = first {
        mail[..=at].rotate_right(1);
    }
    let by_mail = first.and_then(|_| match &mail.first()?.body {
        MailBody::Message { start, .. } => Some((**start).clone()),
        _ => None,
    });
    let by_client = || asked.iter().find_map(|request| request.start.as_deref().cloned());
    by_mail.or_else(by_client).filter(|start| start.principal.link.session == id)
}

/// Mail to a session that there is not, or that was erased: a schedule's tick becomes what it is for, and the rest says
/// nothing to anybody.
async fn throw_away(parts: &Parts, mut inbox: Inbox, id: SessionId, mut mail: Vec<Mail>) -> Result<Rested, Stop> {
    while !mail.is_empty() {
        let (ticks, useless): (Vec<_>, Vec<_>) =
            mail.into_iter().partition(|piece| matches!(piece.body, MailBody::Tick { .. }));
        for tick in ticks {
            if !trigger::ticked(parts, &tick).await? {
                return Err(Stop::NotNow);
            }
        }
        let ids: Vec<_> = useless.into_iter().map(|piece| piece.id).collect();
        if !ids.is_empty() {
            parts.log.discard(id, ids).await?;
        }
        mail = if inbox.has_news() { inbox.read(&parts.log, &[]).await? } else { Vec::new() };
    }
    Ok(Rested { seen: inbox.seen(), asked: inbox.asked(), partition: None, unfinished: false })
}

impl From<DataError> for Stop {
    fn from(error: DataError) -> Self {
        Stop::Data(error)
    }
}
