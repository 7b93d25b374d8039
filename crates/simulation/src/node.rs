//! A node, wired as the server wires it: log, gate, doors, runtime. What differs is outside: the store, the model API
//! and the upstream are the world's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use control::schedules::{self, Keeper};
use control::start::{self, For};
use control::{Checks, ControlError, Gate, apply, people};
use data::commit::Log;
use data::error::DataError;
use data::rows::Head;
use data::seal::Sealer;
use data::store::{DueBy, DueRow, HeadFilter};
use domain::descriptor::{Descriptor, parse_file};
use domain::id::{MailId, Name, SessionId, TraceId};
use domain::mail::Start;
use domain::principal::{Autonomy, Caller, Link, Principal};
use domain::session::Phase;
use execution::{NotAttached, Options, Runtime, Starts, Triggers};
use models::Provider;

use crate::chance::Chance;
use crate::store::Faulty;
use crate::world::World;

/// The population.
const AGENTS: &str = include_str!("../world/agents.yaml");
/// What the node that works is called.
const NODE: &str = "simulated";
/// After how long a node that could not start tries again.
const START_AGAIN: Duration = Duration::from_millis(100);
/// The longest that anything takes to come to rest: a model that is silent, as often and as long as it may be.
const LONGEST_UNREST: Duration = Duration::from_secs(12 * 3600);
/// The longest between two looks whether everything rests.
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// From how many records on a session has a snapshot: few, for the sessions of a seed are short.
const SNAPSHOT_AT: u64 = 3;
/// How much mail that is due is looked at: more than there ever is.
const DUE: usize = 1_000;

/// On whose behalf everything is that somebody asks for.
pub(crate) const EVERYBODYS: &str = "ana";

/// A node that lives.
pub struct Node {
    /// Its log.
    pub log: Log,
    /// Its gate.
    pub gate: Arc<Gate>,
    /// Its execution plane.
    pub runtime: Runtime,
    following: tokio::task::AbortHandle,
}

/// What a look at the node came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Rests,
    Works,
}

/// A name.
pub fn name(text: &str) -> Name {
    text.parse().expect("a name of the simulation is one")
}

/// A person of the group that owns every agent.
pub fn person(who: &str) -> Caller {
    Caller::Person { name: name(who), groups: vec![name("finance")] }
}

/// An agent of the population with other instructions: another revision of it.
pub(crate) fn with_instructions(agent: &Name, instructions: &str) -> Vec<Descriptor> {
    let heading = format!("metadata: {{name: {agent},");
    let documents: Vec<&str> = AGENTS.split("\n---\n").collect();
    let found = documents.iter().find(|document| document.contains(&heading)).expect("it is one of the population");
    let text = found.replace("\nspec:\n", &format!("\nspec:\n  instructions: {instructions}\n"));
    parse_file("agent.yaml", &text, &|_| None).expect("a changed descriptor is well-formed")
}

/// A gate of another node on the same store, which owns nothing.
pub(crate) async fn elsewhere(world: &World) -> Result<(Log, Arc<Gate>), ControlError> {
    let reader = Faulty::reader(world.store.inner.clone(), world.store.place.clone());
    govern(world, Arc::new(reader), "elsewhere").await
}

/// A log and a gate: what is governed.
async fn govern(world: &World, store: Arc<Faulty>, node: &str) -> Result<(Log, Arc<Gate>), ControlError> {
    let sealer = Sealer::from_master(&[7; 32], world.time());
    let approvals = sealer.derive("approvals");
    let log = Log::open(store, sealer, world.time(), node).await?;
    log.keep_snapshots_from(SNAPSHOT_AT);
    let checks =
        Checks { price: Arc::new(models::price_check), pin: Arc::new(models::pin_check), secret: Arc::new(|_| true) };
    let gate = Gate::open(log.clone(), &approvals, checks).await?;
    Ok((log, gate))
}

/// Applies the population's descriptors and adds the people, before there is any node.
pub(crate) async fn found(world: &World) -> Result<(), ControlError> {
    let (_, gate) = govern(world, world.store.clone(), NODE).await?;
    // In some worlds a model has one place: whoever comes second waits, and not many may. World 0 is the plain one.
    let few = world.seed != 0 && Chance::new(world.seed, "places").per_mille(300);
    let places = if few { "script: simulation, limits: {concurrent: 1, queue: 3}," } else { "script: simulation," };
    let text = AGENTS.replacen("script: simulation,", places, 1);
    let descriptors = parse_file("agents.yaml", &text, &|_| None).expect("the population is described well");
    apply::apply(&gate, &Caller::Admin, descriptors, false).await?;
    for (who, group) in
        [("ana", "finance"), ("ben", "finance"), ("cho", "finance"), ("dee", "board"), ("eve", "elsewhere")]
    {
        people::add_person(&gate, &Caller::Admin, &name(who), &[name(group)]).await?;
    }
    Ok(())
}

/// Whom the runtime asks about schedules, as the server wires it.
fn triggers(gate: &Arc<Gate>) -> Triggers {
    let gate = gate.clone();
    Triggers::new(Arc::new(move |agent, trigger, due| {
        let gate = gate.clone();
        Box::pin(async move { schedules::fire(&gate, &(agent, trigger), due).await.ok() })
    }))
}

/// Whom the runtime asks how sessions of clients start, as the server wires it.
fn starts(gate: &Arc<Gate>) -> Starts {
    let gate = gate.clone();
    Starts::new(Arc::new(move |agent, key| {
        let of = For { key, ..For::default() };
        start::start(&gate.registry(), agent, of)
            .map_err(|why| NotAttached { reason: why.to_string(), next: "Name another agent.".to_owned() })
    }))
}

