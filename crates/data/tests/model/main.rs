//! A model of the store against both engines: claims, commits of several shards at once, fences, answers that are lost,
//! mail, budgets, erasure, views, in any order that the model allows. Every answer is what the model says, on both; and
//! in the end every named read gives the same rows on both. A sequence that fails is shrunk to a short one.
//! `OSTLER_MODEL_CASES` says how many sequences; where there is no PostgreSQL, that is said and SQLite goes alone.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

mod books;
mod expect;
#[path = "../support/postgres.rs"]
mod postgres;
mod reads;
mod rows;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use data::postgres::{Options as PostgresOptions, PostgresStore};
use data::sqlite::{Options, SqliteStore};
use data::store::{Batch, Claim, ControlAnswer, Drawn, Forget, HoldingRow, Store, View};
use domain::clock::{Clock, SystemClock, Timestamp};
use domain::id::{Epoch, Pos, Shard};
use proptest::test_runner::{Config, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::runtime::Runtime;

use books::{Came, Drawing, Held};
use expect::{Answered, Fate, Model, Step};

/// So long that no lease runs out unless the model says so.
const LEASE_MS: i64 = 600_000;

/// How many shards a store has here.
const SHARDS: u16 = 3;

/// How often a fence refused: a run in which none did has tested little.
static FENCED: AtomicUsize = AtomicUsize::new(0);

/// How often a batch was refused in part.
static IN_PART: AtomicUsize = AtomicUsize::new(0);

/// The machine's clock, moved on where the model says that leases run out.
#[derive(Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_ms(self.0.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> i64 {
        SystemClock.monotonic_ms()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        SystemClock.fill_random(bytes);
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// The stores under test, and the model as it was before the next step.
struct Stores {
    clock: Arc<Moved>,
    stores: Vec<Arc<dyn Store>>,
    database: Option<String>,
    before: Model,
}

impl Stores {
    fn new(before: Model) -> Stores {
        let clock = Arc::new(Moved::default());
        let options = Options { alone: false, lease_ms: LEASE_MS, max_pages: None, shards: SHARDS };
        let mut stores: Vec<Arc<dyn Store>> =
            vec![Arc::new(SqliteStore::in_memory_with(clock.clone(), options).unwrap())];
        let mut database = None;
        if let Some(cluster) = postgres::cluster() {
            let named = cluster.database();
            let url = named.parse().unwrap();
            let options = PostgresOptions { lease_ms: LEASE_MS, shards: SHARDS };
            let opened = PostgresStore::open_with(&url, Arc::new(SystemClock), options);
            stores.push(Arc::new(runtime().block_on(opened).unwrap()));
            database = named.split(['/', '?']).nth(3).map(str::to_owned);
        }
        Stores { clock, stores, database, before }
    }

    /// Time passes until every lease is over, for whoever judges them.
    fn expire(&self) {
        self.clock.0.fetch_add(LEASE_MS, Ordering::SeqCst);
        if let (Some(database), Some(cluster)) = (&self.database, postgres::cluster()) {
            cluster.sql(database, "UPDATE ostler.shard SET expires = 0");
        }
    }

    async fn step(&self, store: &Arc<dyn Store>, step: &Step) -> Answered {
        match step {
            Step::Expire => Answered::Nothing,
            Step::Claim { node, shards } => {
                let shards = Some(shards.iter().copied().map(Shard).collect());
                let claimed = store.claim(Claim { node: format!("node-{node}"), shards }).await.unwrap();
                let leases = claimed.leases.iter().map(|lease| (lease.shard.0, lease.epoch.0, lease.pos.0));
                Answered::Leases(leases.collect(), claimed.control_pos.0)
            }
            Step::Renew { node } => {
                let held = self.before.nodes[*node].iter().map(|(shard, lease)| (Shard(*shard), Epoch(lease.epoch)));
                Answered::Shards(store.renew(held.collect()).await.unwrap().iter().map(|shard| shard.0).collect())
            }
            Step::Commit { node, works, fate } => {
                let parts = rows::parts(&self.before, *node, works);
                if parts.is_empty() || *fate == Fate::Lost {
                    return Answered::Nothing;
                }
                let all = parts.len();
                let answer = store.commit(Batch { parts }).await.unwrap();
                assert_eq!(answer.control_pos.0, self.before.control);
                if !answer.fenced.is_empty() {
                    FENCED.fetch_add(1, Ordering::SeqCst);
                    IN_PART.fetch_add(usize::from(answer.fenced.len() < all), Ordering::SeqCst);
                }
                Answered::Shards(answer.fenced.iter().map(|shard| shard.0).collect())
            }
            Step::Post { session, id } => {
                store.post(vec![rows::mail(*session, *id)]).await.unwrap();
                Answered::Nothing
            }
            Step::Discard { session, id } => {
                let what = Forget::Mail { session: rows::session(*session), ids: vec![rows::mail_id(*id)] };
                Answered::Number(store.forget(what).await.unwrap().cast_signed())
            }
            Step::Erase { session } => {
                let (session, shard) = (rows::session(*session), Shard(rows::shard_of(*session)));
                store.forget(Forget::Session { session, shard }).await.unwrap();
                Answered::Nothing
            }
            Step::Draw(drawing) => self.draw(store, drawing).await,
            Step::Take { node } => self.take(store, *node).await,
            Step::Control { late } => {
                let at = self.before.control.saturating_sub(u64::from(*late));
                match store.commit_control(rows::control(at + 1)).await.unwrap() {
                    ControlAnswer::Committed => Answered::Number(at.cast_signed() + 1),
                    ControlAnswer::Moved { now } => Answered::Moved(now.0),
                }
            }
            Step::Told { .. } | Step::Gone | Step::Follow { .. } => self.follow(store, step).await,
        }
    }
}

impl Stores {
    async fn follow(&self, store: &Arc<dyn Store>, step: &Step) -> Answered {
        match step {
            Step::Told { shard, to } => {
                store.follow(reads::FOLLOWER, &[(Shard(*shard), Pos(*to))]).await.unwrap();
                Answered::Nothing
            }
            Step::Gone => {
                store.unfollow(reads::FOLLOWER).await.unwrap();
                Answered::Nothing
            }
            Step::Follow { shard, late } => {
                let from = self.before.followed[usize::from(*shard)].saturating_sub(u64::from(*late));
                let mut all = true;
                for view in [View::Spend, View::Results, View::Audit] {
                    all &= store.apply_view(rows::view(view, *shard, from)).await.unwrap();
                }
                Answered::Number(i64::from(all))
            }
            _ => unreachable!("it follows nothing"),
        }
    }

    async fn draw(&self, store: &Arc<dyn Store>, drawing: &Drawing) -> Answered {
        let drawn = store.draw(rows::draw(&self.before, drawing)).await.unwrap();
        let Drawn { granted, drawn, reserved, spent, gave, fenced } = drawn;
        let mut gave: Vec<_> = gave.into_iter().map(|shard| shard.0).collect();
        gave.sort_unstable();
        Answered::Drawn(Came { granted, held: Held { drawn, reserved, spent }, gave, fenced })
    }

    async fn take(&self, store: &Arc<dyn Store>, node: usize) -> Answered {
        let held = self.before.nodes[node].iter().map(|(shard, lease)| (Shard(*shard), Epoch(lease.epoch)));
        let rows = store.take_holdings(&held.collect::<Vec<_>>(), Timestamp(0)).await.unwrap();
        let held = |row: HoldingRow| (row.shard.0, Held { drawn: row.drawn, reserved: row.reserved, spent: row.spent });
        let mut taken: Vec<_> = rows.into_iter().map(held).collect();
        taken.sort_by_key(|(shard, _)| *shard);
        Answered::Taken(taken)
    }
}

struct Engines;

impl StateMachineTest for Engines {
    type SystemUnderTest = Stores;
    type Reference = Model;

    fn init_test(model: &Model) -> Stores {
        Stores::new(model.clone())
    }

    fn apply(mut stores: Stores, after: &Model, step: Step) -> Stores {
        if step == Step::Expire {
            stores.expire();
        }
        for (n, store) in stores.stores.iter().enumerate() {
            let answered = runtime().block_on(stores.step(store, &step));
            assert_eq!(answered, after.answered, "store {n}, {step:?}");
        }
        stores.before = after.clone();
        stores
    }

    fn teardown(stores: Stores, model: Model) {
        let rows: Vec<_> = stores.stores.iter().map(|store| runtime().block_on(reads::all(store, &model))).collect();
        for read in &rows[0] {
            model.check(read);
        }
        for other in &rows[1..] {
            for (mine, theirs) in rows[0].iter().zip(other) {
                assert_eq!(mine, theirs);
            }
        }
    }
}

#[test]
fn both_engines_do_what_the_model_says() {
    let told = std::env::var_os("OSTLER_MODEL_CASES").and_then(|told| told.to_str()?.parse().ok());
    let cases: u32 = told.unwrap_or(12);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same few each time, or as many others as are asked for.
    let mut runner = match told {
        Some(_) => TestRunner::new(config.clone()),
        None => TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(config.rng_algorithm)),
    };
    let sequences = Model::sequential_strategy(20..60);
    let ran = runner.run(&sequences, |(model, steps, seen)| {
        Engines::test_sequential(config.clone(), model, steps, seen);
        Ok(())
    });
    if let Err(failed) = ran {
        panic!("{failed}");
    }
    let (fenced, in_part) = (FENCED.load(Ordering::SeqCst), IN_PART.load(Ordering::SeqCst));
    println!("{cases} sequences, {fenced} batches fenced, {in_part} of them in part");
    assert!(fenced > 0 && in_part > 0, "no fence refused: this has tested little");
}
