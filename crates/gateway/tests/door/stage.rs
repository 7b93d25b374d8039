//! What the tests of the door share: a log in memory, a gate, descriptors, a clock that stands, and a session that
//! commits what the door says.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use control::approval::{Answer, speak};
use control::consent::Signer;
use control::people::add_person;
use control::{Checks, Gate};
use data::commit::{Log, Receipt, SessionWriter};
use data::record::Stamp;
use data::rows::{Head, Rows};
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use domain::call::{Ask, CapabilityAct, Facts};
use domain::clock::{Clock, Timestamp};
use domain::control::{ControlEvent, Scope};
use domain::descriptor::parse_file;
use domain::event::Event;
use domain::id::{CallId, Name, SessionId, TraceId};
use domain::message::{Content, Part};
use domain::principal::{Autonomy, Caller, Link, Mode, Principal};
use domain::session::Phase;
use gateway::{Door, Prepared, Upstreams};
use serde_json::Value;

const SECRET: &[u8] = b"secret";

/// A clock that stands until it is moved.
#[derive(Default)]
pub(crate) struct Still(AtomicI64);

impl Still {
    pub(crate) fn set_ms(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_790_000_000_000).plus_ms(self.monotonic_ms())
    }
    fn monotonic_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

pub(crate) struct Stage {
    pub(crate) clock: Arc<Still>,
    pub(crate) log: Log,
    pub(crate) gate: Arc<Gate>,
    pub(crate) door: Door,
    pub(crate) principal: Arc<Principal>,
    pub(crate) writer: SessionWriter,
    ordinal: u32,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Stage {
    /// The agent `worker` of these descriptors, in its first session.
    pub(crate) async fn set(descriptors: &str, clock: Arc<Still>, upstreams: Upstreams) -> Self {
        let store = Arc::new(SqliteStore::in_memory(clock.clone()).unwrap());
        let sealer = Sealer::from_master(&[1; 32], clock.clone());
        let log = Log::open(store, sealer, clock.clone(), "test").await.unwrap();
        let checks =
            Checks { price: Arc::new(|_, _| Ok(())), pin: Arc::new(|_, _, _| Ok(())), secret: Arc::new(|_| true) };
        let gate = Gate::open(log.clone(), SECRET, checks).await.unwrap();
        let door = Door::new(Arc::clone(&gate), clock.clone(), upstreams);
        apply(&gate, descriptors).await;
        let principal = Arc::new(principal(&gate));
        let writer = log.begin(principal.link.session);
        Stage { clock, log, gate, door, principal, writer, ordinal: 0 }
    }

    /// An ask for the next call.
    pub(crate) fn ask(&mut self, capability: &str, arguments: Value) -> Ask<CapabilityAct> {
        self.ordinal += 1;
        let call = CallId { session: self.principal.link.session, ordinal: self.ordinal };
        let capability = capability.parse().map_err(|_| capability.to_owned());
        let act = CapabilityAct { use_id: format!("use_{}", self.ordinal), capability, arguments, malformed: None };
        Ask { call, attempt: 1, principal: Arc::clone(&self.principal), act, facts: Facts::default() }
    }

    /// An ask that a person said yes to.
    pub(crate) async fn consented(&mut self, capability: &str, arguments: Value) -> Ask<CapabilityAct> {
        let ana = Caller::Person { name: name("ana"), groups: vec![name("office")] };
        add_person(&self.gate, &Caller::Admin, &name("ana"), &[name("office")]).await.unwrap();
        let mut ask = self.ask(capability, arguments);
        let Prepared::Wait(rows, _) = self.door.prepare(&ask).await else { panic!("it should ask a person") };
        let request = rows.events.iter().find_map(|event| match event {
            Event::ApprovalRequested { request, .. } => Some(request.clone()),
            _ => None,
        });
        let request = request.expect("a person is asked");
        let yes = Answer { approved: true, ..Answer::default() };
        let verdict = speak(&ana, &request, &[], (yes, self.clock.now())).unwrap();
        ask.facts.verdict = Some(Signer::new(SECRET).sign(&request, verdict));
        ask.facts.approval = Some(request);
        ask
    }

    pub(crate) async fn commit(&mut self, rows: Rows) -> Receipt {
        let principal = Arc::clone(&self.principal);
        let stamp = Stamp {
            principal: Arc::clone(&principal),
            trace: TraceId(1),
            parent: None,
            cause: "test".into(),
            control_pos: self.gate.registry().pos(),
            mode: Mode::Live,
            synthetic: false,
        };
        let head = Head {
            agent: principal.link.agent.clone(),
            revision: principal.link.revision,
            key: "test".into(),
            phase: Phase::Running,
            since: self.clock.now(),
            waits_on: String::new(),
            scripted: false,
            mode: Mode::Live,
            partition: None,
        };
        self.log.commit(&mut self.writer, stamp, head, rows).await.unwrap()
    }

    /// Prepares, commits and performs; what came of it.
    pub(crate) async fn call(&mut self, capability: &str, arguments: Value) -> (Event, Rows) {
        let ask = self.ask(capability, arguments);
        let prepared = self.door.prepare(&ask).await;
        let Prepared::Go(rows, ticket) = prepared else { panic!("it should go: {prepared:?}") };
        let receipt = self.commit(rows).await;
        self.door.perform(ticket, &receipt).await
    }

    pub(crate) async fn freeze(&self) {
        let frozen = ControlEvent::Frozen { what: Scope::All, reason: "stop".into(), by: "ana".into() };
        self.log.commit_control(self.gate.registry().pos(), "ana", vec![frozen]).await.unwrap();
    }
}

pub(crate) async fn apply(gate: &Gate, descriptors: &str) {
    let parsed = parse_file("test.yaml", descriptors, &|_| None).unwrap();
    control::apply::apply(gate, &Caller::Admin, parsed, false).await.unwrap();
}

fn principal(gate: &Gate) -> Principal {
    let registry = gate.registry();
    let agent = name("worker");
    let revision = registry.agent(&agent).unwrap().revision;
    let session = SessionId::for_key(&agent, "test");
    let link = Link { agent, revision, session, call: None };
    let autonomy = Autonomy::Autonomous;
    Principal { link, owner: name("office"), on_behalf_of: None, parents: Vec::new(), autonomy }
}

/// The one part of a capability's answer.
pub(crate) fn part(event: &Event) -> &Part {
    let Event::CallAnswered { outcome, .. } = event else { panic!("{event:?}") };
    let domain::call::CallOutcome::Answered { message, .. } = outcome else { panic!("{outcome:?}") };
    &message.parts[0]
}

/// Its words, and whether they tell of a failure.
pub(crate) fn words(event: &Event) -> (&str, bool) {
    match &part(event).content {
        Content::Result { text, error, .. } => (text, *error),
        other => panic!("{other:?}"),
    }
}
