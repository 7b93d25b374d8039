//! One agent, one scripted provider, and everything between them, real.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use control::{Checks, Gate};
use data::commit::{Log, Receipt, SessionWriter};
use data::record::Stamp;
use data::rows::{Head, Rows};
use data::seal::Sealer;
use data::sqlite::{Options, SqliteStore};
use domain::budget::Amounts;
use domain::call::{Ask, CallOutcome, Facts, ModelAct, Settlement};
use domain::clock::{Clock, Timestamp};
use domain::descriptor::parse_file;
use domain::event::Event;
use domain::id::{CallId, Digest, Pos, SessionId, TraceId};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Caller, Link, Mode, Principal};
use domain::session::Phase;
use models::provider::Provider;
use models::scripted::{Scripted, Step};
use models::{Door, Parts, Performed, Prepared, Ticket};

/// A clock that stands still unless it is told.
pub(crate) struct TestClock {
    now: AtomicI64,
    random: Mutex<u64>,
}

impl TestClock {
    pub(crate) fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut state = self.random.lock().expect("nobody panics with it");
        for byte in bytes {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (*state >> 56) as u8;
        }
    }
}

/// A file that the world starts with; `MODEL` and `PROVIDER` are replaced.
const FILE: &str = r#"
apiVersion: agent.os/v1
kind: Agent
metadata: {name: thinker, owner: finance}
spec:
  instructions: You think.
  model: {provider: anthropic, MODEL, max_output_tokens: 1000}
  budgets: {calls_per_hour: 5, usd_per_day: 1}
---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: anthropic, owner: it}
spec:
  PROVIDER
"#;

pub(crate) const MODEL: &str = "name: claude-opus-4-7";
/// One call at a time, and nobody waits.
pub(crate) const ALONE: &str = "protocol: scripted\n  script: played\n  limits: {concurrent: 1, queue: 0}";
pub(crate) const PLAYED: &str = "protocol: scripted\n  script: played\n  limits: {concurrent: 1}";

pub(crate) struct World {
    pub(crate) log: Log,
    pub(crate) gate: Arc<Gate>,
    pub(crate) door: Door,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) script: Arc<Scripted>,
    writer: SessionWriter,
    principal: Arc<Principal>,
}

pub(crate) const SESSION: SessionId = SessionId::from_u128(7);

pub(crate) fn call(ordinal: u32) -> CallId {
    CallId { session: SESSION, ordinal }
}

/// A world whose provider plays these steps.
pub(crate) async fn world(steps: Vec<Step>) -> World {
    described(MODEL, PLAYED, steps).await
}

pub(crate) async fn described(model: &str, provider: &str, steps: Vec<Step>) -> World {
    let script = Arc::new(Scripted::play(steps));
    played_by(model, provider, script.clone(), script).await
}

pub(crate) async fn played_by(model: &str, provider: &str, played: Arc<dyn Provider>, script: Arc<Scripted>) -> World {
    let clock = Arc::new(TestClock { now: AtomicI64::new(1_795_334_400_000), random: Mutex::new(1) });
    let options = Options { alone: false, lease_ms: 30_000, ..Options::default() };
    let store = SqliteStore::in_memory_with(clock.clone(), options).expect("a store in memory");
    let sealer = Sealer::from_master(&[7; 32], clock.clone());
    let log = Log::open(Arc::new(store), sealer, clock.clone(), "test").await.expect("a log");
    let checks =
        Checks { price: Arc::new(models::price_check), pin: Arc::new(models::pin_check), secret: Arc::new(|_| true) };
    let gate = Gate::open(log.clone(), b"a secret for tests, of any length", checks).await.expect("a gate");
    let text = FILE.replace("MODEL", model).replace("PROVIDER", provider);
    let descriptors = parse_file("world.yaml", &text, &|_| None).expect("the world is well described");
    let applied = control::apply::apply(&gate, &Caller::Admin, descriptors, false).await.expect("it is applied");
    let parts = Parts {
        gate: gate.clone(),
        clock: clock.clone(),
        secrets: Arc::new(|_| None),
        pace: std::time::Duration::ZERO,
        scripts: BTreeMap::from([("played".parse().expect("a name"), played)]),
    };
    let (door, writer) = (Door::new(parts), log.begin(SESSION));
    let principal = Arc::new(principal(applied[0].revision));
    World { log, gate, door, clock, script, writer, principal }
}

