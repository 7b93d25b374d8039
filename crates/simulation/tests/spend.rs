//! A thousand calls at once against a budget for a hundred, each as dear at worst as the others: through the scheduler,
//! the door, the gate and the log, on both stores, in one shard and in many. Nothing is spent above the cap, and once
//! all have settled, less than one more call is left.

#![expect(clippy::unwrap_used, reason = "in a calm world every answer comes, and what is set up is known to be right")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../../data/tests/support/postgres.rs"]
mod server;

use control::apply;
use data::store::HeadFilter;
use domain::budget::{BudgetKey, Meter, Window};
use domain::clock::Timestamp;
use domain::descriptor::parse_file;
use domain::event::Event;
use domain::id::SessionId;
use domain::mail::{Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::principal::Caller;
use domain::session::Phase;
use futures::future::join_all;
use simulation::World;
use simulation::node::{Node, name};

/// How many calls come at once.
const CALLS: usize = 1_000;

/// For how many of them, at their worst, the budget is.
const FOR: i64 = 100;

async fn allow(node: &Node, usd_micros: i64) {
    let usd = format!("{}.{:06}", usd_micros / 1_000_000, usd_micros % 1_000_000);
    let text = format!(
        "
apiVersion: agent.os/v1
kind: Agent
metadata: {{name: spender, owner: finance}}
spec:
  model: {{provider: thinker, name: small, max_output_tokens: 200}}
  concurrency: {{active: {CALLS}, queue: {CALLS}}}
  budgets: {{usd_per_day: {usd}}}
"
    );
    let agents = parse_file("spender.yaml", &text, &|_| None).unwrap();
    apply::apply(&node.gate, &Caller::Admin, agents, false).await.unwrap();
}

fn message(node: &Node, key: usize) -> Mail {
    let start = node.start_of(&name("spender"), &format!("key-{key:04}"));
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Person, "hello");
    let body = MailBody::Message { start: Box::new(start), from: None, message };
    Mail { id: "m".parse().unwrap(), session, due: node.log.clock().now(), body }
}

/// What the calls of a session could come to at worst, and what they came to; the hour of the first.
async fn calls(node: &Node, session: SessionId) -> (i64, i64, Timestamp) {
    let past = node.log.past(session).await.unwrap().unwrap();
    let at = past.records[0].envelope.at;
    let (mut worst, mut spent) = (0, 0);
    for event in past.records.into_iter().flat_map(|record| record.events.unwrap()) {
        if let Event::ModelRequested { intent, .. } = &event {
            worst = intent.worst.usd_micros;
        } else if let Event::ModelAnswered { settlement, .. } = &event {
            spent += settlement.amounts.usd_micros;
        }
    }
    (worst, spent, at)
}

async fn settled(node: &Node) -> Vec<SessionId> {
    let over = HeadFilter { agent: Some(name("spender")), ..HeadFilter::default() };
    let heads = node.log.heads(over).await.unwrap();
    let ended = heads.iter().filter(|(_, head, _)| matches!(head.phase, Phase::Finished | Phase::Failed));
    ended.map(|(session, ..)| *session).collect()
}

fn a_thousand_for_a_hundred(world: &World, on: &str) {
    let lived = world.live(async |node| {
        allow(node, 1_000_000).await;
        node.runtime.accept(message(node, CALLS)).await.unwrap();
        assert!(node.rests().await);
        let (worst, first, at) = calls(node, message(node, CALLS).session).await;
        let cap = first + FOR * worst;
        allow(node, cap).await;
        let all = join_all((0..CALLS).map(|key| node.runtime.accept(message(node, key)))).await;
        assert!(all.iter().all(Result::is_ok));
        let budget = BudgetKey::of_agent(name("spender"), Meter::UsdMicros, Window::Day);
        let window = (budget, Window::Day.start(at));
        let mut looks = 0;
        loop {
            let ended = settled(node).await.len();
            if ended > CALLS {
                break;
            }
            let now = node.log.standing(std::slice::from_ref(&window)).await.unwrap()[0];
            assert!(now.spent + now.reserved <= cap && now.drawn <= cap, "{now:?} of {cap}");
            looks += 1;
            assert!(looks < 2_000, "{ended} of {CALLS} have ended");
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        }
        let mut spent = 0;
        for session in settled(node).await {
            spent += calls(node, session).await.1;
        }
        let now = node.log.standing(std::slice::from_ref(&window)).await.unwrap()[0];
        assert_eq!((now.spent, now.reserved), (spent, 0), "the books say what the log says");
        println!("{on}: {CALLS} calls of {worst} at worst, {spent} of {cap} micro-dollars spent, 0 over");
        assert!(spent <= cap && spent >= cap - worst, "{spent} of {cap}, {worst} at worst");
    });
    assert!(lived.is_some());
}

#[test]
fn a_thousand_calls_for_a_hundred_spend_no_more_and_hardly_less() {
    a_thousand_for_a_hundred(&World::new(0), "SQLite");
}

fn on_postgres(shards: u16) {
    let Some(cluster) = server::cluster() else { return };
    let outside = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = cluster.database().parse().unwrap();
    let world = World::on_postgres_of(0, &url, outside.handle(), shards);
    a_thousand_for_a_hundred(&world, &format!("PostgreSQL, {shards} shards"));
}

#[test]
fn a_thousand_calls_for_a_hundred_on_postgresql_in_many_shards() {
    on_postgres(64);
}
