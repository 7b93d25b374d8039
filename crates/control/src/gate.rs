//! The gate: the one place that answers "may it?", with everything it answers from in memory. It keeps the latest
//! registry and the shard's holdings; deciding is [`crate::decide`]. What must never be known here: how an agent runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use data::commit::Log;
use data::error::ControlError as NotRecorded;
use data::rows::Rows;
use domain::budget::{Amounts, Hold};
use domain::clock::{Clock, Timestamp};
use domain::control::ControlEvent;
use domain::decision::{DecidedAt, Refusal, RefusedBy, Wait};
use domain::event::Event;
use domain::id::{CallId, Name, Pos, SessionId, Shard};
use domain::principal::Principal;

use crate::budget::{Holdings, compute_usd_micros, limits};
use crate::consent::Signer;
use crate::decide::{self, Overtaken, Query, Scene, Verdict};
use crate::dispatch::{Cut, Dispatch, Dispatches};
use crate::error::ControlError;
use crate::link::Binder;
use crate::policy::check::{self, Definitions};
use crate::readiness::{self, Checks, Condition};
use crate::registry::Registry;

/// How often a control commit is tried again when others were there before.
const COMMIT_TRIES: usize = 16;

/// How many shards draw at once.
const DRAWING: usize = 16;

/// Answers "may it?". Built once; shared by both doors and the surface.
pub struct Gate {
    log: Log,
    checks: Checks,
    signer: Signer,
    links: Binder,
    registry: RwLock<Arc<Registry>>,
    holdings: Mutex<Holdings>,
    /// Held while a shard draws: what one call draws serves those that come behind it.
    drawing: [tokio::sync::Mutex<()>; DRAWING],
    /// Held while records are read and the next registry is put in place, so that it never goes back.
    refreshing: tokio::sync::Mutex<()>,
    dispatches: Dispatches,
    /// What servers said of their tools, for policies to be checked against.
    definitions: RwLock<Arc<Definitions>>,
}

impl Gate {
    /// Folds the control shard and restores the holdings. `secret` is the store's own for this purpose: what people
    /// say is signed with a key derived from it.
    pub async fn open(log: Log, secret: &[u8], checks: Checks) -> Result<Arc<Gate>, ControlError> {
        let signer = Signer::new(secret);
        let gate = Gate {
            log,
            checks,
            signer,
            links: Binder::new(secret),
            registry: RwLock::default(),
            holdings: Mutex::default(),
            drawing: Default::default(),
            refreshing: tokio::sync::Mutex::default(),
            dispatches: Dispatches::default(),
            definitions: RwLock::default(),
        };
        gate.refresh().await?;
        Ok(Arc::new(gate))
    }