fn principal(revision: Digest) -> Principal {
    let name = |text: &str| text.parse().expect("a name");
    let link = Link { agent: name("thinker"), revision, session: SESSION, call: None };
    Principal { link, owner: name("finance"), on_behalf_of: None, parents: Vec::new(), autonomy: Autonomy::Autonomous }
}

pub(crate) fn hello() -> Message {
    Message::text(Role::Person, Origin::Person, "Hello")
}

impl World {
    pub(crate) fn ask(&self, ordinal: u32, messages: Vec<Message>) -> Ask<ModelAct> {
        let act = ModelAct { messages: messages.into_iter().map(Arc::new).collect(), offers: [].into() };
        let (principal, facts) = (self.principal.clone(), Facts::default());
        Ask { call: call(ordinal), attempt: 1, principal, act, facts }
    }

    pub(crate) async fn prepare(&self, ordinal: u32) -> Prepared {
        self.door.prepare(&self.ask(ordinal, vec![hello()])).await
    }

    /// A ticket and the rows that must be committed first.
    pub(crate) async fn may(&self, ordinal: u32) -> (Rows, Ticket) {
        match self.prepare(ordinal).await {
            Prepared::Go(rows, ticket) => (rows, ticket),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn commit(&mut self, rows: Rows) -> Receipt {
        let stamp = Stamp {
            principal: self.principal.clone(),
            trace: TraceId(1),
            parent: None,
            cause: "a test".to_owned(),
            control_pos: self.gate.registry().pos(),
            mode: Mode::Live,
            synthetic: false,
        };
        let head = Head {
            agent: self.principal.link.agent.clone(),
            revision: self.principal.link.revision,
            key: "test".to_owned(),
            phase: Phase::Running,
            since: Timestamp(0),
            waits_on: String::new(),
            scripted: false,
            mode: Mode::Live,
            partition: None,
        };
        self.log.commit(&mut self.writer, stamp, head, rows).await.expect("it is committed")
    }

    /// Prepares, commits, performs and commits once, and gives the event that ended it with what it settled.
    pub(crate) async fn once(&mut self, ordinal: u32) -> (CallOutcome, Settlement, Rows) {
        let (rows, ticket) = self.may(ordinal).await;
        let receipt = self.commit(rows).await;
        let Performed { event, rows, .. } = self.door.perform(ticket, &receipt, &|_| ()).await;
        let (outcome, settlement) = ended(event);
        (outcome, settlement, rows)
    }

    pub(crate) async fn control(&self, event: domain::control::ControlEvent) -> Pos {
        self.log.commit_control(self.log.control_pos(), "admin", vec![event]).await.expect("nobody else writes")
    }
}

pub(crate) fn ended(event: Event) -> (CallOutcome, Settlement) {
    match event {
        Event::ModelAnswered { outcome, settlement, .. } => (outcome, settlement),
        other => panic!("{other:?}"),
    }
}

/// What rows change in all of what is held and what was spent, on the meters of the world's two budgets.
pub(crate) fn changed(rows: &Rows) -> (Amounts, Amounts) {
    let (mut held, mut spent) = (Amounts::default(), Amounts::default());
    for delta in &rows.holdings {
        let (held, spent) = match delta.budget.meter {
            domain::budget::Meter::UsdMicros => (&mut held.usd_micros, &mut spent.usd_micros),
            domain::budget::Meter::Calls => (&mut held.calls, &mut spent.calls),
            other => panic!("{other:?}"),
        };
        *held += delta.reserved;
        *spent += delta.spent;
    }
    (held, spent)
}

pub(crate) fn usd_and_calls(usd_micros: i64, calls: i64) -> Amounts {
    Amounts { usd_micros, calls, ..Amounts::default() }
}
