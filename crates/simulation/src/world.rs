//! What outlives a node: time, the store's content, the upstream, the model API, and who watches. A node lives in a
//! runtime of its own, on one thread with paused time; when it dies the runtime is dropped and every task with it.

use std::sync::Arc;

use data::commit::Log;
use data::postgres::{self, PostgresStore, StoreUrl};
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::Store;
use domain::clock::Clock;
use gateway::ScriptedUpstream;
use tokio::runtime::{Builder, Handle};

use crate::chance::Chance;
use crate::chronicle::Chronicle;
use crate::clock::SimClock;
use crate::life::Life;
use crate::node::{self, Node};
use crate::place::Place;
use crate::provider::Wayward;
use crate::store::{Faulty, Hold};
use crate::upstream::upstream;
use crate::watch::Watch;
use crate::weather::Sky;

/// A simulated world.
pub struct World {
    /// Its seed.
    pub seed: u64,
    /// Its time.
    pub clock: Arc<SimClock>,
    /// How the node's life ends.
    pub life: Arc<Life>,
    /// Who watches from outside.
    pub watch: Arc<Watch>,
    /// The weather.
    pub sky: Arc<Sky>,
    /// The other side.
    pub upstream: ScriptedUpstream,
    /// What the log came to so far.
    pub chronicle: Arc<Chronicle>,
    pub(crate) store: Arc<Faulty>,
    /// The model API.
    pub model: Arc<Wayward>,
}

/// How long a claim lasts on a server, whose clock goes on while simulated time stands still.
const LEASE_MS: i64 = 3_600_000;

/// Follows a store without ever owning a part of it.
fn chronicle(reader: Faulty, clock: Arc<SimClock>) -> Chronicle {
    let runtime = Builder::new_current_thread().build().expect("a runtime without a driver starts");
    let sealer = Sealer::from_master(&[7; 32], clock.clone());
    let log = runtime.block_on(Log::open(Arc::new(reader), sealer, clock, "chronicle"));
    Chronicle::new(log.expect("a store without faults answers"))
}

impl World {
    /// A calm world with its store in memory, in which the descriptors are applied and the people are known.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new(seed));
        let store = SqliteStore::in_memory(clock.clone()).expect("a store in memory opens");
        Self::on(seed, clock, (Arc::new(store), Place::Here))
    }

    /// The same with its store in a database that is empty; `outside` is the runtime that keeps the lines to it.
    pub fn on_postgres(seed: u64, url: &StoreUrl, outside: &Handle) -> Self {
        Self::on_postgres_of(seed, url, outside, 1)
    }

    /// The same, spread over so many shards.
    pub fn on_postgres_of(seed: u64, url: &StoreUrl, outside: &Handle, shards: u16) -> Self {
        let clock = Arc::new(SimClock::new(seed));
        let options = postgres::Options { lease_ms: LEASE_MS, shards };
        let store = outside.block_on(PostgresStore::open_with(url, clock.clone(), options));
        let store = store.expect("a server of the test's own takes a store");
        Self::on(seed, clock, (Arc::new(store), Place::Outside(outside.clone())))
    }

    fn on(seed: u64, clock: Arc<SimClock>, (inner, place): (Arc<dyn Store>, Place)) -> Self {
        let (life, watch, sky) = (Arc::new(Life::new(seed)), Arc::<Watch>::default(), Arc::<Sky>::default());
        let chronicle = Arc::new(chronicle(Faulty::reader(inner.clone(), place.clone()), clock.clone()));
        let shared = || (life.clone(), watch.clone(), sky.clone());
        let store = Faulty {
            inner,
            place,
            life: life.clone(),
            watch: watch.clone(),
            sky: sky.clone(),
            chance: Chance::new(seed, "store"),
            hold: Hold::default(),
            chronicle: Some(chronicle.clone()),
        };
        let upstream = upstream(seed, shared());
        let model = Arc::new(Wayward::new(seed, shared()));
        let world = World { seed, clock, life, watch, sky, upstream, chronicle, store: Arc::new(store), model };
        let founded = world.run(node::found(&world)).expect("nobody dies in a calm world");
        founded.expect("a calm store takes everything");
        world
    }

    /// The same, with an upstream that keeps a file of what it did.
    #[must_use]
    pub fn keeping(self, file: std::path::PathBuf) -> Self {
        World { upstream: self.upstream.keeping(file), ..self }
    }

    /// Starts a node and does something with it. `None`: it died meanwhile. Either way it is gone afterwards, and what
    /// is not in the store is lost.
    pub fn live<T>(&self, deeds: impl AsyncFnOnce(&Node) -> T) -> Option<T> {
        self.run(async {
            let node = Node::start(self).await;
            deeds(&node).await
        })
    }

    /// One life: a runtime with paused time, and what is done in it.
    fn run<T>(&self, life: impl Future<Output = T>) -> Option<T> {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime without a driver starts");
        self.life.begin();
        runtime.block_on(async {
            self.clock.begin_life();
            let came_to = tokio::select! {
                biased;
                () = self.life.over() => None,
                came_to = life => Some(came_to),
            };
            self.clock.end_life();
            came_to
        })
    }

    /// The world's clock, as everybody takes it.
    pub(crate) fn time(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}