    /// Takes note of what servers say of their tools: policies that are applied next are checked against it.
    pub fn defined(&self, definitions: Definitions) {
        let mut known = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut known).extend(definitions);
    }

    /// What servers said of their tools.
    pub fn definitions(&self) -> Arc<Definitions> {
        Arc::clone(&self.definitions.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything there is, as of now.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what was recorded since; afterwards the registry is at least as new as every control commit that was
    /// acknowledged before.
    pub async fn refresh(&self) -> Result<Arc<Registry>, ControlError> {
        let _one_at_a_time = self.refreshing.lock().await;
        let known = self.registry();
        let records = self.log.control_since(known.pos()).await?;
        if records.is_empty() {
            return Ok(known);
        }
        let next = Arc::new(known.after(&records)?);
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        // After it is in place: what begins now asks the new one.
        self.dispatches.cut_frozen(&next);
        Ok(next)
    }

    /// May it, by this registry: the one in which what is wanted was looked up? In memory only: an answer that allows
    /// holds the worst case at once.
    pub fn decide(&self, registry: &Registry, query: &Query<'_>) -> Verdict {
        self.asked(registry, query, |scene| decide::decide(scene, query))
    }

    /// Whether what was decided still holds by what is known now: asked last of all before the first byte leaves. Where
    /// nothing changed since, that is all there is to it.
    pub fn still(&self, query: &Query<'_>, decided: &DecidedAt) -> Result<(), Overtaken> {
        let registry = self.registry();
        if registry.pos() == decided.control_pos {
            return Ok(());
        }
        self.asked(&registry, query, |scene| decide::still(scene, query, decided))
    }

    /// A guard of a call that may be sent: a freeze, or its session's suspension, cuts it off. Taken before the last
    /// check, and held until the sending has ended.
    pub fn dispatch(&self, principal: &Arc<Principal>) -> Dispatch {
        self.dispatches.begin(principal)
    }

    /// Cuts off what a session has under way.
    pub fn cut(&self, session: SessionId, why: &Cut) {
        self.dispatches.cut_session(session, why);
    }

    /// How many calls of this node are cut off and not over yet, once there are none or `enough` has come.
    pub async fn quiet(&self, enough: impl Future<Output = ()>) -> usize {
        self.dispatches.quiet(enough).await
    }

    /// The wait of a call whose principal is frozen: asked before anything is looked up for it.
    pub fn held(&self, registry: &Registry, (call, model): (CallId, bool), who: &Principal) -> Option<(Rows, Wait)> {
        let wait = decide::frozen(registry, who)?;
        Some((Rows::of(Event::CallWaits { call, model, wait: wait.clone() }), wait))
    }

    fn asked<T>(&self, registry: &Registry, query: &Query<'_>, question: impl FnOnce(&mut Scene<'_>) -> T) -> T {
        let now = self.now();
        let shard = self.log.shard_of(query.principal.link.session);
        let mut holdings = self.holdings_of(shard);
        let (signer, checks) = (&self.signer, &self.checks);
        question(&mut Scene { registry, holdings: &mut holdings, shard, signer, checks, now })
    }

    /// Releases what a call of a session held and adds what it came to, in the holds' own windows.
    pub fn settle(&self, session: SessionId, holds: &[Hold], amounts: &Amounts) -> Rows {
        let shard = self.log.shard_of(session);
        Rows { holdings: self.holdings_of(shard).settle(shard, holds, amounts), ..Rows::default() }
    }

    /// Adds what was spent without a hold: compute time, and what it costs, which is told, too, where it costs anything.
    pub fn charge(&self, principal: &Principal, compute_ms: i64) -> (Rows, Option<i64>) {
        let registry = self.registry();
        let revision = registry.revision(&principal.link.agent, principal.link.revision);
        let per_hour = revision.map_or(0, |entry| entry.descriptor.spec.compute_usd_per_hour.0);
        let usd_micros = compute_usd_micros(per_hour, compute_ms);
        let limits = limits(&registry, principal, self.now());
        let shard = self.log.shard_of(principal.link.session);
        let amounts = Amounts { compute_ms, usd_micros, ..Amounts::default() };
        let rows = Rows { holdings: self.holdings_of(shard).charge(shard, &limits, &amounts), ..Rows::default() };
        (rows, (usd_micros > 0).then_some(usd_micros))
    }

    /// Takes back what rows that were never committed changed in memory.
    pub fn undo(&self, rows: &Rows) {
        self.holdings().undo(&rows.holdings);
    }

    /// The same, by a registry as new as the record that intends the call. What cannot be read refuses.
    pub async fn recheck(&self, control_pos: Pos, query: &Query<'_>, decided: &DecidedAt) -> Result<(), Overtaken> {
        if self.registry().pos() < control_pos {
            let read = self.refresh().await.ok();
            read.filter(|registry| registry.pos() >= control_pos).ok_or_else(|| Refusal {
                by: RefusedBy::Identity,
                reason: "The control plane changed, and its record cannot be read now.".to_owned(),
                next: "Nothing was sent. Look at the server's log, then send a new message.".to_owned(),
            })?;
        }
        self.still(query, decided)
    }

    /// What an agent has and what it lacks; empty if there is no such agent.
    pub fn ready(&self, agent: &Name) -> Vec<Condition> {
        let registry = self.registry();
        let mut all = readiness::of(&registry, &self.checks, agent);
        all.extend(check::when(&registry, &self.definitions(), agent));
        all
    }

    /// Records what `decide_on` makes of the latest registry; asked again whenever others were there before.
    /// No events: nothing is recorded.
    pub(crate) async fn commit<T>(
        &self,
        by: &str,
        decide_on: impl Fn(&Registry) -> Result<(Vec<ControlEvent>, T), ControlError> + Send + Sync,
    ) -> Result<T, ControlError>
    where
        T: Send,
    {
        for _ in 0..COMMIT_TRIES {
            let registry = self.refresh().await?;
            let (events, answer) = decide_on(&registry)?;
            if events.is_empty() {
                return Ok(answer);
            }
            let recorded = match self.log.commit_control(registry.pos(), by, events.clone()).await {
                Ok(_) => true,
                Err(NotRecorded::Moved { .. }) => false,
                // Its answer was lost: it happened if, and only if, the next position holds it.
                Err(NotRecorded::Unknown) => self.holds(registry.pos(), &events).await?,
                Err(NotRecorded::Refused(refused)) => return Err(ControlError::NotRecorded(refused)),
                Err(NotRecorded::Data(error)) => return Err(error.into()),
            };
            if recorded {
                self.refresh().await?;
                return Ok(answer);
            }
        }
        Err(ControlError::Busy)
    }

    /// Whether the record right after a position is of these events.
    async fn holds(&self, after: Pos, events: &[ControlEvent]) -> Result<bool, ControlError> {
        let records = self.log.control_since(after).await?;
        let first = records.first().map(|record| record.pos);
        let next = records.into_iter().take_while(|record| Some(record.pos) == first).map(|record| record.event);
        Ok(next.eq(events.iter().cloned()))
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn links(&self) -> &Binder {
        &self.links
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.log.clock()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// What shards hold, a shard's part as of the claim that it is held under.
    pub(crate) fn holdings_of(&self, shard: Shard) -> MutexGuard<'_, Holdings> {
        let mut holdings = self.holdings();
        if let Some(since) = self.log.owned_since(shard)
            && holdings.since(shard) != Some(since)
        {
            holdings.take(shard, since, self.log.taken_holdings(shard, since).unwrap_or_default());
        }
        holdings
    }

    /// The same of every shard.
    pub(crate) fn holdings_of_all(&self) -> MutexGuard<'_, Holdings> {
        for shard in 0..self.log.shards() {
            drop(self.holdings_of(Shard(shard)));
        }
        self.holdings()
    }

    pub(crate) fn drawing(&self, shard: Shard) -> &tokio::sync::Mutex<()> {
        &self.drawing[usize::from(shard.0) % DRAWING]
    }

    pub(crate) fn holdings(&self) -> MutexGuard<'_, Holdings> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