/// Keeps the ticks of schedules posted.
async fn keep(log: Log, gate: Arc<Gate>) {
    let mut moved = log.control_moved();
    let mut keeper = Keeper::default();
    loop {
        // What fails is tried again: the control plane moves, or a minute goes by.
        let _ = keeper.look(&gate).await;
        let _ = tokio::time::timeout(Duration::from_secs(60), moved.changed()).await;
    }
}

impl Node {
    /// Starts one; tries again until the store lets it.
    pub(crate) async fn start(world: &World) -> Node {
        loop {
            match Self::wire(world).await {
                Ok(node) => return node,
                Err(_) => tokio::time::sleep(START_AGAIN).await,
            }
        }
    }

    async fn wire(world: &World) -> Result<Node, ControlError> {
        let clock = world.time();
        let (log, gate) = govern(world, world.store.clone(), NODE).await?;
        let model: Arc<dyn Provider> = world.model.clone();
        let models = models::Door::new(models::Parts {
            gate: gate.clone(),
            clock: clock.clone(),
            secrets: Arc::new(|_| None),
            pace: Duration::ZERO,
            scripts: BTreeMap::from([(name("simulation"), model)]),
        });
        let secrets = gateway::Secrets::new(BTreeMap::new());
        let scripted = [(name("office"), world.upstream.clone())];
        let host = gateway::Host::new("/nowhere".into(), []);
        let upstreams = gateway::Upstreams::with_scripts(secrets, host, clock.clone(), scripted);
        let gateway = gateway::Door::new(gate.clone(), clock, upstreams);
        let options = Options { triggers: triggers(&gate), starts: starts(&gate), ..Options::default() };
        let runtime = Runtime::start(log.clone(), models, gateway, options);
        // In one task: a watch wakes several in an order that no seed knows.
        let (kept, thawed) = (keep(log.clone(), gate.clone()), control::thaw::follow(gate.clone()));
        let following = tokio::spawn(async { tokio::join!(kept, thawed) }).abort_handle();
        Ok(Node { log, gate, runtime, following })
    }

    /// How a session of an agent is started now.
    pub fn start_of(&self, agent: &Name, key: &str) -> Start {
        let registry = self.gate.registry();
        let entry = registry.agent(agent).expect("the population is never deleted");
        let session = SessionId::for_key(agent, key);
        let principal = Principal {
            link: Link { agent: agent.clone(), revision: entry.revision, session, call: None },
            owner: entry.descriptor.metadata.owner.clone(),
            on_behalf_of: Some(name(EVERYBODYS)),
            parents: Vec::new(),
            autonomy: registry.autonomy(agent, entry.revision).unwrap_or(Autonomy::Shadow),
        };
        Start {
            principal,
            key: key.to_owned(),
            trace: TraceId(session.as_u128()),
            case: None,
            partition: None,
            attached: false,
        }
    }

    /// Waits until nobody is awake, no mail is due and nothing is unfinished; `false` if that never comes.
    pub async fn rests(&self) -> bool {
        let mut pause = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while waited < LONGEST_UNREST {
            tokio::time::sleep(pause).await;
            waited += pause;
            if self.look().await == Ok(Look::Rests) {
                return true;
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
        false
    }

    async fn look(&self) -> Result<Look, DataError> {
        let at_work = HeadFilter { phases: vec![Phase::Ready, Phase::Running], ..HeadFilter::default() };
        let unfinished = self.log.heads(at_work).await?;
        let shards: Vec<_> = self.log.owned().into_keys().collect();
        let due = self.log.due(&shards, DueBy::all(self.log.clock().now()), None, DUE).await?.rows;
        let idle = self.runtime.awake().is_empty() && unfinished.is_empty();
        let behind = if idle && !due.is_empty() { self.behind_others().await? } else { BTreeSet::new() };
        let rests = idle && due.iter().all(|row| behind.contains(&row.id));
        Ok(if rests { Look::Rests } else { Look::Works })
    }

    /// Mail that is due and is not delivered: of its partition another session waits for somebody, and goes first.
    pub(crate) async fn behind_others(&self) -> Result<BTreeSet<MailId>, DataError> {
        let waits = HeadFilter { phases: vec![Phase::Suspended], ..HeadFilter::default() };
        let first = self.log.heads(waits).await?;
        let shards: Vec<_> = self.log.owned().into_keys().collect();
        let due = self.log.due(&shards, DueBy::all(self.log.clock().now()), None, DUE).await?.rows;
        let behind = |row: &DueRow| {
            let of_its = |head: &Head| head.partition.is_some() && head.partition == row.partition;
            first.iter().any(|(session, head, _)| *session != row.session && of_its(head))
        };
        Ok(due.into_iter().filter(behind).map(|row| row.id).collect())
    }

    /// Who and what keeps it from resting.
    pub(crate) async fn unrest(&self) -> String {
        let at_work = HeadFilter { phases: vec![Phase::Ready, Phase::Running], ..HeadFilter::default() };
        let unfinished = self.log.heads(at_work).await.unwrap_or_default();
        let unfinished: Vec<_> = unfinished.into_iter().map(|(session, head, _)| (session, head.phase)).collect();
        let shards: Vec<_> = self.log.owned().into_keys().collect();
        let due = self.log.due(&shards, DueBy::all(self.log.clock().now()), None, 10).await.unwrap_or_default().rows;
        let due: Vec<_> = due.into_iter().map(|row| (row.session, row.id, row.due)).collect();
        format!("awake {:?}, unfinished {unfinished:?}, due {due:?}", self.runtime.awake())
    }

    /// Stops as the server stops.
    pub async fn stop(&self, drain: Duration) {
        self.runtime.stop(drain).await;
        self.following.abort();
        self.log.stop().await;
    }
}
